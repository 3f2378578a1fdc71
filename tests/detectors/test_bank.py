"""Many objects driven as one bank."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.bank import ObjectBank
from detectors.metric import MetricDetector

HOUR_MS = 3_600_000


def test_a_bank_scores_each_series_as_its_detector_alone_would() -> None:
    draw, bank = np.random.default_rng(1), ObjectBank(MetricDetector, ["at_ms", "y"], 3)
    alone = [MetricDetector() for _ in range(3)]
    for hour in range(200):
        values = np.column_stack([np.full(3, hour * HOUR_MS, dtype=float), draw.standard_normal(3) + hour // 150 * 9])
        active = draw.random(3) < 0.8
        expected = np.zeros(3)
        for i in np.flatnonzero(active):
            expected[i] = alone[i].score_one({"at_ms": values[i, 0]}, values[i, 1])
            alone[i].learn_one({"at_ms": values[i, 0]}, values[i, 1])
        assert bank.step(values, active).tolist() == expected.tolist()
    assert [one.state() for one in alone] == [one.state() for one in bank.detectors]


def test_a_bank_that_grows_keeps_what_it_learned() -> None:
    bank = ObjectBank(MetricDetector, ["at_ms", "y"], 1)
    bank.step(np.array([[0.0, 5.0]]), np.array([True]))
    first = bank.detectors[0]
    bank.grow(3)
    assert len(bank) == 3
    assert bank.detectors[0] is first


def test_values_of_the_wrong_shape_are_refused() -> None:
    bank = ObjectBank(MetricDetector, ["at_ms", "y"], 2)
    with pytest.raises(ValueError, match="do not fit 2 series"):
        bank.step(np.zeros((3, 2)), np.ones(3, dtype=bool))
