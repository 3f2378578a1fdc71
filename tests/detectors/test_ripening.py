"""How late conversions come: exposures, and cohorts growing older, whatever their clicks are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import lag, ripening

HOUR_MS = 3_600_000.0
QUICK = np.array([0.0, 0.1, 0.1, 0.2, 0.1, 0.1, 0.2, 0.2])
SLOW = np.array([0.0, 0.0, 0.1, 0.1, 0.2, 0.2, 0.2, 0.2])
"""Weights of the stages of two lags."""
COUNTS = st.lists(st.floats(0.0, 1e4), min_size=ripening.GROUPS, max_size=ripening.GROUPS)
HISTOGRAM = st.lists(st.floats(0.0, 1e4), min_size=lag.BINS, max_size=lag.BINS)


def shares(weights: np.ndarray) -> np.ndarray:
    return lag.cumulated(weights @ lag.BIN_SHARES)


def ripened(weights: np.ndarray, worth: np.ndarray) -> np.ndarray:
    """What the cohorts of a source show while each hour's clicks are worth so many conversions, nothing by chance."""
    below, row = shares(weights), np.zeros(ripening.COLUMNS)
    share = [lag.matured(below, age * HOUR_MS, HOUR_MS) for age in range(len(worth))]
    for now in range(64, len(worth)):
        for age in range(1, 64):
            group = ripening.group(age)
            row[group] += worth[now - age] * (share[age] - share[age - 1])
            row[ripening.GROUPS + group] += worth[now - age] * share[age]
    return row


@pytest.mark.parametrize("worth", [1.0, 0.5, 3.0])
def test_what_clicks_are_worth_is_no_lag(worth: float) -> None:
    """Cohorts that turn worth less or more from one hour to the next leave the shares as they are."""
    below = shares(QUICK)
    usual = below.copy()
    ripening.bend(below, ripened(QUICK, np.concatenate([np.full(80, 20.0), np.full(24, 20.0 * worth)])))
    assert below == pytest.approx(usual, abs=0.012)


def test_a_lag_that_has_changed_shows_in_cohorts_growing_older() -> None:
    """A histogram of the former lag is bent to the new one: the share of what came within 64 hours."""
    below, wanted = shares(QUICK), shares(SLOW)
    hour = int(np.searchsorted(lag.EDGES_MS, HOUR_MS))
    before = below[hour] / lag.arrived(below, 63.5 * HOUR_MS)
    ripening.bend(below, ripened(SLOW, np.full(200, 50.0)))
    after = below[hour] / lag.arrived(below, 63.5 * HOUR_MS)
    truth = wanted[hour] / lag.arrived(wanted, 63.5 * HOUR_MS)
    assert abs(after - truth) < 0.15 * abs(before - truth)


@settings(deadline=None)
@given(HISTOGRAM, COUNTS, COUNTS)
@example([0.0] * 11 + [1.0] + [0.0] * 3, [0.0] * ripening.GROUPS, [0.0] * 5 + [1.0])
def test_shares_stay_shares_whatever_was_counted(delays: list[float], came: list[float], brought: list[float]) -> None:
    below = lag.cumulated(np.array(delays))
    ripening.bend(below, np.array(came + brought))
    assert np.all(np.diff(below) >= 0.0)
    assert below[0] >= 0.0
    assert below[-1] <= 1.0 + 1e-9


def test_what_nobody_counted_changes_nothing() -> None:
    below = shares(SLOW)
    usual = below.copy()
    ripening.bend(below, np.zeros(ripening.COLUMNS))
    assert below == pytest.approx(usual, abs=1e-12)


def hours_of(below: np.ndarray, conversions: float) -> np.ndarray:
    """What an hour of a steady source of so many conversions an hour counts, by group."""
    share = [lag.matured(below, age * HOUR_MS, HOUR_MS) for age in range(64)]
    grown = np.zeros(2 * ripening.GROUPS)
    for age in range(1, 64):
        group = ripening.group(age)
        grown[group] += conversions * (share[age] - share[age - 1])
        grown[ripening.GROUPS + group] += conversions * share[age]
    return grown


def stretched(below: np.ndarray, times: float) -> np.ndarray:
    """The shares of a lag so many times as long."""
    ages = np.append(lag.EDGES_MS / times, lag.EDGES_MS[-1])
    return np.array([lag.arrived(below, age) for age in ages])


