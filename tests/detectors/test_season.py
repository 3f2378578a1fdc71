"""Hours of the week: what is learned of them, and how much is believed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import season


def learned(weeks: int, shape: np.ndarray, a_week: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A row and its factors after ``weeks`` of conversions whose rate follows ``shape`` (168, mean 1)."""
    draw, row, factors = np.random.default_rng(seed), np.zeros(season.COLUMNS), np.ones(season.HOURS)
    for _ in range(weeks):
        for hour in range(season.HOURS):
            season.learn(row, hour, float(draw.poisson(a_week / season.HOURS * shape[hour])), a_week / season.HOURS)
    season.derive(row, 7.0 * weeks, factors)
    return row, factors


def test_nothing_seen_means_no_season() -> None:
    """All factors are 1 before anything is learned."""
    factors = np.zeros(season.HOURS)
    season.derive(np.zeros(season.COLUMNS), 0.0, factors)
    assert factors.tolist() == [1.0] * season.HOURS


def test_a_strong_time_of_day_and_weekday_are_found() -> None:
    """Nights at half and Sundays at 70 %, with much data: the factors come within a tenth."""
    shape = np.ones(season.HOURS)
    for day in range(7):
        shape[24 * day : 24 * day + 6] = 0.5
    shape[144:] *= 0.7
    shape /= shape.mean()
    _, factors = learned(12, shape, 20_000.0)
    assert np.abs(factors / shape - 1.0).max() < 0.1


def test_chance_in_a_young_account_is_hardly_believed() -> None:
    """One week of 200 conversions without any season moves no factor by more than 15 %; chance alone gives 35 %."""
    _, factors = learned(1, np.ones(season.HOURS), 200.0)
    assert np.abs(factors - 1.0).max() < 0.15


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 167), st.integers(0, 50), st.floats(0.01, 50.0)), min_size=1, max_size=80))
def test_the_mean_factor_is_one(seen: list[tuple[int, int, float]]) -> None:
    """Weighted with what was expected, so that the level is learned elsewhere and not here."""
    row, factors = np.zeros(season.COLUMNS), np.ones(season.HOURS)
    for hour, n, mu in seen:
        season.learn(row, hour, float(n), mu)
    season.derive(row, 30.0, factors)
    expected = row[season.EXPECTED :]
    assert (expected * factors).sum() == pytest.approx(expected.sum())
    assert (factors > 0.0).all()


def test_doubt_about_an_hour_falls_as_it_is_seen() -> None:
    """More conversions and more days leave less doubt."""
    young, _ = learned(1, np.ones(season.HOURS), 500.0)
    old, _ = learned(8, np.ones(season.HOURS), 500.0)
    assert season.doubt(old, 30, 56.0) < season.doubt(young, 30, 7.0) < season.doubt(np.zeros(season.COLUMNS), 30, 0.0)


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 167), st.integers(0, 50), st.floats(0.01, 50.0)), max_size=40))
def test_the_compiled_season_equals_the_interpreted_one(seen: list[tuple[int, int, float]]) -> None:
    """What the compiler made of the specification is the specification, but for the order in which sums are taken."""
    row, compiled, interpreted = np.zeros(season.COLUMNS), np.ones(season.HOURS), np.ones(season.HOURS)
    for hour, n, mu in seen:
        season.learn(row, hour, float(n), mu)
    season.derive(row, 20.0, compiled)
    season.derive.py_func(row, 20.0, interpreted)
    assert compiled == pytest.approx(interpreted, rel=1e-12)
