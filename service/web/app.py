"""The web application: pages, charts, health, metrics, and in the embedded service the ingest.

Every text in a page goes through Jinja's autoescape, every number through ``service.web.views``.  The policy allows
scripts and styles from this server only, nothing inline and no eval, so a campaign name can never run.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerts.change import AlertChange, Turn
from notifiers import chart, moments
from notifiers.message import MessageSettings, compose
from service.errors import StoreError
from service.web import views
from service.web.book import Book

SHOWN = 200
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ASSETS = {
    "page.css": "text/css",
    "live.js": "text/javascript",
    "chart.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def _nothing() -> dict[str, Any]:
    return {}


def _now() -> datetime:
    return datetime.now(UTC)


def _no_text() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Site:
    """Everything outside that the pages need; all of it handed in."""

    book: Book
    metrics: Callable[[], tuple[bytes, str]]
    ready: Callable[[], str | None]
    """``None`` when ready, otherwise what is being waited for."""
    status: Callable[[], Mapping[str, Any]] = _nothing
    now: Callable[[], datetime] = _now
    progress: Callable[[], str] = _no_text
    banner: str = ""
    wording: MessageSettings = field(default_factory=MessageSettings)
    routes: Sequence[BaseRoute] = field(default_factory=tuple)


def new_app(site: Site) -> ASGIApp:
    """The application over ``site``."""
    pages = Pages(site)
    routes: list[BaseRoute] = [
        Route("/", pages.home),
        Route("/alerts", pages.listing),
        Route("/alerts/{alert_id}", pages.alert),
        Route("/alerts/{alert_id}/chart.json", pages.chart_spec),
        Route("/alerts/{alert_id}/chart.svg", pages.chart_svg),
        Route("/status", pages.status),
        *Probes(site.metrics, site.ready).routes(),
        Route("/assets/{name}", asset),
        *site.routes,
    ]
    app = Starlette(
        routes=routes, exception_handlers={404: pages.not_found, StoreError: pages.unreachable, 500: pages.failed}
    )
    return with_headers(app)


def health_app(metrics: Callable[[], tuple[bytes, str]], ready: Callable[[], str | None]) -> ASGIApp:
    """Health and metrics alone, for a process that shows no pages."""
    probes = Probes(metrics, ready)
    return with_headers(Starlette(routes=probes.routes()))


def with_headers(app: ASGIApp) -> ASGIApp:
    """``app`` with the security headers on every answer."""
    extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *extra]
            await send(message)

        await app(scope, receive, send_more if scope["type"] == "http" else send)

    return wrapped


class Probes:
    """What machines ask: alive, ready, metrics."""

    def __init__(self, metrics: Callable[[], tuple[bytes, str]], ready: Callable[[], str | None]) -> None:
        self._metrics, self._ready = metrics, ready

    def routes(self) -> list[BaseRoute]:
        """The three addresses."""
        return [
            Route("/metrics", self.metrics),
            Route("/-/healthy", self.healthy),
            Route("/-/ready", self.ready),
        ]

    async def metrics(self, request: Request) -> Response:
        """Metrics in Prometheus' format."""
        body, kind = await run_in_threadpool(self._metrics)
        return Response(body, headers={"Content-Type": kind})

    async def healthy(self, request: Request) -> Response:
        """The process is alive."""
        return PlainTextResponse("healthy\n")

    async def ready(self, request: Request) -> Response:
        """The process can do its work; 503 and the reason while it cannot."""
        waits_for = await run_in_threadpool(self._ready)
        return PlainTextResponse("ready\n") if waits_for is None else PlainTextResponse(f"{waits_for}\n", 503)


