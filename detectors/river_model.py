"""Any River anomaly model in a detector's place: named in the settings, guarded, and its score made evidence.

A foreign score has no unit.  Here it is a size of which a streaming tail says how rare it is (``detectors/tail.py``),
so the same threshold means the same promise for every model.  Around River 0.26.1 the following is guarded:

- ``GaussianScorer`` gives 1.0 for ever on a constant series: what equals every earlier reading is no surprise;
- scores that saturate at 1.0 rank nothing: those in [0, 1) are read as odds ``s / (1 - s)``;
- a windowed variance can go negative, the sigma complex, and the model raises: no score, no evidence, counted;
- ``PredictiveAnomalyDetection`` learns while scoring: it is judged on a copy;
- models that give ``None`` or raise before they have learned anything: no score;
- ``HalfSpaceTrees`` expects features in [0, 1]: a scaler stands before it unless ``limits`` are given; its size is
  bounded at the door; feature names of mixed types raise in it: all names are made strings;
- ``ThresholdFilter`` and ``QuantileFilter`` (never learn, take 0.0 for missing) and ``LocalOutlierFactor`` (keeps
  every reading) are refused.
"""

from __future__ import annotations

import copy
import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any

from river import anomaly, compose, preprocessing
from river.base import AnomalyDetector, SupervisedAnomalyDetector

from detectors import river_state
from detectors.cadence import Cadence, News
from detectors.score import UNKNOWN, Score
from detectors.tail import Tail

MOST_TREE_NODES = 20_000
MODEL_WARM_UP = 30
"""A model's first scores speak of its own learning (a variance of nothing, a mean of one), not of the series."""
LEAST_SIZE = 1e-12
BOUNDED = (anomaly.GaussianScorer, anomaly.HalfSpaceTrees, anomaly.PredictiveAnomalyDetection)
LEARN_WHILE_SCORING = (anomaly.PredictiveAnomalyDetection,)
REFUSED = {
    anomaly.ThresholdFilter: "its inner detector may never learn; thresholds belong to detection.false_alarms",
    anomaly.QuantileFilter: "it takes a score of 0.0 for a missing one; thresholds belong to detection.false_alarms",
    anomaly.LocalOutlierFactor: "it keeps every reading, so its memory grows without bound",
}
MODEL_FAULTS = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


class ModelError(ValueError):
    """A model named in the settings cannot be used: the operator's to mend; the message begins with the key."""


def model_from(name: str, params: Mapping[str, Any] | None = None, key: str = "detection.model") -> Any:
    """The model called ``name`` with ``params``; ``key`` is the settings key that errors name.

    ``anomaly.HalfSpaceTrees`` means River's; ``mypackage.module.Class`` one's own.  A parameter that is a mapping
    with ``class`` is itself such an object.

    >>> model_from("anomaly.StandardAbsoluteDeviation", {"sub_stat": {"class": "stats.EWMean", "fading_factor": 0.1}})
    StandardAbsoluteDeviation (
      sub_stat=EWMean (
        fading_factor=0.1
      )
    )
    >>> model_from("anomaly.Nothing", key="detection.metric.model")
    Traceback (most recent call last):
    detectors.river_model.ModelError: detection.metric.model: there is no class anomaly.Nothing, in River or importable
    """
    kind = _class(name, key)
    for refused, reason in REFUSED.items():
        if issubclass(kind, refused):
            raise ModelError(f"{key}: {name} is refused: {reason}")
    if not issubclass(kind, AnomalyDetector | SupervisedAnomalyDetector):
        raise ModelError(f"{key}: {name} is not an anomaly detector of River's kind")
    model = _made(kind, name, params or {}, key)
    if isinstance(model, anomaly.HalfSpaceTrees):
        return _scaled(model, params or {}, key)
    return model


def _class(name: str, key: str) -> type:
    module, _, cls = name.removeprefix("river.").rpartition(".")
    for root in (f"river.{module}", module) if module else ():
        try:
            found = getattr(importlib.import_module(root), cls, None)
        except ImportError:
            continue
        if isinstance(found, type):
            return found
    raise ModelError(f"{key}: there is no class {name}, in River or importable")


