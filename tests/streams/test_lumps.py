"""Spend that is told every five minutes, quarter or full hour beside conversions that are told one by one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_worlds import DAY_MS, MINUTE_MS, START_MS, batch_of, history, run

from replay.labels import moment_ms
from streams import lumps
from streams.columns import Columns
from streams.pipeline import Pipeline
from streams.series import SERIES

DIES = 3.0
A_DAY = [240.0, 2400.0]
GAPS_MIN = [5, 15, 60]


def lumped(a_day: float, gap_min: int, seed: int = 1) -> tuple[Pipeline, list[tuple[str, str, int]]]:
    """Five days; the spend of every ``gap_min`` minutes is told at their beginning; half of day three is lost."""
    lines = []
    for fact in map(json.loads, history(5, seed=seed, a_day={("meta", "brand"): a_day}, incidents=[_LOST])):
        if fact["fact"] == "delivery":
            if (fact["at"] - START_MS) % (gap_min * MINUTE_MS):
                continue
            fact["cost_micros"] *= gap_min // 5
        lines.append(json.dumps(fact).encode())
    pipeline, changes = run(batch_of(lines))
    return pipeline, [(c["change"], c["signal"], moment_ms(c["at"])) for c in map(json.loads, changes)]


_LOST = (DIES, DIES + 0.5, 0.0, 1.0, None)


@pytest.mark.parametrize("a_day", A_DAY)
@pytest.mark.parametrize("gap_min", GAPS_MIN)
def test_a_dead_tag_is_told_with_the_first_spend_that_shows_it(a_day: float, gap_min: int) -> None:
    """Nothing before; then as soon as silence allows, with no more to wait for than the next lump."""
    _, told = lumped(a_day, gap_min)
    assert told[0][0] == "opened"
    after_min = (told[0][2] - START_MS - int(DIES * DAY_MS)) / MINUTE_MS
    silence_min = 1440.0 / a_day * 15.0
    assert 0 < after_min <= silence_min + 2 * gap_min + 5


@pytest.mark.parametrize("gap_min", GAPS_MIN)
def test_lumps_are_no_noise(gap_min: int) -> None:
    """The same conversions are as even, however their spend is told."""
    pipeline, _ = lumped(2400.0, gap_min)
    assert pipeline.registry.series["phi"][0] < 1.5


@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, 30.0]), min_size=1, max_size=200), st.floats(0.0, 7.2e6))
def test_all_that_was_told_works(costs: list[float], gap_ms: float) -> None:
    """A lump is shared out over the time to the next one, and no money is lost or made on the way."""
    series = Columns(SERIES)
    s = series.add()
    series["gap_ms"][s], series["apart"][s] = gap_ms, 1.0
    worked = [lumps.even(series.rows, s, cost, 60_000.0) for cost in costs]
    assert min(worked) >= 0.0
    assert sum(worked) + series["owed"][s] == pytest.approx(sum(costs))
    rest = sum(lumps.even(series.rows, s, 0.0, 60_000.0) for _ in range(130))
    assert sum(worked) + rest == pytest.approx(sum(costs))
