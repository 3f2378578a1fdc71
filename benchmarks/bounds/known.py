"""The product's own count test and outage timer where the level is known: what remains is what they themselves cost.

Counts of short panes are drawn, negative binomial with variance ``phi`` times the mean, independent from pane to pane
(``phi`` 1: Poisson), and go through ``detectors.deficit.step`` and ``detectors.outage.run`` as they stand, with nothing
in doubt, at the threshold that the product would take for a test that has the whole promise.  Delays of the count test
are told twice: from zero evidence on, which is the worst history and what the limit means, and in mid-life, with what
chance happens to have left.  Half an outage is CPA times 2 to the counts.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numba
import numpy as np
from scipy.optimize import bisect

from benchmarks.bounds.report import Bar, Part, Size, Table, side_by_side, worst
from benchmarks.bounds.theory import OUTAGE, QUIET_H, Floats, information, limit, upper_bound
from detectors import deficit, outage

A_DAY = (12.0, 24.0, 48.0, 120.0, 240.0, 480.0, 2400.0)
PHIS = (1.0, 1.5, 2.0, 3.0, 5.0)
QUICK = ((24.0, 1.0), (24.0, 3.0), (48.0, 1.0), (120.0, 1.0), (240.0, 1.0), (480.0, 1.0), (2400.0, 1.0))
RATIOS = (1.25, 1.5, 2.0, 3.0)
JUDGED = (1.5, 2.0, 3.0)
PANE_MU = 1.0 / 32.0
SHORTEST_H = 1.0 / 240.0
MID_LIFE = 2.0
"""Limits that a stream has been healthy for when what strikes it strikes in mid-life."""
PATIENCE = 60.0
"""Limits after which a delay is cut."""
ABOUT = (
    "The product's compiled count test and timer alone, level and dispersion given, each with the whole promise of one "
    "false alarm in 720 h; negative binomial counts, independent from pane to pane. Mean delays over D*, from zero "
    "evidence (the worst history) and in mid-life; of the timer p50 and p95 over w*. Half an outage is CPA x 2."
)


@numba.njit  # type: ignore[untyped-decorator]
def count(mean: float, phi: float, kept: float) -> float:
    """A draw with variance ``phi`` times its mean, of which a share ``kept`` is left."""
    if phi > 1.0:
        mean = np.random.gamma(mean / (phi - 1.0), phi - 1.0)
    return float(np.random.poisson(mean * kept)) if mean > 0.0 else 0.0


@numba.njit  # type: ignore[untyped-decorator]
def _advance(row: Floats, n: float, mu: float, slopes: Floats, dt_ms: float) -> float:
    """The count test's evidence after a pane that completed a step, otherwise 0."""
    return deficit.evidence(row) if deficit.step(row, n, mu, slopes, 0.0, dt_ms) else 0.0


@numba.njit  # type: ignore[untyped-decorator]
def _count_panes(
    seed: int, mu: float, kept: float, phi: float, dt_ms: float, gamma: float, healthy: int, most: int, runs: int
) -> Floats:
    """Panes from the change, after so many ``healthy`` ones, to the alarm; ``most`` where none came.

    A run that alarms before its change begins anew.
    """
    np.random.seed(seed)
    panes = np.empty(runs)
    slopes = np.empty((deficit.GRID_SIZE, 2))
    deficit.slopes(np.full(deficit.GRID_SIZE, phi), slopes)
    row = np.zeros(deficit.COLUMNS)
    for i in range(runs):
        row[:] = 0.0
        pane = -healthy
        while pane < most:
            pane += 1
            if _advance(row, count(mu, phi, kept if pane > 0 else 1.0), mu, slopes, dt_ms) >= gamma:
                if pane > 0:
                    break
                row[:] = 0.0
                pane = -healthy
        panes[i] = pane
    return panes


@numba.njit  # type: ignore[untyped-decorator]
def _count_false(seed: int, mu: float, phi: float, dt_ms: float, gamma: float, panes: int) -> int:
    np.random.seed(seed)
    slopes = np.empty((deficit.GRID_SIZE, 2))
    deficit.slopes(np.full(deficit.GRID_SIZE, phi), slopes)
    row = np.zeros(deficit.COLUMNS)
    alarms = 0
    for _ in range(panes):
        if _advance(row, count(mu, phi, 1.0), mu, slopes, dt_ms) >= gamma:
            alarms += 1
            row[:] = 0.0
    return alarms


