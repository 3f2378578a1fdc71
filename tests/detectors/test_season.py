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
    season.derive(row, 7.0 * weeks, 0.004, factors)
    return row, factors


def test_nothing_seen_means_no_season() -> None:
    """All factors are 1 before anything is learned."""
    factors = np.zeros(season.HOURS)
    season.derive(np.zeros(season.COLUMNS), 0.0, 0.004, factors)
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


def test_neighbouring_days_that_agree_are_believed_sooner_than_one_alone() -> None:
    """A weekend at 80 % is believed more than a Wednesday and a Saturday at 80 % each, from as many conversions."""
    found = []
    for days in ((5, 6), (2, 5)):
        row, factors = np.zeros(season.COLUMNS), np.ones(season.HOURS)
        row[season.EXPECTED :] = 3.0
        row[: season.HOURS] = 3.0
        for day in days:
            row[24 * day : 24 * day + 24] *= 0.8
        season.derive(row, 21.0, 0.0004, factors)
        by_day = factors.reshape(7, 24).mean(axis=1)
        rest = [by_day[d] for d in range(7) if d not in days]
        found.append(np.mean([by_day[d] for d in days]) / np.mean(rest))
    assert found[0] < found[1] - 0.02 < 0.98


def test_what_weekdays_are_in_doubt_by_is_what_they_are_wrong_by() -> None:
    """Weeks drawn from the prior: the mean square error of the weekdays is the doubt that is told, within a quarter."""
    draw, wrong, told = np.random.default_rng(5), [], []
    for _ in range(300):
        true = draw.multivariate_normal(np.zeros(7), season.ALIKE)
        row, factors = np.zeros(season.COLUMNS), np.ones(season.HOURS)
        row[season.EXPECTED :] = 5.0
        by_day = draw.normal(120.0 * (1.0 + true), np.sqrt(season.PHI * 120.0))
        row[: season.HOURS] = np.repeat(by_day / 24.0, 24)
        told.append(season.derive(row, 70.0, 0.0, factors))
        wrong.append(np.mean((factors.reshape(7, 24).mean(axis=1) - 1.0 - true) ** 2))
    assert np.mean(wrong) == pytest.approx(np.mean(told), rel=0.25)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 167), st.integers(0, 50), st.floats(0.01, 50.0)), min_size=1, max_size=80))
def test_the_mean_factor_is_one(seen: list[tuple[int, int, float]]) -> None:
    """Weighted with what was expected, so that the level is learned elsewhere and not here."""
    row, factors = np.zeros(season.COLUMNS), np.ones(season.HOURS)
    for hour, n, mu in seen:
        season.learn(row, hour, float(n), mu)
    season.derive(row, 30.0, 0.004, factors)
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
    season.derive(row, 20.0, 0.004, compiled)
    season.derive.py_func(row, 20.0, 0.004, interpreted)
    assert compiled == pytest.approx(interpreted, rel=1e-12)
