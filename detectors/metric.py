"""Any number over time (CPC, CPM, bounce rate, impression share): judge it, then learn it.

A reading is compared with what the time of day and the day of the week let expect (``detectors/profile.py``), its
error made comparable between calm and restless hours.  Four questions are asked of it, each answered by ``-log10`` of
a chance: is it far off now (tail of the error); has it jumped (tail of the error less what the last few readings let
expect of it); has it been off for some fifty readings, if only a little (tail of the smoothed error); has the series
never been there (beyond all earlier readings: a chance of one in ``n`` after ``n`` readings, less the farther out,
greater the more records the series has set).  The answers are added, the second by half as it often repeats the
first.  Their sum is not their joint odds; a line measured once on simulated healthy series turns it into odds.

``score_one`` is the odds per *reading*, and says it once: within ``cool_down_ms`` of the last one only a larger
surprise counts.  ``judge`` gives the odds per *hour* of watching, ungated, for a caller with a life cycle of alerts:
an evidence of ``log10(720)`` is what chance alone reaches about once in 720 hours, whatever the cadence.  No label
sets any of it.  Times are taken as they come; a caller who knows a zone gives milliseconds of its local clock.

The functions work on a row of columns, so a thousand series are one array (:class:`MetricBank`); the River model
:class:`MetricDetector` is one row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from river.base import SupervisedAnomalyDetector

from detectors import cadence, profile, tail
from detectors.cadence import HOUR_MS
from detectors.profile import DAY_MS
from detectors.score import UNKNOWN, Score

Row = NDArray[np.float64]
Rows = NDArray[np.float64]
Flags = NDArray[np.bool_]

LARGEST = 1e100
NOVEL_SHARE = 0.03
"""Beyond the old range by this share of its width is twice as rare as beyond it by nothing."""
RECORD_MS = 12 * HOUR_MS
"""Records within so long of one another are one."""
RECENT_WEIGHT = 0.3
"""What the last few readings were off by, as a mean that this weight of the newest moves."""
MEMORY_KEPT = 0.998
"""How much of what readings repeat of one another is learned over some five hundred of them."""
JUMP_SHARE = 0.5
"""A jump is seldom told without its error, so it counts by half."""
ODDS_AT_ZERO, ODDS_PER_EVIDENCE = 0.3, 0.42
"""Log10 of healthy readings per surprise, as a line in the sum of evidences: fitted to the worst of twelve kinds of
simulated healthy series (noise light and heavy, correlated, seasonal, counts, drifting; ``benchmarks/healthy.py``)."""
CLIP_EDGES = 5.0
"""An error teaches the profile at most so many edges of the error's tail."""
SCALE_MEMORY = 2_000.0

