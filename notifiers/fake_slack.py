"""A Slack to try things on: keeps state, enforces the documented limits, and fails when told to.

``adwatch fake-slack`` serves it.  Set ``slack.base_url`` to ``http://…/api/``, ``slack.token`` to anything that begins
with ``xoxb-`` and ``slack.channel`` to ``alerts``.  ``GET /`` shows the channels, ``GET /_fake/messages`` gives what a
person would see, ``POST /_fake/faults`` sets what goes wrong (:class:`notifiers.fake_slack_faults.FaultRule`).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from notifiers.fake_slack_faults import FaultRule, FaultScript
from notifiers.fake_slack_page import page, seen
from notifiers.fake_slack_workspace import Refusal, TooFast, Workspace

_wall_clock = time.time  # noqa: TID251  a server of its own, with its own clock

Json = dict[str, Any]
_RULES = TypeAdapter(list[FaultRule])
_PACKED = ("blocks", "attachments", "metadata", "files")
_transports: dict[tuple[str, int], Any] = {}
"""Open connections by the client's address, so that one can be broken."""


class FakeSlack:
    """The web application around one workspace."""

    def __init__(self, workspace: Workspace, clock: Callable[[], float]) -> None:
        self.start_anew(workspace, clock)

    def start_anew(self, workspace: Workspace, clock: Callable[[], float]) -> None:
        """Forget what was said and what was to go wrong; ``clock``: seconds since 1970."""
        self.workspace = workspace
        self.script = FaultScript()
        self.calls: list[tuple[float, str, int]] = []
        self._clock = clock
        self._methods: dict[str, Callable[[Json], Json]] = {
            "auth.test": lambda _: {"user": "adwatch", "team": "Fake", "team_id": "T0FAKE0000"},
            "chat.postMessage": workspace.post,
            "chat.update": workspace.update,
            "conversations.history": workspace.history,
            "conversations.replies": workspace.replies,
            "conversations.list": lambda _: workspace.listed(),
            "files.completeUploadExternal": lambda asked: workspace.complete(asked.get("files") or []),
        }

    def app(self) -> Starlette:
        """The routes."""
        return Starlette(
            routes=[
                Route("/", self._page),
                Route("/api/{method}", self._api, methods=["GET", "POST"]),
                Route("/upload/{file_id}", self._upload, methods=["POST", "PUT"]),
                Route("/files/{file_id}", self._file),
                Route("/services/{rest:path}", self._webhook, methods=["POST"]),
                Route("/_fake/faults", self._faults, methods=["GET", "POST", "DELETE"]),
                Route("/_fake/messages", self._messages),
                Route("/_fake/calls", self._calls),
            ]
        )

    async def _api(self, request: Request) -> Response:
        method = request.path_params["method"]
        asked = await _asked(request)
        rule = self.script.next(method, self._clock())
        if rule is None or rule.accept:
            answer = self._answer(method, asked, request)
        if rule is not None:
            answer = await self._fail(rule, request)
        self.calls.append((self._clock(), method, answer.status_code))
        return answer

    def _answer(self, method: str, asked: Json, request: Request) -> Response:
        try:
            _check_token(request, asked)
            if method == "files.getUploadURLExternal":
                file_id = self.workspace.new_file(asked)
                url = str(request.base_url.replace(path=f"/upload/{file_id}"))
                return JSONResponse({"ok": True, "upload_url": url, "file_id": file_id})
            if method not in self._methods:
                raise Refusal("unknown_method")
            return JSONResponse({"ok": True, **self._methods[method](asked)})
        except TooFast as error:
            return _too_fast(error.retry_after_s)
        except Refusal as error:
            return JSONResponse({"ok": False, "error": error.code})
        except (ValueError, TypeError, AttributeError, KeyError):
            return JSONResponse({"ok": False, "error": "invalid_arguments"})

    async def _fail(self, rule: FaultRule, request: Request) -> Response:
        if rule.kind == "rate_limit":
            return _too_fast(rule.retry_after)
        if rule.kind == "not_ok":
            return JSONResponse({"ok": False, "error": rule.error})
        if rule.kind == "http":
            return HTMLResponse(f"<html><h1>{rule.status} Server Error</h1></html>", rule.status)
        if rule.kind == "text":
            return PlainTextResponse(rule.error, rule.status)
        if rule.kind == "hang":
            await asyncio.sleep(rule.hold_s)
        _break(request)
        return Response(status_code=499)

    async def _webhook(self, request: Request) -> Response:
        try:
            asked = json.loads(await request.body())
        except ValueError:
            return PlainTextResponse("invalid_payload", 400)
        rule = self.script.next("webhook", self._clock())
        answer: Response = PlainTextResponse("ok")
        if rule is None or rule.accept:
            answer = self._hooked(request.path_params["rest"], asked)
        if rule is not None:
            answer = await self._fail(rule, request)
        self.calls.append((self._clock(), "webhook", answer.status_code))
        return answer

    def _hooked(self, rest: str, asked: Json) -> Response:
        if len(rest.split("/")) != 3:
            return PlainTextResponse("no_service", 404)
        try:
            self.workspace.post({**asked, "channel": next(iter(self.workspace.channels))})
        except TooFast as error:
            return _too_fast(error.retry_after_s)
        except Refusal as error:
            return PlainTextResponse(error.code, 400)
        return PlainTextResponse("ok")

    async def _upload(self, request: Request) -> Response:
        stored = self.workspace.files.get(request.path_params["file_id"])
        if stored is None:
            return PlainTextResponse("no such file", 404)
        stored.content = await request.body()
        return PlainTextResponse("OK")

    async def _file(self, request: Request) -> Response:
        stored = self.workspace.files.get(request.path_params["file_id"])
        if stored is None or stored.content is None:
            return PlainTextResponse("no such file", 404)
        return Response(stored.content, media_type="image/png")

    async def _faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.script.play([], self._clock())
        if request.method == "POST":
            try:
                asked = json.loads(await request.body())
                rules = _RULES.validate_python(asked if isinstance(asked, list) else [asked])
            except (ValueError, ValidationError) as error:
                return JSONResponse({"ok": False, "error": str(error)}, 400)
            self.script.play(rules, self._clock())
        return JSONResponse({"ok": True, "faults": [rule.model_dump() for rule in self.script.rules()]})

    async def _messages(self, request: Request) -> Response:
        return JSONResponse({"channels": seen(self.workspace)})

    async def _calls(self, request: Request) -> Response:
        return JSONResponse(
            {"calls": [{"at": at, "method": name, "status": status} for at, name, status in self.calls]}
        )

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(page(self.workspace))


