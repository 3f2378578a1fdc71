"""The metric detector: what it sees, what it leaves alone, and that its state is plain numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.metric import MetricBank, MetricDetector

HOUR_MS = 3_600_000
MONTH = math.log10(720.0)
Shape = Callable[[int], float]


def trained(shape: Shape, hours: int = 28 * 24, noise: float = 1.0, seed: int = 1) -> MetricDetector:
    draw, detector = np.random.default_rng(seed), MetricDetector()
    for hour in range(hours):
        detector.learn_one({"at_ms": hour * HOUR_MS}, shape(hour) + noise * float(draw.standard_normal()))
    return detector


def evidence(detector: MetricDetector, hour: int, value: float) -> float:
    return detector.judge({"at_ms": hour * HOUR_MS}, value).evidence


def daily(hour: int) -> float:
    return 100.0 + 40.0 * math.sin(2.0 * math.pi * hour / 24.0)


def test_the_same_value_is_ordinary_at_noon_and_a_surprise_at_night() -> None:
    detector, day = trained(daily), 28 * 24
    assert evidence(detector, day + 6, 140.0) == 0.0
    assert evidence(detector, day + 18, 140.0) > 1.0


def test_the_same_error_is_ordinary_in_a_restless_hour_and_a_surprise_in_a_calm_one() -> None:
    def restless(hour: int) -> float:
        return 100.0 + (10.0 if hour % 24 < 12 else 1.0) * float(draw.standard_normal())

    draw = np.random.default_rng(6)
    detector, day = trained(restless, hours=8 * 7 * 24, noise=0.0), 8 * 7 * 24
    assert evidence(detector, day + 6, 115.0) == 0.0
    assert evidence(detector, day + 18, 115.0) >= MONTH


def test_bounds_are_narrow_in_calm_hours() -> None:
    draw = np.random.default_rng(7)
    detector = trained(lambda hour: (10.0 if hour % 24 < 12 else 1.0) * float(draw.standard_normal()), 1_344, 0.0)
    widths = []
    for hour in (6, 18):
        score = detector.judge({"at_ms": (1_344 + hour) * HOUR_MS}, 0.0)
        assert score.low is not None
        assert score.high is not None
        widths.append(score.high - score.low)
    assert widths[0] > 4.0 * widths[1]


def test_a_jump_inside_the_range_is_a_surprise_where_readings_usually_follow_one_another() -> None:
    detector, draw, level = MetricDetector(), np.random.default_rng(8), 0.0
    for hour in range(8 * 7 * 24):
        level = 0.98 * level + float(draw.standard_normal())
        detector.learn_one({"at_ms": hour * HOUR_MS}, 100.0 + level)
    start, jumped = 8 * 7 * 24, 100.0 + (level + 9.0 if level < 0.0 else level - 9.0)
    assert evidence(detector, start, 100.0 + 0.98 * level) == 0.0
    assert evidence(detector, start, jumped) > 1.0


def test_a_number_that_never_moved_and_moves_is_told_and_small_change_is_not() -> None:
    detector = trained(lambda hour: 100.0, noise=0.0)
    assert evidence(detector, 28 * 24, 100.05) == 0.0
    assert evidence(detector, 28 * 24, 110.0) >= MONTH


def test_a_value_never_seen_before_is_more_surprising_than_one_seen_at_another_hour() -> None:
    detector, day = trained(daily), 28 * 24
    assert evidence(detector, day + 18, 180.0) > evidence(detector, day + 18, 140.0) + 0.5


def test_the_bounds_hold_about_95_of_100_healthy_readings() -> None:
    draw, detector = np.random.default_rng(3), trained(daily)
    inside, n = 0, 2_000
    for hour in range(28 * 24, 28 * 24 + n):
        x, value = {"at_ms": hour * HOUR_MS}, daily(hour) + float(draw.standard_normal())
        inside += not detector.judge(x, value).outside(value)
        detector.learn_one(x, value)
    assert 0.92 <= inside / n <= 0.98


def test_a_small_shift_that_lasts_alarms_although_no_single_reading_would() -> None:
    detector, start, draw = trained(lambda hour: 100.0), 28 * 24, np.random.default_rng(5)
    first = evidence(detector, start, 102.0)
    highest = 0.0
    for hour in range(start, start + 48):
        value = 102.0 + float(draw.standard_normal())
        highest = max(highest, evidence(detector, hour, value))
        detector.learn_one({"at_ms": hour * HOUR_MS}, value)
    assert first < MONTH <= highest


def test_weekends_are_learned() -> None:
    def weekly(hour: int) -> float:
        return 100.0 if hour // 24 % 7 < 5 else 60.0

    detector = trained(weekly, hours=8 * 7 * 24)
    saturday = 8 * 7 * 24 + 5 * 24 + 12
    assert detector.judge({"at_ms": saturday * HOUR_MS}, 60.0).evidence < 1.0
    expected = detector.judge({"at_ms": saturday * HOUR_MS}, 60.0).expected
    assert expected is not None
    assert abs(expected - 60.0) < 15.0


def test_a_series_that_stood_at_nothing_and_then_begins_is_known_again_within_a_week() -> None:
    detector, draw = MetricDetector(), np.random.default_rng(2)
    for hour in range(14 * 24):
        detector.learn_one({"at_ms": hour * HOUR_MS}, 0.0)
    assert evidence(detector, 14 * 24, 50.0) >= MONTH
    for hour in range(14 * 24, 28 * 24):
        detector.learn_one({"at_ms": hour * HOUR_MS}, 50.0 + float(draw.standard_normal()))
    assert evidence(detector, 28 * 24, 50.5) < 1.0
    assert evidence(detector, 28 * 24, 100.0) >= MONTH


def test_differences_too_small_to_matter_are_nothing() -> None:
    detector = MetricDetector(least_change=0.01)
    for hour in range(28 * 24):
        detector.learn_one({"at_ms": hour * HOUR_MS}, 100.0 + 0.001 * (hour % 3))
    assert evidence(detector, 28 * 24, 100.5) == 0.0
    assert evidence(detector, 28 * 24, 110.0) >= MONTH


def test_a_surprise_is_said_once_unless_it_grows() -> None:
    detector, x = trained(lambda hour: 100.0), {"at_ms": 28 * 24 * HOUR_MS}
    assert detector.score_one(x, 120.0) > 0.0
    detector.learn_one(x, 120.0)
    later = {"at_ms": x["at_ms"] + HOUR_MS}
    assert detector.score_one(later, 115.0) == 0.0
    assert detector.score_one(later, 150.0) > 0.0
    assert detector.judge(later, 115.0).evidence > 0.0


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_missing_is_neither_judged_nor_learned(value: float | None) -> None:
    detector = trained(daily)
    before = detector.state()
    x = {"at_ms": 28 * 24 * HOUR_MS}
    assert detector.score_one(x, value) == 0.0
    assert detector.judge(x, value).expected is None
    detector.learn_one(x, value)
    assert detector.state() == before


def test_nothing_is_judged_before_it_is_known() -> None:
    detector = MetricDetector()
    for hour in range(47):
        x = {"at_ms": hour * HOUR_MS}
        assert detector.judge(x, 1e6 * (hour % 2)).evidence == 0.0
        detector.learn_one(x, 1e6 * (hour % 2))


readings = st.lists(
    st.tuples(st.integers(1, 40 * HOUR_MS), st.floats(-1e308, 1e308, allow_nan=False)), min_size=1, max_size=120
)


@settings(max_examples=60, deadline=None)
@given(readings=readings, cut=st.integers(0, 120))
def test_a_state_through_json_continues_exactly(readings: list[tuple[int, float]], cut: int) -> None:
    original, at_ms = MetricDetector(warm_up_ms=0), 0
    for gap_ms, value in readings[:cut]:
        at_ms += gap_ms
        original.learn_one({"at_ms": at_ms}, value)
    other = MetricDetector(warm_up_ms=0)
    other.restore(json.loads(json.dumps(original.state(), allow_nan=False)))
    for gap_ms, value in readings[cut:]:
        at_ms += gap_ms
        assert other.judge({"at_ms": at_ms}, value) == original.judge({"at_ms": at_ms}, value)
        assert other.score_one({"at_ms": at_ms}, value) == original.score_one({"at_ms": at_ms}, value)
        original.learn_one({"at_ms": at_ms}, value)
        other.learn_one({"at_ms": at_ms}, value)
    assert other.state() == original.state()


@settings(max_examples=30, deadline=None)
@given(readings=readings)
def test_any_finite_readings_give_finite_scores(readings: list[tuple[int, float]]) -> None:
    detector, at_ms = MetricDetector(warm_up_ms=0), 0
    for gap_ms, value in readings:
        at_ms += gap_ms
        score = detector.judge({"at_ms": at_ms}, value)
        assert math.isfinite(score.evidence)
        assert math.isfinite(detector.score_one({"at_ms": at_ms}, value))
        assert score.low is None or (score.high is not None and score.low <= score.high)
        detector.learn_one({"at_ms": at_ms}, value)


@settings(max_examples=20, deadline=None)
@given(power=st.integers(-20, 20))
def test_the_unit_of_the_number_does_not_matter(power: int) -> None:
    """A power of two, so that the comparison is exact but for the logarithms."""
    scale, draw = 2.0**power, np.random.default_rng(4)
    one, other = MetricDetector(), MetricDetector()
    for hour in range(400):
        x, value = {"at_ms": hour * HOUR_MS}, 100.0 + float(draw.standard_normal())
        assert other.score_one(x, scale * value) == pytest.approx(one.score_one(x, value), abs=1e-6)
        one.learn_one(x, value)
        other.learn_one(x, scale * value)


def test_the_state_is_small() -> None:
    assert len(json.dumps(trained(daily, hours=5_000).state(), separators=(",", ":"))) <= 2_048


def test_healthy_series_raise_at_most_about_one_false_alarm_a_month() -> None:
    """Sixty series-months of five kinds; ``benchmarks/healthy.py`` measures twelve kinds for longer."""
    months, draw = 12, np.random.default_rng(9)
    z = draw.standard_normal((5, months * 720))
    hours = np.arange(months * 720)
    season, drift = (
        100.0 + 40.0 * np.sin(2.0 * np.pi * hours / 24.0),
        np.cumsum(0.1 * z[4]) + 5.0 * draw.random(len(hours)),
    )
    series = np.array(
        [100.0 + z[0], np.exp(0.5 * z[1]), season + 5.0 * z[2], draw.poisson(5.0, len(hours)), 100.0 + drift]
    )
    bank, false = MetricBank(5), np.zeros(5)
    for hour, values in enumerate(series.T):
        bank.step(np.column_stack([np.full(5, float(hour * HOUR_MS)), values]), np.ones(5, dtype=bool))
        false += bank.evidence >= MONTH
    assert false.sum() / (5 * months) <= 1.0
    assert false.max() / months <= 1.25
