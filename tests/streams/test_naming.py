"""Outage or dear clicks: which story a stretch of conversions tells."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, batch_of, delivery, purchase, run

from replay.labels import moment_ms
from streams.naming import Part, Stretch, odds, odds_by_now

NONE = (np.zeros(1), np.zeros(1))


def part(seen: float, expected: float) -> Part:
    return np.array([seen]), np.array([expected])


DUE = st.floats(20.0, 500.0)


@given(DUE, DUE)
def test_silence_is_an_outage(fresh: float, old: float) -> None:
    assert odds(Stretch(part(0.0, fresh), NONE, part(0.0, old), NONE).over(1.3)) < 0.0


@given(DUE, DUE, st.floats(0.34, 0.66))
def test_fewer_conversions_of_new_clicks_only_are_dear_clicks(fresh: float, old: float, kept: float) -> None:
    assert odds(Stretch(part(fresh * kept, fresh), NONE, part(old, old), NONE).over(1.3)) > 0.0


@given(DUE, DUE, st.floats(0.0, 0.5))
def test_who_loses_old_clicks_conversions_alike_has_lost_conversions(fresh: float, old: float, kept: float) -> None:
    told = Stretch(part(fresh * kept, fresh), NONE, part(2 * old * kept, 2 * old), NONE)
    assert odds(told) < odds(Stretch(part(fresh * kept, fresh), NONE, part(2 * old, 2 * old), NONE))


@given(DUE, st.floats(0.0, 0.9), st.floats(1.0, 4.0))
def test_dispersion_makes_less_sure(fresh: float, kept: float, phi: float) -> None:
    """The prior of the two stories stays; what the counts say weighs less."""
    told = Stretch(part(fresh * kept, fresh), NONE, part(fresh, fresh), NONE)
    assert odds(told.over(phi)) <= odds(told) + 1e-9


def test_without_known_clicks_the_amount_alone_speaks() -> None:
    assert (
        odds(Stretch(part(2.0, 40.0), NONE, NONE, NONE).over(1.3))
        < 0.0
        < odds(Stretch(part(20.0, 40.0), NONE, NONE, NONE).over(1.3))
    )


def after(column: list[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """For every hour but the last, what lies after it."""
    return np.cumsum(np.array(column)[::-1])[::-1][1:]


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0.0, 0.1), st.floats(0.3, 1.0))
def test_after_an_outage_what_arrives_again_does_not_speak_for_dear_clicks(
    lost_h: int, since_h: int, kept: float, fresh_share: float
) -> None:
    """Ten conversions an hour, lost for some hours, then all there: no other name, however long it is watched."""
    due = [10.0] * (1 + lost_h + since_h)
    seen = [10.0] + [10.0 * kept] * lost_h + [10.0] * since_h
    none = np.zeros(len(due) - 1)
    fresh = (after(seen) * fresh_share, after(due) * fresh_share)
    old = (after(seen) * (1.0 - fresh_share), after(due) * (1.0 - fresh_share))
    assert odds_by_now(Stretch(fresh, (none, none), old, (none, none))) <= 0.0


@given(st.integers(6, 24), st.floats(0.34, 0.55))
def test_clicks_that_are_dear_still_are_called_so(hours: int, kept: float) -> None:
    """Ten conversions an hour of new clicks, thinned to this hour; ten of old ones, all there."""
    due = np.array([10.0] * (hours + 1))
    none = np.zeros(hours)
    told = Stretch((after(list(due * kept)), after(list(due))), (none, none), (after(list(due)), after(list(due))),
                   (none, none))  # fmt: skip
    assert odds_by_now(told) > 0.0


def clicked(days: float, struck_at: float, *, a_day: float, kept: float, lost: float) -> list[bytes]:
    """Purchases that say when their click was, half of them within the hour and half some ten hours later.

    From day ``struck_at`` on clicks convert ``kept`` times as often, and a share ``lost`` of all conversions is lost.
    """
    rng, facts = np.random.default_rng(5), []
    for minute in range(0, int(days * 1440), 5):
        at_ms = START_MS + minute * MINUTE_MS
        facts.append((at_ms, delivery(len(facts), at_ms, a_day / 288)))
        for _ in range(rng.poisson(a_day / 288)):
            click_ms = at_ms + int(rng.integers(5 * MINUTE_MS))
            bought_ms = click_ms + int(rng.exponential(30 * MINUTE_MS if rng.random() < 0.5 else 10 * HOUR_MS))
            rare = click_ms >= START_MS + struck_at * DAY_MS and rng.random() >= kept
            missed = bought_ms >= START_MS + struck_at * DAY_MS and rng.random() < lost
            if bought_ms < START_MS + days * DAY_MS and not rare and not missed:
                facts.append((bought_ms, purchase(len(facts), bought_ms, clicked_at=click_ms)))
    return [fact for _, fact in sorted(facts, key=lambda fact: fact[0])]


@pytest.mark.parametrize(
    ("kept", "lost", "name"), [(0.33, 0.0, "cpa_spike"), (1.0, 0.5, "tracking_outage"), (1.0, 1.0, "tracking_outage")]
)
def test_within_the_first_hours_clicks_tell_the_name(kept: float, lost: float, name: str) -> None:
    """A busy account is told in two hours; what older clicks bring in them says which it is."""
    _, changes = run(batch_of(clicked(9.5, 9.1, a_day=1500.0, kept=kept, lost=lost)))
    opened = [change for change in map(json.loads, changes) if change["change"] == "opened"]
    onset_ms = START_MS + round(9.1 * DAY_MS)
    assert [change["signal"] for change in opened[:1]] == [name]
    assert onset_ms < moment_ms(opened[0]["at"]) < onset_ms + 3 * HOUR_MS
