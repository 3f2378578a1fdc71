"""The metric detector over columns: equal to scalar models, and compiled equal to interpreted, bit by bit."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import cadence, metric, profile, tail
from detectors.metric import MetricBank, MetricDetector, Rows

HOUR_MS = 3_600_000
COMPILED: tuple[ModuleType, ...] = (cadence, tail, profile, metric)


def steps(seed: int, series: int, n: int) -> list[tuple[Rows, np.ndarray]]:
    """Readings of every kind: seasonal, constant, heavy, with gaps, missing and infinite ones."""
    draw, found = np.random.default_rng(seed), []
    for row in range(n):
        at_ms = row * 600_000.0 + draw.integers(0, 600_000, series)
        values = 100.0 + 30.0 * np.sin(at_ms / HOUR_MS) + draw.standard_t(2, series)
        values[0] = 7.0
        values[1] = math.nan if row % 7 == 0 else values[1]
        values[2] = math.inf if row % 11 == 0 else values[2] * 1e12
        values[3] *= 9.0 if row > n // 2 else 1.0
        found.append((np.column_stack([at_ms, values]), draw.random(series) < 0.9))
    return found


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bank_equals_as_many_scalar_models_bit_by_bit(seed: int) -> None:
    parameters = {"season_rate": 0.1, "warm_up_ms": 12 * HOUR_MS}
    bank, alone = MetricBank(6, **parameters), [MetricDetector(**parameters) for _ in range(6)]
    surprises = 0
    for values, active in steps(seed, 6, 600):
        said, evidence = np.zeros(6), np.zeros(6)
        for i in np.flatnonzero(active):
            x, y = {"at_ms": values[i, 0]}, float(values[i, 1])
            said[i] = alone[i].score_one(x, y)
            evidence[i] = alone[i].judge(x, y).evidence if said[i] > 0.0 else 0.0
            alone[i].learn_one(x, y)
        assert bank.step(values, active).tolist() == said.tolist()
        assert bank.evidence.tolist() == evidence.tolist()
        surprises += int(np.count_nonzero(said))
    assert surprises > 20
    assert bank.rows.tobytes() == b"".join(np.array(one.state()["row"]).tobytes() for one in alone)


def interpret(patch: pytest.MonkeyPatch) -> None:
    """Every compiled function becomes the Python that it was compiled from, wherever one calls another."""
    for module in COMPILED:
        for name, function in vars(module).copy().items():
            if hasattr(function, "py_func"):
                patch.setattr(module, name, function.py_func)


@pytest.mark.parametrize("seed", [1, 2])
def test_compiled_equals_interpreted_bit_by_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler made of the specification is the specification."""
    compiled, readings = MetricBank(6, warm_up_ms=12 * HOUR_MS), steps(seed, 6, 600)
    expected = [compiled.step(*one).tolist() for one in readings]
    interpret(monkeypatch)
    interpreted = MetricBank(6, warm_up_ms=12 * HOUR_MS)
    assert [interpreted.step(*one).tolist() for one in readings] == expected
    assert interpreted.rows.tobytes() == compiled.rows.tobytes()


hostile = st.lists(st.tuples(st.integers(0, 40 * HOUR_MS), st.floats(-1e308, 1e308)), min_size=40, max_size=120)


@settings(max_examples=20, deadline=None)
@given(readings=hostile)
def test_compiled_equals_interpreted_on_hostile_readings(readings: list[tuple[int, float]]) -> None:
    rows = [np.array([[at_ms, value]]) for at_ms, value in readings]
    compiled = MetricBank(1, warm_up_ms=0)
    expected = [compiled.step(row, np.array([True])).tolist() for row in rows]
    with pytest.MonkeyPatch.context() as patch:
        interpret(patch)
        interpreted = MetricBank(1, warm_up_ms=0)
        assert [interpreted.step(row, np.array([True])).tolist() for row in rows] == expected
    assert interpreted.rows.tobytes() == compiled.rows.tobytes()


def test_a_bank_that_grows_keeps_what_it_learned() -> None:
    bank = MetricBank(1)
    bank.step(np.array([[0.0, 5.0]]), np.array([True]))
    first = bank.rows[0].tobytes()
    bank.grow(3)
    assert len(bank) == 3
    assert bank.rows[0].tobytes() == first
    assert bank.rows[2].tobytes() == MetricBank(1).rows[0].tobytes()


def test_values_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 2 series"):
        MetricBank(2).step(np.zeros((3, 2)), np.ones(3, dtype=bool))
