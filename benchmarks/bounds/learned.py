"""Delays and false alarms of the whole product, everything learned from the facts.

Accounts of one campaign side by side in one pipeline; traffic and conversion rate swing by the hour and the weekday,
hourly counts have variance ``phi`` times their mean (gamma noise, one draw an hour).  After three healthy weeks every
account's effect begins at a random interval of the next three days.  A delay is counted in operational time: the
conversions that the healthy account would have brought since the onset, over its mean rate; so an onset in the quiet
of the night is held against the same limit as one at noon.

The limit is ``theory.limit`` at the account's promise, with the negative binomial's information.  It is exact for
counts that are independent from moment to moment; with a noise that an hour shares, it is exact to the hour, so where
it is shorter than an hour (2,400 a day) and ``phi`` above 1 it is an approximation.  The product shares the promise
out over its tests, lets some be surer than their share, and then adds up what they hold, so the limit at what the test
that is to tell of the effect has (counts; of an outage the timer) is printed beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from benchmarks.bounds.drawing import DAY_MS, HOUR_MS, Effect, Fleet, Ints, Source, intervals_in
from benchmarks.bounds.report import Bar, Part, Size, Table, side_by_side, worst
from benchmarks.bounds.theory import OUTAGE, QUIET_H, Floats, limit, upper_bound
from benchmarks.bounds.watch import Happens, Opening, Saved, Watch
from streams import limits

HISTORY_H = 21 * 24.0
ONSETS_H = 72.0
PATIENCE = 6.0
"""Limits after which a delay is taken as that long, and counted as missed."""
ALL_SHARES = limits.COUNT + limits.SILENCE + limits.BASKETS + limits.ROAS
"""Shares of the tests that an account of one campaign without click times is put to; its source and itself say what
the campaign says, and take none."""
MINUTELY_A_DAY = 1000.0
SHORTFALLS = ("cpa_spike", "tracking_outage")
"""Names under which missing conversions are told; which of them is right is measured in ``naming``."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """A rate and a dispersion."""

    a_day: float
    phi: float

    def fleet(self, accounts: int) -> Fleet:
        """Accounts of one such campaign each; the busy are told every minute, the others every five."""
        every_ms = 60_000 if self.a_day >= MINUTELY_A_DAY else 300_000
        return Fleet.single(accounts, self.a_day, self.phi, every_ms=every_ms)


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """False alarms per account-month in the first three weeks and after them, with the upper 95 % bound."""

    a_day: float
    phi: float
    months: float
    alarms: int
    rate: float
    upper: float
    young_months: float
    young_alarms: int
    signals: dict[str, int]


@dataclass(frozen=True, slots=True)
class Delays:
    """Delays in operational hours over the limit."""

    a_day: float
    phi: float
    effect: str
    limit_h: float
    mean_h: float
    over_limit: float
    over_scaled: float
    over_own: float
    p50_over: float
    p95_over: float
    clock_p50_h: float
    missed: float
    accounts: int


def history(stratum: Stratum, accounts: int, seed: Sequence[int]) -> tuple[Watch, list[Opening]]:
    """Three healthy weeks of a stratum."""
    watch = Watch(stratum.fleet(accounts), [*seed, 1])
    return watch, watch.run(intervals_in(HISTORY_H, watch.source.fleet))


def false_alarms(stratum: Stratum, watch: Watch, young: list[Opening], days: float) -> FalseAlarms:
    """Go on for ``days`` healthy days after the history and count."""
    accounts = len(watch.source.fleet.a_day)
    opened = watch.run(intervals_in(24.0 * days, watch.source.fleet))
    months = accounts * days / 30.0
    names = [o.signal for o in opened]
    return FalseAlarms(
        stratum.a_day, stratum.phi, months, len(opened), len(opened) / months, upper_bound(len(opened)) / months,
        accounts * HISTORY_H / QUIET_H, len(young), {name: names.count(name) for name in sorted(set(names))},
    )  # fmt: skip


def delays(stratum: Stratum, accounts: int, saved: Saved, ratio: float, lost: float, seed: Sequence[int]) -> Delays:
    """The effect on every account of a copy of the history: CPA times ``ratio``, or a share ``lost`` of arrivals."""
    fleet = stratum.fleet(accounts)
    watch = Watch.branch(fleet, saved, seed)
    before = watch.disturbed()
    shape = effective_ratio(ratio, lost)
    best_h = limit(stratum.a_day / 24.0, shape, stratum.phi)
    total = intervals_in(ONSETS_H + max(2.0 * 24.0, 1.5 * PATIENCE * best_h), fleet)
    onset = onsets(watch.source, accounts, fleet)
    opened = watch.run(total, struck(onset, ratio, lost, saved.now_ms, fleet.every_ms), most_h=24)
    found = first_after(opened, onset, saved.now_ms, fleet.every_ms)
    use = [a for a in range(accounts) if a not in before and not found[a][1]]
    return summed_up(stratum, shape, lost, best_h, [(int(onset[a]), found[a][0]) for a in use], saved.now_ms, total)


def onsets(source: Source, accounts: int, fleet: Fleet) -> Ints:
    """The interval in which each account's effect begins."""
    return source.draw.integers(0, intervals_in(ONSETS_H, fleet), accounts)


