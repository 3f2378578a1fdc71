"""What runs beside Kafka workers: the page over the store."""

from __future__ import annotations

from service import server
from service.desk import Desk
from service.errors import StoreError
from service.metrics import Metrics
from service.settings import Settings
from service.web.app import Site, new_app
from service.wiring import open_desk


def run_web(settings: Settings) -> None:
    """Serve the page until SIGINT or SIGTERM. Raises :class:`service.errors.ServiceError` when it cannot start."""
    with server.ended_by_signal():
        sock = server.listen(settings.http.host, settings.http.port)
        with sock, open_desk(settings) as desk:
            server.say(f"adwatch is at {server.address(sock)}, Ctrl-C stops it")
            site = Site(
                book=desk,
                metrics=Metrics().exposition,
                ready=lambda: waits_for(desk),
                wording=settings.message,
            )
            server.serve(new_app(site), sock)


def waits_for(desk: Desk) -> str | None:
    """``None`` while the store answers."""
    try:
        desk.latest(1)
    except StoreError as error:
        return str(error)
    return None
