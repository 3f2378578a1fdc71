"""Exports by the day and by the hour: a lasting change is one alert with honest money, then the new normal level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replay.run import Outlets, replay
from streams.settings import DetectionSettings

HOUR_MS = 3_600_000
START_MS = 1_767_571_200_000
DAYS, BAD_DAY = 44, 34


def export(bucket_hours: int, kept: float, basket: float) -> list[dict[str, Any]]:
    """Two campaigns with 200 and 150 conversions a day at 10 each; from day 34 on the first one keeps less."""
    draw = np.random.default_rng(4)
    bucket_ms, told = bucket_hours * HOUR_MS, []
    for at in range(START_MS, START_MS + DAYS * 24 * HOUR_MS, bucket_ms):
        bad = at >= START_MS + BAD_DAY * 24 * HOUR_MS
        for campaign, a_day in (("A", 200.0), ("B", 150.0)):
            struck = bad and campaign == "A"
            mean = a_day * bucket_hours / 24
            count = int(draw.poisson(mean * (kept if struck else 1.0)))
            value = float(draw.lognormal(3.9, 0.3, count).sum()) * (basket if struck else 1.0)
            told.append(
                {
                    "fact": "snapshot", "at": at, "known_at": at + bucket_ms, "revision": 1, "source": "google_ads",
                    "bucket": "day" if bucket_hours == 24 else "hour", "account": "acme", "campaign": campaign,
                    "currency": "EUR", "cost_micros": round(mean * 1e7), "conversions": count,
                    "value_micros": round(value * 1e6), "time_zone": "UTC",
                }
            )  # fmt: skip
        told.append({"fact": "watermark", "at": at + bucket_ms, "source": "google_ads", "account": "acme"})
    return told


def alerts(folder: Path, facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    history = folder / "facts.ndjson"
    history.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    changes: list[dict[str, Any]] = []
    replay([history], DetectionSettings(), outlets=Outlets(told=lambda one: changes.append(json.loads(one.to_line()))))
    return changes


@pytest.mark.parametrize("bucket_hours", [1, 24])
def test_a_lasting_drop_of_baskets_is_one_alert_until_it_is_the_new_level(tmp_path: Path, bucket_hours: int) -> None:
    changes = [one for one in alerts(tmp_path, export(bucket_hours, 1.0, 0.4)) if one["muted_by"] is None]
    turns = [(one["change"], one["signal"], one["campaign"]) for one in changes if one["change"] != "worsened"]
    assert turns == [("opened", "roas_drop", "A"), ("resolved", "roas_drop", "A")]
    assert "new normal" in changes[-1]["action"]


@pytest.mark.parametrize("bucket_hours", [1, 24])
def test_a_lasting_cpa_spike_is_one_alert_and_its_money_is_per_hour(tmp_path: Path, bucket_hours: int) -> None:
    """A campaign spends 2,000 a day and keeps three conversions in ten: 58 an hour are lost."""
    changes = alerts(tmp_path, export(bucket_hours, 0.3, 1.0))
    turns = [(one["change"], one["campaign"]) for one in changes if one["change"] != "worsened"]
    assert turns == [("opened", "A"), ("resolved", "A")]
    lost = [one["money_at_risk_micros"] / 1e6 for one in changes if one["change"] != "resolved"]
    assert lost
    assert all(40.0 < each < 80.0 for each in lost)