def effective_ratio(ratio: float, lost: float) -> float:
    """Times fewer conversions.

    >>> effective_ratio(1.0, 0.5), effective_ratio(1.0, 1.0)
    (2.0, inf)
    """
    return OUTAGE if lost >= 1.0 else ratio / (1.0 - lost)


def struck(onset: Ints, ratio: float, lost: float, from_ms: int, every_ms: int) -> Happens:
    """The effect on each campaign from its ``onset`` on; whoever was told of it is watched no longer."""

    def happens(first: int, size: int, opened: list[Opening]) -> Effect:
        on = np.arange(first, first + size)[:, None] >= onset
        found = first_after(opened, onset, from_ms, every_ms)
        told = np.array([found[a][0] is not None for a in range(len(onset))])
        return Effect(worth=np.where(on, 1.0 / ratio, 1.0), lost=np.where(on, lost, 0.0), silent=told)

    return happens


def first_after(opened: list[Opening], onset: Ints, from_ms: int, every_ms: int) -> dict[int, tuple[int | None, bool]]:
    """Per account: when it was first told after its onset, and whether it was told too early (then it is left out)."""
    found: dict[int, tuple[int | None, bool]] = dict.fromkeys(range(len(onset)), (None, False))
    for one in opened:
        if one.signal not in SHORTFALLS:
            continue
        at_ms, early = found[one.account]
        if one.at_ms <= from_ms + onset[one.account] * every_ms:
            found[one.account] = (at_ms, True)
        elif at_ms is None:
            found[one.account] = (one.at_ms, early)
    return found


