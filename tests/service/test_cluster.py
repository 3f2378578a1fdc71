"""The cluster way by hand, as the compose file starts it: produce, worker, notify and web on a real broker."""

from __future__ import annotations

import email
import email.policy
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from adwatch_process import running
from aiosmtpd.controller import Controller

from events.simulator import World, simulate
from notifiers import fake_slack
from notifiers.ledger import Ledger
from notifiers.store import Store

pytestmark = pytest.mark.kafka
WORLD = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


class Postbox:
    """Takes every mail."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


@pytest.fixture
def postbox() -> Iterator[tuple[Postbox, int]]:
    box = Postbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, controller.port
    controller.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


def all_told(metrics: str) -> bool:
    try:
        return "adwatch_outbox_pending_messages 0.0" in httpx.get(metrics).text
    except httpx.ConnectError:
        return False


def decided(folder: Path) -> list[dict[str, Any]]:
    """Every change in the store, by alert."""
    ledger = Ledger(Store(f"sqlite:///{folder}/adwatch.sqlite"), (), time.time)
    changes = [change for latest in ledger.latest(1000) for change in ledger.changes(latest.alert_id)]
    return sorted((json.loads(one.to_line()) for one in changes), key=lambda one: (one["alert_id"], one["version"]))


def test_facts_on_kafka_become_one_slack_message_and_one_mail_thread_per_alert(
    kafka_bootstrap: str, topic_prefix: str, postbox: tuple[Postbox, int], tmp_path: Path
) -> None:
    """``notify`` is killed in the middle and started again; the replay of the same facts is the yardstick."""
    box, smtp_port = postbox
    (tmp_path / "facts.ndjson").write_bytes(b"".join(simulate(WORLD)))
    with fake_slack.running() as slack:
        variables = {
            "ADWATCH_KAFKA__BOOTSTRAP_SERVERS": kafka_bootstrap,
            "ADWATCH_KAFKA__TOPIC_PREFIX": topic_prefix,
            "ADWATCH_KAFKA__PARTITIONS": "2",
            "ADWATCH_SLACK__BASE_URL": slack.api,
            "ADWATCH_SLACK__TOKEN": "xoxb-test",
            "ADWATCH_SLACK__CHANNEL": "alerts",
            "ADWATCH_SLACK__CHART": "false",
            "ADWATCH_SMTP__HOST": "127.0.0.1",
            "ADWATCH_SMTP__PORT": str(smtp_port),
            "ADWATCH_SMTP__STARTTLS": "false",
            "ADWATCH_SMTP__FROM": "adwatch@example.com",
            "ADWATCH_SMTP__TO": "team@example.com",
            "ADWATCH_SMTP__CHART": "false",
        }
        for words in (("produce", "facts.ndjson", "--ticks"), ("worker", "--drain")):
            with running(tmp_path, *words, **variables) as process:
                assert process.wait(240) == 0, process.err
        with running(tmp_path, "replay", "facts.ndjson", "--alerts", "expected.ndjson") as process:
            assert process.wait(120) == 0, process.err
        lines = (tmp_path / "expected.ndjson").read_bytes().splitlines()
        expected = sorted(map(json.loads, lines), key=lambda one: (one["alert_id"], one["version"]))
        metrics = f"http://127.0.0.1:{free_port()}/metrics"
        variables["ADWATCH_HTTP__METRICS_PORT"] = metrics.split(":")[2].split("/")[0]
        with running(tmp_path, "notify", **variables) as process:
            process.says(rb"CPA|ROAS|Tracking", process.out, 120)
        with running(tmp_path, "notify", **variables) as process:
            wait_for(lambda: (tmp_path / "adwatch.sqlite").exists() and len(decided(tmp_path)) == len(expected))
            wait_for(lambda: all_told(metrics))
            assert process.end() == 0
            assert b"Traceback" not in process.err
        messages = httpx.get(f"{slack.url}/_fake/messages").json()["channels"]["alerts"]
    assert decided(tmp_path) == expected
    told = {one["alert_id"] for one in expected if one["change"] == "opened" and one["muted_by"] is None}
    assert told
    assert len(messages) == len(told)
    threads = {str(mail["In-Reply-To"] or mail["Message-ID"]) for mail in box.mails}
    assert len(threads) == len(told)
    assert len({str(mail["Message-ID"]) for mail in box.mails}) == len(box.mails)
    with running(tmp_path, "web", **variables) as process:
        page = httpx.get(process.url()).text
        assert page.count('<li class="alert ') == len({one["alert_id"] for one in expected})
        assert process.end() == 0
