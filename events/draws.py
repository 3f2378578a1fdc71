"""What happens to one campaign of the seeded world, minute by minute, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.batch import Ints
from events.incidents import Incident
from events.world import MINUTE_MS, WARM_UP_MS, Campaign, Floats, Seasons, World

NAMES = ("purchase", "add_to_cart", "begin_checkout")
_PURCHASE = 0
_FUNNEL = ((1, 4.0), (2, 1.8))
"""How many of each come with one purchase."""
_LAG_SHARES = (0.6, 0.3, 0.1)
_LAG_MEANS_MS = (8 * 60_000, 2 * 3_600_000, 20 * 3_600_000)


@dataclass(frozen=True, slots=True)
class Delivered:
    """Spend of one campaign, one row per report; ``at_ms`` is the last minute that the report speaks of."""

    at_ms: Ints
    cost_micros: Ints
    impressions: Ints
    clicks: Ints


@dataclass(frozen=True, slots=True)
class Converted:
    """Conversions of one campaign; ``name`` indexes ``NAMES``."""

    at_ms: Ints
    clicked_at_ms: Ints
    name: NDArray[np.uint8]
    value_micros: Ints


def draw(
    world: World, campaign: Campaign, seasons: Seasons, incidents: list[Incident]
) -> tuple[Delivered, Converted, np.random.Generator]:
    """Everything that happens to ``campaign`` inside the world, and the generator for what comes after."""
    rng = np.random.default_rng([world.seed, 4, campaign.number])
    step = campaign.report_minutes * MINUTE_MS
    slots = np.arange((world.start_ms - WARM_UP_MS) // step * step, world.end_ms, step, dtype=np.int64)
    slots = slots[_awake(campaign, slots)]
    a_day = campaign.conversions_a_day / campaign.conversion_rate * campaign.report_minutes / 1440
    clicks = rng.poisson(a_day * seasons.at(seasons.traffic, slots) * _gamma(rng, len(slots), 40.0))
    conversions = _conversions(world, rng, campaign, slots, clicks, seasons)
    impressions = clicks + rng.poisson((clicks + 0.3) * (1 / campaign.click_rate - 1))
    cost = np.rint(clicks * campaign.click_micros * _gamma(rng, len(slots), 60.0)).astype(np.int64)
    inside = (slots >= world.start_ms) & (impressions > 0)
    at_ms = slots[inside] + step - MINUTE_MS
    delivered = Delivered(at_ms, cost[inside], impressions[inside], clicks[inside])
    return delivered, _suffer(rng, conversions, campaign, incidents), rng


def _awake(campaign: Campaign, slots: Ints) -> NDArray[np.bool_]:
    awake = np.ones(len(slots), bool)
    if campaign.launch_ms is not None:
        awake &= slots >= campaign.launch_ms
    if campaign.pause is not None:
        awake &= (slots < campaign.pause[0]) | (slots >= campaign.pause[1])
    return awake


def _gamma(rng: np.random.Generator, count: int, shape: float) -> Floats:
    """Noise around one."""
    return rng.gamma(shape, 1 / shape, count)


def _counts(rng: np.random.Generator, mean: Floats, phi: float) -> Ints:
    """Counts whose variance is ``phi`` times their mean."""
    if phi > 1:
        mean = rng.gamma(mean / (phi - 1)) * (phi - 1)
    return rng.poisson(mean)


def _conversions(
    world: World, rng: np.random.Generator, campaign: Campaign, slots: Ints, clicks: Ints, seasons: Seasons
) -> Converted:
    due = clicks * campaign.conversion_rate * seasons.at(seasons.conversion, slots)
    kinds = ((_PURCHASE, 1.0), *(_FUNNEL if campaign.funnel else ()))
    counts = [_counts(rng, due * each, world.phi) for _, each in kinds]
    clicked = np.concatenate([np.repeat(slots, count) for count in counts])
    name = np.repeat(np.array([kind for kind, _ in kinds], np.uint8), [int(count.sum()) for count in counts])
    clicked = clicked + rng.integers(0, campaign.report_minutes * MINUTE_MS, len(clicked))
    lag = rng.exponential(np.array(_LAG_MEANS_MS)[rng.choice(3, len(clicked), p=_LAG_SHARES)])
    # what comes before the purchase comes sooner
    lag = np.where(name == _PURCHASE, lag, lag * 0.3)
    at_ms = clicked + np.maximum(lag, 1000).astype(np.int64)
    mean = np.log(campaign.basket_micros) - campaign.basket_sigma**2 / 2
    cents = np.rint(rng.lognormal(mean, campaign.basket_sigma, len(clicked)) / 10_000).astype(np.int64)
    inside = (at_ms >= world.start_ms) & (at_ms < world.end_ms)
    value = np.where(name == _PURCHASE, cents * 10_000, 0)
    return Converted(at_ms[inside], clicked[inside], name[inside], value[inside])


def _suffer(
    rng: np.random.Generator, conversions: Converted, campaign: Campaign, incidents: list[Incident]
) -> Converted:
    """Take away what the incidents take.

    Tracking and prices fail at the moment of the conversion; dear clicks are clicks that convert less, so they are
    told by the moment of the click, and what was clicked before still converts.
    """
    luck = rng.random(len(conversions.at_ms))
    kept = np.ones(len(luck), bool)
    value = conversions.value_micros.copy()
    for incident in incidents:
        if not incident.covers(campaign):
            continue
        moment = conversions.clicked_at_ms if incident.signal == "cpa_spike" else conversions.at_ms
        hit = (moment >= incident.from_ms) & (moment < incident.to_ms)
        if incident.signal == "cpa_spike":
            # people still fill their baskets; they do not buy
            hit &= conversions.name == _PURCHASE
        kept &= ~hit | (luck < incident.kept)
        value[hit] = np.rint(value[hit] * incident.basket / 10_000).astype(np.int64) * 10_000
    c = conversions
    return Converted(c.at_ms[kept], c.clicked_at_ms[kept], c.name[kept], value[kept])
