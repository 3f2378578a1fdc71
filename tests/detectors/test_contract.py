"""What every detector of the catalogue promises, one test per promise; a new entry is tested by being registered."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, compose
from river.base import SupervisedAnomalyDetector

from detectors.bank import ObjectBank
from detectors.catalogue import ENTRIES, Entry, Harm, Judged
from detectors.river_model import RiverModel, model_from

HOUR_MS = 3_600_000
WEEK = 7 * 24
Reading = tuple[dict[str, Any], float]


def foreign(name: str, params: dict[str, Any] | None = None) -> Entry:
    """River's own models stand in the same row as ours."""
    make: Callable[[], SupervisedAnomalyDetector] = lambda: RiverModel(model_from(name, params))  # noqa: E731
    return Entry(name, make, "metric_anomaly", "River's.", False, ("at_ms",), Judged.AMOUNT, Harm.BOTH)


FOREIGN = (
    foreign("anomaly.GaussianScorer"),
    foreign("anomaly.StandardAbsoluteDeviation"),
    foreign("anomaly.HalfSpaceTrees", {"n_trees": 5, "height": 4, "window_size": 50, "seed": 7}),
    foreign(
        "anomaly.PredictiveAnomalyDetection",
        {"predictive_model": {"class": "time_series.HoltWinters", "alpha": 0.3, "beta": 0.05}},
    ),
)
SATURATE = ("anomaly.HalfSpaceTrees", "anomaly.PredictiveAnomalyDetection")
"""Their scores end at 1.0, so the calibrated evidence stays quiet: they keep the promise, not the power."""
EVERY = pytest.mark.parametrize("entry", [*ENTRIES, *FOREIGN], ids=lambda entry: entry.name)
OURS = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def features(entry: Entry, hour: int) -> dict[str, Any]:
    known = {"at_ms": hour * HOUR_MS, "dt_ms": HOUR_MS, "cost": 100.0, "expected": 10.0}
    return {name: known[name] for name in entry.features}


def world(entry: Entry, hours: int, *, start: int = 0, effect: float = 1.0, seed: int = 1) -> Iterator[Reading]:
    """Hourly readings; ``effect`` is how many times worse than usual the judged number is."""
    draw = np.random.default_rng(seed)
    factor = effect if entry.harm is not Harm.DOWN else 1.0 / effect
    for hour in range(start, start + hours):
        count, amount = draw.poisson(10.0 * factor), 100.0 * factor * math.exp(0.2 * draw.standard_normal())
        yield features(entry, hour), float(count) if entry.judged is Judged.COUNT else float(amount)


def run(detector: SupervisedAnomalyDetector, readings: Iterator[Reading] | list[Reading]) -> list[float]:
    scores = []
    for x, y in readings:
        scores.append(detector.score_one(x, y))
        detector.learn_one(x, y)
    return scores


@EVERY
def test_scoring_changes_nothing(entry: Entry) -> None:
    detector = entry.make()
    for x, y in world(entry, 120):
        first = detector.score_one(x, y)
        before = pickle.dumps(detector)
        assert detector.score_one(x, y) == first
        assert pickle.dumps(detector) == before
        detector.learn_one(x, y)


@EVERY
def test_a_reading_is_judged_before_it_is_learned(entry: Entry) -> None:
    detector, columns = entry.make(), [*entry.features, "y"]
    bank = ObjectBank(entry.make, columns, 1)
    for x, y in world(entry, 200, effect=1.5):
        values = np.array([[*x.values(), y]], dtype=float)
        expected = detector.score_one(x, y)
        detector.learn_one(x, y)
        assert bank.step(values, np.array([True]))[0] == expected


@EVERY
def test_the_same_readings_give_the_same_scores(entry: Entry) -> None:
    assert run(entry.make(), world(entry, 300)) == run(entry.make(), world(entry, 300))


@EVERY
@settings(max_examples=5, deadline=None)
@given(cut=st.integers(0, 250))
def test_a_copy_continues_as_the_original_would(entry: Entry, cut: int) -> None:
    readings = list(world(entry, 300, effect=1.3))
    detector = entry.make()
    run(detector, readings[:cut])
    pickled, copied = pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)
    rest = run(detector, readings[cut:])
    assert run(pickled, readings[cut:]) == rest
    assert run(copied, readings[cut:]) == rest


@EVERY
def test_a_clone_begins_anew_with_the_same_parameters(entry: Entry) -> None:
    detector = entry.make()
    run(detector, world(entry, 100))
    assert run(detector.clone(), world(entry, 100)) == run(entry.make(), world(entry, 100))


HOSTILE = {
    "zeros": [0.0] * 300,
    "constant": [7.0] * 300,
    "huge": [1e12, 1.0, 1e12, 0.0] * 75,
    "tiny": [1e-12, 2e-12, 0.0] * 100,
    "one glitch": [*([10.0] * 200), 1e12, *([10.0] * 99)],
    "on and off": [0.0, 1e6] * 150,
}


