"""The detectors of counts and baskets: their formulas, their promise, and compiled code that equals its own text."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from detectors import basket, deficit, lag, level, outage

COUNTS = st.integers(0, 40)
MEANS = st.floats(0.01, 60.0)
PHIS = st.one_of(st.just(1.0), st.floats(1.05, 6.0))
RATIOS = st.sampled_from(deficit.GRID)
CERTAIN = deficit.sloped(1.0)


@settings(deadline=None)
@given(COUNTS, MEANS, PHIS, RATIOS)
def test_the_likelihood_ratio_is_that_of_two_negative_binomials(n: int, mu: float, phi: float, r: float) -> None:
    """Same shape, mean divided by r; Poisson where phi is 1."""
    if phi < 1.0001:
        expected = stats.poisson.logpmf(n, mu / r) - stats.poisson.logpmf(n, mu)
    else:
        size = mu / (phi - 1.0)
        expected = stats.nbinom.logpmf(n, size, size / (size + mu / r)) - stats.nbinom.logpmf(
            n, size, size / (size + mu)
        )
    assert deficit.log_ratio(float(n), mu, phi, r) == pytest.approx(float(expected), rel=1e-6, abs=1e-7)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(COUNTS, MEANS), max_size=40), PHIS)
def test_compiled_steps_equal_interpreted_ones_bit_by_bit(steps: list[tuple[int, float]], phi: float) -> None:
    """What the compiler made of the specification is the specification."""
    compiled, interpreted = np.zeros(deficit.COLUMNS), np.zeros(deficit.COLUMNS)
    phis, slopes = np.empty(deficit.GRID_SIZE), np.empty((deficit.GRID_SIZE, 2))
    deficit.spreads(phi, 0.01, 0.002, 50.0, 1e4, phis)
    deficit.slopes(phis, slopes)
    for n, mu in steps:
        deficit.step(compiled, float(n), mu, slopes, 5.0, 60_000.0)
        deficit.step.py_func(interpreted, float(n), mu, slopes, 5.0, 60_000.0)
    assert compiled.tobytes() == interpreted.tobytes()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e6), COUNTS), max_size=40))
def test_the_compiled_level_equals_the_interpreted_one_bit_by_bit(steps: list[tuple[float, int]]) -> None:
    """The same for the delayed exposure and what is learned from it."""
    weights = np.full(lag.STAGES, 1.0 / lag.STAGES)
    keep = np.empty(lag.STAGES - 1)
    lag.keeps(60_000.0, keep)
    rows = np.zeros(level.COLUMNS), np.zeros(level.COLUMNS)
    for cost, n in steps:
        for row, arrive, note, close, commit in (
            (rows[0], level.arrive, level.note, level.close, level.commit),
            (rows[1], level.arrive.py_func, level.note.py_func, level.close.py_func, level.commit.py_func),
        ):
            exposure = arrive(row, cost, 60_000.0, weights, keep)
            note(row, float(n), exposure, exposure * 0.01)
            close(row, 3_600_000.0)
            commit(row)
    assert rows[0].tobytes() == rows[1].tobytes()


def test_hours_that_wait_together_teach_the_noise_as_each_by_itself_would() -> None:
    """A bad hour and the good one that ended the suspicion cancel in the level, not in the dispersion."""
    alone, waiting = np.zeros(level.COLUMNS), np.zeros(level.COLUMNS)
    for n in (0.0, 20.0):
        for row in (alone, waiting):
            level.note(row, n, 10.0, 10.0)
            level.close(row, 3_600_000.0)
        level.commit(alone)
    level.commit(waiting)
    assert waiting[: level.PEARSON] == pytest.approx(alone[: level.PEARSON], rel=1e-2)
    assert level.dispersion(waiting) == pytest.approx(level.dispersion(alone), rel=1e-2)
    assert level.dispersion(waiting) > 5.0


def test_what_waits_and_is_dropped_teaches_nothing() -> None:
    """An alert forgets its hours: those that are over as well as the running one."""
    row, before = np.zeros(level.COLUMNS), np.zeros(level.COLUMNS)
    for target in (row, before):
        level.note(target, 10.0, 10.0, 10.0)
        level.close(target, 3_600_000.0)
        level.commit(target)
    level.note(row, 0.0, 10.0, 10.0)
    level.close(row, 3_600_000.0)
    level.note(row, 0.0, 5.0, 5.0)
    level.drop(row)
    assert row.tobytes() == before.tobytes()


def test_a_false_alarm_comes_no_sooner_than_promised() -> None:
    """Mean run to R >= gamma under the null is at least gamma conversions due, for counts that are as assumed."""
    rng = np.random.default_rng(11)
    gamma, mu, runs = 200.0, 0.5, []
    for _ in range(150):
        row, steps = np.zeros(deficit.COLUMNS), 0
        while deficit.evidence(row) < gamma and steps < 4000:
            deficit.step(row, float(rng.poisson(mu)), mu, CERTAIN, 0.0, 0.0)
            steps += 1
        runs.append(steps)
    assert np.mean(runs) * mu >= gamma


def test_a_doubled_cpa_is_found_near_the_limit() -> None:
    """Mean delay at 240 a day and one false alarm in 720 h is within 1.4 times the closed form of the limit."""
    rng = np.random.default_rng(3)
    rate, ratio, hours = 10.0, 2.0, 720.0
    after = rate / ratio
    information = after * math.log(after / rate) + rate - after
    opposite = rate * math.log(rate / after) + after - rate
    h = 1.0
    for _ in range(60):
        h = math.log(1.0 + h + hours * opposite)
    limit_h = (h - 1.0 + math.exp(-h)) / information
    gamma, delays = hours * rate, []
    for _ in range(200):
        row, minutes = np.zeros(deficit.COLUMNS), 0
        for _ in range(2000):
            deficit.step(row, float(rng.poisson(rate / 60)), rate / 60, CERTAIN, 0.0, 0.0)
        while deficit.evidence(row) < gamma:
            deficit.step(row, float(rng.poisson(after / 60)), rate / 60, CERTAIN, 0.0, 0.0)
            minutes += 1
        delays.append(minutes / 60)
    assert np.mean(delays) <= 1.4 * limit_h


def test_the_onset_is_where_the_shortfall_began() -> None:
    """A hundred healthy hours, then nothing: the onset is the first empty hour or the one before."""
    row = np.zeros(deficit.COLUMNS)
    for hour in range(110):
        deficit.step(row, 0.0 if hour >= 100 else 10.0, 10.0, CERTAIN, float(hour), 0.0)
    cell = deficit.FIRST + deficit.best(row) * deficit.PER_RATIO
    assert 99 <= row[cell + deficit.ONSET] <= 100


def test_recovery_needs_evidence_and_one_good_hour_after_an_outage_gives_it() -> None:
    """Nothing arriving never ends an alert; the usual count does, and when it began is remembered."""
    row = np.zeros(deficit.COLUMNS)
    for hour in range(50):
        assert deficit.recover(row, 0.0, 10.0, 1.2, 20.0, hour) == 0.0
    assert deficit.recover(row, 10.0, 10.0, 1.2, 20.0, 50.0) > math.log(200.0)
    assert deficit.recover(row, 10.0, 10.0, 1.2, 20.0, 51.0) > 2 * math.log(200.0)
    assert row[deficit.RECOVERING_MS] == 50.0


@settings(deadline=None)
@given(st.floats(1e-3, 20.0), st.floats(1.0, 8.0), st.integers(0, 12))
def test_the_timer_is_worth_what_was_expected_whatever_the_steps(mu: float, phi: float, empty: int) -> None:
    """Evidence less clusters expected is a martingale: the chance of an empty step times what it then is worth."""
    row, before = np.zeros(outage.COLUMNS), 0.0
    for _ in range(empty):
        before = outage.run(row, 0.0, mu, phi, 0.0)
    after = outage.run(row, 0.0, mu, phi, 0.0)
    clusters = mu * outage.pace(phi)
    assert math.exp(-clusters) * after == pytest.approx(before + clusters)
    assert outage.run(row, 1.0, mu, phi, 0.0) == 0.0


def test_short_steps_wait_as_long_as_the_closed_form_says() -> None:
    """In continuous time the evidence is ``e^w - 1`` after ``w`` conversions without one."""
    row = np.zeros(outage.COLUMNS)
    for _ in range(8000):
        outage.run(row, 0.0, 1e-3, 1.0, 0.0)
    assert row[outage.EVIDENCE] == pytest.approx(math.expm1(8.0), rel=1e-3)


def test_a_silence_without_end_stays_a_number() -> None:
    """A dead source that is expected to bring a million conversions."""
    row = np.zeros(outage.COLUMNS)
    for _ in range(1000):
        outage.run(row, 0.0, 1000.0, 1.0, 0.0)
    assert row[outage.EVIDENCE] == outage.MOST


def test_an_overdispersed_silence_counts_for_less() -> None:
    """The chance of no conversion is that of the negative binomial."""
    row, phi, mu = np.zeros(outage.COLUMNS), 2.5, 7.0
    outage.run(row, 0.0, mu, phi, 0.0)
    size = mu / (phi - 1.0)
    assert -row[outage.WAITED] == pytest.approx(float(stats.nbinom.logpmf(0, size, 1.0 / phi)))


def test_small_baskets_are_found_and_ordinary_ones_are_not() -> None:
    """Halved values alarm within forty purchases; a month of ordinary ones does not."""
    rng = np.random.default_rng(5)
    row = np.zeros(basket.COLUMNS)
    for value in rng.normal(4.0, 0.7, 3000):
        basket.step(row, 1.0, value, 0.0)
        basket.hold(row, 1.0, value)
        basket.commit(row)
    assert basket.evidence(row) < 3000
    for value in rng.normal(4.0 - math.log(2.0), 0.7, 40):
        basket.step(row, 1.0, value, 0.0)
    assert basket.evidence(row) > 3000


def test_one_huge_basket_neither_raises_nor_hides_an_alarm() -> None:
    """An order a thousand times the usual moves the test by a bounded amount."""
    rng = np.random.default_rng(6)
    row = np.zeros(basket.COLUMNS)
    for value in rng.normal(4.0, 0.7, 500):
        basket.hold(row, 1.0, value)
        basket.commit(row)
    for value in rng.normal(4.0 - math.log(2.0), 0.7, 60):
        basket.step(row, 1.0, value, 0.0)
    before = basket.evidence(row)
    basket.step(row, 1.0, 4.0 + math.log(1000.0), 0.0)
    assert basket.evidence(row) > before / 100.0
