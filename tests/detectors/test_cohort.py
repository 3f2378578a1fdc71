"""Click cohorts: the delay distribution, the promise, and what knowing the click is worth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import cohort, deficit, lag

HOUR_MS = 3_600_000.0
DELAYS = np.array([0.0, 1, 3, 5, 9, 12, 15, 15, 12, 10, 8, 5, 3, 1, 1])
"""A lag with its median at half an hour and a long tail."""
BELOW = lag.cumulated(DELAYS)
LONG = np.array([2.0, 2, 4, 8, 11, 8, 3, 2, 4, 7, 7, 8, 9, 12, 13])
"""Four in ten at once, the rest over days."""


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_what_has_arrived_never_shrinks_and_is_a_share(young_ms: float, older_ms: float) -> None:
    low, high = sorted((young_ms, older_ms))
    assert 0.0 <= lag.arrived(BELOW, low) <= lag.arrived(BELOW, high) <= 1.0


@given(st.floats(0, 1e9))
def test_a_delay_falls_between_the_edges_of_its_bin(lag_ms: float) -> None:
    k = lag.delay_bin(lag_ms)
    edges = [0.0, *lag.EDGES_MS, math.inf]
    assert edges[k] <= lag_ms < edges[k + 1]


def test_without_delays_known_all_has_arrived() -> None:
    assert lag.arrived(lag.cumulated(np.zeros(lag.BINS)), 1.0) == 1.0


CELLS = st.lists(st.tuples(st.integers(0, 30), st.floats(0.01, 30.0)), min_size=1, max_size=48)


@settings(max_examples=50, deadline=None)
@given(CELLS, st.floats(1.0, 5.0))
def test_compiled_evidence_equals_interpreted_bit_by_bit(cells: list[tuple[int, float]], phi: float) -> None:
    n, due = (np.array(column, float) for column in zip(*cells, strict=True))
    rows = np.zeros(cohort.COLUMNS), np.zeros(cohort.COLUMNS)
    for row, judge in zip(rows, (cohort.judge, cohort.judge.py_func), strict=True):
        judge(row, n, due, np.ones(len(n)), len(n), deficit.sloped(phi + 0.01))
    assert rows[0].tobytes() == rows[1].tobytes()


@given(CELLS)
def test_evidence_falls_with_every_conversion_more(cells: list[tuple[int, float]]) -> None:
    n, due = (np.array(column, float) for column in zip(*cells, strict=True))
    fewer = cohort.judge(np.zeros(cohort.COLUMNS), n, due, np.ones(len(n)), len(n), deficit.sloped(1.3))
    assert cohort.judge(np.zeros(cohort.COLUMNS), n + 1.0, due, np.ones(len(n)), len(n), deficit.sloped(1.3)) <= fewer


class Shop:
    """Poisson conversions of clicks, each with its delay; hour by hour."""

    def __init__(
        self, seed: int, due: float, dear_from: int = 10**9, ratio: float = 2.0, delays: np.ndarray = DELAYS
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.due, self.dear_from, self.ratio = due, dear_from, ratio
        self.share = delays / delays.sum()
        self.low = np.array([1.0, *lag.EDGES_MS])
        self.high = np.array([*lag.EDGES_MS, 2 * lag.EDGES_MS[-1]])
        self.seen = np.zeros((2000, 2000))
        self.hour = 0

    def pass_hour(self) -> None:
        mean = self.due / (self.ratio if self.hour >= self.dear_from else 1.0)
        for _ in range(int(self.rng.poisson(mean))):
            k = self.rng.choice(len(self.share), p=self.share)
            at = self.hour + self.rng.random() + self.rng.uniform(self.low[k], self.high[k]) / HOUR_MS
            if at < 2000:
                self.seen[self.hour, int(at)] += 1
        self.hour += 1

    def cohorts(self, hours: int = 48) -> np.ndarray:
        """What the last cohorts brought by now, newest first."""
        first = max(0, self.hour - hours)
        return self.seen[first : self.hour, : self.hour].sum(axis=1)[::-1]

    def arrivals(self) -> float:
        return float(self.seen[:, self.hour - 1].sum())


def matured(delays: np.ndarray) -> np.ndarray:
    return np.array([lag.matured(lag.cumulated(delays), i * HOUR_MS, HOUR_MS) for i in range(48)])


SHARE = matured(DELAYS)


def evidence(shop: Shop, share: np.ndarray = SHARE) -> float:
    n = shop.cohorts()
    return float(
        cohort.judge(np.zeros(cohort.COLUMNS), n, np.full(len(n), shop.due), share, len(n), deficit.sloped(1.0))
    )


def test_a_false_alarm_comes_no_sooner_than_promised() -> None:
    """Mean run to R >= gamma, in conversions due, is at least gamma."""
    gamma, due, runs = 400.0, 4.0, []
    for seed in range(40):
        shop = Shop(seed, due)
        while shop.hour < 500:
            shop.pass_hour()
            if evidence(shop) >= gamma:
                break
        runs.append(shop.hour * due)
    assert np.mean(runs) >= gamma


def test_who_knows_the_click_finds_dear_clicks_sooner_than_who_counts_arrivals() -> None:
    """At the same promise, 240 a day, CPA doubled, a long lag: the mean delay falls by a third at the least."""
    due, gamma, known, blind = 10.0, 720.0 * 10.0, [], []
    share, full = matured(LONG), 300
    for seed in range(30):
        shop, row = Shop(seed, due, full, delays=LONG), np.zeros(deficit.COLUMNS)
        found: dict[str, int] = {}
        while len(found) < 2 and shop.hour < full + 200:
            shop.pass_hour()
            if shop.hour > full - 60:
                arrived = due * lag.arrived(lag.cumulated(LONG), shop.hour * HOUR_MS)
                deficit.step(row, shop.arrivals(), arrived, deficit.sloped(1.0), 0.0, 0.0)
            if shop.hour > full and evidence(shop, share) >= gamma:
                found.setdefault("known", shop.hour - full)
            if shop.hour > full and deficit.evidence(row) >= gamma / due:
                found.setdefault("blind", shop.hour - full)
        known.append(found["known"])
        blind.append(found["blind"])
    assert np.mean(known) < 0.67 * np.mean(blind)


def test_the_onset_is_the_hour_in_which_clicks_turned_dear() -> None:
    onsets = []
    for seed in range(20):
        shop, row = Shop(seed, 20.0, dear_from=60, ratio=3.0), np.zeros(cohort.COLUMNS)
        while shop.hour < 80:
            shop.pass_hour()
        n = shop.cohorts()
        cohort.judge(row, n, np.full(len(n), 20.0), SHARE, len(n), deficit.sloped(1.0))
        onsets.append(shop.hour - 1 - row[cohort.ONSET])
    assert np.median(onsets) == pytest.approx(60, abs=1)


def test_the_scalar_form_forgets_nothing_of_its_hours() -> None:
    detector = cohort.CohortDeficit([float(x) for x in DELAYS])
    for _ in range(60):
        detector.learn_one({"due": 5.0}, [10_000.0] * 5)
    healthy = detector.score_one({"due": 5.0}, [10_000.0] * 5)
    assert healthy == detector.score_one({"due": 5.0}, [10_000.0] * 5)
    for _ in range(12):
        detector.learn_one({"due": 5.0}, [10_000.0])
    assert detector.score_one({"due": 5.0}, [10_000.0]) > healthy + 3.0
