"""``adwatch run`` as a real process: it starts clearly or not at all, stops cleanly, and survives ``kill -9``."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import httpx
from adwatch_process import running

from alerts.change import AlertChange
from events.simulator import World, arrivals
from notifiers import fake_slack
from notifiers.ledger import Ledger
from notifiers.store import Store
from service.demo import steps
from service.embedded import Embedded
from service.journal import Journal
from service.metrics import Metrics
from streams.settings import DetectionSettings

WORLD = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


def test_a_signal_to_end_ends_it_with_status_0_and_without_a_traceback(tmp_path: Path) -> None:
    """SIGTERM here; Ctrl-C ends the demo below."""
    with running(tmp_path, "run") as process:
        url = process.url()
        assert httpx.get(f"{url}/-/ready").status_code == 200
        assert "No facts have arrived yet" in httpx.get(url).text
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
    expected = _undisturbed(posts, tmp_path / "whole")
    with fake_slack.running() as slack:
        variables = {
            "ADWATCH_SLACK__BASE_URL": slack.api,
            "ADWATCH_SLACK__TOKEN": "xoxb-test",
            "ADWATCH_SLACK__CHANNEL": "alerts",
            "ADWATCH_SLACK__CHART": "false",
        }
        _post_all(tmp_path, posts, kill_at={3, 22, 30}, **variables)
        messages = httpx.get(f"{slack.url}/_fake/messages").json()["channels"]["alerts"]
    decided = _decided(tmp_path)
    assert decided == expected
    told = {change["alert_id"] for change in decided if change["change"] == "opened" and change["muted_by"] is None}
    assert told
    assert len(messages) == len(told)


def _undisturbed(posts: list[bytes], folder: Path) -> list[dict[str, Any]]:
    """What the same facts decide in one go."""
    decided: list[AlertChange] = []
    embedded = Embedded(DetectionSettings(), Journal(folder), decided.append, Metrics())
    for lines in posts:
        embedded.take(lines)
    return sorted((json.loads(change.to_line()) for change in decided), key=_name)


def _post_all(folder: Path, posts: list[bytes], kill_at: set[int], **variables: str) -> None:
    """Post everything over as many lives of the process as it takes; the last one ends when all is told."""
    todo = list(enumerate(posts))
    while todo:
        with running(folder, "run", **variables) as process, httpx.Client(base_url=process.url(), timeout=60) as client:
            while todo:
                number, lines = todo[0]
                if number in kill_at:
                    kill_at.remove(number)
                    threading.Timer(0.01 * (number % 7), process.popen.kill).start()
                try:
                    client.post("/facts", content=lines).raise_for_status()
                except httpx.TransportError:
                    process.wait()
                    break
                todo.pop(0)
            else:
                _wait_until_told(client)
                assert process.end() == 0


def _wait_until_told(client: httpx.Client) -> None:
    end = time.monotonic() + 120
    while "adwatch_outbox_pending_messages 0.0" not in client.get("/metrics").text:
        assert time.monotonic() < end
        time.sleep(0.1)


def _decided(folder: Path) -> list[dict[str, Any]]:
    """Every change in the store."""
    ledger = Ledger(Store(f"sqlite:///{folder}/adwatch.sqlite"), (), time.time)
    changes = [change for latest in ledger.latest(1000) for change in ledger.changes(latest.alert_id)]
    return sorted((json.loads(change.to_line()) for change in changes), key=_name)


def _name(change: dict[str, Any]) -> tuple[str, int]:
    return change["alert_id"], change["version"]


def test_the_demo_shows_its_first_alert_within_a_minute_on_console_and_page(tmp_path: Path) -> None:
    with running(tmp_path, "run", "--demo") as process:
        process.says(rb"(?i)(roas|cpa|tracking)", process.out, 60)
        assert 'class="alert ' in httpx.get(process.url()).text
        assert b"demo: " in process.err
        assert process.end() == 0
    assert b"Traceback" not in process.err
    assert list(tmp_path.iterdir()) == []
