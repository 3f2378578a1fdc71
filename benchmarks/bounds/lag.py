"""Conversions that come days after their clicks, and say when the click was: Criteo's lag, ``theory.LAG``.

Accounts as in ``learned``, in mid-life: conversions of clicks before the first day come in, too.  CPA times 2 strikes
clicks from the onset on, so it shows only as they convert: the limit is the time by which the clicks since the onset
have brought what ``D*`` hours without a lag would, ``integral of F = D*``.  Delays are in operational time: what the
healthy clicks since the onset would have brought by the alarm, as hours of a steady stream with the same lag.

Delays are measured twice: with everything learned, and with rates and seasons known (``cost_is_due``), so that it is
seen what the lag costs and what learning does; lags and dispersion are learned in both.

False alarms are counted over the 30 days after the spend doubles at a midnight, after all lags double, and after they
halve; beside them the same month with nothing happening.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from benchmarks.bounds.drawing import DAY_MS, HOUR_MS, Effect, Fleet, Source, intervals_in
from benchmarks.bounds.learned import HISTORY_H, ONSETS_H, PATIENCE, Stratum, first_after, onsets, struck
from benchmarks.bounds.report import Bar, Part, Size, Table, side_by_side, worst
from benchmarks.bounds.theory import Floats, converted, lagged, limit, upper_bound
from benchmarks.bounds.watch import Saved, Watch

A_DAY = (24.0, 48.0, 120.0, 240.0, 480.0)
RATIO = 2.0
MID_LIFE_H = 21 * 24.0
FALSE_DAYS = 30.0
BREAKS: dict[str, Effect] = {
    "nothing": Effect(),
    "spend doubles overnight": Effect(spend=2.0),
    "lags double": Effect(stretch=2.0),
    "lags halve": Effect(stretch=0.5),
}
ABOUT = (
    "Whole product, phi 1; lag F(t) = .35(1-e^{-t/.33h}) + .15(1-e^{-t/8h}) + .5(1-e^{-t/120h}), "
    "clicked_at given. Delay of CPA x 2 over the cohort-aware limit (integral of F = D*); false alarms per "
    "account-month in the 30 days after a break that is no incident."
)


@dataclass(frozen=True, slots=True)
class Task:
    """One rate, so many accounts, their rates known or learned."""

    a_day: float
    accounts: int
    seed: int
    known: bool = False

    @property
    def fleet(self) -> Fleet:
        """With the lag."""
        return replace(Stratum(self.a_day, 1.0).fleet(self.accounts), lag=True, cost_is_due=self.known)


@dataclass(frozen=True, slots=True)
class Lagged:
    """Delays over the limit and, where rates are learned, alarms by break, in so many account-months each."""

    a_day: float
    known: bool
    limit_h: float
    unlagged_h: float
    over: float
    p50_over: float
    p95_over: float
    missed: float
    accounts: int
    months: float
    alarms: dict[str, int]


def work(task: Task) -> Lagged:
    """A rate measured."""
    key = [task.seed, int(task.a_day), 77]
    watch = Watch(task.fleet, [*key, 1])
    live(watch.source)
    watch.run(intervals_in(HISTORY_H, task.fleet))
    saved = watch.save()
    best_h = limit(task.a_day / 24.0, RATIO)
    over = np.array(_delays(task, saved, [*key, 2])) / lagged(best_h)
    cut = np.minimum(over, PATIENCE)
    breaks = {} if task.known else BREAKS
    return Lagged(
        task.a_day, task.known, lagged(best_h), best_h, float(cut.mean()), float(np.quantile(cut, 0.5)),
        float(np.quantile(cut, 0.95)), float(np.mean(over >= PATIENCE)), len(over), task.accounts * FALSE_DAYS / 30.0,
        {name: _alarms(task, saved, effect, [*key, 3]) for name, effect in breaks.items()},
    )  # fmt: skip


def live(source: Source) -> None:
    """Let weeks pass that nobody watches, so that clicks from then are under way."""
    began_ms = source.now_ms
    source.now_ms -= int(MID_LIFE_H * HOUR_MS)
    while source.now_ms < began_ms:
        source.chunk(intervals_in(24.0, source.fleet))


def _alarms(task: Task, saved: Saved, effect: Effect, seed: Sequence[int]) -> int:
    watch = Watch.branch(task.fleet, saved, seed)
    return len(watch.run(intervals_in(24.0 * FALSE_DAYS, task.fleet), _always(effect)))


def _always(effect: Effect) -> Callable[..., Effect]:
    return lambda first, size, opened: effect


def _delays(task: Task, saved: Saved, seed: Sequence[int]) -> list[float]:
    """Delays in hours of a steady stream; infinite where nothing was told."""
    fleet = task.fleet
    watch = Watch.branch(fleet, saved, seed)
    before = watch.disturbed()
    most_h = PATIENCE * 1.2 * lagged(limit(task.a_day / 24.0, RATIO))
    onset = onsets(watch.source, task.accounts, fleet)
    total = intervals_in(ONSETS_H + 48.0 + most_h, fleet)
    opened = watch.run(total, struck(onset, RATIO, 0.0, saved.now_ms, fleet.every_ms), most_h=24)
    found = first_after(opened, onset, saved.now_ms, fleet.every_ms)
    due = _due(fleet, saved.now_ms, total)
    delays = []
    for a in range(task.accounts):
        at_ms, early = found[a]
        if a not in before and not early:
            end = None if at_ms is None else min(total, (at_ms - saved.now_ms) // fleet.every_ms)
            delays.append(np.inf if end is None else steady_hours(due[onset[a] : end], fleet.every_ms))
    return delays


def _due(fleet: Fleet, from_ms: int, intervals: int) -> Floats:
    """Conversions that the clicks of each interval will bring in all, over those of a mean interval."""
    source = Source(fleet, np.random.default_rng(0), from_ms)
    return np.asarray(source.usual(intervals)[0][:, 0] / (fleet.a_day[0] * fleet.every_ms / DAY_MS))


def steady_hours(due: Floats, every_ms: int) -> float:
    """Hours after which a steady stream's clicks have brought as much as clicks of ``due`` since their first.

    >>> round(steady_hours(np.ones(120), 300_000), 1)
    10.0
    """
    ages_h = (np.arange(len(due), 0, -1) - 0.5) * every_ms / HOUR_MS
    return lagged(float(np.sum(due * converted(ages_h))) * every_ms / HOUR_MS)


def run(size: Size) -> Part:
    """The part."""
    a_day = (48.0, 240.0) if size.quick else A_DAY
    tasks = [
        Task(rate, size.of(600 if known else 200, 16), size.seed, known) for known in (False, True) for rate in a_day
    ]
    return written(side_by_side(work, tasks, size.jobs))


def written(found: list[Lagged]) -> Part:
    """Tables and bars."""
    learned = [x for x in found if not x.known]
    tables = [_delays_of("CPA x 2, all learned", learned)]
    tables += [_delays_of("CPA x 2, rates and seasons known", [x for x in found if x.known]), _false(learned)]
    part = Part("Lag", ABOUT, tables)
    part.bars = [
        Bar("mean delay over the cohort-aware limit, CPA x 2, rates known, worst rate", 1.25,
            worst(x.over for x in found if x.known)),
        Bar("the same, all learned", 1.5, worst(x.over for x in learned)),
    ]  # fmt: skip
    part.bars += [
        Bar(f"false alarms a month, {name}, worst rate", 1.0, worst(x.alarms[name] / x.months for x in learned))
        for name in BREAKS
    ]
    part.data = {"rates": [asdict(x) for x in found]}
    return part


def _delays_of(name: str, found: list[Lagged]) -> Table:
    columns = ("a day", "D* without lag h", "limit h", "mean over limit", "p50 over", "p95 over", "missed", "accounts")
    rows = tuple(
        (f"{x.a_day:g}", x.unlagged_h, x.limit_h, x.over, x.p50_over, x.p95_over, f"{x.missed:.0%}", x.accounts)
        for x in found
    )
    return Table(name, columns, rows)


def _false(found: list[Lagged]) -> Table:
    cells = [
        (f"{x.a_day:g}", name, round(x.months), n, n / x.months, upper_bound(n) / x.months)
        for x in found
        for name, n in x.alarms.items()
    ]
    columns = ("a day", "what happens", "account-months", "alarms", "a month", "upper 95 %")
    return Table("False alarms per account-month where 1 is promised", columns, tuple(cells))