class Pages:
    """The handlers. Reading the book is blocking, so it happens in a thread."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.templates = Environment(
            loader=PackageLoader("service.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def _html(self, name: str, code: int = 200, **values: Any) -> HTMLResponse:
        text = self.templates.get_template(name).render(banner=self.site.banner, **values)
        return HTMLResponse(text, code, headers={"Cache-Control": "no-store"})

    async def home(self, request: Request) -> Response:
        """The list of alerts."""
        return self._html("alerts.html", **await run_in_threadpool(self._list_values))

    async def listing(self, request: Request) -> Response:
        """The list alone, for the page to fetch again; 304 when nothing changed."""
        values = await run_in_threadpool(self._list_values)
        text = self.templates.get_template("list.html").render(**values)
        tag = f'"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return Response(status_code=304, headers=headers)
        return HTMLResponse(text, headers=headers)

    def _list_values(self) -> dict[str, Any]:
        latest = views.listed(self.site.book.latest(SHOWN + 1))
        now = self.site.now()
        rows = [views.row(change, self.site.wording, now) for change in latest]
        return {
            "rows": rows[:SHOWN],
            "more": max(0, len(rows) - SHOWN),
            "summary": views.summary(rows),
            "progress": self.site.progress(),
        }

    async def alert(self, request: Request) -> Response:
        """One alert: chart, evidence, course, who was told."""
        alert_id = request.path_params["alert_id"]
        changes = await run_in_threadpool(self.site.book.changes, alert_id)
        if not changes:
            return self._missing()
        told = await run_in_threadpool(self.site.book.told, alert_id)
        newest, shown, wording = changes[-1], _shown(changes), self.site.wording
        zone = moments.zone(wording.time_zone)
        return self._html(
            "alert.html",
            row=views.row(newest, wording, self.site.now()),
            message=compose(shown, wording),
            measure=shown.measure,
            window=f"{moments.shown(shown.window.from_, zone)} to {moments.shown(shown.window.to, zone)}",
            course=[views.step(change, wording) for change in changes],
            deliveries=told,
            raw=json.dumps(newest.model_dump(by_alias=True, mode="json"), indent=1, ensure_ascii=False),
        )

    async def chart_spec(self, request: Request) -> Response:
        """The chart's Vega-Lite spec, drawn in the browser."""
        change = await self._newest(request)
        if change is None:
            return self._missing()
        spec = await run_in_threadpool(chart.spec, change, self.site.wording.time_zone)
        return JSONResponse(spec, headers={"Cache-Control": "no-cache"})

    async def chart_svg(self, request: Request) -> Response:
        """The chart as a picture, for a browser without scripts."""
        change = await self._newest(request)
        if change is None:
            return self._missing()
        svg = await run_in_threadpool(chart.svg, change, self.site.wording.time_zone)
        return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "no-cache"})

    async def _newest(self, request: Request) -> AlertChange | None:
        changes = await run_in_threadpool(self.site.book.changes, request.path_params["alert_id"])
        return changes[-1] if changes else None

    async def status(self, request: Request) -> Response:
        """What has arrived, how far it is processed; JSON for programs that ask for it."""
        status = await run_in_threadpool(self.site.status)
        if "application/json" in request.headers.get("Accept", ""):
            return JSONResponse(dict(status))
        return self._html("status.html", status=status)

    def _missing(self) -> Response:
        return self._html("error.html", 404, title="Not here", words="There is no such page or alert.")

    async def not_found(self, request: Request, error: Exception) -> Response:
        """The page for an unknown address."""
        return self._missing()

    async def unreachable(self, request: Request, error: Exception) -> Response:
        """The page while the store does not answer."""
        words = "The store of the service does not answer; its log says why. Try again in a moment."
        return self._html("error.html", 503, title="Not now", words=words)

    async def failed(self, request: Request, error: Exception) -> Response:
        """The page for a defect of ours; the log has the rest."""
        return self._html("error.html", 500, title="That failed", words="The log of the service says why.")


async def asset(request: Request) -> Response:
    """Styles and scripts: ours, and the chart library that vl-convert carries."""
    name = request.path_params["name"]
    if name == "vega.js":
        text = await run_in_threadpool(chart.browser_bundle)
        return Response(text, media_type="text/javascript", headers={"Cache-Control": "public, max-age=86400"})
    if name not in ASSETS:
        return PlainTextResponse("not here\n", 404)
    return Response(_asset(name), media_type=ASSETS[name], headers={"Cache-Control": "no-cache"})


@cache
def _asset(name: str) -> bytes:
    return (resources.files("service.web") / "assets" / name).read_bytes()


def _shown(changes: Sequence[AlertChange]) -> AlertChange:
    """The change whose figures explain the alert: the last one while it was open."""
    return next((change for change in reversed(changes) if change.change is not Turn.RESOLVED), changes[-1])