def _made(kind: type, name: str, params: Mapping[str, Any], key: str) -> Any:
    try:
        return kind(**{str(k): _nested(v, f"{key}.{k}") for k, v in params.items()})
    except (TypeError, ValueError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{key}: {name} does not take these parameters: {error}") from error


def _nested(value: Any, key: str) -> Any:
    if not isinstance(value, Mapping) or "class" not in value:
        return value
    name = str(value["class"])
    return _made(_class(name, key), name, {k: v for k, v in value.items() if k != "class"}, key)


def _scaled(model: Any, params: Mapping[str, Any], key: str) -> Any:
    nodes = model.n_trees * 2 ** (model.height + 1)
    if nodes > MOST_TREE_NODES:
        raise ModelError(f"{key}: {nodes} tree nodes are more than {MOST_TREE_NODES}: lower n_trees or height")
    return model if "limits" in params else compose.Pipeline(preprocessing.MinMaxScaler(), model)


class RiverModel(SupervisedAnomalyDetector):
    """A River model as a detector: guarded, and with evidence in place of its own score.

    ``x`` may hold ``at_ms`` (epoch milliseconds) and further features, ``y`` is the reading (or ``x["value"]``, where
    a River pipeline passes no ``y``).  An unsupervised model sees the reading as the feature ``value``.  Evidence is
    log10 odds per reading (``score_one``, said once per ``cool_down_ms``) or per hour (``judge``).  ``faults`` counts
    the readings that the model could not score or learn.

    >>> detector = RiverModel(model_from("anomaly.GaussianScorer"))
    >>> for n in range(1000):
    ...     detector.learn_one({"at_ms": n * 3_600_000}, float(n * n % 97))
    >>> detector.score_one({"at_ms": 3_600_000_000}, 50.0), detector.score_one({"at_ms": 3_600_000_000}, 500.0) > 3
    (0.0, True)
    """

    def __init__(self, model: Any, cool_down_ms: int = 12 * 3_600_000) -> None:
        self.model = model
        self.cool_down_ms = cool_down_ms
        self.faults = 0
        self._tail, self._cadence, self._news = Tail(), Cadence(), News(cool_down_ms)
        self._lowest, self._highest = math.inf, -math.inf

    @classmethod
    def _unit_test_params(cls) -> Any:
        yield {"model": anomaly.GaussianScorer()}

    def judge(self, x: Mapping[str, Any], y: float | None = None) -> Score:
        """Evidence per hour of watching; a River model tells no expected value. Changes nothing."""
        odds = self._odds(self._size(x, y))
        return UNKNOWN if odds == 0.0 else Score(None, None, None, self._cadence.per_hour(odds))

    def score_one(self, x: Mapping[str, Any], y: float | None = None) -> float:
        """Log10 odds per reading, 0 while a surprise at least as large is still fresh; changes nothing."""
        odds = self._odds(self._size(x, y))
        return odds if self._news.is_news(odds, self._at_ms(x)) else 0.0

    def learn_one(self, x: Mapping[str, Any], y: float | None = None) -> None:
        """Take the reading into account, in the model and in the tail of its scores."""
        y = x.get("value") if y is None else y
        if y is None or not math.isfinite(y):
            return
        size = self._size(x, y)
        self._news.learn(self._odds(size), self._at_ms(x))
        if size is None:
            self.faults += 1
        elif self._cadence.readings >= MODEL_WARM_UP:
            self._tail.learn(size, LEAST_SIZE)
        self._cadence.learn(self._at_ms(x))
        self._lowest, self._highest = min(self._lowest, y), max(self._highest, y)
        self._learn_model(x, float(y))

    def _odds(self, size: float | None) -> float:
        return 0.0 if size is None else self._tail.evidence(size, LEAST_SIZE)

    def _at_ms(self, x: Mapping[str, Any]) -> int:
        return int(x.get("at_ms", self._cadence.last_ms + self._cadence.gap_ms))

    def _size(self, x: Mapping[str, Any], y: float | None) -> float | None:
        """The model's score as a size; None where it has none."""
        y = x.get("value") if y is None else y
        if y is None or not math.isfinite(y):
            return None
        if self._lowest == self._highest == y:
            return 0.0
        try:
            score = self._raw(x, float(y))
            if isinstance(score, complex) or score is None or not math.isfinite(score):
                return None
        except MODEL_FAULTS:
            return None
        if isinstance(self._last(), BOUNDED) and 0.0 <= score <= 1.0:
            return float(score / max(1.0 - score, 1e-15))
        return abs(float(score))

    def _last(self) -> Any:
        return list(self.model.steps.values())[-1] if isinstance(self.model, compose.Pipeline) else self.model

    def _raw(self, x: Mapping[str, Any], y: float) -> Any:
        model = copy.deepcopy(self.model) if isinstance(self._last(), LEARN_WHILE_SCORING) else self.model
        if isinstance(self._last(), SupervisedAnomalyDetector):
            return model.score_one(_features(x), y=y)
        return model.score_one({**_features(x), "value": y})

    def _learn_model(self, x: Mapping[str, Any], y: float) -> None:
        supervised = isinstance(self._last(), SupervisedAnomalyDetector)
        if isinstance(self._last(), LEARN_WHILE_SCORING):
            self._guarded(self.model.score_one, _features(x), y=y)
        if supervised:
            self._guarded(self.model.learn_one, _features(x), y)
        else:
            self._guarded(self.model.learn_one, {**_features(x), "value": y})

    def _guarded(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        try:
            call(*args, **kwargs)
        except MODEL_FAULTS:
            self.faults += 1

    def state(self) -> dict[str, Any]:
        """Everything learned, JSON-able; the model's own part as text that :mod:`detectors.river_state` reads."""
        cadence, news = self._cadence, self._news
        return {
            "model": river_state.dump(self.model),
            "faults": self.faults,
            "tail": self._tail.state(),
            "times": [cadence.last_ms, cadence.gap_ms, cadence.readings, news.odds, news.at_ms],
            "range": [self._lowest, self._highest] if cadence.readings else [],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where the detector that gave ``state`` stood.

        Raises :class:`detectors.river_state.StateError` where River's version differs or the text holds what is no
        part of a model; the detector is then unchanged.
        """
        self.model = river_state.load(state["model"], self._last())
        self.faults = int(state["faults"])
        self._tail = Tail.restore(list(state["tail"]))
        last_ms, gap_ms, readings, odds, said_ms = state["times"]
        self._cadence = Cadence(int(last_ms), gap_ms, int(readings))
        self._news = News(self.cool_down_ms, odds, int(said_ms))
        self._lowest, self._highest = state["range"] or (math.inf, -math.inf)


def _features(x: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in x.items() if name != "at_ms"}
