"""The embedded service with its page, its ingest, its ticker and, if wanted, its demo world."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rich.console import Console

from service import server
from service.demo import Demo
from service.desk import Desk
from service.embedded import Embedded
from service.errors import StoreError
from service.journal import Journal
from service.logs import event
from service.metrics import Metrics
from service.server import say
from service.settings import Settings
from service.ticking import TickThread
from service.web.app import Site, new_app
from service.web.ingest import ingest_route
from service.wiring import telling_desk

log = logging.getLogger(__name__)
DEMO_BANNER = "demo: a made-up agency, faster than life"


def live(settings: Settings, sock: socket.socket, journal: Journal, demo: bool) -> None:
    """Serve on ``sock`` from ``journal`` until SIGINT or SIGTERM. Raises :class:`service.errors.ServiceError`."""
    metrics = Metrics()
    with telling_desk(settings, metrics, alone=True) as desk, ExitStack() as stack:
        embedded = Embedded(settings.detection, journal, desk.accept, metrics)
        stack.callback(_last_snapshot, embedded, keep=not demo)
        _recover(embedded)
        progress: Callable[[], str] = partial(_awaiting, embedded)
        if demo:
            progress = stack.enter_context(_playing(embedded, server.address(sock)))
        elif settings.kafka.ticker == "wall":
            stack.enter_context(TickThread(embedded))
        say(f"adwatch is at {server.address(sock)}, Ctrl-C stops it")
        server.serve(new_app(_site(settings, embedded, desk, metrics, progress, demo)), sock)
        say("stopping ...")


def _awaiting(embedded: Embedded) -> str:
    """A quiet page is no good news while nothing has come in."""
    return "" if embedded.has_facts else "No facts have arrived yet, so nothing is watched: POST them to /facts."


def _recover(embedded: Embedded) -> None:
    replayed = embedded.recover()
    if replayed:
        say(f"{replayed:,} facts replayed from the journal")


def _last_snapshot(embedded: Embedded, keep: bool) -> None:
    if not keep:
        return
    try:
        embedded.snapshot()
    except StoreError as error:
        log.warning(event("no_snapshot_at_stop", error=str(error)))


@contextmanager
def _playing(embedded: Embedded, url: str) -> Iterator[Callable[[], str]]:
    """The demo in a thread, and its progress line on a terminal."""
    demo, stop = Demo(embedded), threading.Event()
    threads = [
        threading.Thread(target=demo.play, args=(stop,), name="demo", daemon=True),
        threading.Thread(target=_show, args=(demo.progress, url, stop), name="progress", daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield demo.progress
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)


def _show(progress: Callable[[], str], url: str, stop: threading.Event) -> None:
    """One line that is kept up to date on a terminal; elsewhere a line at each change of what is done."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(progress()) as line:
            while not stop.wait(0.25):
                line.update(f"{progress()} · {url}")
        return
    said = ""
    while not stop.wait(0.25):
        phase = progress().partition(":")[0].partition(",")[0]
        if phase != said:
            said = phase
            say(f"demo: {progress()}")


def _site(
    settings: Settings, embedded: Embedded, desk: Desk, metrics: Metrics, progress: Callable[[], str], demo: bool
) -> Site:
    token = settings.http.ingest_token
    secret = None if token is None else token.get_secret_value()
    return Site(
        book=desk,
        metrics=metrics.exposition,
        ready=lambda: "the store takes no alert changes" if embedded.undelivered else None,
        status=lambda: _status(embedded),
        now=lambda: _now(embedded),
        progress=progress,
        wording=settings.message,
        banner=DEMO_BANNER if demo else "",
        routes=[ingest_route(embedded.take, settings.http.max_body_bytes, secret)],
    )


def _status(embedded: Embedded) -> Mapping[str, Any]:
    tick_ms = embedded.newest_tick_ms
    return {
        "Newest tick": "none" if tick_ms is None else f"{_now(embedded):%Y-%m-%d %H:%M} UTC",
        "Journal bytes": embedded.journal.position,
        "Alert changes waiting for the store": embedded.undelivered,
        **{f"Facts: {name.replace('_', ' ')}": count for name, count in embedded.pipeline.counts.items()},
    }


def _now(embedded: Embedded) -> datetime:
    """The time of the log, not of the wall: in the demo they differ."""
    if embedded.newest_tick_ms is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(embedded.newest_tick_ms / 1000, UTC)
