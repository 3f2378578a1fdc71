"""``adwatch run``: takes its port and its store, then becomes the embedded service.

What can be refused is tried first: the libraries of the detectors take seconds to load, and a port in use should not
take seconds to be told.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from service import server
from service.journal import Journal
from service.settings import Settings


def run(settings: Settings, demo: bool) -> None:
    """Serve until SIGINT or SIGTERM. Raises :class:`service.errors.ServiceError` when it cannot start."""
    with server.ended_by_signal(), ExitStack() as stack:
        if demo:
            settings = _in_a_temporary_store(settings, stack)
        sock = stack.enter_context(server.listen(settings.http.host, settings.http.port))
        journal = Journal(settings.store_directory)
        stack.callback(journal.close)
        from service.live import live

        live(settings, sock, journal, demo)


def _in_a_temporary_store(settings: Settings, stack: ExitStack) -> Settings:
    """The demo never touches the user's store, nor tells anyone outside: neither Slack nor mail is handed on."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="adwatch-demo-")))
    return Settings(detection=settings.detection, http=settings.http, log=settings.log, home=folder)
