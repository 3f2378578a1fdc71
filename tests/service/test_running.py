"""``adwatch run`` as a real process: it starts clearly or not at all, stops cleanly, and survives ``kill -9``."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from events.simulator import World, arrivals
from service.demo import steps

ROOT = Path(__file__).parents[2]
WORLD = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


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

    def wait(self) -> int:
        """The exit status."""
        status = self.popen.wait(60)
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


def test_a_signal_to_end_ends_it_with_status_0_and_without_a_traceback(tmp_path: Path) -> None:
    """SIGTERM here; Ctrl-C ends the demo below."""
    with running(tmp_path, "run") as process:
        assert httpx.get(f"{process.url()}/-/ready").status_code == 200
        assert process.end(signal.SIGTERM) == 0
        assert b"Traceback" not in process.err


def test_a_port_in_use_fails_the_run_and_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with running(tmp_path, "run", ADWATCH_HTTP__PORT=str(port)) as process:
            assert process.wait() == 1
    assert process.err.startswith(b"adwatch: http.host 127.0.0.1, http.port %d: Address already in use." % port)


def test_a_second_process_on_the_same_store_is_turned_away(tmp_path: Path) -> None:
    with running(tmp_path, "run") as first:
        first.url()
        with running(tmp_path, "run") as second:
            assert second.wait() == 1
        assert b"another adwatch process is using this store" in second.err


def test_a_store_that_cannot_be_written_fails_the_run_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "adwatch-store").write_text("a file stands where the directory should be")
    with running(tmp_path, "run") as process:
        assert process.wait() == 1
    assert b"adwatch-store: cannot be written" in process.err
    assert b"Traceback" not in process.err


def test_facts_posted_are_there_after_kill_9(tmp_path: Path) -> None:
    fact = b'{"fact":"watermark","at":"2026-01-05T10:00:00Z","source":"meta","account":"acme"}\n'
    with running(tmp_path, "run") as process:
        assert httpx.post(f"{process.url()}/facts", content=fact * 3).json()["accepted"] == 3
        process.end(signal.SIGKILL)
    with running(tmp_path, "run") as again:
        again.url()
        assert b"3 facts replayed from the journal" in again.err


def test_kill_9_anywhere_loses_no_alert_and_tells_none_twice(tmp_path: Path) -> None:
    """Posts go on while the process is killed; a post without an answer is sent again, as any sender would."""
    posts = [step.lines for step in steps(arrivals(WORLD), WORLD, WORLD.end_ms)]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    told = [_told_over(folder, posts, kill_at) for folder, kill_at in ((whole, ()), (broken, (3, 11, 22, 24, 30)))]
    assert told[0]
    assert told[1] == told[0]


def _told_over(folder: Path, posts: list[bytes], kill_at: tuple[int, ...]) -> list[bytes]:
    """The alert lines on the console over all lives of the process."""
    folder.mkdir()
    said = b""
    todo = list(enumerate(posts))
    killed: set[int] = set()
    while todo:
        with running(folder, "run") as process, httpx.Client(base_url=process.url(), timeout=60) as client:
            while todo:
                number, lines = todo[0]
                if number in kill_at and number not in killed:
                    killed.add(number)
                    timer = threading.Timer(0.005 * (number % 7), process.popen.kill)
                    timer.start()
                try:
                    client.post("/facts", content=lines).raise_for_status()
                except httpx.TransportError:
                    process.wait()
                    break
                todo.pop(0)
            else:
                assert process.end() == 0
        said += process.out
    return sorted(line for line in said.splitlines() if line.strip())


def test_the_demo_shows_its_first_alert_within_a_minute_on_console_and_page(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--demo") as process:
        process.says(rb"(?i)(roas|cpa|tracking)", process.out, 60)
        assert 'class="alert ' in httpx.get(process.url()).text
        assert b"demo: " in process.err
        assert process.end() == 0
    assert b"Traceback" not in process.err
    assert list(tmp_path.iterdir()) == []
