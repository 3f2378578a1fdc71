"""What must not hold up or repeat a message, on both databases: clocks, doubt, defects, two relays, old rows."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import func, select, update

from alerts.change import AlertChange
from notifiers.channel import Delivery, Receipt
from notifiers.errors import Ambiguous, Unreachable
from notifiers.outbox import Outbox, Result
from notifiers.retention import KEEP_MS, prune
from notifiers.tables import State, alerts, changes, deliveries, outbox

Make = Callable[..., AlertChange]
TEN_YEARS_S = 10 * 365 * 86_400


@dataclass
class Script:
    """A channel that does what it is told about an alert, in order; then it delivers."""

    faults: dict[str, list[Exception]] = field(default_factory=dict)
    said: list[tuple[str, int]] = field(default_factory=list)
    name: str = "slack"
    pace_s: float = 0.0
    promise: str = ""

    def send(self, delivery: Delivery) -> Receipt:
        waiting = self.faults.get(delivery.change.alert_id)
        if waiting:
            raise waiting.pop(0)
        self.said.append((delivery.change.alert_id, delivery.change.version))
        return Receipt({"ts": "1"})

    def find(self, delivery: Delivery) -> Receipt | None:
        done = (delivery.change.alert_id, delivery.change.version) in self.said
        return Receipt({"ts": "1"}) if done else None

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def desk(new_desk: Any, store_url: str) -> Any:
    return new_desk("slack", url=store_url)


def test_many_alerts_in_doubt_hold_no_other_alert_up(desk: Any, change: Make) -> None:
    box = Outbox(desk.store, "slack", "me")
    for number in range(60):
        desk.ledger.accept(change(1, alert_id=f"a{number:02d}"))
        job = box.claim(1_000, 60_000)
        assert job is not None
        box.finish(job, Result(State.AMBIGUOUS, "ambiguous", "", due_ms=300_000), 1_000)
        desk.ledger.accept(change(2, alert_id=f"a{number:02d}"))
    desk.ledger.accept(change(1, alert_id="other"))
    job = box.claim(2_000, 60_000)
    assert job is not None
    assert job.change.alert_id == "other"


def test_a_wait_that_a_clock_running_ahead_wrote_ends_when_the_clock_is_set_right(desk: Any, change: Make) -> None:
    channel = Script({"a": [Unreachable("down")]})
    relay = desk.relay(channel)
    desk.clock.now += TEN_YEARS_S
    desk.ledger.accept(change(alert_id="a"))
    relay.step()
    desk.clock.now -= TEN_YEARS_S
    assert desk.drain(relay) < 60
    assert channel.said == [("a", 1)]


def test_a_lease_that_a_clock_running_ahead_wrote_ends_when_the_clock_is_set_right(desk: Any, change: Make) -> None:
    desk.ledger.accept(change())
    dead, lives = Outbox(desk.store, "slack", "dead"), Outbox(desk.store, "slack", "lives")
    assert dead.claim(TEN_YEARS_S * 1_000, 90_000) is not None
    job = lives.claim(1_000, 90_000)
    assert job is not None
    assert job.look_first


def test_a_defect_of_ours_costs_no_other_message_anything(desk: Any, change: Make) -> None:
    channel = Script({"a": [TypeError("a bug"), RuntimeError("another")]})
    relay = desk.relay(channel)
    for alert_id in ("a", "b"):
        desk.ledger.accept(change(alert_id=alert_id))
    desk.drain(relay)
    assert channel.said == [("b", 1), ("a", 1)]
    words = [one.words for one in desk.ledger.attempts("a")]
    assert words == [f"slack: a defect of this service: {kind}" for kind in ("TypeError", "RuntimeError")] + [""]


def test_a_change_that_cannot_be_read_is_a_dead_letter_and_holds_nothing_up(desk: Any, change: Make) -> None:
    channel = Script()
    relay = desk.relay(channel)
    for alert_id in ("a", "b"):
        desk.ledger.accept(change(alert_id=alert_id))
    with desk.store.write() as connection:
        connection.execute(update(changes).where(changes.c.alert_id == "a").values(body='{"not": "a change"}'))
    desk.drain(relay)
    assert channel.said == [("b", 1)]
    assert [(one.alert_id, one.last) for one in desk.ledger.dead()] == [
        ("a", "the store holds a change that cannot be read")
    ]


def test_two_relays_at_once_say_every_version_once_and_in_order(desk: Any, change: Make) -> None:
    channel = Script({f"a{number}": [Ambiguous("lost")] for number in range(0, 12, 4)})
    relays = [desk.relay(channel, owner=owner) for owner in ("one", "two")]
    begin = threading.Barrier(3)

    def work(relay: Any) -> None:
        begin.wait(10)
        while any(state in ("waiting", "sending", "ambiguous") for _, state in desk.ledger.counts()):
            relay.step()
            desk.clock.now += 0.5

    threads = [threading.Thread(target=work, args=(relay,)) for relay in relays]
    for thread in threads:
        thread.start()
    desk.ledger.accept(change(1, alert_id="a0"))
    begin.wait(10)
    for version, turn in ((1, "opened"), (2, "worsened"), (3, "resolved")):
        for number in range(12):
            desk.ledger.accept(change(version, alert_id=f"a{number}", change=turn))
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    desk.drain(relays[0])
    assert set(Counter(channel.said).values()) == {1}
    for number in range(12):
        versions = [version for alert_id, version in channel.said if alert_id == f"a{number}"]
        assert versions == sorted(versions)
        assert versions[-1] == 3


def rows(desk: Any) -> list[int]:
    with desk.store.read() as connection:
        counts = (select(func.count()).select_from(table) for table in (alerts, changes, outbox, deliveries))
        return [connection.execute(count).scalar_one() for count in counts]


def told(desk: Any, *given: AlertChange) -> None:
    relay = desk.relay(Script())
    for one in given:
        desk.ledger.accept(one)
        desk.drain(relay)


def test_what_ended_long_ago_is_forgotten_and_what_is_open_or_waits_is_not(desk: Any, change: Make) -> None:
    told(desk, change(1, alert_id="over"), change(2, alert_id="over", change="resolved"), change(1, alert_id="open"))
    desk.ledger.accept(change(1, alert_id="waits", change="resolved"))
    desk.clock.now += KEEP_MS / 1000 + 86_400
    desk.ledger.accept(change(1, alert_id="new", change="resolved"))
    assert rows(desk) == [4, 5, 5, 3]
    assert prune(desk.store, int(desk.clock.now * 1000)) == 1
    assert {one.alert_id for one in desk.ledger.latest()} == {"open", "waits", "new"}
    assert rows(desk) == [3, 3, 3, 1]


def test_a_clock_that_runs_ahead_forgets_nothing(desk: Any, change: Make) -> None:
    told(desk, change(1, change="resolved"))
    assert prune(desk.store, int((desk.clock.now + TEN_YEARS_S) * 1000)) == 0
    assert len(desk.ledger.latest()) == 1


def test_an_idle_relay_forgets_by_itself(desk: Any, change: Make) -> None:
    relay = desk.relay(Script())
    desk.ledger.accept(change(1, alert_id="over", change="resolved"))
    desk.drain(relay)
    relay.step()
    desk.clock.now += KEEP_MS / 1000 + 86_400
    desk.ledger.accept(change(1, alert_id="new"))
    desk.drain(relay)
    relay.step()
    assert [one.alert_id for one in desk.ledger.latest()] == ["new"]


def test_what_waits_for_a_receiver_that_is_no_more_does_not_count_as_late(new_desk: Any, change: Make) -> None:
    before = new_desk("pager")
    before.ledger.accept(change(alert_id="a"))
    after = new_desk("slack")
    after.clock.now += 1000
    after.ledger.accept(change(alert_id="b"))
    after.clock.now += 5
    assert after.ledger.oldest_age_s() == pytest.approx(5)
