"""What happens to one campaign of the seeded world, minute by minute, as columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.batch import Ints
from events.business import Business
from events.incidents import Incident
from events.world import HOUR_MS, MINUTE_MS, WARM_UP_MS, Campaign, Floats, Seasons, World

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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The account around a campaign: its seasons, what it does, its local midnights and what befalls it."""

    seasons: Seasons
    business: Business
    midnights: Ints
    incidents: list[Incident]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What happens to one campaign; ``stops`` are the times at which it spends nothing for want of budget."""

    delivered: Delivered
    converted: Converted
    stops: list[tuple[int, int]]


def draw(world: World, campaign: Campaign, around: Surroundings) -> tuple[Drawn, np.random.Generator]:
    """Everything that happens to ``campaign`` inside the world, and the generator for what comes after."""
    rng = np.random.default_rng([world.seed, 4, campaign.number])
    step = campaign.report_minutes * MINUTE_MS
    slots = np.arange((world.start_ms - WARM_UP_MS) // step * step, world.end_ms, step, dtype=np.int64)
    slots = slots[_awake(campaign, slots)]
    a_day = campaign.conversions_a_day / campaign.conversion_rate * campaign.report_minutes / 1440
    usual = a_day * around.seasons.at(around.seasons.traffic, slots) * around.business.traffic(campaign, slots)
    clicks = rng.poisson(usual * _gamma(rng, len(slots), 40.0))
    stopped, stops = _stop(campaign, around, slots, clicks)
    clicks[stopped] = 0
    due = clicks * campaign.conversion_rate * around.seasons.at(around.seasons.conversion, slots)
    due *= around.business.conversion(campaign, slots)
    conversions = _conversions(world, rng, campaign, slots, due * _wobble(world, campaign, slots))
    impressions = clicks + rng.poisson((clicks + 0.3) * (1 / campaign.click_rate - 1))
    paid = clicks * campaign.click_micros * _gamma(rng, len(slots), 60.0)
    cost = np.rint(due * 1e6 if world.cost_is_due else paid).astype(np.int64)
    inside = (slots >= world.start_ms) & (impressions > 0) & ~stopped
    at_ms = slots[inside] + step - MINUTE_MS
    delivered = Delivered(at_ms, cost[inside], impressions[inside], clicks[inside])
    return Drawn(delivered, _suffer(rng, conversions, campaign, around.incidents), stops), rng


def _stop(
    campaign: Campaign, around: Surroundings, slots: Ints, clicks: Ints
) -> tuple[NDArray[np.bool_], list[tuple[int, int]]]:
    """Which slots come after the day's budget is used up, and from when to when that is."""
    if campaign.cap is None:
        return np.zeros(len(slots), bool), []
    day = np.searchsorted(around.midnights, slots, "right")
    before = np.cumsum(clicks) - clicks
    first = np.searchsorted(day, day)
    budget = campaign.cap * campaign.conversions_a_day / campaign.conversion_rate
    stopped = before - before[first] >= budget * around.business.budget(campaign, slots)
    days, place = np.unique(day[stopped], return_index=True)
    begins = slots[stopped][place].tolist()
    return stopped, list(zip(begins, around.midnights[days].tolist(), strict=True))


def _wobble(world: World, campaign: Campaign, slots: Ints) -> Floats:
    """Noise around one that all clicks of an hour share, so that the dispersion of counts grows with their mean."""
    if world.phi_growth <= 0:
        return np.ones(len(slots))
    rng = np.random.default_rng([world.seed, 10, campaign.number])
    hours = slots // HOUR_MS - (world.start_ms - WARM_UP_MS) // HOUR_MS + 1
    return _gamma(rng, int(hours.max(initial=0)) + 1, 1 / world.phi_growth)[hours]


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


def _conversions(world: World, rng: np.random.Generator, campaign: Campaign, slots: Ints, due: Floats) -> Converted:
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