# The columns of a metric row: the profile, three tails, then what is remembered of the readings.
NOW = profile.COLUMNS
JUMP = NOW + tail.COLUMNS
LASTING = JUMP + tail.COLUMNS
_FIRST = LASTING + tail.COLUMNS
SMOOTHED, RECENT, ECHO, POWER, LOWEST, HIGHEST, SCALE = range(_FIRST, _FIRST + 7)
RECORDS, RECORD_AT_MS, LAST_MS, GAP_MS, SAID, SAID_MS = range(_FIRST + 7, _FIRST + 13)
COLUMNS = _FIRST + 13
# What a rule holds, the parameters of a detector as one array.
SEASON_RATE, SMOOTHING, LEAST_CHANGE, COOL_DOWN_MS, WARM_UP_MS = range(5)
# What a look holds: one reading before it is learned.
EXPECTED, STRETCH, ERROR, SMOOTH, LEAP, FLOOR, LOG_ERROR, LOG_SMOOTH, LOG_LEAP, ODDS = range(10)
LOOK = 10


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def begin(row: Row) -> None:
    """Know nothing."""
    row[:] = 0.0
    row[GAP_MS] = HOUR_MS
    tail.begin(row, NOW)
    tail.begin(row, JUMP)
    tail.begin(row, LASTING)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def ready(row: Row, at_ms: int, rule: Row) -> bool:
    """Whether enough is known to judge."""
    known = row[profile.READINGS] >= profile.MIN_READINGS
    return bool(known and at_ms - row[profile.SINCE_MS] >= rule[WARM_UP_MS])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def look(row: Row, at_ms: int, value: float, rule: Row, seen: Row) -> None:
    """Fill ``seen`` with what ``value`` looks like at ``at_ms``; the row stays as it is."""
    floor = _floor(row[SCALE], rule)
    seen[FLOOR] = floor
    _look_at_error(row, at_ms, value, rule, seen)
    seen[LOG_ERROR] = math.log(max(abs(seen[ERROR]), floor))
    seen[LOG_LEAP] = math.log(max(abs(seen[LEAP]), floor))
    seen[LOG_SMOOTH] = math.log(max(abs(seen[SMOOTH]), floor))
    seen[ODDS] = _odds(
        _rarity(row, seen)
        + JUMP_SHARE * tail.evidence(row, JUMP, seen[LOG_LEAP])
        + tail.evidence(row, LASTING, seen[LOG_SMOOTH])
        + _novelty(row, value, floor)
    )


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _look_at_error(row: Row, at_ms: int, value: float, rule: Row, seen: Row) -> None:
    """The error off the expected value, comparable between hours, as a jump, and smoothed; none below the floor."""
    known = row[profile.READINGS] > 0.0
    seen[EXPECTED] = profile.expect(row, at_ms) if known else value
    seen[STRETCH] = profile.stretch(row, at_ms)
    off = value - seen[EXPECTED]
    seen[ERROR] = off * seen[STRETCH] if abs(off) > seen[FLOOR] else 0.0
    seen[LEAP] = seen[ERROR] - _echo(row) * row[RECENT]
    seen[SMOOTH] = row[SMOOTHED] + rule[SMOOTHING] * (seen[ERROR] - row[SMOOTHED])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _floor(scale: float, rule: Row) -> float:
    return float(max(rule[LEAST_CHANGE] * scale, 1e-200))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _rarity(row: Row, seen: Row) -> float:
    """Evidence of an error of this size; of a series that hardly ever moved its count of moves is all there is."""
    moved = row[NOW + tail.SEEN]
    if moved >= tail.START:
        return float(tail.evidence(row, NOW, seen[LOG_ERROR]))
    return math.log10((row[profile.READINGS] + 1.0) / (moved + 1.0)) if abs(seen[ERROR]) > seen[FLOOR] else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _echo(row: Row) -> float:
    """How much of what the last readings were off by the next one repeats, 0 to 1: a regression through zero."""
    return float(min(1.0, max(0.0, row[ECHO] / row[POWER]))) if row[POWER] > 0.0 else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _odds(total: float) -> float:
    """Log10 odds per reading of a sum of evidences that are far from independent (see ``ODDS_AT_ZERO``)."""
    return ODDS_AT_ZERO + ODDS_PER_EVIDENCE * total if total > 0.0 else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _novelty(row: Row, value: float, floor: float) -> float:
    beyond = max(value - row[HIGHEST], row[LOWEST] - value)
    if beyond <= floor:
        return 0.0
    width = max(row[HIGHEST] - row[LOWEST], floor)
    usual = math.log10((row[profile.READINGS] + 1.0) / (row[RECORDS] + 1.0))
    return float(max(usual, 0.0) + math.log10(1.0 + beyond / width / NOVEL_SHARE))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def say(row: Row, at_ms: int, rule: Row, odds: float) -> float:
    """The odds worth saying: 0 while the series is young, or a surprise at least as large is still fresh."""
    if not ready(row, at_ms, rule):
        return 0.0
    return odds if cadence.is_news(odds, row[SAID], at_ms - row[SAID_MS], rule[COOL_DOWN_MS]) else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(row: Row, at_ms: int, value: float, rule: Row, seen: Row) -> None:
    """Take a reading that was looked at into account."""
    if say(row, at_ms, rule, seen[ODDS]) > 0.0:
        row[SAID], row[SAID_MS] = seen[ODDS], at_ms
    row[GAP_MS] = cadence.next_gap(row[GAP_MS], row[profile.READINGS], at_ms - row[LAST_MS])
    row[LAST_MS] = at_ms
    _learn_range(row, at_ms, value, rule, seen[FLOOR])
    reach = _learn_profile(row, at_ms, value, rule, seen)
    _learn_recent(row, seen[ERROR], reach)
    tail.learn(row, NOW, seen[LOG_ERROR], abs(seen[ERROR]) > seen[FLOOR])
    tail.learn(row, JUMP, seen[LOG_LEAP], abs(seen[LEAP]) > seen[FLOOR])
    tail.learn(row, LASTING, seen[LOG_SMOOTH], abs(seen[SMOOTH]) > seen[FLOOR])
    row[SMOOTHED] = seen[SMOOTH]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_range(row: Row, at_ms: int, value: float, rule: Row, floor: float) -> None:
    readings = row[profile.READINGS]
    if readings == 0.0:
        row[LOWEST] = value
        row[HIGHEST] = value
    beyond = max(value - row[HIGHEST], row[LOWEST] - value)
    if beyond > floor and ready(row, at_ms, rule) and at_ms - row[RECORD_AT_MS] > RECORD_MS:
        row[RECORDS] += 1.0
        row[RECORD_AT_MS] = at_ms
    row[LOWEST] = min(row[LOWEST], value)
    row[HIGHEST] = max(row[HIGHEST], value)
    row[SCALE] += (abs(value) - row[SCALE]) / min(readings + 1.0, SCALE_MEMORY)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_profile(row: Row, at_ms: int, value: float, rule: Row, seen: Row) -> float:
    """Teach the profile; returns the largest error that teaches in full, comparable between hours."""
    reach = math.inf
    if row[profile.READINGS] == 0.0:
        profile.begin(row, at_ms, value)
    if row[profile.READINGS] >= profile.MIN_READINGS:
        reach = CLIP_EDGES * max(tail.edge(row, NOW), seen[FLOOR])
    error = value - seen[EXPECTED]
    most = reach / seen[STRETCH]
    clipped = max(-most, min(most, error))
    profile.learn(row, at_ms, seen[EXPECTED], error, clipped, row[GAP_MS], rule[SEASON_RATE])
    return float(reach)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_recent(row: Row, error: float, reach: float) -> None:
    clipped = max(-reach, min(reach, error))
    row[ECHO] = MEMORY_KEPT * row[ECHO] + clipped * row[RECENT]
    row[POWER] = MEMORY_KEPT * row[POWER] + row[RECENT] * row[RECENT]
    row[RECENT] += RECENT_WEIGHT * (error - row[RECENT])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def usable(at_ms: float, value: float) -> bool:
    """Whether there is a reading at all; what is missing or not finite is neither judged nor learned."""
    return math.isfinite(at_ms) and math.isfinite(value)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def within(value: float) -> float:
    """The value, beyond ``LARGEST`` taken as that."""
    return max(-LARGEST, min(LARGEST, value))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def step(row: Row, at_ms: int, value: float, rule: Row, seen: Row) -> float:
    """Judge, then learn; the odds worth saying.  ``seen`` is room to work in."""
    look(row, at_ms, value, rule, seen)
    said = float(say(row, at_ms, rule, seen[ODDS]))
    learn(row, at_ms, value, rule, seen)
    return said


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _step_rows(rows: Rows, readings: Rows, active: Flags, rule: Row, said: Row, evidence: Row) -> None:
    seen = np.empty(LOOK)
    for i in range(len(rows)):
        if active[i] and usable(readings[i, 0], readings[i, 1]):
            at_ms, gap_ms = int(readings[i, 0]), rows[i, GAP_MS]
            said[i] = step(rows[i], at_ms, within(readings[i, 1]), rule, seen)
            evidence[i] = cadence.per_hour(said[i], gap_ms) if said[i] > 0.0 else 0.0


