"""Campaigns that begin, rest and come back: nothing is expected of them that could not come."""

from __future__ import annotations

import json

import numpy as np
import pytest
from small_worlds import HOUR_MS, MINUTE_MS, START_MS, batch_of, delivery, purchase, run

from detectors import outage
from streams.hours import EXPECTED, HOURS
from streams.pipeline import Pipeline
from streams.series import LEAF

A_DAY = {"steady": 480.0, "other": 360.0}
CHANGED_H, LAST_H = 12 * 24, 13 * 24
LAG_MS = 24 * HOUR_MS
"""Half of the conversions come at once, the others a day later on average."""
Spends = dict[str, list[tuple[int, int]]]
"""The hours in which each campaign spends; those before 0 are seen by nobody, but some of their conversions are."""


def account(spends: Spends, seed: int, until_h: int = LAST_H) -> tuple[Pipeline, list[str]]:
    """The account as it is judged, and the signals that were told of it."""
    rng, facts = np.random.default_rng(seed), []
    for c, (campaign, stretches) in enumerate(spends.items()):
        for hour in (hour for first, end in stretches for hour in range(first, min(end, until_h))):
            begins, clicks = START_MS + hour * HOUR_MS, A_DAY[campaign] / 24.0
            if hour >= 0:
                facts += spend(100_000 * c, begins, 20.0 * clicks, campaign)
            for k in range(rng.poisson(clicks)):
                clicked = begins + int(rng.integers(HOUR_MS))
                at = clicked + (int(rng.exponential(LAG_MS)) if rng.random() < 0.5 else 60_000)
                if START_MS <= at < START_MS + until_h * HOUR_MS:
                    number = 1_000_000 * c + 1_000 * (hour + 300) + k
                    facts.append((at, purchase(number, at, campaign=campaign, clicked_at=clicked)))
    pipeline, changes = run(batch_of([fact for _, fact in sorted(facts, key=lambda fact: fact[0])]))
    told = [change for change in map(json.loads, changes) if change["change"] == "opened"]
    return pipeline, [change["signal"] for change in told if change["signal"] != "implausibly_good"]


def spend(number: int, begins_ms: int, cost: float, campaign: str) -> list[tuple[int, bytes]]:
    """An hour's spend, every five minutes."""
    moments = range(begins_ms, begins_ms + HOUR_MS, 5 * MINUTE_MS)
    number += (begins_ms - START_MS) // (5 * MINUTE_MS)
    return [(at, delivery(number + i, at, cost / 12.0, campaign=campaign)) for i, at in enumerate(moments)]


def leaf(pipeline: Pipeline, campaign: str) -> int:
    """The row of a campaign."""
    registry = pipeline.registry
    return next(s for s in range(registry.series.size) if registry.scope(s).campaign == campaign)


def seen_and_due(pipeline: Pipeline, campaign: str, first_h: int) -> tuple[float, float]:
    """Conversions counted and expected from an hour on."""
    registry, s = pipeline.registry, leaf(pipeline, campaign)
    slots = np.arange(START_MS // HOUR_MS + first_h, registry.series["history_hour"][s] + 1) % HOURS
    seen, due = registry.series["history"][s][slots].sum(axis=0)[[0, EXPECTED]].tolist()
    return seen, due


ALWAYS = [(-240, LAST_H)]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("stretches", "share"),
    [
        ([(CHANGED_H, LAST_H)], 0.8),
        ([(-240, -24), (CHANGED_H, LAST_H)], 0.8),
        ([(-240, CHANGED_H - 192), (CHANGED_H, LAST_H)], 0.8),
    ],
    ids=["launched", "launched again, clicked before anybody looked", "back from a pause of eight days"],
)
def test_who_begins_to_spend_is_expected_to_bring_what_has_had_the_time_to_come(
    stretches: list[tuple[int, int]], share: float, seed: int
) -> None:
    """In the first day half of what is clicked is still to come; and nobody is told of an outage that is none."""
    pipeline, told = account({"steady": ALWAYS, "other": stretches}, seed)
    seen, due = seen_and_due(pipeline, "other", CHANGED_H)
    assert seen < share * A_DAY["other"]
    assert due == pytest.approx(seen, rel=0.15)
    assert told == []


def test_what_still_comes_of_a_campaign_at_rest_is_not_judged() -> None:
    """After days without spend silence is no news, however busy the campaign was."""
    rests = {"steady": ALWAYS, "other": [(-240, CHANGED_H - 192)]}
    pipeline, told = account(rests, 3, until_h=CHANGED_H)
    registry, s = pipeline.registry, leaf(pipeline, "other")
    assert registry.series["level"][s] == LEAF
    assert registry.series["expected"][s] == 0.0
    assert registry.series["timer"][s, outage.SINCE_MU] < 3.0
    assert told == []


def test_a_launched_campaign_is_judged_near_its_volume_from_the_second_hour_on() -> None:
    """What a day brought says nothing yet, so the hour does; limits of a tiny campaign would be reached by chance."""
    pipeline, _ = account({"steady": ALWAYS, "other": [(CHANGED_H, LAST_H)]}, 5, until_h=CHANGED_H + 2)
    a_day = pipeline.registry.series["rate_a_day"][leaf(pipeline, "other")]
    assert A_DAY["other"] / 10.0 < a_day < A_DAY["other"]
