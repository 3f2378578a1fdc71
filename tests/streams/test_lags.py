"""The lag that a source learns: whatever is spent, and through incidents."""

from __future__ import annotations

import numpy as np
import pytest
from small_worlds import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, batch_of, delivery, purchase, run

from detectors import lag
from streams.pipeline import Pipeline

A_DAY = 480.0
DAYS = 12
QUICK_MS, SLOW_MS = 20 * MINUTE_MS, 48 * HOUR_MS
"""Half of the conversions come after minutes, half after days."""


def shop(seed: int, spent: float = 1.0, worth: float = 1.0, days: int = 4) -> Pipeline:
    """An account in mid-life, whose last ``days`` have ``spent`` times the clicks, each ``worth`` as much."""
    rng, facts = np.random.default_rng(seed), []
    for hour in range(-10 * 24, DAYS * 24):
        changed = hour >= (DAYS - days) * 24
        clicks = A_DAY / 24.0 * (spent if changed else 1.0)
        begins = START_MS + hour * HOUR_MS
        if hour >= 0:
            facts.append((begins + 1, delivery(hour, begins, 20.0 * clicks)))
        for k in range(rng.poisson(clicks * (worth if changed else 1.0))):
            clicked = begins + int(rng.integers(HOUR_MS))
            at = clicked + int(rng.exponential(QUICK_MS if rng.random() < 0.5 else SLOW_MS))
            if START_MS <= at < START_MS + DAYS * DAY_MS:
                facts.append((at, purchase(10_000 * (hour + 240) + k, at, clicked_at=clicked)))
    return run(batch_of([fact for _, fact in sorted(facts, key=lambda fact: fact[0])]))[0]


def within_an_hour(pipeline: Pipeline) -> float:
    """Learned share of conversions that come within the hour after their click."""
    return lag.arrived(pipeline.registry.sources["below"][0], HOUR_MS)


TRUTH = 0.5 * -np.expm1(-HOUR_MS / QUICK_MS) + 0.5 * -np.expm1(-HOUR_MS / SLOW_MS)


@pytest.mark.parametrize(("spent", "worth"), [(1.0, 1.0), (2.0, 1.0), (0.5, 1.0), (1.0, 0.4)])
def test_the_lag_is_learned_through_whatever_clicks_cost_or_are_worth(spent: float, worth: float) -> None:
    assert within_an_hour(shop(3, spent, worth)) == pytest.approx(TRUTH, abs=0.035)
