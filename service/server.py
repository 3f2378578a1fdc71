"""The HTTP server of a process: binds first and says clearly when it cannot, ends cleanly on a signal."""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from service.errors import PortError


def say(words: str) -> None:
    """A line for the operator, beside the alerts on standard output."""
    print(words, file=sys.stderr, flush=True)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket: from here on nobody is turned away. Raises :class:`PortError` naming host and port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends at once only where the protocol is named; without it every answer waits 40 ms for an acknowledgement
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(128)
    except (OSError, OverflowError) as error:
        sock.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortError(
            f"http.host {host}, http.port {port}: {reason}. Is another adwatch running? "
            "Another port: ADWATCH_HTTP__PORT=8081, or 0 for any free one."
        ) from error
    return sock


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """SIGINT and SIGTERM end the block early but in order, and nothing is raised beyond it."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def address(sock: socket.socket) -> str:
    """The URL under which the server is found.

    >>> with listen("127.0.0.1", 0) as sock:
    ...     address(sock).startswith("http://127.0.0.1:")
    True
    """
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(app: ASGIApp, sock: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, inside :func:`ended_by_signal`: uvicorn raises the signal again at its end."""
    with suppress(KeyboardInterrupt):
        uvicorn.Server(_config(app)).run(sockets=[sock])


@contextmanager
def served(app: ASGIApp, sock: socket.socket) -> Iterator[str]:
    """Serve from a thread while the block runs; gives the address."""
    server = uvicorn.Server(_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, name="http", daemon=True)
    thread.start()
    try:
        yield address(sock)
    finally:
        server.should_exit = True
        thread.join(timeout=10)


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=3, lifespan="off"
    )