@EVERY
@pytest.mark.parametrize("kind", HOSTILE)
def test_scores_stay_finite_and_never_negative_on_hostile_readings(entry: Entry, kind: str) -> None:
    scores = run(entry.make(), [(features(entry, hour), y) for hour, y in enumerate(HOSTILE[kind])])
    assert all(math.isfinite(score) and score >= 0.0 for score in scores)


@EVERY
def test_a_long_gap_is_borne(entry: Entry) -> None:
    readings = [*world(entry, WEEK), *world(entry, WEEK, start=40 * WEEK)]
    assert all(math.isfinite(score) for score in run(entry.make(), readings))


@EVERY
@pytest.mark.parametrize("value", [1.0, 20.0, 12_345.678])
def test_a_constant_series_never_alarms(entry: Entry, value: float) -> None:
    expected = {"expected": value} if "expected" in entry.features else {}
    readings = [({**features(entry, hour), **expected}, value) for hour in range(6 * WEEK)]
    assert max(run(entry.make(), readings)) < entry.alarm_at


@EVERY
def test_evidence_grows_with_the_effect_and_ends_in_an_alarm(entry: Entry) -> None:
    trained, hours = entry.make(), 28 * WEEK
    run(trained, world(entry, hours))
    surprise = []
    for effect in (1.0, 2.0, 4.0, 50.0):
        readings = world(entry, 24, start=hours, effect=effect, seed=2)
        surprise.append(max(run(copy.deepcopy(trained), readings)))
    assert surprise == sorted(surprise)
    assert surprise[0] < surprise[-1]
    assert surprise[0] < entry.alarm_at
    assert surprise[-1] >= entry.alarm_at or entry.name in SATURATE


@EVERY
def test_what_is_remembered_does_not_grow(entry: Entry) -> None:
    detector = entry.make()
    run(detector, world(entry, 5_000))
    before = len(pickle.dumps(detector))
    run(detector, world(entry, 2_500, start=5_000))
    assert len(pickle.dumps(detector)) <= 1.05 * before


ALONE = (
    "check_repr",
    "check_str",
    "check_tags",
    "check_clone_same_class",
    "check_clone_is_idempotent",
    "check_init_has_default_params_for_tests",
    "check_init_default_params_are_not_mutable",
    "check_doc",
    "check_clone_changes_memory_addresses",
    "check_mutate_can_be_idempotent",
    "check_pickling_supports_roundtrip",
    "check_repr_roundtrips_clone",
    "check_clone_with_new_params_applies",
    "check_get_params_matches_signature",
)
ON_DATA = (
    "check_learn_one",
    "check_no_state_aliasing_with_input",
    "check_clone_is_independent",
    "check_bounded_memory_growth",
)


@EVERY
@pytest.mark.parametrize("name", ALONE)
def test_river_checks_pass(entry: Entry, name: str) -> None:
    getattr(checks.common, name)(entry.make())


@EVERY
@pytest.mark.parametrize("name", ON_DATA)
def test_river_checks_on_data_pass(entry: Entry, name: str) -> None:
    """River's own data sets know nothing of ``at_ms`` or ``expected``, so its checks run on readings of ours."""
    getattr(checks.common, name)(entry.make(), list(world(entry, 600)))


@EVERY
def test_it_learns_as_the_last_step_of_a_river_pipeline(entry: Entry) -> None:
    pipeline, alone = compose.Pipeline(compose.Discard("unused"), entry.make()), entry.make()
    for x, y in world(entry, 300, effect=1.5):
        assert pipeline[-1].score_one(x, y) == alone.score_one(x, y)
        pipeline.learn_one({**x, "unused": "brand campaign"}, y)
        alone.learn_one(x, y)


@pytest.mark.parametrize("entry", [*(e for e in ENTRIES if "at_ms" in e.features), *FOREIGN], ids=lambda e: e.name)
def test_a_river_pipeline_scores_it_by_the_value_in_x(entry: Entry) -> None:
    """River 0.26.1's pipelines hand ``score_one`` no ``y``, so detectors of plain numbers find it in ``x`` too."""
    pipeline, alone = compose.Pipeline(compose.Discard("unused"), entry.make()), entry.make()
    for x, y in world(entry, 300, effect=1.5):
        noisy = {**x, "value": y, "unused": "brand campaign"}
        assert pipeline.score_one(noisy) == alone.score_one(x, y)
        pipeline.learn_one(noisy)
        alone.learn_one(x, y)


@OURS
def test_the_entry_speaks_to_a_marketer_in_one_sentence(entry: Entry) -> None:
    assert entry.says.endswith(".")
    assert entry.says.count(". ") == 0
    assert len(entry.says) <= 120


def test_names_are_unique_and_the_comparison_rule_is_off() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert [entry.name for entry in ENTRIES if not entry.on] == ["account_anomaly"]
