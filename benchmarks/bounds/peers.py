"""What else is in use, on streams drawn alike: rolling CPA z-scores, River's models on hourly CPA, Google's rule.

Hourly spend and conversions of the accounts of ``learned`` (season, gamma noise), one campaign each, three weeks of
history.  A peer gives every hour a score; its threshold is the one with which it alarms once in 720 h on sixty further
healthy days of the same accounts, an alarm being a score at or above it after 24 quiet hours.  So each peer knows what
no user can, its false alarms.  Google's rule has no score and is taken as it is, with three weeks as its past, as is a
score that says the same too often for any threshold to be so quiet.  Delays are in operational time over the limit;
those beyond 20 limits are cut, and where most are, the word is never.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from river import anomaly

from benchmarks.bounds import learned
from benchmarks.bounds.drawing import BEGIN_MS, COST_MICROS, HOUR_MS, Fleet, Ints, Source
from benchmarks.bounds.report import Part, Size, Table, side_by_side
from benchmarks.bounds.theory import OUTAGE, QUIET_H, Floats, limit
from detectors.account_anomaly import AccountAnomaly
from detectors.river_model import model_from

HISTORY = 21 * 24
CLEAN = 60 * 24
ONSETS = 72
PATIENCE = 20.0
COOL_DOWN = 24
PAST = 14 * 24
"""Hours over which a rolling z-score takes its mean and deviation."""
HALF = 0.5
"""Conversions added to none, so that an hour without any has a CPA."""
EFFECTS = {"CPA x 1.5": 1.5, "CPA x 2": 2.0, "CPA x 3": 3.0, "outage": OUTAGE}
STRATA = ((24.0, 1.0), (24.0, 2.0), (240.0, 1.0), (240.0, 2.0), (2400.0, 1.0))
OURS = "adwatch"
ABOUT = (
    "Hourly streams with season and gamma noise, drawn alike for all. Peers' thresholds are set to one false alarm in "
    "720 h by looking at the same accounts' healthy months; adwatch keeps its promise without. Mean delay over D* "
    "(w* of an outage), operational time."
)


@dataclass(frozen=True, slots=True)
class Streams:
    """Spend in conversions' worth and conversions, both by account and hour."""

    spend: Floats
    counts: Floats

    @property
    def cpa(self) -> Floats:
        """Hourly, in units of money."""
        return self.spend * (COST_MICROS / 1e6) / np.maximum(self.counts, HALF)


Scorer = Callable[[Streams], Floats]


def rolling_z(hours: int) -> Scorer:
    """CPA of the last ``hours``, its logarithm, in deviations from the mean of what it was in the last 14 days."""

    def score(streams: Streams) -> Floats:
        spend, counts = (_rolling_sum(x, hours) for x in (streams.spend, streams.counts))
        x = np.log(spend / np.maximum(counts, HALF))
        past = sliding_window_view(x, PAST, axis=1)[:, : -1 - hours]
        z = (x[:, PAST + hours :] - past.mean(axis=2)) / np.maximum(past.std(axis=2), 1e-9)
        return np.concatenate([np.full((len(x), x.shape[1] - z.shape[1]), -np.inf), z], axis=1)

    return score


def _rolling_sum(x: Floats, hours: int) -> Floats:
    total = np.cumsum(np.pad(x, ((0, 0), (1, 0))), axis=1)
    begin = np.maximum(np.arange(1, total.shape[1]) - hours, 0)
    return np.asarray(total[:, 1:] - total[:, begin])


def gaussian(streams: Streams) -> Floats:
    """River's ``GaussianScorer`` on hourly CPA, upper side only, as -log10 of what is left to 1."""
    return np.array([_gaussian_one(row) for row in streams.cpa])


def _gaussian_one(cpa: Floats) -> list[float]:
    model, scores = anomaly.GaussianScorer(window_size=None, grace_period=100), []
    for value in cpa.tolist():
        upper = value > model.gaussian.mu
        scores.append(-math.log10(max(1.0 - model.score_one(None, value), 1e-16)) if upper else 0.0)
        model.learn_one(None, value)
    return scores


def half_space_trees(streams: Streams) -> Floats:
    """River's ``HalfSpaceTrees`` on hourly CPA, scaled as the product does."""
    return np.array([_trees_one(row) for row in streams.cpa])