def summed_up(
    stratum: Stratum, shape: float, lost: float, best_h: float, told: list[tuple[int, int | None]], from_ms: int,
    total: int,
) -> Delays:  # fmt: skip
    """Mean and quantiles of the delays, those over ``PATIENCE`` limits cut there."""
    fleet = stratum.fleet(1)
    clock = operational(fleet, from_ms, total)
    spent = []
    for onset, at_ms in told:
        end = total if at_ms is None else min(total, (at_ms - from_ms) // fleet.every_ms)
        spent.append(clock[end] - clock[onset] if at_ms is not None else np.inf)
    hours = np.minimum(np.array(spent), PATIENCE * best_h)
    clock_h = [np.inf if at is None else (at - from_ms - on * fleet.every_ms) / HOUR_MS for on, at in told]
    own_h = limit(stratum.a_day / 24.0, shape, stratum.phi, QUIET_H * ALL_SHARES / own_share(shape, stratum.a_day))
    mean = float(hours.mean())
    return Delays(
        stratum.a_day, stratum.phi, effect_name(shape, lost), best_h, mean, mean / best_h,
        mean / (stratum.phi * limit(stratum.a_day / 24.0, shape)), mean / own_h,
        float(np.quantile(hours, 0.5)) / best_h, float(np.quantile(hours, 0.95)) / best_h,
        float(np.quantile(clock_h, 0.5, method="lower")), 
        float(np.mean(np.array(spent) >= PATIENCE * best_h)), len(told),
    )  # fmt: skip


def operational(fleet: Fleet, from_ms: int, intervals: int) -> Floats:
    """Hours at the mean rate that bring as much as a healthy campaign was due since ``from_ms``, per interval's end."""
    source = Source(fleet, np.random.default_rng(0), from_ms)
    due = source.usual(intervals)[0] / (fleet.a_day[0] * fleet.every_ms / DAY_MS)
    return np.concatenate([[0.0], np.cumsum(due[:, 0])]) * fleet.every_ms / HOUR_MS


def own_share(shape: float, a_day: float) -> float:
    """What the test that is to tell of it, the timer or the count test, has of the promise at ``a_day`` a day."""
    share = limits.SILENCE if math.isinf(shape) else limits.COUNT
    return float(share * limits.busy(a_day))


def effect_name(shape: float, lost: float) -> str:
    """In words."""
    if lost >= 1.0:
        return "outage"
    return f"CPA x {shape:g}" if lost == 0.0 else "half outage"


EFFECTS: tuple[tuple[float, float], ...] = ((1.25, 0.0), (1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (1.0, 0.5), (1.0, 1.0))


def measure(stratum: Stratum, accounts: int, days: float, effects: Sequence[tuple[float, float]], seed: int) -> tuple[
    FalseAlarms, list[Delays]
]:  # fmt: skip
    """A stratum's false alarms over ``days`` after the history, and, of as many other accounts, its delays."""
    key = [seed, int(stratum.a_day), int(10 * stratum.phi)]
    late = []
    if effects:
        saved = history(stratum, accounts, [*key, 3])[0].save()
        late = [delays(stratum, accounts, saved, ratio, lost, [*key, 2, i]) for i, (ratio, lost) in enumerate(effects)]
    watch, young = history(stratum, accounts, key)
    return false_alarms(stratum, watch, young, days), late


A_DAY = (12.0, 24.0, 48.0, 120.0, 240.0, 480.0, 2400.0)
PHIS = (1.0, 1.5, 2.0, 3.0, 5.0)
JUDGED = ("CPA x 1.5", "CPA x 2", "CPA x 3")
ABOUT = (
    "Whole product, level, season, dispersion and lag learned online from the facts; one campaign an account, default "
    "promise; gamma noise drawn once an hour. Delays in operational hours over D* (w* for an outage) at the account's "
    "promise (exact for negative binomial counts), over phi times the limit of Poisson counts, and over the limit at "
    "its own test's share."
)


@dataclass(frozen=True, slots=True)
class Task:
    """One stratum's work."""

    stratum: Stratum
    accounts: int
    days: float
    effects: tuple[tuple[float, float], ...]
    seed: int


def tasks(size: Size) -> list[Task]:
    """All strata; delays only up to ``phi`` 2."""
    accounts = size.of(192, 32)
    a_day = A_DAY if not size.quick else (24.0, 240.0)
    phis = PHIS if not size.quick else (1.0, 2.0)
    return [
        Task(Stratum(rate, phi), accounts, float(size.of(30, 10)), EFFECTS if phi in (1.0, 2.0) else (), size.seed)
        for rate in a_day
        for phi in phis
    ]


def work(task: Task) -> tuple[FalseAlarms, list[Delays]]:
    """A task done."""
    return measure(task.stratum, task.accounts, task.days, task.effects, task.seed)


def run(size: Size) -> Part:
    """The part."""
    results = side_by_side(work, tasks(size), size.jobs)
    false, late = [r[0] for r in results], [d for r in results for d in r[1]]
    return written(false, late)


def written(false: Sequence[FalseAlarms], late: Sequence[Delays]) -> Part:
    """Tables and bars."""
    part = Part("Learned level", ABOUT, [false_table(false), delay_table(late)])
    judged = [d for d in late if d.effect in JUDGED and 24 <= d.a_day <= 480]
    part.bars = [
        Bar("false alarms over the promise, worst stratum", 1.0, worst(f.rate for f in false)),
        Bar("their upper 95 % bound, worst stratum", 1.3, worst(f.upper for f in false)),
        *(
            Bar(f"mean delay over phi x D*, {effect}, 24 to 480 a day, phi {phi:g}, worst", 1.5,
                worst(d.over_scaled for d in judged if d.effect == effect and d.phi == phi))
            for effect in JUDGED for phi in (1.0, 2.0)
        ),
    ]  # fmt: skip
    part.data = {"false_alarms": [asdict(f) for f in false], "delays": [asdict(d) for d in late]}
    return part


def false_table(false: Sequence[FalseAlarms]) -> Table:
    """False alarms by stratum."""
    return Table(
        "False alarms per account-month where 1 is promised",
        ("a day", "phi", "account-months", "alarms", "a month", "upper 95 %", "first 3 weeks, a month", "names"),
        tuple(
            (f"{f.a_day:g}", f.phi, round(f.months), f.alarms, f.rate, f.upper, f.young_alarms / f.young_months,
             ", ".join(f"{name} {n}" for name, n in f.signals.items()))
            for f in false
        ),
    )  # fmt: skip


def delay_table(late: Sequence[Delays]) -> Table:
    """Delays by stratum and effect."""
    return Table(
        "Delays",
        ("a day", "phi", "effect", "limit h", "mean h", "over limit", "over phi x D*", "over limit at own share",
         "p50 over", "p95 over", "p50 on the clock h", "missed", "accounts"),
        tuple(
            (f"{d.a_day:g}", d.phi, d.effect, d.limit_h, d.mean_h, d.over_limit, d.over_scaled, d.over_own,
             d.p50_over, d.p95_over, d.clock_p50_h, f"{d.missed:.0%}", d.accounts)
            for d in late
        ),
    )  # fmt: skip
