"""What the ledger keeps and what it lets be said, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.change import AlertChange
from notifiers.ledger import Accepted, Ledger
from notifiers.outbox import Outbox, Result
from notifiers.store import Store
from notifiers.tables import State

Make = Callable[..., AlertChange]


@pytest.fixture
def desk(new_desk: Any, store_url: str) -> Any:
    return new_desk("slack", "email", url=store_url)


def states(desk: Any, alert_id: str, receiver: str = "slack") -> dict[int, State]:
    return {one.version: one.state for one in desk.ledger.entries(alert_id) if one.receiver == receiver}


def test_a_change_is_kept_with_a_message_for_every_receiver(desk: Any, change: Make) -> None:
    one = change()
    assert desk.ledger.accept(one) is Accepted.NEW
    assert desk.ledger.latest() == [one]
    assert desk.ledger.changes(one.alert_id) == [one]
    assert desk.ledger.counts() == {("slack", State.WAITING): 1, ("email", State.WAITING): 1}


def test_an_exact_repeat_does_nothing(desk: Any, change: Make) -> None:
    desk.ledger.accept(change())
    assert desk.ledger.accept(change()) is Accepted.REPEAT
    assert len(desk.ledger.entries(change().alert_id)) == 2


def test_another_content_of_a_known_version_does_not_replace_the_first(desk: Any, change: Make) -> None:
    desk.ledger.accept(change())
    assert desk.ledger.accept(change(observed=99.0)) is Accepted.DIFFERENT
    assert desk.ledger.changes(change().alert_id) == [change()]


def test_a_late_version_is_kept_and_nobody_hears_old_news_after_new(desk: Any, change: Make) -> None:
    newest = change(3, change="resolved")
    desk.ledger.accept(newest)
    assert desk.ledger.accept(change(1)) is Accepted.LATE
    assert desk.ledger.latest() == [newest]
    assert states(desk, newest.alert_id) == {1: State.SUPERSEDED, 3: State.WAITING}


def test_a_late_version_is_told_through_the_newest_although_that_was_muted(desk: Any, change: Make) -> None:
    desk.ledger.accept(change(2, muted_by="tracking_outage x"))
    desk.ledger.accept(change(1))
    assert states(desk, change().alert_id) == {1: State.SUPERSEDED, 2: State.WAITING}


def test_a_muted_change_is_kept_and_not_told(desk: Any, change: Make) -> None:
    desk.ledger.accept(change(muted_by="tracking_outage x"))
    desk.ledger.accept(change(2, muted_by="tracking_outage x", change="resolved"))
    assert len(desk.ledger.changes(change().alert_id)) == 2
    assert desk.ledger.entries(change().alert_id) == []


def test_the_end_of_an_alert_that_was_told_is_told_even_if_muted(desk: Any, change: Make) -> None:
    desk.ledger.accept(change(1))
    desk.ledger.accept(change(2, muted_by="x"))
    desk.ledger.accept(change(3, muted_by="x", change="resolved"))
    assert set(states(desk, change().alert_id)) == {1, 3}


def test_open_alerts_stand_before_resolved_ones_and_filters_hold(desk: Any, change: Make) -> None:
    over = change(alert_id="over", change="resolved", version=2)
    old = change(alert_id="old", at="2026-01-01T00:00:00.000Z")
    grave = change(alert_id="grave", severity="critical", account="zoo")
    for one in (over, old, grave):
        desk.ledger.accept(one)
    assert [one.alert_id for one in desk.ledger.latest()] == ["grave", "old", "over"]
    assert desk.ledger.latest(is_open=False) == [over]
    assert desk.ledger.latest(severity="critical", account="zoo", signal="cpa_spike") == [grave]
    assert desk.ledger.latest(1) == [grave]


def test_names_may_be_anything(desk: Any, change: Make) -> None:
    odd = change(account="a\x00b'; DROP TABLE alerts; --", campaign="\u202e😀" * 200, source=None)
    desk.ledger.accept(odd)
    assert desk.ledger.changes(odd.alert_id) == [odd]


def test_many_threads_accept_the_same_changes_once(desk: Any, change: Make) -> None:
    given_changes = [change(version, alert_id=f"a{number}") for number in range(5) for version in (1, 2)]
    outcomes: list[Accepted] = []

    def accept() -> None:
        outcomes.extend(desk.ledger.accept(one) for one in given_changes)

    threads = [threading.Thread(target=accept) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(Accepted.NEW) + outcomes.count(Accepted.LATE) == 10
    assert outcomes.count(Accepted.REPEAT) == 30
    assert sum(desk.ledger.counts().values()) == 20


def test_two_relays_never_take_the_same_message(desk: Any, change: Make) -> None:
    for number in range(20):
        desk.ledger.accept(change(alert_id=f"a{number}"))
    taken: list[str] = []

    def take(owner: str) -> None:
        outbox = Outbox(desk.store, "slack", owner)
        while (job := outbox.claim(1_000, 60_000)) is not None:
            taken.append(job.delivery_id)
            outbox.finish(job, Result(State.DELIVERED, "delivered", "", place={}), 1_000)

    threads = [threading.Thread(target=take, args=(str(number),)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 20


def test_a_newer_version_waits_while_an_older_one_is_being_said(desk: Any, change: Make) -> None:
    desk.ledger.accept(change(1))
    outbox = Outbox(desk.store, "slack", "me")
    first = outbox.claim(1_000, 60_000)
    desk.ledger.accept(change(2))
    assert first is not None
    assert outbox.claim(2_000, 60_000) is None
    outbox.finish(first, Result(State.DELIVERED, "delivered", "", place={"ts": "7"}), 2_000)
    second = outbox.claim(3_000, 60_000)
    assert second is not None
    assert (second.change.version, dict(second.place), second.unsaid) == (2, {"ts": "7"}, ())


def test_who_lost_his_lease_changes_nothing_but_his_try_is_on_record(desk: Any, change: Make) -> None:
    desk.ledger.accept(change())
    sleepy, awake = Outbox(desk.store, "slack", "sleepy"), Outbox(desk.store, "slack", "awake")
    old = sleepy.claim(1_000, 10)
    new = awake.claim(2_000, 60_000)
    assert old is not None
    assert new is not None
    assert new.look_first
    sleepy.finish(old, Result(State.DEAD, "refused", "too late"), 3_000)
    assert states(desk, change().alert_id) == {1: State.SENDING}
    assert [one.words for one in desk.ledger.attempts(change().alert_id)] == ["too late"]


def test_a_dead_letter_is_listed_and_can_be_tried_again(desk: Any, change: Make) -> None:
    desk.ledger.accept(change())
    outbox = Outbox(desk.store, "slack", "me")
    job = outbox.claim(1_000, 60_000)
    assert job is not None
    outbox.finish(job, Result(State.DEAD, "refused", "Slack refuses: invalid_auth"), 1_000)
    assert [(one.receiver, one.last) for one in desk.ledger.dead()] == [("slack", "Slack refuses: invalid_auth")]
    assert outbox.revive(2_000) == 1
    assert outbox.claim(3_000, 60_000) is not None


def test_the_oldest_message_has_an_age(desk: Any, change: Make) -> None:
    assert desk.ledger.oldest_age_s() == 0
    desk.ledger.accept(change())
    desk.clock.now += 90
    assert desk.ledger.oldest_age_s() == pytest.approx(90, abs=0.01)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([1, 1, 2, 2, 3, 4]), muted=st.sets(st.sampled_from([1, 2, 3, 4])))
def test_in_any_order_and_with_repeats_every_told_alert_ends_with_its_newest_version_waiting(
    order: list[int], muted: set[int], change: Make, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('any')}/l.sqlite")
    ledger = Ledger(store, ["slack"], lambda: 1.0)
    for version in order:
        fields = {"muted_by": "x" if version in muted else None}
        ledger.accept(change(version, change="resolved" if version == 4 else "opened", **fields))
    rows = {one.version: one.state for one in ledger.entries(change().alert_id)}
    assert [one.version for one in ledger.changes(change().alert_id)] == [1, 2, 3, 4]
    assert ledger.latest()[0].version == 4
    if muted != {1, 2, 3, 4}:
        assert rows[max(rows)] is State.WAITING
    else:
        assert rows == {}
    store.close()