@pytest.mark.parametrize("times", [0.5, 0.7, 1.5, 2.0])
def test_lags_that_change_as_a_whole_are_followed_within_days(times: float) -> None:
    """Two days of twenty conversions an hour: a good part of the way, also for the tail that nobody has seen yet."""
    usual, row = shares(QUICK), np.zeros(ripening.COLUMNS)
    truth = stretched(usual, times)
    for _ in range(48):
        ripening.note(usual, row, hours_of(truth, 20.0))
    below = usual.copy()
    ripening.stretch(below, row)
    seen, tail = lag.EDGES_MS < 64 * HOUR_MS, lag.EDGES_MS >= 64 * HOUR_MS
    for ages in (np.flatnonzero(seen), np.flatnonzero(tail)):
        assert np.abs(below - truth)[ages].max() < 0.85 * np.abs(usual - truth)[ages].max()


def test_lags_that_stay_are_left_alone() -> None:
    usual, row = shares(QUICK), np.zeros(ripening.COLUMNS)
    for _ in range(48):
        ripening.note(usual, row, hours_of(usual, 20.0))
    below = usual.copy()
    ripening.stretch(below, row)
    assert below == pytest.approx(usual, abs=0.003)


@settings(deadline=None)
@given(HISTOGRAM, st.floats(-1e6, 1e6), st.floats(0.0, ripening.RECENT))
def test_a_stretched_lag_is_a_lag(delays: list[float], score: float, known: float) -> None:
    below, row = lag.cumulated(np.array(delays)), np.zeros(ripening.COLUMNS)
    row[ripening.SCORE], row[ripening.KNOWN] = score, known
    ripening.stretch(below, row)
    assert np.all(np.diff(below) >= -1e-12)
    assert below[0] >= 0.0
    assert below[-1] <= 1.0 + 1e-9


@settings(deadline=None)
@given(HISTOGRAM, COUNTS, COUNTS)
def test_what_an_hour_counts_is_a_number_whatever_it_is(
    delays: list[float], came: list[float], brought: list[float]
) -> None:
    below, row = lag.cumulated(np.array(delays)), np.zeros(ripening.COLUMNS)
    ripening.note(below, row, np.array(came + brought))
    assert np.all(np.isfinite(row))
    assert 0.0 <= row[ripening.KNOWN] <= ripening.RECENT


def fitted(delays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights, corrected = np.eye(lag.STAGES)[0], np.empty(lag.BINS)
    for _ in range(100):
        lag.correct(weights, delays, corrected)
        lag.fit(weights, corrected)
    return weights, corrected


def test_more_clicks_are_no_quicker_lag() -> None:
    """Twice the clicks for a day: delays are mostly short, and the share that comes within an hour stays."""
    exposed = np.where(np.arange(lag.STAGES) < 5, 2000.0, 1000.0)
    seen = (QUICK * exposed) @ lag.BIN_SHARES
    hour = int(np.searchsorted(lag.EDGES_MS, HOUR_MS))
    truth = shares(QUICK)[hour]
    assert lag.cumulated(seen)[hour] > truth + 0.1
    _, corrected = fitted(np.concatenate([seen, exposed]))
    assert lag.cumulated(corrected)[hour] == pytest.approx(truth, abs=0.02)


def test_without_exposures_a_histogram_is_taken_as_it_is() -> None:
    seen = 1000.0 * QUICK @ lag.BIN_SHARES
    _, corrected = fitted(np.concatenate([seen, np.zeros(lag.STAGES)]))
    assert corrected == pytest.approx(seen)


def test_apart_undoes_cumulate_but_for_what_the_last_bin_hides() -> None:
    into = np.empty(lag.BINS)
    lag.apart(lag.cumulated(SLOW @ lag.BIN_SHARES), 100.0, into)
    assert into == pytest.approx(100.0 * SLOW @ lag.BIN_SHARES)


@settings(max_examples=50, deadline=None)
@given(HISTOGRAM, COUNTS, COUNTS)
def test_compiled_equals_interpreted_bit_by_bit(delays: list[float], came: list[float], brought: list[float]) -> None:
    found = []
    for way in (lambda f: f, lambda f: f.py_func):
        corrected, row, hour = np.empty(lag.BINS), np.zeros(ripening.COLUMNS), np.array(came + brought)
        way(lag.correct)(QUICK, np.concatenate([delays, 1.0 + np.arange(lag.STAGES)]), corrected)
        below = lag.cumulated(corrected)
        way(ripening.bend)(below, hour)
        way(ripening.note)(below, row, hour)
        way(ripening.stretch)(below, row)
        found.append(corrected.tobytes() + below.tobytes() + row.tobytes())
    assert found[0] == found[1]


def test_no_more_delays_are_remembered_than_a_lag_may_change_in() -> None:
    row = np.array([6.0, 4.0, 30.0])
    lag.forget(row, 2, 5.0)
    assert row.tolist() == [3.0, 2.0, 15.0]
    lag.forget(row, 2, 50.0)
    assert row.tolist() == [3.0, 2.0, 15.0]
