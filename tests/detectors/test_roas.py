"""Fewer conversions and smaller baskets at once: told sooner together, at the promise."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import basket, deficit, roas

SEEN_DUE = deficit.sloped(1.0)[0]


def learned_baskets(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A row that has learned 4,000 baskets of about 50."""
    row = np.zeros(basket.COLUMNS)
    for total in np.random.default_rng(seed).normal(np.log(50.0), 0.5, 4000):
        basket.hold(row, 1.0, float(total))
        basket.commit(row)
    return row


def change(row: np.ndarray[tuple[int], np.dtype[np.float64]], mu: float, logs: list[float]) -> float:
    """Log likelihood ratio of a step."""
    told = basket.log_ratio(row, float(len(logs)), float(sum(logs)), roas.SMALLER) if logs else 0.0
    return float(len(logs) * SEEN_DUE[deficit.PER_SEEN] + mu * SEEN_DUE[deficit.PER_DUE] + told)


def steps_to(limit: float, rate: float, shift: float, seed: int) -> tuple[int, int, int]:
    """Steps until both together, counts alone and baskets alone pass ``limit``."""
    draw, row = np.random.default_rng(seed), learned_baskets(seed)
    both, counts, tested = np.zeros(roas.COLUMNS), np.zeros(deficit.COLUMNS), row.copy()
    slopes, found = deficit.sloped(1.0), [0, 0, 0]
    for step in range(1, 2000):
        logs = draw.normal(np.log(50.0) - shift, 0.5, draw.poisson(rate)).tolist()
        roas.step(both, 1.0, change(row, 1.0, logs), float(step))
        deficit.step(counts, float(len(logs)), 1.0, slopes, float(step), 0.0)
        basket.step(tested, float(len(logs)), float(sum(logs)), float(step))
        values = (both[roas.EVIDENCE], deficit.evidence(counts), basket.evidence(tested))
        found = [at or (step if value >= limit else 0) for at, value in zip(found, values, strict=True)]
        if all(found):
            break
    return found[0], found[1], found[2]


def test_a_return_that_falls_by_a_third_of_each_is_told_sooner_by_both_together() -> None:
    """Conversions and baskets times 0.7: on average sooner than either test alone with the same evidence."""
    told = np.array([steps_to(1e5, 0.7, -np.log(0.7), seed) for seed in range(12)], float)
    assert (told > 0).all()
    both, counts, baskets = told.mean(axis=0)
    assert both < 0.85 * min(counts, baskets)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_under_no_change_the_evidence_stays_a_martingale_below_its_time(seed: int) -> None:
    """``R`` grows by what was expected on average, so a limit of ``gamma`` is met once in ``gamma`` at most."""
    draw, row = np.random.default_rng(seed), learned_baskets(1)
    row_mean = float(row[basket.MEAN])
    gains = []
    for _ in range(400):
        logs = draw.normal(row_mean, 0.5, draw.poisson(5.0)).tolist()
        gains.append(np.exp(change(row, 5.0, logs)))
    assert np.mean(gains) < 1.0 + 4.0 * np.std(gains) / np.sqrt(len(gains))


def test_the_onset_is_where_evidence_began() -> None:
    """Evidence that falls back to nothing begins anew."""
    row = np.zeros(roas.COLUMNS)
    for at_ms, nats in enumerate((1.0, -2.0, 0.5, 0.5)):
        roas.step(row, 1.0, nats, float(at_ms))
    assert row[roas.ONSET] == 2.0
    assert row[roas.CUSUM] == 1.0
