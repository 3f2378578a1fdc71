"""River's own models, named in the settings: what is refused, what is guarded, and what a score becomes."""

from __future__ import annotations

import base64
import json
import math
import os
import pickle
from typing import Any

import numpy as np
import pytest
from river import anomaly, compose, stats
from river.base import AnomalyDetector

from detectors import river_state
from detectors.river_model import ModelError, RiverModel, model_from

HOUR_MS = 3_600_000
KEY = "detection.metric_model"


class Mine(AnomalyDetector):
    """A user's own model: the distance to the last value."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain
        self.last = 0.0

    def learn_one(self, x: dict[str, Any]) -> None:
        self.last = x["value"]

    def score_one(self, x: dict[str, Any]) -> float:
        return self.gain * abs(float(x["value"]) - self.last)


def fed(detector: RiverModel, values: list[float]) -> list[float]:
    scores = []
    for hour, value in enumerate(values):
        x = {"at_ms": hour * HOUR_MS}
        scores.append(detector.score_one(x, value))
        detector.learn_one(x, value)
    return scores


def noise(n: int, seed: int = 1) -> list[float]:
    return [float(value) for value in 100.0 + 10.0 * np.random.default_rng(seed).standard_normal(n)]


def test_a_name_with_or_without_river_in_front_means_the_same_class() -> None:
    for name in ("anomaly.GaussianScorer", "river.anomaly.GaussianScorer"):
        assert type(model_from(name, {"grace_period": 7})) is anomaly.GaussianScorer


def test_parameters_may_be_objects_of_their_own() -> None:
    model = model_from(
        "anomaly.StandardAbsoluteDeviation", {"sub_stat": {"class": "stats.EWMean", "fading_factor": 0.2}}
    )
    assert isinstance(model.sub_stat, stats.EWMean)
    assert model.sub_stat.fading_factor == 0.2


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("anomaly.Nothing", {}, "there is no class"),
        ("GaussianScorer", {}, "there is no class"),
        ("no_such_package.Model", {}, "there is no class"),
        ("linear_model.LinearRegression", {}, "is not an anomaly detector"),
        ("collections.OrderedDict", {}, "is not an anomaly detector"),
        ("anomaly.GaussianScorer", {"windows": 3}, "does not take these parameters"),
        ("anomaly.StandardAbsoluteDeviation", {"sub_stat": {"class": "stats.Nothing"}}, "sub_stat: there is no class"),
        ("anomaly.HalfSpaceTrees", {"n_trees": 25, "height": 15}, "tree nodes"),
        ("anomaly.LocalOutlierFactor", {}, "memory grows"),
        ("anomaly.ThresholdFilter", {}, "is refused"),
        ("anomaly.QuantileFilter", {}, "is refused"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_key(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as error:
        model_from(name, params, KEY)
    assert str(error.value).startswith(KEY)
    assert words in str(error.value)


def test_half_space_trees_get_a_scaler_unless_limits_are_given() -> None:
    assert isinstance(model_from("anomaly.HalfSpaceTrees"), compose.Pipeline)
    assert isinstance(model_from("anomaly.HalfSpaceTrees", {"limits": {"value": (0, 9)}}), anomaly.HalfSpaceTrees)


def test_rivers_gaussian_scorer_alarms_for_ever_on_a_constant_and_the_guarded_one_never() -> None:
    bare, guarded = anomaly.GaussianScorer(), RiverModel(anomaly.GaussianScorer())
    for _ in range(300):
        bare.learn_one(None, 45.0)
    assert bare.score_one(None, 45.0) == 1.0
    assert max(fed(guarded, [45.0] * 1_000)) == 0.0


def test_a_window_whose_variance_goes_negative_costs_a_score_and_nothing_else() -> None:
    values = [*([1e8 + 0.1 * (n % 3) for n in range(400)]), *([1e-3] * 400), *noise(400)]
    guarded = RiverModel(model_from("anomaly.GaussianScorer", {"window_size": 50}))
    assert all(math.isfinite(score) for score in fed(guarded, values))


def test_a_statistic_that_knows_nothing_yet_costs_a_score_and_nothing_else() -> None:
    params = {"sub_stat": {"class": "stats.RollingQuantile", "q": 0.5, "window_size": 50}}
    bare = model_from("anomaly.StandardAbsoluteDeviation", params)
    with pytest.raises(TypeError):
        bare.score_one(None, 1.0)
    guarded = RiverModel(model_from("anomaly.StandardAbsoluteDeviation", params))
    scores = fed(guarded, [*noise(500), 1_000.0])
    assert guarded.faults == 1
    assert scores[-1] > 3.0


def test_a_model_that_learns_while_scoring_is_judged_on_a_copy() -> None:
    name, holt = "anomaly.PredictiveAnomalyDetection", {"class": "time_series.HoltWinters", "alpha": 0.3, "beta": 0.05}
    guarded = RiverModel(model_from(name, {"predictive_model": holt}))
    fed(guarded, noise(200))
    x = {"at_ms": 200 * HOUR_MS}
    before = pickle.dumps(guarded)
    assert guarded.score_one(x, 90.0) == guarded.score_one(x, 90.0)
    assert pickle.dumps(guarded) == before
    assert guarded.model.dynamic_mae.n > 150


def test_feature_names_of_mixed_kinds_do_not_stop_half_space_trees() -> None:
    guarded = RiverModel(model_from("anomaly.HalfSpaceTrees", {"n_trees": 3, "height": 3, "window_size": 20}))
    for hour, value in enumerate(noise(100)):
        x: dict[Any, Any] = {"at_ms": hour * HOUR_MS, 7: 0.5, "device": 1.0}
        guarded.learn_one(x, value)
    assert guarded.faults == 0


@pytest.mark.parametrize("name", ["anomaly.GaussianScorer", "anomaly.StandardAbsoluteDeviation"])
def test_a_foreign_score_keeps_the_promise_of_one_false_alarm_a_month(name: str) -> None:
    false, months = 0, 12
    guarded = RiverModel(model_from(name))
    for hour, value in enumerate(noise(months * 720, seed=3)):
        x = {"at_ms": hour * HOUR_MS}
        false += guarded.score_one(x, value) > 0.0 and guarded.judge(x, value).evidence >= math.log10(720.0)
        guarded.learn_one(x, value)
    assert false <= months


def test_a_users_own_class_is_a_detector_by_its_name() -> None:
    model = RiverModel(Mine(gain=2.0))
    assert fed(model, [*noise(500), 1_000.0])[-1] > 3.0


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("anomaly.GaussianScorer", {"window_size": 50}),
        ("anomaly.StandardAbsoluteDeviation", {}),
        ("anomaly.HalfSpaceTrees", {"n_trees": 3, "height": 3, "window_size": 30, "seed": 1}),
        (
            "anomaly.PredictiveAnomalyDetection",
            {"predictive_model": {"class": "time_series.SNARIMAX", "p": 2, "d": 0, "q": 1}},
        ),
    ],
)
def test_a_state_through_json_continues_exactly(name: str, params: dict[str, Any]) -> None:
    original, other = RiverModel(model_from(name, params)), RiverModel(model_from(name, params))
    fed(original, noise(300))
    other.restore(json.loads(json.dumps(original.state(), allow_nan=False)))
    rest = [*noise(100, seed=2), 500.0]
    assert fed(other, rest) == fed(original, rest)
    assert other.faults == original.faults


class Evil:
    """A pickle that would call the operating system."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


def test_a_state_that_would_call_anything_is_refused() -> None:
    detector = RiverModel(anomaly.GaussianScorer())
    state = detector.state()
    state["model"]["pickle"] = base64.b85encode(pickle.dumps(Evil())).decode()
    with pytest.raises(river_state.StateError, match=r"\.system"):
        detector.restore(state)


def test_a_state_of_another_river_is_refused() -> None:
    detector = RiverModel(anomaly.GaussianScorer())
    state = detector.state()
    state["model"]["river"] = "0.1.0"
    with pytest.raises(river_state.StateError, match=r"0\.1\.0"):
        detector.restore(state)
