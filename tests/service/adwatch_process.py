"""A running ``adwatch`` for tests: what it says is collected as it comes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Process:
    """A running ``adwatch``; what it says is collected as it comes."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        environment = {**os.environ, "ADWATCH_HTTP__PORT": "0", "ADWATCH_KAFKA__TICKER": "none", **variables}
        command = [sys.executable, "-m", "service.cli", *arguments]
        self.popen = subprocess.Popen(
            command,
            cwd=folder,
            env={**environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.out, self.err = bytearray(), bytearray()
        self._threads = [
            threading.Thread(target=_collect, args=(self.popen.stdout, self.out), daemon=True),
            threading.Thread(target=_collect, args=(self.popen.stderr, self.err), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def url(self, seconds: float = 60) -> str:
        """Where it listens, once it says so."""
        return self.says(rb"adwatch is at (http://\S+),", self.err, seconds)[1].decode()

    def says(self, pattern: bytes, where: bytearray, seconds: float) -> re.Match[bytes]:
        """Waits until ``pattern`` stands in ``where``."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = re.search(pattern, bytes(where))
            if found is not None:
                return found
            if self.popen.poll() is not None and not any(thread.is_alive() for thread in self._threads):
                break
            time.sleep(0.02)
        raise AssertionError(f"{pattern!r} was not said: {bytes(self.out)!r} {bytes(self.err)!r}")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait; the exit status."""
        self.popen.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = 60) -> int:
        """The exit status."""
        status = self.popen.wait(seconds)
        for thread in self._threads:
            thread.join(10)
        return status


def _collect(stream: object, into: bytearray) -> None:
    for line in stream:  # type: ignore[attr-defined]
        into += line


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Process]:
    process = Process(folder, *arguments, **variables)
    try:
        yield process
    finally:
        process.popen.kill()
        process.wait()
