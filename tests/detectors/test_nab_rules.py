"""The benchmark's rules on series small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import nab_rules
from benchmarks.nab_rules import PROFILES, Series

STANDARD = PROFILES["standard"]
DAY_MS = 86_400_000


def series(rows: int = 100, windows: tuple[tuple[int, int], ...] = ((40, 49),)) -> Series:
    at_ms = tuple(row * DAY_MS for row in range(rows))
    return Series("group/file.csv", ("",) * rows, at_ms, (0.0,) * rows, windows)


def total(detections: list[int], one: Series | None = None, profile: str = "standard") -> float:
    one = one or series()
    scores = np.zeros(len(one.values))
    scores[detections] = 1.0
    own = nab_rules.curve(one, nab_rules.worth_of(one), scores, PROFILES[profile])
    return nab_rules.total_at([own], 0.5, PROFILES[profile])


def test_silence_is_0_and_a_detection_at_the_left_edge_is_100() -> None:
    assert total([]) == 0.0
    assert total([40]) == pytest.approx(100.0)


def test_later_in_the_window_earns_less_and_a_second_detection_nothing() -> None:
    assert 100.0 > total([44]) > total([48]) > 50.0
    assert total([40, 45, 49]) == pytest.approx(100.0)


def test_a_false_row_costs_its_weight_and_less_just_behind_a_window() -> None:
    assert total([20, 40]) == pytest.approx(100.0 - 11.0 / 2)
    assert total([20, 40], profile="low_fp") == pytest.approx(100.0 - 22.0 / 2)
    assert total([40, 50]) > total([40, 55]) > total([40, 20])


def test_probation_counts_for_nothing() -> None:
    assert total([3, 14, 40]) == pytest.approx(100.0)
    assert series(10_000).probation == 750


def test_a_missed_window_costs_twice_where_misses_weigh_twice() -> None:
    two = series(windows=((40, 49), (70, 79)))
    assert total([40], two) == pytest.approx(50.0)
    assert total([40, 20], two, "low_fn") == pytest.approx(50.0 - 100.0 * 0.11 / 6.0)


def test_the_best_threshold_is_found_and_ties_stand_or_fall_together() -> None:
    one = series()
    scores = np.zeros(100)
    scores[[20, 40, 60]] = (3.0, 2.0, 1.0)
    own = nab_rules.curve(one, nab_rules.worth_of(one), scores, STANDARD)
    assert nab_rules.best_threshold([own]) == 2.0
    assert own.at(2.0) == pytest.approx(1.0 - 0.11)
    assert own.at(1.0) < own.at(2.0) > own.at(3.0)
    assert nab_rules.best_threshold([nab_rules.curve(one, nab_rules.worth_of(one), np.zeros(100), STANDARD)]) == np.inf


def test_false_rows_and_windows_are_counted_after_probation() -> None:
    one = series()
    worth, scores = nab_rules.worth_of(one), np.zeros(100)
    scores[[5, 20, 41, 42, 60]] = 1.0
    assert nab_rules.false_rows(one, worth, scores, 1.0) == 2
    assert nab_rules.windows_hit(one, worth, scores, 1.0) == 1
