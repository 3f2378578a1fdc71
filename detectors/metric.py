"""Any number over time (CPC, CPM, bounce rate, impression share): judge it, then learn it.

A reading is compared with what the time of day and the day of the week let expect.  Three questions are asked of it,
each answered by ``-log10`` of a chance: is it far off now (tail of the residual); has it been off for some thirty
readings, if only a little (tail of the smoothed residual); has the series never been there (beyond all earlier
readings: one in ``n`` of ``n`` readings, less the farther out).  The three are added.  As they often answer the same
thing thrice, the sum is not their joint odds; a line measured once on simulated healthy series turns it into them.

``score_one`` is the odds per *reading*, and says it once: within ``cool_down_ms`` of the last one only a larger
surprise counts.  ``judge`` gives the odds per *hour* of watching, ungated, for a caller with a life cycle of alerts:
an evidence of ``log10(720)`` is what chance alone reaches about once in 720 hours, whatever the cadence.  No label
sets any of it.  Times are taken as they come; a caller who wants local days gives local milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from river import stats
from river.base import SupervisedAnomalyDetector

from detectors.cadence import HOUR_MS, Cadence, News
from detectors.score import UNKNOWN, Score
from detectors.tail import Tail

DAY_MS = 24 * HOUR_MS
MIN_READINGS = 30
LARGEST = 1e150
NOVEL_SHARE = 0.03
"""Beyond the old range by this share of its width is twice as rare as beyond it by nothing."""
ODDS_AT_ZERO, ODDS_PER_EVIDENCE = 1.1, 0.35
"""Log10 of healthy readings per surprise, as a line in the sum of evidences: fitted to twelve kinds of simulated
healthy series (noise light and heavy, correlated, seasonal, counts, drifting), see ``benchmarks/healthy.py``."""
CLIP_EDGES = 5.0
"""A residual teaches the season at most so many edges of the residual's tail."""
SCALE_MEMORY = 2_000


