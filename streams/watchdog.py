"""A watchdog for a loop that may die without a word."""

from __future__ import annotations

import os
import sys
import threading
import time


class Watchdog:
    """Ends the process when nobody has said for ``limit_s`` that all is well: Faust can die without a word."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._last = time.monotonic()
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def beat(self) -> None:
        """Say that all is well."""
        self._last = time.monotonic()

    def end(self) -> None:
        """No longer watch."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            silent_s = time.monotonic() - self._last
            if silent_s > self.limit_s:
                print(f"adwatch worker: no progress for {silent_s:.0f} s, ending to be restarted", file=sys.stderr)
                sys.stderr.flush()
                os._exit(1)