@numba.njit  # type: ignore[untyped-decorator]
def _timer_panes(seed: int, mu: float, phi: float, gamma: float, runs: int) -> Floats:
    """Panes from the outage to the alarm; the last conversion is as long ago as it happens to be."""
    np.random.seed(seed)
    panes = np.empty(runs)
    row = np.zeros(outage.COLUMNS)
    for i in range(runs):
        row[:] = 0.0
        for _ in range(int(20.0 / mu) + 1):
            if outage.run(row, count(mu, phi, 1.0), mu, phi, 0.0) >= gamma:
                row[:] = 0.0
        pane = 1
        while outage.run(row, 0.0, mu, phi, 0.0) < gamma:
            pane += 1
        panes[i] = pane
    return panes


@numba.njit  # type: ignore[untyped-decorator]
def _timer_false(seed: int, mu: float, phi: float, gamma: float, panes: int) -> int:
    np.random.seed(seed)
    row = np.zeros(outage.COLUMNS)
    alarms = 0
    for _ in range(panes):
        if outage.run(row, count(mu, phi, 1.0), mu, phi, 0.0) >= gamma:
            alarms += 1
            row[:] = 0.0
    return alarms


@numba.njit  # type: ignore[untyped-decorator]
def _cusum_panes(seed: int, mu: float, r: float, phi: float, kept: float, height: float, most: int, runs: int) -> float:
    """Mean panes until the CUSUM that knows ``r`` passes ``height``, from zero."""
    np.random.seed(seed)
    total = 0.0
    for _ in range(runs):
        s = 0.0
        pane = 0
        while s < height and pane < most:
            s = max(0.0, s + deficit.log_ratio(count(mu, phi, kept), mu, phi, r))
            pane += 1
        total += pane
    return total / runs


@dataclass(frozen=True, slots=True)
class Grain:
    """Panes of a stream of ``rate`` conversions an hour: a 32nd of a conversion each, a quarter minute at least.

    >>> Grain(1.0).hours, round(Grain(100.0).mu, 3)
    (0.03125, 0.417)
    """

    rate: float

    @property
    def hours(self) -> float:
        """Length of a pane."""
        return max(PANE_MU / self.rate, SHORTEST_H)

    @property
    def mu(self) -> float:
        """Conversions expected in a pane; exact in binary where it may be, so that steps are as long as they should."""
        return max(PANE_MU, self.rate * SHORTEST_H)

    @property
    def gamma(self) -> float:
        """Conversions expected in ``QUIET_H``."""
        return QUIET_H * self.rate


def count_delay(rate: float, r: float, phi: float, seed: int, runs: int, healthy_h: float = 0.0) -> Floats:
    """Hours from a change, after ``healthy_h`` hours, to the count test's alarm."""
    grain = Grain(rate)
    healthy = int(healthy_h / grain.hours)
    most = int(PATIENCE * limit(rate, r, phi) / grain.hours)
    panes = _count_panes(seed, grain.mu, 1.0 / r, phi, grain.hours * 3.6e6, grain.gamma, healthy, most, runs)
    return np.asarray(panes * grain.hours)


def timer_delay(rate: float, phi: float, seed: int, runs: int) -> Floats:
    """Hours from an outage to the timer's alarm."""
    grain = Grain(rate)
    return np.asarray(_timer_panes(seed, grain.mu, phi, QUIET_H * rate * outage.pace(phi), runs) * grain.hours)


def cusum_hours(rate: float, r: float, phi: float, height: float, seed: int, runs: int, changed: bool) -> float:
    """Mean hours until the CUSUM that knows ``r`` passes ``height``, after the change or without one."""
    grain = Grain(rate)
    most = int(20.0 * QUIET_H / grain.hours)
    return float(grain.hours * _cusum_panes(seed, grain.mu, r, phi, 1.0 / r if changed else 1.0, height, most, runs))


def cusum_delay(rate: float, r: float, phi: float, seed: int, runs: int) -> float:
    """Mean delay of that CUSUM, its height found by simulation so that it is wrong once in ``QUIET_H``."""
    # Evidence overshoots its height by what one conversion brings, so the height is below that of the closed form.
    highest = math.log1p(QUIET_H * information(rate, r, phi)[1]) + 0.5

    def too_long(height: float) -> float:
        return cusum_hours(rate, r, phi, height, seed, runs, changed=False) - QUIET_H

    height = bisect(too_long, highest - 2.0, highest, xtol=0.03)
    return cusum_hours(rate, r, phi, height, seed + 1, 4 * runs, changed=True)


@dataclass(frozen=True, slots=True)
class Task:
    """A stratum, how often its delays are drawn, and how many months are watched for false alarms."""

    a_day: float
    phi: float
    runs: int
    months: int
    seed: int


