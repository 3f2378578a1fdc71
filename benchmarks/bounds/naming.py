"""Outage, CPA spike or stale feed: is it called what it is?

Accounts as in ``learned``, with a fifth of Criteo's lag (a fifth of conversions after half a day and more) and no
season, so that a rate is the same at every hour.  An outage loses conversions whenever their ads were clicked; a CPA
spike strikes the clicks since the onset; a stale feed sends nothing at all, its watermarks included, and there nothing
may be told: what has not been reported is not missing.  Spend and watermarks go on through an outage; no conversion
comes, so the clock alone tells of it.  Beside the first name stands how often it is right by a namer who knows every
rate and the cases (:mod:`benchmarks.bounds.namer`), at the same moment: over the cases together that is the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from benchmarks.bounds.drawing import FLAT, Effect, Fleet, Ints, intervals_in
from benchmarks.bounds.lag import live
from benchmarks.bounds.learned import HISTORY_H, SHORTFALLS, Stratum, effective_ratio
from benchmarks.bounds.namer import Arrived, Namer
from benchmarks.bounds.report import Bar, Part, Size, Table, side_by_side, worst
from benchmarks.bounds.theory import limit
from benchmarks.bounds.watch import Happens, Opening, Saved, Watch
from events.batch import Batch

A_DAY = (24.0, 48.0, 120.0, 240.0, 480.0, 2400.0)
STRETCH = 0.2
ONSETS_H = 24.0
STALE_H = 72.0
CASES: dict[str, tuple[float, float, str]] = {
    "outage": (1.0, 1.0, "tracking_outage"),
    "half outage": (1.0, 0.5, "tracking_outage"),
    "CPA x 2": (2.0, 0.0, "cpa_spike"),
    "CPA x 3": (3.0, 0.0, "cpa_spike"),
}
"""Ratio, share lost and right name."""
MINUTES = {240.0: 60.0, 2400.0: 8.0}
"""Within how many minutes an outage is to be told, by conversions a day."""
ABOUT = (
    "Whole product, everything learned, phi 1, no season, a fifth of Criteo's lag. First name: what the first alert "
    "after the onset was called; knowing all: whether whoever knows every rate, the lag and the cases would have named "
    "it rightly at that moment, which nobody does oftener over the cases together; a day later: whether the name that "
    "was said last within a day after it is right. A stale feed is a source that falls silent altogether, watermarks "
    "included, for three days."
)


@dataclass(frozen=True, slots=True)
class Task:
    """One rate, so many accounts."""

    a_day: float
    accounts: int
    seed: int

    @property
    def fleet(self) -> Fleet:
        """With a moderate lag."""
        return replace(Stratum(self.a_day, 1.0).fleet(self.accounts), lag=True, stretch=STRETCH, season=FLAT)


@dataclass(frozen=True, slots=True)
class Named:
    """One case at one rate."""

    a_day: float
    case: str
    accounts: int
    told: int
    first_right: int
    knowing_right: int
    right_a_day_later: int
    p50_min: float
    p95_min: float


@dataclass(frozen=True, slots=True)
class Stale:
    """Alerts told of silent sources, and of the same accounts in as long before."""

    a_day: float
    accounts: int
    alerts: int


def work(task: Task) -> tuple[list[Named], Stale]:
    """A rate measured."""
    key = [task.seed, int(task.a_day), 78]
    watch = Watch(task.fleet, [*key, 1])
    live(watch.source)
    watch.run(intervals_in(HISTORY_H, task.fleet))
    saved = watch.save()
    cases = [_case(task, saved, name, [*key, 2, i]) for i, name in enumerate(CASES)]
    return cases, _stale(task, saved, [*key, 3])


def _case(task: Task, saved: Saved, name: str, seed: Sequence[int]) -> Named:
    ratio, lost, right = CASES[name]
    fleet = task.fleet
    watch = Watch.branch(fleet, saved, seed)
    watch.fed = []
    before = watch.disturbed()
    onset = watch.source.draw.integers(0, intervals_in(ONSETS_H, fleet), task.accounts)
    wait_h = 12.0 + 8.0 * limit(task.a_day / 24.0, effective_ratio(ratio, lost))
    opened = watch.run(intervals_in(ONSETS_H + wait_h, fleet), _until_told(onset, ratio, lost, saved, fleet), most_h=12)
    since: dict[int, list[Opening]] = {a: [] for a in range(task.accounts) if a not in before}
    for one in opened:
        if one.account in since and one.signal in SHORTFALLS:
            since[one.account].append(one)
    starts = saved.now_ms + onset * fleet.every_ms
    kept = {a: told for a, told in since.items() if not told or told[0].at_ms > starts[a]}
    heard = [told for told in kept.values() if told]
    minutes = [(told[0].at_ms - starts[a]) / 60_000 if told else np.inf for a, told in kept.items()]
    return Named(
        task.a_day, name, len(kept), len(heard), sum(told[0].signal == right for told in heard),
        sum(said == right for said in _knowing(task, saved, watch.fed, [told[0] for told in heard])),
        sum(told[-1].signal == right for told in heard),
        float(np.quantile(minutes, 0.5, method="higher")), float(np.quantile(minutes, 0.95, method="higher")),
    )  # fmt: skip


def _knowing(task: Task, saved: Saved, fed: list[Batch], told: list[Opening]) -> list[str]:
    """What whoever knows every rate would have said of each account at the moment it was told of."""
    onsets_ms = saved.now_ms + np.arange(intervals_in(ONSETS_H, task.fleet)) * task.fleet.every_ms
    ratios = tuple(ratio for ratio, lost, _ in CASES.values() if lost == 0.0)
    losses = tuple(lost for _, lost, _ in CASES.values() if lost > 0.0)
    namer, arrived = Namer(task.a_day / 24.0, STRETCH, ratios, losses, onsets_ms), Arrived.of(fed)
    odds = [namer.dear_odds(*arrived.until(one.account, one.at_ms), one.at_ms) for one in told]
    return ["cpa_spike" if nats > 0.0 else "tracking_outage" for nats in odds]


def _until_told(onset: Ints, ratio: float, lost: float, saved: Saved, fleet: Fleet) -> Happens:
    """The effect; whoever was told a day ago is watched no longer."""
    day = intervals_in(24.0, fleet)

    def happens(first: int, size: int, opened: list[Opening]) -> Effect:
        on = np.arange(first, first + size)[:, None] >= onset
        silent = np.zeros(len(onset), bool)
        for one in opened:
            told = (one.at_ms - saved.now_ms) // fleet.every_ms
            silent[one.account] |= one.signal in SHORTFALLS and onset[one.account] < told < first - day
        return Effect(worth=np.where(on, 1.0 / ratio, 1.0), lost=np.where(on, lost, 0.0), silent=silent)

    return happens


def _stale(task: Task, saved: Saved, seed: Sequence[int]) -> Stale:
    """Every source falls silent at a random interval; one that nobody counts goes on, so that the log goes on."""
    fleet = task.fleet
    watch = Watch.branch(fleet, saved, seed)
    onset = watch.source.draw.integers(0, intervals_in(ONSETS_H, fleet), task.accounts)

    def happens(first: int, size: int, opened: list[Opening]) -> Effect:
        silent = np.arange(first, first + size)[:, None] >= onset
        silent[:, 0] = False
        return Effect(silent=silent)

    opened = watch.run(intervals_in(ONSETS_H + STALE_H, fleet), happens)
    starts = saved.now_ms + onset * fleet.every_ms
    late = [one for one in opened if one.account > 0 and one.at_ms > starts[one.account] + fleet.every_ms]
    return Stale(task.a_day, task.accounts - 1, len(late))


def run(size: Size) -> Part:
    """The part."""
    a_day = (48.0, 240.0, 2400.0) if size.quick else A_DAY
    results = side_by_side(work, [Task(rate, size.of(120, 12), size.seed) for rate in a_day], size.jobs)
    return written([named for cases, _ in results for named in cases], [stale for _, stale in results])


def written(named: list[Named], stale: list[Stale]) -> Part:
    """Tables and bars."""
    columns = (
        "a day",
        "what",
        "accounts",
        "told",
        "first name right",
        "knowing all",
        "a day later",
        "p50 min",
        "p95 min",
    )
    rows = tuple(
        (f"{x.a_day:g}", x.case, x.accounts, x.told, _share(x.first_right, x.told), _share(x.knowing_right, x.told),
         _share(x.right_a_day_later, x.told), x.p50_min, x.p95_min)
        for x in named
    )  # fmt: skip
    part = Part("Naming", ABOUT, [Table("Names", columns, rows), _stale_table(stale)])
    part.bars = [Bar(f"{case}, first name right", 0.95, _right(named, case), at_least=True) for case in CASES]
    part.bars.append(Bar("all cases, first name right", 0.95, _right(named, *CASES), at_least=True))
    part.bars.append(Bar("first names right over the limit's", 0.95, _over_limit(named), at_least=True))
    part.bars.append(Bar("alerts told of stale feeds", 0.0, worst(float(x.alerts) for x in stale)))
    part.bars += [
        Bar(f"outage at {x.a_day:g} a day, p50 minutes", MINUTES[x.a_day], x.p50_min)
        for x in named
        if x.case == "outage" and x.a_day in MINUTES
    ]
    part.data = {"named": [asdict(x) for x in named], "stale": [asdict(x) for x in stale]}
    return part


def _right(named: list[Named], *cases: str) -> float:
    mine = [x for x in named if x.case in cases]
    return sum(x.first_right for x in mine) / max(1, sum(x.told for x in mine))


def _over_limit(named: list[Named]) -> float:
    """First names that are right over those of whoever knows all rates."""
    return sum(x.first_right for x in named) / max(1, sum(x.knowing_right for x in named))


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else ""


def _stale_table(stale: list[Stale]) -> Table:
    rows = tuple((f"{x.a_day:g}", x.accounts, x.alerts) for x in stale)
    return Table("Stale feeds", ("a day", "sources", "alerts"), rows)
