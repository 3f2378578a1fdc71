"""The ticker of the embedded service: once a minute, the time of day as a fact."""

from __future__ import annotations

import logging
import threading
import time

from service.embedded import Embedded
from service.errors import StoreError
from service.logs import event
from streams.ticker import WallTicker

log = logging.getLogger(__name__)


class TickThread:
    """Writes a tick a minute while its block runs. A tick the store refuses is tried again a second later."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def __enter__(self) -> TickThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        ticker, failed = WallTicker(lambda: time.time_ns() // 1_000_000), False
        due: list[int] = []
        while not self._stop.wait(0.2):
            due = [at_ms for _, at_ms in ticker.due([0])] or due
            try:
                for at_ms in due:
                    self._embedded.tick(at_ms)
                due, failed = [], False
            except StoreError as error:
                if not failed:
                    log.error(event("tick_not_written", error=str(error)))
                failed = True
                self._stop.wait(1)
