"""The relay against a fake Slack over real HTTP, on a clock that the test moves: nothing lost, nothing said twice."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from alerts.change import AlertChange
from notifiers.channel import Delivery, Receipt
from notifiers.errors import Ambiguous, Refused, Unreachable
from notifiers.fake_slack import Running
from notifiers.fake_slack_faults import FaultRule
from notifiers.fake_slack_page import seen
from notifiers.relay import LATE_S
from notifiers.retry import OLDEST_S
from notifiers.tables import State

Make = Callable[..., AlertChange]
GREEN = "#2eb67d"


@dataclass
class Script:
    """A channel that does what it is told, in order; then it delivers."""

    faults: list[BaseException | None] = field(default_factory=list)
    found: dict[str, Receipt] = field(default_factory=dict)
    said: list[Delivery] = field(default_factory=list)
    name: str = "slack"
    pace_s: float = 1.0
    promise: str = ""

    def send(self, delivery: Delivery) -> Receipt:
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault
        self.said.append(delivery)
        return Receipt({"ts": str(len(self.said))})

    def find(self, delivery: Delivery) -> Receipt | None:
        return self.found.get(delivery.delivery_id)

    def close(self) -> None:
        self.name = "closed"


@dataclass
class Heard:
    """Writes down what a relay tells its observer."""

    words: list[tuple[str, ...]] = field(default_factory=list)

    def attempted(self, receiver: str, outcome: str, reason: str) -> None:
        self.words.append(("attempted", receiver, outcome, reason))

    def said(self, receiver: str, latency_s: float) -> None:
        self.words.append(("said", receiver, f"{latency_s:.0f}"))

    def dead(self, receiver: str, words: str) -> None:
        self.words.append(("dead", receiver, words))

    def failed(self, receiver: str, words: str) -> None:
        self.words.append(("failed", receiver, words))

    def store_failed(self, receiver: str, words: str) -> None:
        self.words.append(("store_failed", receiver, words))


def posted(slack: Running) -> list[str]:
    """The delivery ids of everything posted, threads included."""
    messages = [m for channel in slack.fake.workspace.channels.values() for m in channel.messages]
    return [m["metadata"]["event_payload"]["delivery_id"] for m in messages]


def shown(slack: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = seen(slack.fake.workspace)["alerts"]
    return found


def test_an_alert_is_posted_then_changed_in_place_and_told_in_its_thread(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    for one in (change(1), change(2, severity="critical"), change(3, change="resolved")):
        desk.ledger.accept(one)
        desk.drain(relay)
    (root,) = shown(slack)
    assert root["colour"] == GREEN
    assert root["is_edited"]
    assert "Resolved" in root["lines"][0]
    assert [(one["is_broadcast"], one["lines"][0][:10]) for one in root["thread"]] == [
        (True, "🔴 Critical"),
        (False, "✅ Resolved"),
    ]


def test_one_minute_of_429_delays_and_loses_and_repeats_nothing(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    slack.fake.script.play([FaultRule(kind="rate_limit", seconds=60, retry_after=7)], desk.clock())
    ids = [f"alert-{number}" for number in range(30)]
    for alert_id in ids:
        desk.ledger.accept(change(alert_id=alert_id))
    begun = desk.clock()
    while desk.clock() - begun < 20:
        desk.clock.now += max(0.01, relay.step())
    for alert_id in ids:
        desk.ledger.accept(change(2, alert_id=alert_id, change="resolved"))
    took_s = desk.drain(relay)
    assert took_s <= 60 + 7 + 1.2 * len(ids) + 1
    assert Counter(posted(slack)).most_common(1)[0][1] == 1
    assert [one["colour"] for one in shown(slack)] == [GREEN] * len(ids)
    taken = [at for at, method, status in slack.fake.calls if method == "chat.postMessage" and status == 200]
    assert min(after - before for before, after in pairwise(taken)) >= 1.0
    refused = [at for at, _, status in slack.fake.calls if status == 429]
    assert min(after - before for before, after in pairwise(refused)) >= 7.0


def test_of_what_waited_only_the_newest_state_is_said_and_says_so(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    for one in (change(1), change(2, severity="critical"), change(3, change="resolved")):
        desk.ledger.accept(one)
    desk.clock.now += LATE_S + 300
    desk.drain(relay)
    (root,) = shown(slack)
    assert root["thread"] == []
    assert any(
        line == "Not said before: opened Fri 2 Jan, 08:10 UTC, worsened Fri 2 Jan, 08:20 UTC." for line in root["lines"]
    )
    assert any("7 min late" in line for line in root["lines"])
    assert desk.ledger.counts() == {("slack", State.DELIVERED): 1, ("slack", State.SUPERSEDED): 2}


@pytest.mark.parametrize("kind", ["reset", "http"])
def test_accepted_but_not_answered_every_fifth_time_says_nothing_twice(
    kind: str, new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    slack.fake.script.play([FaultRule(kind=kind, every=5, accept=True)], desk.clock())
    ids = [f"alert-{number}" for number in range(20)]
    for version, turn in ((1, "opened"), (2, "resolved")):
        for alert_id in ids:
            desk.ledger.accept(change(version, alert_id=alert_id, change=turn))
        desk.drain(relay)
    counts = Counter(posted(slack))
    assert len(counts) == 2 * len(ids)
    assert set(counts.values()) == {1}
    assert [one["colour"] for one in shown(slack)] == [GREEN] * len(ids)
    assert any(one.outcome == "found" for alert_id in ids for one in desk.ledger.attempts(alert_id))


def test_broken_without_being_accepted_is_said_again(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    slack.fake.script.play([FaultRule(kind="reset", times=2)], desk.clock())
    desk.ledger.accept(change())
    desk.drain(relay)
    assert len(shown(slack)) == 1
    outcomes = [one.outcome for one in desk.ledger.attempts(change().alert_id)]
    assert outcomes == ["ambiguous", "ambiguous", "delivered"]


def test_a_message_that_somebody_deleted_is_posted_anew(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    relay = desk.relay(slack_channel())
    desk.ledger.accept(change(1))
    desk.drain(relay)
    slack.fake.workspace.channels["alerts"].messages.clear()
    desk.ledger.accept(change(2, change="resolved"))
    desk.drain(relay)
    (root,) = shown(slack)
    assert root["colour"] == GREEN


def test_what_slack_refuses_for_good_is_a_dead_letter_and_holds_nothing_up(
    new_desk: Any, slack: Running, slack_channel: Any, change: Make
) -> None:
    desk = new_desk("slack")
    heard = Heard()
    relay = desk.relay(slack_channel(), heard)
    slack.fake.script.play([FaultRule(kind="not_ok", error="is_archived", times=1)], desk.clock())
    desk.ledger.accept(change(alert_id="a"))
    desk.ledger.accept(change(alert_id="b"))
    desk.drain(relay)
    assert [(one.alert_id, one.last) for one in desk.ledger.dead()] == [
        ("a", "Slack refuses channel alerts: is_archived (the channel is archived; set another slack.channel)")
    ]
    assert len(shown(slack)) == 1
    assert (
        "dead",
        "slack",
        "Slack refuses channel alerts: is_archived (the channel is archived; set another slack.channel)",
    ) in heard.words
    assert ("attempted", "slack", "delivered", "none") in heard.words


def test_latency_is_told_from_the_decision_to_the_receipt(new_desk: Any, change: Make) -> None:
    desk, heard = new_desk("slack"), Heard()
    desk.clock.now = 1_767_341_400 + 60 + 0.0
    relay = desk.relay(Script(), heard)
    desk.ledger.accept(change(at="2026-01-02T08:10:00.000Z"))
    relay.step()
    assert ("said", "slack", "60") in heard.words


def test_retry_after_holds_for_the_whole_receiver(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script([Unreachable("slow", "rate_limited", 30.0)])
    relay = desk.relay(channel)
    desk.ledger.accept(change(alert_id="a"))
    desk.ledger.accept(change(alert_id="b"))
    assert relay.step() == pytest.approx(30)
    desk.clock.now += 29
    assert relay.step() == pytest.approx(1)
    assert channel.said == []
    desk.drain(relay)
    assert {one.change.alert_id for one in channel.said} == {"a", "b"}


def test_messages_keep_the_pace_of_their_channel(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script(pace_s=1.2)
    relay = desk.relay(channel)
    for number in range(10):
        desk.ledger.accept(change(alert_id=f"a{number}"))
    assert desk.drain(relay) >= 9 * 1.2


def test_what_cannot_be_said_in_a_day_is_given_up(new_desk: Any, change: Make) -> None:
    desk = new_desk("slack")
    relay = desk.relay(Script([Unreachable("down")] * 100_000))
    desk.ledger.accept(change())
    relay.step()
    desk.clock.now += OLDEST_S - 3600
    assert desk.drain(relay) == pytest.approx(3600, rel=0.1)
    assert "not said within 24 hours" in desk.ledger.dead()[0].last


def test_versions_of_one_alert_keep_their_order_while_an_older_one_is_in_doubt(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script([Ambiguous("lost")])
    relay = desk.relay(channel)
    desk.ledger.accept(change(1))
    relay.step()
    channel.found[desk.ledger.entries(change().alert_id)[0].delivery_id] = Receipt({"ts": "found"})
    desk.ledger.accept(change(2))
    desk.drain(relay)
    assert [(one.change.version, one.place["ts"]) for one in channel.said] == [(2, "found")]


def test_a_doubtful_message_that_was_not_said_gives_way_to_a_newer_one(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script([Ambiguous("lost")])
    relay = desk.relay(channel)
    desk.ledger.accept(change(1))
    relay.step()
    desk.ledger.accept(change(2))
    desk.drain(relay)
    assert [one.change.version for one in channel.said] == [2]
    assert "Not said before: opened" in channel.said[0].message.notes[0]


def test_a_lease_that_ran_out_is_looked_for_before_it_is_said_again(new_desk: Any, change: Make) -> None:
    desk = new_desk("slack")
    dies, lives = Script([SystemExit("killed here")]), Script()
    desk.ledger.accept(change())
    with pytest.raises(SystemExit):
        desk.relay(dies, owner="first", lease_s=60).step()
    relay = desk.relay(lives, owner="second", lease_s=60)
    relay.step()
    assert lives.said == []
    desk.clock.now += 61
    lives.found[desk.ledger.entries(change().alert_id)[0].delivery_id] = Receipt({"ts": "there"})
    relay.step()
    assert lives.said == []
    assert desk.ledger.counts() == {("slack", State.DELIVERED): 1}


def test_a_store_that_is_locked_after_the_message_was_said_does_not_have_it_said_again(
    new_desk: Any, change: Make, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)

    class Locking(Script):
        def send(self, delivery: Delivery) -> Receipt:
            other.execute("BEGIN IMMEDIATE")
            return super().send(delivery)

    desk, channel, heard = new_desk("slack", busy_timeout_s=0.02), Locking(), Heard()
    relay = desk.relay(channel, heard)
    desk.ledger.accept(change())
    for _ in range(4):
        relay.step()
        desk.clock.now += 10
    assert desk.ledger.counts() == {("slack", State.SENDING): 1}
    other.execute("ROLLBACK")
    desk.drain(relay)
    assert len(channel.said) == 1
    assert (
        "store_failed",
        "slack",
        f"sqlite:///{tmp_path}/ledger.sqlite: another process holds it locked",
    ) in heard.words
    assert desk.ledger.counts() == {("slack", State.DELIVERED): 1}
    other.close()


def test_a_clock_that_is_set_back_stops_nothing(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script()
    relay = desk.relay(channel)
    desk.ledger.accept(change(alert_id="a"))
    relay.step()
    desk.clock.now -= 3600
    desk.ledger.accept(change(alert_id="b"))
    relay.step()
    assert [one.change.alert_id for one in channel.said] == ["a", "b"]


def test_a_refusal_does_not_end_the_alert_for_its_receiver(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script([Refused("no")])
    relay = desk.relay(channel)
    desk.ledger.accept(change(1))
    desk.drain(relay)
    desk.ledger.accept(change(2, change="resolved"))
    desk.drain(relay)
    assert [(one.change.version, dict(one.place)) for one in channel.said] == [(2, {})]


def test_the_run_ends_when_told_and_closes_its_channel(new_desk: Any, change: Make) -> None:
    desk, channel = new_desk("slack"), Script()
    relay = desk.relay(channel)
    desk.ledger.accept(change())
    relay.run(stopped=lambda: bool(channel.said), sleep=lambda _: None)
    assert channel.name == "closed"
