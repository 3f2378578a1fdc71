"""The streaming tail, the cadence and what counts as news."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.cadence import Cadence, News
from detectors.score import Score
from detectors.tail import Tail

HOUR_MS = 3_600_000


def learned(sizes: list[float]) -> Tail:
    tail = Tail()
    for size in sizes:
        tail.learn(size, 1e-9)
    return tail


@pytest.mark.parametrize("index", [0.2, 0.5, 1.0])
def test_of_a_power_law_the_tail_knows_edge_and_index(index: float) -> None:
    draw = np.random.default_rng(1)
    tail = learned([float(u) ** -index for u in draw.random(20_000)])
    assert tail.edge == pytest.approx(0.05**-index, rel=0.15)
    for rare in (1e-3, 1e-4):
        assert tail.evidence(rare**-index, 1e-9) == pytest.approx(-math.log10(rare), abs=0.5)


def test_an_edge_that_a_bad_start_put_too_high_comes_down() -> None:
    draw = np.random.default_rng(2)
    tail = learned([50.0] * 20 + [abs(float(z)) for z in draw.standard_normal(5_000)])
    assert tail.edge < 2.5


def test_sizes_at_the_floor_do_not_begin_an_edge() -> None:
    tail = learned([0.0] * 1_000)
    assert tail.seen == 0
    assert tail.evidence(1.0, 1e-9) == 0.0


@given(st.lists(st.floats(0.0, 1e150), max_size=80), st.floats(0.0, 1e150), st.floats(1.0, 10.0))
def test_evidence_is_finite_and_grows_with_the_size(sizes: list[float], size: float, times: float) -> None:
    tail = learned(sizes)
    small, large = tail.evidence(size, 1e-9), tail.evidence(size * times, 1e-9)
    assert 0.0 <= small <= large < math.inf


@given(st.lists(st.floats(0.0, 1e150), max_size=80), st.lists(st.floats(0.0, 1e150), max_size=20))
def test_a_tail_through_json_continues_exactly(before: list[float], after: list[float]) -> None:
    tail = learned(before)
    other = Tail.restore(json.loads(json.dumps(tail.state(), allow_nan=False)))
    for size in after:
        tail.learn(size, 1e-9)
        other.learn(size, 1e-9)
    assert other.state() == tail.state()


def test_a_night_without_data_does_not_make_a_series_slow() -> None:
    cadence = Cadence()
    for at_ms in [*range(0, 100 * 300_000, 300_000), 400 * 300_000]:
        cadence.learn(at_ms)
    assert cadence.gap_ms <= 1.2 * 300_000


def test_odds_per_reading_weigh_less_where_readings_are_frequent() -> None:
    hourly, often = Cadence(), Cadence()
    for n in range(50):
        hourly.learn(n * HOUR_MS)
        often.learn(n * HOUR_MS // 60)
    assert hourly.per_hour(3.0) == 3.0
    assert often.per_hour(3.0) == pytest.approx(3.0 - math.log10(60))


def test_time_that_goes_back_is_borne() -> None:
    cadence = Cadence()
    for at_ms in (0, HOUR_MS, HOUR_MS // 2, 2 * HOUR_MS):
        cadence.learn(at_ms)
    assert 0.0 < cadence.gap_ms <= 2 * HOUR_MS


def test_news_is_what_is_larger_or_old() -> None:
    news = News(cool_down_ms=10)
    news.learn(3.0, 100)
    assert not news.is_news(3.0, 105)
    assert news.is_news(3.1, 105)
    assert news.is_news(1.0, 110)
    assert not news.is_news(0.0, 200)


def test_bounds_that_are_unknown_exclude_nothing() -> None:
    assert not Score(None, None, None, 0.0).outside(5.0)
    assert Score(1.0, 0.0, 2.0, 0.0).outside(-0.1)
    assert not Score(1.0, 0.0, 2.0, 0.0).outside(0.0)