class MetricDetector(SupervisedAnomalyDetector):
    """Detector of one series of any number, in River's shape.

    ``x`` holds ``at_ms`` (epoch milliseconds, any cadence), ``y`` is the reading; without ``y`` it is ``x["value"]``,
    because River 0.26.1's pipelines pass no ``y`` to ``score_one``.  A reading that is missing or not finite is not
    judged and not learned: missing is not zero.

    Parameters
    ----------
    season_rate
        Share of a day's surprise that the profile takes over, 0 to 1.
    smoothing
        Weight of the newest error in the smoothed one, 0 to 1; 0.02 looks back over some fifty readings.
    least_change
        Share of the usual size of the series below which no difference matters.
    cool_down_ms
        How long after a surprise only a larger one counts (``score_one`` alone).
    warm_up_ms
        How long a series is learned before it is judged, ms; at least thirty readings besides.

    Examples
    --------
    >>> detector = MetricDetector()
    >>> for hour in range(24 * 28):
    ...     detector.learn_one({"at_ms": hour * 3_600_000}, 100.0 + hour % 24 + hour % 5)
    >>> score = detector.judge({"at_ms": 28 * 24 * 3_600_000}, 102.0)
    >>> score.low < 102.0 < score.high, score.evidence
    (True, 0.0)
    >>> detector.judge({"at_ms": 28 * 24 * 3_600_000}, 200.0).evidence > math.log10(720)
    True
    """

    def __init__(
        self,
        season_rate: float = 0.2,
        smoothing: float = 0.02,
        least_change: float = 0.001,
        cool_down_ms: int = 12 * HOUR_MS,
        warm_up_ms: int = 2 * DAY_MS,
    ) -> None:
        self.season_rate = season_rate
        self.smoothing = smoothing
        self.least_change = least_change
        self.cool_down_ms = cool_down_ms
        self.warm_up_ms = warm_up_ms
        self._rule = np.array([season_rate, smoothing, least_change, cool_down_ms, warm_up_ms], dtype=np.float64)
        self._row = np.empty(COLUMNS)
        begin(self._row)

    def judge(self, x: Mapping[str, Any], y: float | None = None) -> Score:
        """Expected value, bounds and evidence (log10 odds per hour of watching); changes nothing."""
        reading = _reading(x, y)
        if reading is None or not ready(self._row, reading[0], self._rule):
            return UNKNOWN
        seen = self._look(*reading)
        expected = float(seen[EXPECTED])
        reach = float(max(tail.edge(self._row, NOW) / seen[STRETCH], seen[FLOOR]))
        evidence = float(cadence.per_hour(seen[ODDS], self._row[GAP_MS]))
        return Score(expected, expected - reach, expected + reach, evidence)

    def score_one(self, x: Mapping[str, Any], y: float | None = None) -> float:
        """Log10 odds per reading, 0 while a surprise at least as large is still fresh; changes nothing."""
        reading = _reading(x, y)
        if reading is None:
            return 0.0
        return float(say(self._row, reading[0], self._rule, self._look(*reading)[ODDS]))

    def learn_one(self, x: Mapping[str, Any], y: float | None = None) -> None:
        """Take the reading into account."""
        reading = _reading(x, y)
        if reading is not None:
            learn(self._row, *reading, self._rule, self._look(*reading))

    def _look(self, at_ms: int, value: float) -> Row:
        seen = np.empty(LOOK)
        look(self._row, at_ms, value, self._rule, seen)
        return seen

    def state(self) -> dict[str, Any]:
        """Everything learned, as numbers that JSON keeps exactly; parameters are not part of it."""
        return {"row": self._row.tolist()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where the detector that gave ``state`` stood; made with the same parameters."""
        self._row[:] = state["row"]


def _reading(x: Mapping[str, Any], y: float | None) -> tuple[int, float] | None:
    at_ms, y = x.get("at_ms"), x.get("value") if y is None else y
    if at_ms is None or y is None or not usable(float(at_ms), float(y)):
        return None
    return int(at_ms), float(within(float(y)))


class MetricBank:
    """Metric detectors of ``n`` series side by side, one row each; equal to as many scalar models, bit by bit.

    ``values`` of :meth:`step` has two columns, ``at_ms`` and the reading.  ``evidence`` holds, after a step, what was
    said in it as log10 odds per hour of watching.  ``grow`` adds series at the end.

    >>> bank = MetricBank(2)
    >>> for hour in range(24 * 28):
    ...     said = bank.step(np.array([[hour * 3_600_000.0, hour % 5], [0.0, 0.0]]), np.array([True, False]))
    >>> bank.step(np.array([[hour * 3_600_000.0 + 3_600_000, 50.0], [0.0, 0.0]]), np.array([True, False])) > 3.0
    array([ True, False])
    """

    def __init__(self, n: int = 0, **parameters: Any) -> None:
        self._one = MetricDetector(**parameters)
        self.rows = np.empty((0, COLUMNS))
        self.evidence = np.zeros(0)
        self.grow(n)

    def __len__(self) -> int:
        return len(self.rows)

    def grow(self, n: int) -> None:
        """Have at least ``n`` series; those that stand keep what they learned."""
        new = np.tile(self._one._row, (max(n - len(self), 0), 1))
        self.rows = np.concatenate([self.rows, new])

    def step(self, values: Rows, active: Flags) -> Row:
        """Judge, then learn row ``i`` of ``values[n, 2]`` where ``active[i]``; odds worth saying ``[n]``, else 0."""
        if values.shape != (len(self), 2) or active.shape != (len(self),):
            raise ValueError(f"values {values.shape} and active {active.shape} do not fit {len(self)} series")
        said, self.evidence = np.zeros(len(self)), np.zeros(len(self))
        _step_rows(self.rows, values, active, self._one._rule, said, self.evidence)
        return said
