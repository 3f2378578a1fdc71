"""``kill -9`` of a real relay process after Slack took a message and before the database knew."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alerts.change import AlertChange
from notifiers.fake_slack import Running, running
from notifiers.fake_slack_faults import FaultRule
from notifiers.fake_slack_page import seen
from notifiers.fake_slack_workspace import Workspace
from notifiers.ledger import Ledger
from notifiers.store import Store
from notifiers.tables import UNFINISHED

KILLS = 4


@contextmanager
def relay_process(store_url: str, slack: Running) -> Iterator[subprocess.Popen[bytes]]:
    root = Path(__file__).parents[2]
    script = Path(__file__).parent / "relay_process.py"
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, str(script), store_url, slack.api], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait(timeout=10)


def wait_until(holds: Callable[[], bool], most_s: float = 30.0) -> None:
    deadline = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def test_killed_between_slacks_yes_and_the_commit_nothing_is_lost_and_nothing_said_twice(
    store_url: str, change: Callable[..., AlertChange]
) -> None:
    store = Store(store_url)
    ledger = Ledger(store, ["slack"], time.time)
    ids = [f"alert-{number}" for number in range(KILLS)]
    for alert_id in ids:
        ledger.accept(change(1, alert_id=alert_id))
    workspace = Workspace(time.time, per_s=float("inf"), burst=float("inf"))
    with running(workspace, time.time) as slack:
        messages = workspace.channels["alerts"].messages
        for kill in range(KILLS):
            slack.fake.script.play([FaultRule(kind="hang", methods=("chat.postMessage",), every=2, accept=True)], 0)
            before = len(messages)
            with relay_process(store_url, slack):
                wait_until(lambda before=before: len(messages) >= before + 2)  # type: ignore[misc]
            ledger.accept(change(2, alert_id=ids[kill], change="resolved"))
            ledger.accept(change(1, alert_id=f"more-{kill}"))
        slack.fake.script.play([], 0)
        with relay_process(store_url, slack):
            wait_until(lambda: not any(state in UNFINISHED for _, state in ledger.counts()))
        shown: list[dict[str, Any]] = seen(workspace)["alerts"]
    posted = Counter(one["metadata"]["event_payload"]["delivery_id"] for one in messages)
    assert set(posted.values()) == {1}
    assert len(shown) == 2 * KILLS
    assert sum(one["colour"] == "#2eb67d" for one in shown) == KILLS
    assert sum(one.outcome == "found" for alert_id in ids for one in ledger.attempts(alert_id)) >= KILLS // 2
    store.close()
