"""The cluster way by hand, as the compose file starts it: produce, worker, notify and web on a real broker."""

from __future__ import annotations

import email
import email.policy
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from adwatch_process import running
from aiosmtpd.controller import Controller
from kafka import KafkaConsumer, TopicPartition

from events.simulator import World, simulate
from notifiers import fake_slack
from notifiers.ledger import Ledger
from notifiers.store import Store
from replay.labels import moment_ms

pytestmark = pytest.mark.kafka
WORLD = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)
TROUBLED = World(seed=3, days=8, accounts=2, campaigns=3, clean_days=5.0, incidents=8, scale=0.5, ticks=True)
FAULTS: list[dict[str, Any]] = [
    {"kind": "rate_limit", "seconds": 60, "retry_after": 5},
    {"kind": "reset", "accept": True, "every": 5},
]
"""Slack answers 429 for a minute, and afterwards takes every fifth call and breaks the connection."""
GREEN = "#2eb67d"


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


def told_to(slack: str, smtp_port: int, bootstrap: str, prefix: str) -> dict[str, str]:
    """The settings of every process of the cluster, as an operator gives them."""
    return {
        "ADWATCH_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
        "ADWATCH_KAFKA__TOPIC_PREFIX": prefix,
        "ADWATCH_KAFKA__PARTITIONS": "2",
        "ADWATCH_KAFKA__SESSION_TIMEOUT_S": "6",
        "ADWATCH_SLACK__BASE_URL": slack,
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


def replayed(folder: Path) -> list[dict[str, Any]]:
    """What a replay of ``facts.ndjson`` tells: the yardstick."""
    with running(folder, "replay", "facts.ndjson", "--alerts", "expected.ndjson") as process:
        assert process.wait(120) == 0, process.err
    lines = (folder / "expected.ndjson").read_bytes().splitlines()
    return sorted(map(json.loads, lines), key=lambda one: (one["alert_id"], one["version"]))


def killed_and_finished(folder: Path, command: str, after_s: list[float], variables: dict[str, str]) -> None:
    """Start ``command`` and kill it so long after it has partitions, each time; then let it drain."""
    variables = {"ADWATCH_KAFKA__SNAPSHOT_EVERY_S": "0.5", **variables}
    for seconds in after_s:
        with running(folder, command, **variables) as process:
            time.sleep(seconds)  # when it dies is what is being varied
            process.end(signal.SIGKILL)
    with running(folder, command, "--drain", **variables) as process:
        assert process.wait(240) == 0, process.err


def test_facts_on_kafka_become_one_slack_message_and_one_mail_thread_per_alert(
    kafka_bootstrap: str, topic_prefix: str, postbox: tuple[Postbox, int], tmp_path: Path
) -> None:
    """``notify`` is killed in the middle and started again; the replay of the same facts is the yardstick."""
    box, smtp_port = postbox
    (tmp_path / "facts.ndjson").write_bytes(b"".join(simulate(WORLD)))
    with fake_slack.running() as slack:
        variables = told_to(slack.api, smtp_port, kafka_bootstrap, topic_prefix)
        for words in (("produce", "facts.ndjson", "--ticks"), ("worker", "--drain")):
            with running(tmp_path, *words, **variables) as process:
                assert process.wait(240) == 0, process.err
        expected = replayed(tmp_path)
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


@pytest.mark.soak
def test_whatever_is_killed_and_however_slack_fails_each_alert_is_told_once_and_turns_green(
    kafka_bootstrap: str, topic_prefix: str, postbox: tuple[Postbox, int], tmp_path: Path
) -> None:
    """Raw facts; intake, worker and notify are killed; Slack refuses for a minute and then breaks every fifth call."""
    box, smtp_port = postbox
    (tmp_path / "facts.ndjson").write_bytes(b"".join(simulate(TROUBLED)))
    expected = replayed(tmp_path)
    with fake_slack.running() as slack:
        variables = told_to(slack.api, smtp_port, kafka_bootstrap, topic_prefix)
        assert httpx.post(f"{slack.url}/_fake/faults", json=FAULTS).status_code == 200
        variables["ADWATCH_HTTP__METRICS_PORT"] = str(free_port())
        metrics = f"http://127.0.0.1:{variables['ADWATCH_HTTP__METRICS_PORT']}/metrics"
        for half in halves(tmp_path / "facts.ndjson", expected):
            with running(tmp_path, "produce", half, "--raw", **variables) as process:
                assert process.wait(120) == 0, process.err
            killed_and_finished(tmp_path, "intake", [3.0], variables)
            killed_and_finished(tmp_path, "worker", [6.0], variables)
            with running(tmp_path, "notify", **variables) as process:
                process.says(rb"(?i)CPA|ROAS|Tracking", process.out, 120)
                process.end(signal.SIGKILL)
            with running(tmp_path, "notify", **variables) as process:
                consumed = topic_length(kafka_bootstrap, f"{topic_prefix}alerts")
                wait_for(lambda: group_position(kafka_bootstrap, topic_prefix) == consumed)  # noqa: B023
                wait_for(lambda: all_told(metrics), 300)
                assert process.end() == 0
                assert b"Traceback" not in process.err
        messages = httpx.get(f"{slack.url}/_fake/messages").json()["channels"]["alerts"]
        calls = httpx.get(f"{slack.url}/_fake/calls").json()["calls"]
    assert decided(tmp_path) == expected
    opened = {one["alert_id"] for one in expected if one["change"] == "opened" and one["muted_by"] is None}
    over = {one["alert_id"] for one in expected if one["change"] == "resolved" and one["alert_id"] in opened}
    statuses = [call["status"] for call in calls]
    assert statuses.count(429) >= 1
    assert statuses.count(499) >= 1
    assert len(opened) >= 5
    assert any(message["is_edited"] and message["thread"] for message in messages)
    assert len(messages) == len(opened)
    assert sum(message["colour"] == GREEN for message in messages) == len(over)
    for message in messages:
        told = [(*reply["lines"], reply["text"]) for reply in message["thread"]]
        assert len(set(told)) == len(told), told
    threads = {str(mail["In-Reply-To"] or mail["Message-ID"]) for mail in box.mails}
    assert len(threads) == len(opened)
    assert len({str(mail["Message-ID"]) for mail in box.mails}) == len(box.mails)
    plain = [mail.get_body(("plain",)).get_content() for mail in box.mails]
    assert sum("RESOLVED" in words.upper() for words in plain) >= len(over)


def halves(history: Path, expected: list[dict[str, Any]]) -> list[str]:
    """Two files, cut while the alert that lasts longest is open, so that what was told is told on."""
    opened = {
        one["alert_id"]: moment_ms(one["at"]) for one in expected if one["change"] == "opened" and not one["muted_by"]
    }
    over = {one["alert_id"]: moment_ms(one["at"]) for one in expected if one["change"] == "resolved"}
    _, longest = max((over[alert_id] - opened[alert_id], alert_id) for alert_id in opened.keys() & over.keys())
    cut_ms = (opened[longest] + over[longest]) // 2
    lines = history.read_bytes().splitlines(keepends=True)
    facts = map(json.loads, lines)
    cut = next(i for i, fact in enumerate(facts) if fact.get("known_at", fact["at"]) >= cut_ms)
    for name, part in (("first.ndjson", lines[:cut]), ("second.ndjson", lines[cut:])):
        (history.parent / name).write_bytes(b"".join(part))
    return ["first.ndjson", "second.ndjson"]


def topic_length(bootstrap: str, topic: str) -> int:
    """Messages ever written to ``topic``."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return sum(consumer.end_offsets(parts).values())
    finally:
        consumer.close()


def group_position(bootstrap: str, prefix: str) -> int:
    """Messages of the alerts topic that ``notify`` has acknowledged."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=f"{prefix}notify", enable_auto_commit=False)
    try:
        topic = f"{prefix}alerts"
        return sum(
            consumer.committed(TopicPartition(topic, n)) or 0 for n in consumer.partitions_for_topic(topic) or ()
        )
    finally:
        consumer.close()
