"""Somebody else's detectors: named in the settings, judged on the same road, part of the same state."""

from __future__ import annotations

import json

import pytest
from small_worlds import batch_of, history, line, run

from detectors.river_model import ModelError
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings, NamedModel

HOUR_MS = 3_600_000
START_MS = 1_767_225_600_000


def test_a_named_model_takes_the_place_of_ours() -> None:
    """The CPA is judged by River's model; our own detector opens no CPA alert, and the state survives restarts."""
    settings = DetectionSettings(models={"cpa_spike": NamedModel(model="anomaly.GaussianScorer")})
    batch = batch_of(history(6, a_day={("meta", "brand"): 600.0}, incidents=[(4.0, 5.0, 0.08, 1.0, "brand")]))
    _, whole = run(batch, settings=settings)
    _, restarted = run(batch, [5000, 9000], restart=True, settings=settings)
    assert whole == restarted
    spikes = [json.loads(c) for c in whole if b'"cpa_spike"' in c]
    assert all(c["expected"] is None for c in spikes)


def test_a_name_that_is_no_model_is_an_error_that_names_the_key() -> None:
    """The settings key stands in the error."""
    metrics = Metrics(DetectionSettings(metric_model="anomaly.Nothing"))
    with pytest.raises(ModelError, match=r"detection\.metric_model"):
        metrics._detector()


def test_googles_rule_sees_a_day_that_brings_under_half() -> None:
    """With four weeks behind it, a silent day alarms once for the account and closes with the day; calm days do not."""
    settings = DetectionSettings(account_anomaly=True)
    lines = history(37, a_day={("meta", "brand"): 400.0}, incidents=[(35.0, 36.0, 0.0, 1.0, None)])
    _, changes = run(batch_of(lines), settings=settings)
    told = [json.loads(c) for c in changes if b'"account_anomaly"' in c]
    mature = [c for c in told if c["at"] >= "2026-01-30"]
    assert [(c["change"], c["at"][:10]) for c in mature] == [("opened", "2026-02-05"), ("resolved", "2026-02-06")]
    assert all(c["campaign"] is None and c["source"] is None for c in told)


def test_a_metric_that_leaves_its_range_opens_and_resolves() -> None:
    """A bounce rate that jumps is told once, with its name as the measure, and closed when it is back."""
    lines = []
    for hour in range(24 * 21):
        value = 0.40 + 0.02 * ((hour * 7919) % 10) / 10
        if 24 * 15 <= hour < 24 * 15 + 6:
            value = 0.95
        lines.append(
            line(fact="metric", at=START_MS + hour * HOUR_MS, account="acme", series="bounce_rate", value=value)
        )
    batch = batch_of(lines)
    _, changes = run(batch)
    told = [json.loads(c) for c in changes]
    assert [c["change"] for c in told] == ["opened", "resolved"]
    assert {c["measure"] for c in told} == {"bounce_rate"}
    assert run(batch, [300, 7000], restart=True)[1] == changes


def test_the_state_of_idle_rivals_is_small() -> None:
    """Off means off."""
    assert Pipeline(DetectionSettings())._rivals.to_state() == {"hours": [], "totals": {}, "rules": [], "models": []}
