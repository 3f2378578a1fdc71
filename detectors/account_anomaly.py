"""The rule of Google's Account Anomaly Detector script, for comparison on one's own history.

Hourly, per account: what has come in since midnight, up to three hours ago, is compared with the mean of the same
weekday of the last ``weeks`` weeks up to the same hour.  Impressions, clicks and conversions alarm below
``mean * factor``, cost above it; once a day.  Source: developers.google.com/google-ads/scripts/docs/solutions/
account-anomaly-detector (rule described, nothing copied).

Kept as they are, because the comparison is with the rule and not with a better one:

- the sum of past weeks is divided by ``weeks`` even where fewer exist, so a young account is compared with too little;
- the comparison is cumulative: with factor 0.5, a standstill after half of the day's volume cannot alarm that day;
- no spread, no holidays, no lag; one direction per metric.

Three faults of script copies are *not* kept: the hour is of a 24-hour clock, the weekday and the date are taken from
the same delayed moment, and the daily latch opens with the date instead of with a run in hour 1 that may be missed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from river.base import SupervisedAnomalyDetector

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LARGEST = 1e150


class AccountAnomaly(SupervisedAnomalyDetector):
    """The rule for one metric of one account, in River's shape.

    ``x`` holds ``at_ms`` (start of the bucket, at most an hour long, epoch milliseconds of the account's local time),
    ``y`` (or ``x["value"]``) is what came in during the bucket.  ``score_one`` is 1.0 for an alarm and 0.0 otherwise,
    judged as if it were now ``at_ms``; at most one alarm per day is given to a caller who learns after judging.

    Parameters
    ----------
    factor
        Alarm below ``mean * factor`` (or above it, with ``above``).
    weeks
        How many weeks back the mean goes, and what the sum is divided by.
    delay_hours
        How far the comparison stays behind the bucket, hours.
    above
        True for cost, which alarms when it is too high.

    Examples
    --------
    >>> rule = AccountAnomaly(weeks=2)
    >>> for hour in range(24 * 15):
    ...     rule.learn_one({"at_ms": hour * 3_600_000}, 10.0 if hour < 24 * 14 else 1.0)
    >>> rule.score_one({"at_ms": (24 * 15 - 1) * 3_600_000}, 1.0), rule.baseline({"at_ms": 24 * 15 * 3_600_000 - 1})
    (0.0, 200.0)
    """

    def __init__(self, factor: float = 0.5, weeks: int = 26, delay_hours: int = 3, above: bool = False) -> None:
        self.factor = factor
        self.weeks = weeks
        self.delay_hours = delay_hours
        self.above = above
        self._days: dict[int, list[float]] = {}
        self._latched_day = -1

    def baseline(self, x: Mapping[str, Any]) -> float:
        """The mean that the rule compares with at the moment of ``x``."""
        day, hours = self._cut(int(x["at_ms"]))
        past = (self._days.get(day - 7 * week) for week in range(1, self.weeks + 1))
        return sum(math.fsum(one[:hours]) for one in past if one is not None) / self.weeks

    def score_one(self, x: Mapping[str, Any], y: float | None = None) -> float:
        """1.0 where the rule alarms now and has not yet today; changes nothing."""
        if _usable(x, y) is None:
            return 0.0
        day, _ = self._cut(int(x["at_ms"]))
        return float(self._breached(int(x["at_ms"])) and day != self._latched_day)

    def learn_one(self, x: Mapping[str, Any], y: float | None = None) -> None:
        """Take the bucket into account, and remember that the day has had its alarm."""
        value = _usable(x, y)
        if value is None:
            return
        at_ms = int(x["at_ms"])
        if self._breached(at_ms):
            self._latched_day = self._cut(at_ms)[0]
        hours = self._days.setdefault(at_ms // DAY_MS, [0.0] * 24)
        hours[at_ms % DAY_MS // HOUR_MS] += value
        self._forget(at_ms // DAY_MS)

    def _cut(self, at_ms: int) -> tuple[int, int]:
        """The day compared, and how many of its hours are complete."""
        up_to_ms = at_ms - self.delay_hours * HOUR_MS
        return up_to_ms // DAY_MS, up_to_ms % DAY_MS // HOUR_MS

    def _breached(self, at_ms: int) -> bool:
        day, hours = self._cut(at_ms)
        today = math.fsum(self._days.get(day, [0.0])[:hours])
        bound = self.baseline({"at_ms": at_ms}) * self.factor
        return today > bound if self.above and bound > 0.0 else today < bound

    def _forget(self, today: int) -> None:
        for day in [day for day in self._days if day < today - 7 * self.weeks - 1]:
            del self._days[day]


def _usable(x: Mapping[str, Any], y: float | None) -> float | None:
    at_ms, y = x.get("at_ms"), x.get("value") if y is None else y
    if at_ms is None or not math.isfinite(at_ms) or y is None or not math.isfinite(y):
        return None
    return max(-LARGEST, min(LARGEST, float(y)))