@dataclass(frozen=True, slots=True)
class Running:
    """A fake Slack that is being served."""

    url: str
    fake: FakeSlack

    @property
    def api(self) -> str:
        """What ``slack.base_url`` is to be."""
        return f"{self.url}/api/"

    @property
    def webhook(self) -> str:
        """An incoming webhook into the first channel."""
        return f"{self.url}/services/T0FAKE0000/B0FAKE0000/secretsecretsecret"


def serve(host: str, port: int, channels: Sequence[str] = ("alerts", "general")) -> None:
    """Serve a fake Slack until SIGINT or SIGTERM. Raises ``OSError`` where the address cannot be had."""
    fake = FakeSlack(Workspace(_wall_clock, channels), _wall_clock)
    sock = socket.create_server((host, port))
    _server(fake).run(sockets=[sock])


@contextmanager
def running(
    workspace: Workspace | None = None, clock: Callable[[], float] = _wall_clock, port: int = 0
) -> Iterator[Running]:
    """A fake Slack in a thread of this process, for tests."""
    fake = FakeSlack(workspace or Workspace(clock), clock)
    sock = socket.create_server(("127.0.0.1", port))
    server = _server(fake)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="fake-slack", daemon=True)
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{sock.getsockname()[1]}", fake)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        sock.close()


class _Breakable(H11Protocol):
    """Remembers its connection, so that it can be broken in the middle."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.client is not None:
            _transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client is not None:
            _transports.pop(self.client, None)
        super().connection_lost(exc)


def _server(fake: FakeSlack) -> uvicorn.Server:
    config = uvicorn.Config(
        fake.app(), http=_Breakable, ws="none", lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )
    return uvicorn.Server(config)


def _break(request: Request) -> None:
    """Reset the connection as a dying server does."""
    client = request.client
    transport = None if client is None else _transports.get((client.host, client.port))
    if transport is not None:
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()


async def _asked(request: Request) -> Json:
    """The arguments of a call: JSON, or a form in which structures are JSON themselves."""
    body = await request.body()
    if request.headers.get("content-type", "").startswith("application/json"):
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            return {}
        return asked if isinstance(asked, dict) else {}
    form: Json = dict(request.query_params) | dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for key in _PACKED:
        if isinstance(form.get(key), str):
            try:
                form[key] = json.loads(form[key])
            except ValueError:
                form[key] = None
    return form


def _check_token(request: Request, asked: Json) -> None:
    token = request.headers.get("authorization", "").removeprefix("Bearer").strip() or str(asked.get("token") or "")
    if not token:
        raise Refusal("not_authed")
    if token == "xoxb-revoked":
        raise Refusal("token_revoked")
    if not token.startswith("xoxb-"):
        raise Refusal("invalid_auth")


def _too_fast(retry_after_s: int) -> Response:
    return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers={"Retry-After": str(retry_after_s)})
