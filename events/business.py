"""What the advertisers of the seeded world do of their own accord: promotions and new budgets. None is an incident."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from events.batch import Ints
from events.world import DAY_MS, HOUR_MS, Account, Campaign, Floats, World, midnights

_MONTH_DAYS = 30
_LEAST_DAYS = 8
"""Shorter worlds see neither, as they see no launch."""
_APART_DAYS = 3
_STARTS_H = (0, 8, 10, 18)
_CONVERSION = (1.3, 2.5)
_TRAFFIC = (1.0, 1.25)
_ANNOUNCED_SHARE = 0.5
_TOLD = ("", "state", "change")
_TOLD_ODDS = (0.4, 0.4, 0.2)


@dataclass(frozen=True, slots=True)
class Promotion:
    """A sale in ``from_ms <= t < to_ms``: clicks convert ``conversion`` times as often, and there are more of them.

    ``source`` is ``None`` where the whole account takes part; ``announced``: a ``change`` fact says so.
    """

    source: str | None
    from_ms: int
    to_ms: int
    conversion: float
    traffic: float
    announced: bool

    def covers(self, campaign: Campaign) -> bool:
        """Whether ``campaign``, one of the account, takes part."""
        return self.source in (None, campaign.source)


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """From ``at_ms`` on, a local midnight, a campaign spends ``factor`` times as much as before, for good.

    ``told`` names the fact that tells it: ``state``, ``change`` or none.
    """

    campaign: int
    at_ms: int
    factor: float
    told: str


@dataclass(frozen=True, slots=True)
class Business:
    """What one account does."""

    promotions: tuple[Promotion, ...]
    budgets: tuple[BudgetChange, ...]

    def traffic(self, campaign: Campaign, at_ms: Ints) -> Floats:
        """How many times the usual clicks ``campaign`` gets."""
        factor = np.ones(len(at_ms))
        for one in self.promotions:
            if one.covers(campaign):
                factor[_during(one, at_ms)] *= one.traffic
        return factor * self.budget(campaign, at_ms)

    def conversion(self, campaign: Campaign, at_ms: Ints) -> Floats:
        """How many times as often as usual clicks of ``campaign`` convert."""
        factor = np.ones(len(at_ms))
        for one in self.promotions:
            if one.covers(campaign):
                factor[_during(one, at_ms)] *= one.conversion
        return factor

    def budget(self, campaign: Campaign, at_ms: Ints) -> Floats:
        """How many times its first budget ``campaign`` has."""
        factor = np.ones(len(at_ms))
        for one in self.budgets:
            if one.campaign == campaign.number:
                factor[at_ms >= one.at_ms] *= one.factor
        return factor

    def budget_at(self, campaign: Campaign, at_ms: int) -> float:
        """:meth:`budget` at one moment."""
        return float(self.budget(campaign, np.array([at_ms], np.int64))[0])


def _during(promotion: Promotion, at_ms: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return (at_ms >= promotion.from_ms) & (at_ms < promotion.to_ms)


def make_business(world: World, account: Account) -> Business:
    """What ``account`` does in ``world``; it does not hang on the incidents."""
    if world.days < _LEAST_DAYS:
        return Business((), ())
    return Business(_promotions(world, account), _budgets(world, account))


def _promotions(world: World, account: Account) -> tuple[Promotion, ...]:
    """Sales of about one to three days that end at a local midnight, well apart."""
    rng = np.random.default_rng([world.seed, 8, account.number])
    starts = _inner_midnights(world, account)
    found: list[Promotion] = []
    for _ in range(int(rng.poisson(world.promotions * world.days / _MONTH_DAYS))):
        one = _promotion(rng, account, starts)
        if all(
            one.from_ms > p.to_ms + _APART_DAYS * DAY_MS or one.to_ms < p.from_ms - _APART_DAYS * DAY_MS for p in found
        ):
            found.append(one)
    return tuple(sorted(found, key=lambda promotion: promotion.from_ms))


def _promotion(rng: np.random.Generator, account: Account, starts: Ints) -> Promotion:
    day, lasts, hour = int(rng.integers(len(starts) - 4)), int(rng.integers(1, 4)), int(rng.choice(_STARTS_H))
    source = None if rng.random() < 0.5 else str(rng.choice(account.sources))
    return Promotion(
        source=source,
        from_ms=int(starts[day]) + hour * HOUR_MS,
        to_ms=int(starts[day + lasts + (hour > _STARTS_H[1])]),
        conversion=float(rng.uniform(*_CONVERSION)),
        traffic=float(rng.uniform(*_TRAFFIC)),
        announced=bool(rng.random() < _ANNOUNCED_SHARE),
    )


def _budgets(world: World, account: Account) -> tuple[BudgetChange, ...]:
    """Budgets that double or halve overnight; no campaign strays further than that from where it began."""
    rng = np.random.default_rng([world.seed, 9, account.number])
    starts = _inner_midnights(world, account)
    count = int(rng.poisson(world.budget_changes * world.days / _MONTH_DAYS))
    factors: dict[int, float] = {}
    found = []
    for at_ms in np.sort(rng.choice(starts, size=min(count, len(starts)), replace=False)).tolist():
        campaign = account.campaigns[int(rng.integers(len(account.campaigns)))].number
        factor, told = float(rng.choice((0.5, 2.0))), str(rng.choice(_TOLD, p=_TOLD_ODDS))
        if factors.get(campaign, 1.0) == factor:
            factor = 1.0 / factor
        factors[campaign] = factors.get(campaign, 1.0) * factor
        found.append(BudgetChange(campaign, at_ms, factor, told))
    return tuple(found)


def _inner_midnights(world: World, account: Account) -> Ints:
    days = midnights(world, account)
    return days[(days > world.start_ms) & (days < world.end_ms)]