def _trees_one(cpa: Floats) -> list[float]:
    model = model_from("anomaly.HalfSpaceTrees", {"n_trees": 10, "height": 8, "window_size": 250, "seed": 1})
    scores = []
    for value in cpa.tolist():
        scores.append(model.score_one({"cpa": value}))
        model.learn_one({"cpa": value})
    return scores


def google(streams: Streams) -> Floats:
    """Google's rule on conversions: below half of what the weekday usually brings; 1 for an alarm."""
    return np.array([_google_one(row) for row in streams.counts])


def _google_one(counts: Floats) -> list[float]:
    rule, scores = AccountAnomaly(factor=0.5, weeks=HISTORY // 168), []
    for hour, value in enumerate(counts.tolist()):
        x = {"at_ms": BEGIN_MS + hour * HOUR_MS}
        scores.append(rule.score_one(x, value))
        rule.learn_one(x, value)
    return scores


PEERS: dict[str, Scorer] = {
    "rolling 24 h CPA, z": rolling_z(24),
    "rolling 6 h CPA, z": rolling_z(6),
    "hourly CPA, River GaussianScorer": gaussian,
    "hourly CPA, River HalfSpaceTrees": half_space_trees,
    "Google's Account Anomaly Detector": google,
}
AS_IT_IS = {"Google's Account Anomaly Detector": 1.0}
SLOW = ("hourly CPA, River HalfSpaceTrees",)
"""Peers of which only a third of the accounts is measured."""


def alarms(scores: Floats, threshold: float) -> int:
    """Alarms of one account: scores at or above the threshold, none within a day of the last.

    >>> alarms(np.array([0.0, 5.0, 5.0, 0.0]), 5.0)
    1
    """
    count, last = 0, -COOL_DOWN
    for hour in np.flatnonzero(scores >= threshold).tolist():
        if hour - last >= COOL_DOWN:
            count, last = count + 1, hour
    return count


def calibrated(scores: Floats) -> tuple[float, float]:
    """The lowest threshold that alarms at most once in 720 h of clean ``scores``, and what it alarms in 720 h.

    A threshold above all scores is none: then the largest score is taken, however often it alarms.
    """
    months = scores.size / QUIET_H
    levels = np.unique(scores[np.isfinite(scores)])
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if _rate(scores, levels[middle], months) <= 1.0:
            high = middle
        else:
            low = middle + 1
    return float(levels[low]), _rate(scores, levels[low], months)


def _rate(scores: Floats, threshold: float, months: float) -> float:
    return sum(alarms(row, threshold) for row in scores) / months


@dataclass(frozen=True, slots=True)
class Task:
    """One stratum."""

    a_day: float
    phi: float
    accounts: int
    seed: int


@dataclass(frozen=True, slots=True)
class Result:
    """One detector in one stratum: false alarms in 720 h, mean delay over the limit and share missed, by effect."""

    a_day: float
    phi: float
    detector: str
    false_a_month: float
    over: dict[str, float]
    missed: dict[str, float]


def draw(task: Task, hours: int, onset: Ints | None, ratio: float, part: int) -> Streams:
    """History and ``hours`` more; the effect strikes each account from its ``onset`` (hours after the history)."""
    fleet = Fleet.single(task.accounts, task.a_day, task.phi, every_ms=HOUR_MS)
    source = Source(fleet, np.random.default_rng([task.seed, int(task.a_day), int(10 * task.phi), 81, part]))
    due, spend = source.usual(HISTORY + hours)
    struck = np.zeros((1, 1), bool) if onset is None else np.arange(-HISTORY, hours)[:, None] >= onset
    return Streams(spend.T, source.converting(due, np.where(struck, 1.0 / ratio, 1.0)).T.astype(float))


def work(task: Task) -> list[Result]:
    """All detectors in a stratum."""
    clean = draw(task, CLEAN, None, 1.0, 0)
    struck = {name: _struck(task, ratio, 1 + i) for i, (name, ratio) in enumerate(EFFECTS.items())}
    found = [_peer(task, name, clean, struck) for name in PEERS]
    return [*found, _ours(task)]


def _struck(task: Task, ratio: float, part: int) -> tuple[Streams, Ints]:
    onset = np.random.default_rng([task.seed, int(task.a_day), 82, part]).integers(0, ONSETS, task.accounts)
    best_h = limit(task.a_day / 24.0, ratio, task.phi)
    return draw(task, ONSETS + 48 + math.ceil(1.5 * PATIENCE * best_h), onset, ratio, part), onset


def _peer(task: Task, name: str, clean: Streams, struck: dict[str, tuple[Streams, Ints]]) -> Result:
    accounts = max(1, task.accounts // 3) if name in SLOW else task.accounts
    scorer = PEERS[name]
    scores = scorer(_first(clean, accounts))[:, HISTORY:]
    threshold, rate = calibrated(scores)
    if name in AS_IT_IS:
        threshold = AS_IT_IS[name]
        rate = _rate(scores, threshold, scores.size / QUIET_H)
    over, missed = {}, {}
    for effect, (streams, onset) in struck.items():
        hits = scorer(_first(streams, accounts)) >= threshold
        delays = _delays(task, EFFECTS[effect], hits, onset[:accounts])
        missed[effect] = float(np.mean(delays >= PATIENCE))
        over[effect] = _mean_or_never(delays, limit(task.a_day / 24.0, EFFECTS[effect], task.phi))
    return Result(task.a_day, task.phi, name, rate, over, missed)


def _first(streams: Streams, accounts: int) -> Streams:
    return Streams(streams.spend[:accounts], streams.counts[:accounts])


def _mean_or_never(over: Floats, best_h: float) -> float:
    """The mean, or infinite where chance alone would have been as quick."""
    mean = float(np.minimum(over, PATIENCE).mean())
    return math.inf if np.mean(over >= PATIENCE) >= 0.5 or mean * best_h >= QUIET_H / 2.0 else mean


def _delays(task: Task, ratio: float, hits: NDArray[np.bool_], onset: Ints) -> Floats:
    """Over the limit; an alarm stands at the end of its hour."""
    fleet = Fleet.single(1, task.a_day, task.phi, every_ms=HOUR_MS)
    clock = learned.operational(fleet, BEGIN_MS + HISTORY * HOUR_MS, hits.shape[1] - HISTORY)
    spent = []
    for row, on in zip(hits, onset.tolist(), strict=True):
        if not row[HISTORY + on - COOL_DOWN : HISTORY + on].any():
            first = np.flatnonzero(row[HISTORY + on :])
            spent.append(clock[on + first[0] + 1] - clock[on] if len(first) else np.inf)
    return np.array(spent) / limit(task.a_day / 24.0, ratio, task.phi)


def _ours(task: Task) -> Result:
    stratum = learned.Stratum(task.a_day, task.phi)
    effects = ((1.5, 0.0), (2.0, 0.0), (3.0, 0.0), (1.0, 1.0))
    false, late = learned.measure(stratum, task.accounts, CLEAN / 24.0, effects, task.seed)
    over = {d.effect: d.over_limit for d in late}
    return Result(task.a_day, task.phi, OURS, false.rate, over, {d.effect: d.missed for d in late})


def run(size: Size) -> Part:
    """The part."""
    strata = ((24.0, 1.0), (240.0, 2.0)) if size.quick else STRATA
    tasks = [Task(a_day, phi, size.of(60, 12), size.seed) for a_day, phi in strata]
    return written([result for results in side_by_side(work, tasks, size.jobs) for result in results])


def written(found: Sequence[Result]) -> Part:
    """The table, and how adwatch stands to the quickest of the others."""
    columns = ("a day", "phi", "detector", "false alarms in 720 h", *(x for e in EFFECTS for x in (e, "missed")))
    rows = tuple(
        (f"{x.a_day:g}", x.phi, x.detector, x.false_a_month,
         *(cell for e in EFFECTS for cell in (x.over[e], f"{x.missed[e]:.0%}")))
        for x in found
    )  # fmt: skip
    part = Part("Peers", ABOUT, [Table("Mean delay over the limit", columns, rows)])
    against = Table(
        "adwatch's delay over that of the quickest peer which errs at most once in 720 h",
        ("geometric mean over strata and effects",),
        ((lead(found),),),
    )
    part.tables.append(against)
    part.data = {"results": [asdict(x) for x in found], "over_quickest_peer": lead(found)}
    return part


def lead(found: Sequence[Result]) -> float:
    """Geometric mean of our delay over that of the quickest peer that errs at most once in 720 h."""
    logs = []
    for ours in (x for x in found if x.detector == OURS):
        rivals = [x for x in found if x.detector != OURS and (x.a_day, x.phi) == (ours.a_day, ours.phi)]
        for effect in EFFECTS:
            best = min((x.over[effect] for x in rivals if x.false_a_month <= 1.0), default=math.inf)
            logs.append(math.log(min(ours.over[effect], PATIENCE) / min(best, PATIENCE)))
    return math.exp(sum(logs) / len(logs)) if logs else math.nan