@dataclass(frozen=True, slots=True)
class Known:
    """What came of it: mean delays over D* by ratio, from zero and in mid-life, the timer's over w*, alarms."""

    a_day: float
    phi: float
    months: int
    limits_h: dict[float, float]
    worst_over: dict[float, float]
    over: dict[float, float]
    timer_limit_h: float
    timer_over: tuple[float, float]
    false_counts: int
    false_timers: int


def work(task: Task) -> Known:
    """A stratum measured."""
    rate, phi, grain = task.a_day / 24.0, task.phi, Grain(task.a_day / 24.0)
    panes = int(task.months * QUIET_H / grain.hours)
    limits = {r: limit(rate, r, phi) for r in RATIOS}
    over = [{r: _mean_over(task, r, healthy * limits[r], limits[r]) for r in RATIOS} for healthy in (0.0, MID_LIFE)]
    waited = timer_delay(rate, phi, task.seed + 1, task.runs) / limit(rate, OUTAGE, phi)
    p50, p95 = (float(np.quantile(waited, q)) for q in (0.5, 0.95))
    return Known(
        task.a_day, phi, task.months, limits, over[0], over[1], limit(rate, OUTAGE, phi), (p50, p95),
        int(_count_false(task.seed + 2, grain.mu, phi, grain.hours * 3.6e6, grain.gamma, panes)),
        int(_timer_false(task.seed + 3, grain.mu, phi, QUIET_H * rate * outage.pace(phi), panes)),
    )  # fmt: skip


def _mean_over(task: Task, r: float, healthy_h: float, best_h: float) -> float:
    return float(count_delay(task.a_day / 24.0, r, task.phi, task.seed, task.runs, healthy_h).mean()) / best_h


def run(size: Size) -> Part:
    """The part."""
    runs, months = size.of(10_000, 8000), size.of(300, 150)
    tasks = [
        Task(a_day, phi, runs, months, 1000 * size.seed + i)
        for i, (a_day, phi) in enumerate((a_day, phi) for a_day in A_DAY for phi in PHIS)
        if not size.quick or (a_day, phi) in QUICK
    ]
    return written(side_by_side(work, tasks, size.jobs))


def written(found: list[Known]) -> Part:
    """Tables and bars."""
    part = Part("Known level", ABOUT, [_delays(found), _false(found)])
    judged = [k for k in found if k.phi == 1.0 and 24 <= k.a_day <= 480]
    part.bars = [
        *(
            Bar(f"mean delay over D*, {how}, CPA x {r:g}, 24 to 480 a day, phi 1, worst", 1.15, worst(over))
            for r in JUDGED
            for how, over in (
                ("worst history", [k.worst_over[r] for k in judged]),
                ("mid-life", [k.over[r] for k in judged]),
            )
        ),
        Bar("outage p50 over w*, worst stratum", 1.10, worst(k.timer_over[0] for k in found)),
        Bar("outage p95 over w*, worst stratum", 1.25, worst(k.timer_over[1] for k in found)),
        *(
            Bar(f"{test}'s false alarms in 720 h, all strata together", 1.0, together(alarms, found))
            for test, alarms in (
                ("count test", [k.false_counts for k in found]),
                ("timer", [k.false_timers for k in found]),
            )
        ),
    ]
    part.data = {"strata": [asdict(k) for k in found]}
    return part


def together(alarms: list[int], found: list[Known]) -> float:
    """Alarms in a month, over all strata: rates are nearly 1 (the timer's exactly at phi 1), so single ones scatter."""
    return sum(alarms) / sum(k.months for k in found)


def _delays(found: list[Known]) -> Table:
    columns = ("a day", "phi", *(x for r in RATIOS for x in (f"D* x {r:g} h", "worst", "mid-life")))
    rows = tuple(
        (
            f"{k.a_day:g}",
            k.phi,
            *(x for r in RATIOS for x in (k.limits_h[r], k.worst_over[r], k.over[r])),
            k.timer_limit_h,
            *k.timer_over,
        )
        for k in found
    )
    return Table("Delays", (*columns, "w* h", "outage p50 over", "p95 over"), rows)


def _false(found: list[Known]) -> Table:
    columns = ("a day", "phi", "months", "count test, a month", "upper 95 %", "timer, a month", "upper 95 %")
    rows = []
    for k in found:
        rates = [x / k.months for n in (k.false_counts, k.false_timers) for x in (float(n), upper_bound(n))]
        rows.append((f"{k.a_day:g}", k.phi, k.months, *rates))
    return Table("False alarms in 720 h", columns, tuple(rows))
