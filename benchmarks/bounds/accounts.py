"""Healthy accounts of 1 to 1,000 campaigns in which a good deal happens, none of it an incident.

Volumes fall as one over the campaign's rank, the usual long tail.  Every account has promotions (each campaign's
conversion rate times 1.5 for two days, about once a month); campaigns are paused for days, launched in mid-run, and
given twice the budget, each with some chance.  Hourly counts have variance 1.5 times their mean, conversions lag by a
fifth of Criteo's lag, traffic and conversion rate have their seasons.  Spend and watermarks come every quarter of an
hour.  The first three weeks are counted apart: everything is still new then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.bounds.drawing import Draw, Effect, Fleet, intervals_in
from benchmarks.bounds.lag import live
from benchmarks.bounds.learned import HISTORY_H
from benchmarks.bounds.report import Bar, Part, Size, Table, side_by_side
from benchmarks.bounds.theory import QUIET_H, Floats, upper_bound
from benchmarks.bounds.watch import Opening, Watch

CAMPAIGNS = {1: 100.0, 10: 400.0, 100: 1600.0, 1000: 6400.0}
"""Conversions a day of an account, by its number of campaigns."""
PHI = 1.5
STRETCH = 0.2
EVERY_MS = 900_000
PROMOTION_WORTH, PROMOTION_H = 1.5, 48.0
PAUSED, LAUNCHED, DOUBLED = 0.2, 0.2, 0.2
"""Chance of a campaign to be paused, launched in mid-run and given twice the budget, each once in the run."""
LONGEST_PAUSE_H = 240.0
ABOUT = (
    "Whole product, everything learned, healthy accounts with promotions, pauses, launches and doubled budgets; "
    "volumes fall as one over the rank, phi 1.5, a fifth of Criteo's lag, seasons. One promise an account, however "
    "many campaigns it has."
)


@dataclass(frozen=True, slots=True)
class Task:
    """So many accounts of so many campaigns, watched for ``days`` after three weeks."""

    campaigns: int
    accounts: int
    days: float
    seed: int

    @property
    def fleet(self) -> Fleet:
        """All campaigns of all accounts."""
        ranks = 1.0 / np.arange(1, self.campaigns + 1)
        a_day = CAMPAIGNS[self.campaigns] * ranks / ranks.sum()
        account = np.repeat(np.arange(self.accounts), self.campaigns)
        return Fleet(account, np.tile(a_day, self.accounts), PHI, every_ms=EVERY_MS, lag=True, stretch=STRETCH)


class Life:
    """What happens to the campaigns in the hours of a run, drawn beforehand."""

    def __init__(self, fleet: Fleet, hours: float, draw: Draw) -> None:
        n, accounts = len(fleet.account), int(fleet.account[-1]) + 1
        self.promotions = draw.uniform(0.0, hours, (accounts, max(1, round(hours / QUIET_H))))[fleet.account]
        self.paused_h = _some(draw, PAUSED, n, hours)
        self.resumed_h = self.paused_h + draw.uniform(24.0, LONGEST_PAUSE_H, n)
        self.launched_h = _some(draw, LAUNCHED, n, hours)
        self.launched_h[np.isinf(self.launched_h)] = -np.inf
        self.launched_h[np.diff(fleet.account, prepend=-1) > 0] = -np.inf
        self.doubled_h = _some(draw, DOUBLED, n, hours)

    def effect(self, at_h: Floats) -> Effect:
        """At the hours ``at_h`` of the run."""
        t = at_h[:, None]
        resting = ((t >= self.paused_h) & (t < self.resumed_h)) | (t < self.launched_h)
        spend = np.where(resting, 0.0, np.where(t >= self.doubled_h, 2.0, 1.0))
        promoted = np.zeros(spend.shape, bool)
        for starts in self.promotions.T:
            promoted |= (t >= starts) & (t < starts + PROMOTION_H)
        return Effect(spend=spend, worth=np.where(promoted, PROMOTION_WORTH, 1.0))


def _some(draw: Draw, chance: float, n: int, hours: float) -> Floats:
    """A moment of the run for some, never for the others."""
    chosen: NDArray[np.bool_] = draw.random(n) < chance
    return np.where(chosen, draw.uniform(0.0, hours, n), np.inf)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Alarms on healthy accounts after their first three weeks, and in them."""

    campaigns: int
    accounts: int
    months: float
    alarms: int
    young_months: float
    young_alarms: int
    signals: dict[str, int]


def work(task: Task) -> Quiet:
    """Watch the accounts."""
    fleet = task.fleet
    watch = Watch(fleet, [task.seed, task.campaigns, 79])
    live(watch.source)
    began_ms, hours = watch.source.now_ms, HISTORY_H + 24.0 * task.days
    life = Life(fleet, hours, np.random.default_rng([task.seed, task.campaigns, 80]))

    def happens(first: int, size: int, opened: list[Opening]) -> Effect:
        return life.effect((np.arange(first, first + size) + 0.5) * fleet.every_ms / 3_600_000)

    opened = watch.run(intervals_in(hours, fleet), happens)
    return counted(task, opened, began_ms)


def counted(task: Task, opened: Sequence[Opening], began_ms: int) -> Quiet:
    """Alarms of the first three weeks apart from the others."""
    grown = [one.signal for one in opened if one.at_ms > began_ms + HISTORY_H * 3_600_000]
    return Quiet(
        task.campaigns, task.accounts, task.accounts * task.days / 30.0, len(grown),
        task.accounts * HISTORY_H / QUIET_H, len(opened) - len(grown),
        {name: grown.count(name) for name in sorted(set(grown))},
    )  # fmt: skip


def tasks(size: Size) -> list[Task]:
    """The more campaigns, the fewer accounts."""
    accounts = {1: 6, 10: 4, 100: 2, 1000: 1} if size.quick else {1: 80, 10: 40, 100: 20, 1000: 8}
    return [Task(n, accounts[n], float(size.of(60, 14)), size.seed) for n in sorted(accounts, reverse=True)]


def run(size: Size) -> Part:
    """The part."""
    return written(side_by_side(work, tasks(size), size.jobs)[::-1])


def written(found: list[Quiet]) -> Part:
    """Tables and bars."""
    columns = ("campaigns", "conversions a day", "account-months", "alarms", "a month", "upper 95 %",
               "first 3 weeks, a month", "names")  # fmt: skip
    rows = tuple(
        (x.campaigns, round(CAMPAIGNS[x.campaigns]), round(x.months, 1), x.alarms, x.alarms / x.months,
         upper_bound(x.alarms) / x.months, x.young_alarms / x.young_months,
         ", ".join(f"{name} {n}" for name, n in x.signals.items()))
        for x in found
    )  # fmt: skip
    part = Part("Accounts", ABOUT, [Table("False alarms per account-month where 1 is promised", columns, rows)])
    part.bars = [
        Bar(f"false alarms a month, {x.campaigns} campaign{'s' if x.campaigns > 1 else ''}", 1.0, x.alarms / x.months)
        for x in found
    ]
    part.data = {"accounts": [asdict(x) for x in found]}
    return part