@dataclass(slots=True)
class Season:
    """Mean by hour of day, joined by straight lines, and a shift by day of week; each day teaches a share ``rate``."""

    rate: float
    level: float = 0.0
    since_ms: int = 0
    readings: int = 0
    hour_mean: list[float] = field(default_factory=lambda: [0.0] * 24)
    hour_readings: list[int] = field(default_factory=lambda: [0] * 24)
    day_shift: list[float] = field(default_factory=lambda: [0.0] * 7)

    def expect(self, at_ms: int) -> float:
        """What the time of ``at_ms`` lets expect."""
        before, share = at_ms % DAY_MS // HOUR_MS, at_ms % HOUR_MS / HOUR_MS
        hourly = (1.0 - share) * self._hour(before) + share * self._hour(before + 1)
        return hourly + self.day_shift[_weekday(at_ms)]

    def _hour(self, hour: int) -> float:
        return self.hour_mean[hour % 24] if self.hour_readings[hour % 24] else self.level

    def learn(self, at_ms: int, value: float) -> None:
        """Take a value into account: what it was off by moves the hour nearest to it, and the day."""
        if not self.readings:
            self.level, self.since_ms = value, at_ms
        off = value - self.expect(at_ms)
        hour, days = (at_ms + HOUR_MS // 2) % DAY_MS // HOUR_MS, max(1.0, (at_ms - self.since_ms) / DAY_MS)
        self.readings += 1
        self.hour_mean[hour] = self._hour(hour)
        self.hour_readings[hour] += 1
        count = self.hour_readings[hour]
        self.hour_mean[hour] += max(self._rate(count / days), 1.0 / count) * off
        self.day_shift[_weekday(at_ms)] += self._rate(self.readings / days) * off
        self.level += 0.02 * (value - self.level)

    def _rate(self, readings_a_day: float) -> float:
        return 1.0 - math.pow(1.0 - self.rate, 1.0 / max(1.0, readings_a_day))

    def state(self) -> list[float]:
        """All there is to know, as numbers."""
        return [self.level, self.since_ms, self.readings, *self.hour_mean, *self.hour_readings, *self.day_shift]

    @classmethod
    def restore(cls, rate: float, state: list[float]) -> Season:
        """The inverse of :meth:`state`."""
        counts = [int(count) for count in state[27:51]]
        return cls(rate, state[0], int(state[1]), int(state[2]), list(state[3:27]), counts, list(state[51:58]))


def _weekday(at_ms: int) -> int:
    return at_ms // DAY_MS % 7


@dataclass(slots=True)
class _Look:
    """What one reading looks like before it is learned; not frozen, because that would double what making it costs."""

    at_ms: int
    value: float
    expected: float
    residual: float
    smoothed: float
    floor: float
    odds: float


def _odds(total: float) -> float:
    """Log10 odds per reading of a sum of three evidences that are far from independent (see ``ODDS_AT_ZERO``)."""
    return ODDS_AT_ZERO + ODDS_PER_EVIDENCE * total if total > 0.0 else 0.0


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
        Weight of the newest residual in the smoothed one, 0 to 1; 0.03 looks back over some thirty readings.
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
        smoothing: float = 0.03,
        least_change: float = 0.001,
        cool_down_ms: int = 12 * HOUR_MS,
        warm_up_ms: int = 2 * DAY_MS,
    ) -> None:
        self.season_rate = season_rate
        self.smoothing = smoothing
        self.least_change = least_change
        self.cool_down_ms = cool_down_ms
        self.warm_up_ms = warm_up_ms
        self._season = Season(season_rate)
        self._now, self._recent = Tail(), Tail()
        self._smoothed = stats.EWMean(smoothing)
        self._lowest = self._highest = self._scale = 0.0
        self._cadence, self._news = Cadence(), News(cool_down_ms)

    def judge(self, x: Mapping[str, Any], y: float | None = None) -> Score:
        """Expected value, bounds and evidence (log10 odds per hour of watching); changes nothing."""
        look = self._look(x, y)
        if look is None or not self._ready(look.at_ms):
            return UNKNOWN
        reach = max(self._now.edge, look.floor)
        return Score(look.expected, look.expected - reach, look.expected + reach, self._cadence.per_hour(look.odds))

    def score_one(self, x: Mapping[str, Any], y: float | None = None) -> float:
        """Log10 odds per reading, 0 while a surprise at least as large is still fresh; changes nothing."""
        look = self._look(x, y)
        if look is None or not self._ready(look.at_ms) or not self._news.is_news(look.odds, look.at_ms):
            return 0.0
        return look.odds

    def learn_one(self, x: Mapping[str, Any], y: float | None = None) -> None:
        """Take the reading into account."""
        look = self._look(x, y)
        if look is None:
            return
        if self._ready(look.at_ms):
            self._news.learn(look.odds, look.at_ms)
        self._cadence.learn(look.at_ms)
        self._learn_range(look.value)
        self._learn_season(look)
        self._now.learn(abs(look.residual), look.floor)
        self._smoothed.update(look.residual)
        self._recent.learn(abs(look.smoothed), look.floor)

    def _ready(self, at_ms: int) -> bool:
        return self._season.readings >= MIN_READINGS and at_ms - self._season.since_ms >= self.warm_up_ms

    def _look(self, x: Mapping[str, Any], y: float | None) -> _Look | None:
        at_ms, y = x.get("at_ms"), x.get("value") if y is None else y
        if at_ms is None or y is None or not math.isfinite(y) or not math.isfinite(at_ms):
            return None
        value, at_ms = max(-LARGEST, min(LARGEST, float(y))), int(at_ms)
        if not self._season.readings:
            return _Look(at_ms, value, value, 0.0, 0.0, self._floor(abs(value)), 0.0)
        expected, floor = self._season.expect(at_ms), self._floor(self._scale)
        residual = value - expected
        smoothed = self._smoothed.get() + self.smoothing * (residual - self._smoothed.get())
        total = self._now.evidence(abs(residual), floor) + self._recent.evidence(abs(smoothed), floor)
        odds = _odds(total + self._novelty(value, floor))
        return _Look(at_ms, value, expected, residual, smoothed, floor, odds)

    def _floor(self, scale: float) -> float:
        return max(self.least_change * scale, 1e-300)

    def _novelty(self, value: float, floor: float) -> float:
        beyond = max(value - self._highest, self._lowest - value)
        if beyond <= floor:
            return 0.0
        width = max(self._highest - self._lowest, floor)
        return math.log10(self._season.readings + 1) + math.log10(1.0 + beyond / width / NOVEL_SHARE)

    def _learn_range(self, value: float) -> None:
        if not self._season.readings:
            self._lowest = self._highest = value
        self._lowest, self._highest = min(self._lowest, value), max(self._highest, value)
        self._scale += (abs(value) - self._scale) / min(self._season.readings + 1, SCALE_MEMORY)

    def _learn_season(self, look: _Look) -> None:
        reach = math.inf
        if self._season.readings >= MIN_READINGS:
            reach = CLIP_EDGES * max(self._now.edge, look.floor)
        self._season.learn(look.at_ms, look.expected + max(-reach, min(reach, look.residual)))

    def state(self) -> dict[str, Any]:
        """Everything learned, as numbers that JSON keeps exactly; parameters are not part of it."""
        cadence, news = self._cadence, self._news
        times = [cadence.last_ms, cadence.gap_ms, cadence.readings, news.odds, news.at_ms]
        tails = {"now": self._now.state(), "recent": self._recent.state(), "smoothed": self._smoothed.get()}
        reach = [self._lowest, self._highest, self._scale]
        return {"season": self._season.state(), **tails, "range": reach, "times": times}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where the detector that gave ``state`` stood; made with the same parameters."""
        self._season = Season.restore(self.season_rate, list(state["season"]))
        self._now, self._recent = Tail.restore(list(state["now"])), Tail.restore(list(state["recent"]))
        self._smoothed = stats.EWMean(self.smoothing)
        if self._season.readings:
            self._smoothed.update(state["smoothed"])
        self._lowest, self._highest, self._scale = state["range"]
        last_ms, gap_ms, readings, odds, said_ms = state["times"]
        self._cadence = Cadence(int(last_ms), gap_ms, int(readings))
        self._news = News(self.cool_down_ms, odds, int(said_ms))
