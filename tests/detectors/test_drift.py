"""How much a rate wanders: what is put down to counts, to days and to what lasts."""

from __future__ import annotations

import numpy as np

from detectors import drift


def watched(lasting: float, passing: float, days: int = 400, mu: float = 400.0, seed: int = 3) -> np.ndarray:
    """A drift row after days of counts whose rate has a slow and a daily part of these standard deviations."""
    draw, row, day = np.random.default_rng(seed), np.zeros(drift.COLUMNS), np.zeros(drift.DAY_COLUMNS)
    slow = 0.0
    for _ in range(days):
        slow = 0.9 * slow + lasting * np.sqrt(1.0 - 0.81) * draw.standard_normal()
        factor = max(0.1, 1.0 + slow + passing * draw.standard_normal())
        drift.note(day, float(draw.poisson(mu * factor)), mu)
        drift.end_day(day, 1.0, row)
    return row


def test_a_steady_rate_is_found_to_be_steadier_than_assumed() -> None:
    """Poisson counts alone: both variances fall below the prior."""
    row = watched(0.0, 0.0)
    assert drift.lasting(row) < drift.DRIFT_PRIOR
    assert drift.passing(row) < drift.MOOD_PRIOR


def test_moods_of_days_are_told_from_a_drift() -> None:
    """A rate that wanders by 9 % from day to day, and one that stays away for days."""
    moody, drifting = watched(0.0, 0.09), watched(0.09, 0.0)
    assert 0.005 < drift.passing(moody) < 0.012
    assert drift.lasting(moody) < 0.002
    assert 0.005 < drift.lasting(drifting) < 0.012
    assert drift.passing(drifting) < 0.003


def test_one_disaster_teaches_little() -> None:
    """A day without any conversion counts as a bad day and no worse."""
    row, day = np.zeros(drift.COLUMNS), np.zeros(drift.DAY_COLUMNS)
    drift.note(day, 0.0, 1000.0)
    drift.end_day(day, 1.0, row)
    assert drift.passing(row) < 0.04


def test_days_with_few_conversions_say_nothing() -> None:
    """Under ten expected, a day is not counted and does not link its neighbours."""
    row, day = np.zeros(drift.COLUMNS), np.zeros(drift.DAY_COLUMNS)
    drift.note(day, 3.0, 9.0)
    drift.end_day(day, 1.0, row)
    assert row.tolist() == [0.0] * drift.COLUMNS
    assert day.tolist() == [0.0] * drift.DAY_COLUMNS
