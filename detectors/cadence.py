"""When a series speaks, and when saying it again is news: two small memories that detectors of numbers share."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba

HOUR_MS = 3_600_000
GAP_RATE = 0.05
LONGEST = 4.0
"""A pause counts as at most so many usual gaps: a night without data does not make a series slow."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def next_gap(gap_ms: float, readings: float, passed_ms: float) -> float:
    """The usual gap after ``readings`` readings and a pause of ``passed_ms``; going back in time says nothing."""
    if readings < 1.0 or passed_ms <= 0.0:
        return gap_ms
    if readings < 2.0:
        return passed_ms
    return gap_ms + GAP_RATE * (min(passed_ms, LONGEST * gap_ms) - gap_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def per_hour(odds: float, gap_ms: float) -> float:
    """Log10 odds per reading as log10 odds per hour, never negative."""
    return max(0.0, odds - math.log10(HOUR_MS / gap_ms))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def is_news(odds: float, said: float, since_ms: float, cool_down_ms: float) -> bool:
    """Whether ``odds`` are worth saying ``since_ms`` after odds of ``said``: they are larger, or it is long ago."""
    return odds > 0.0 and (since_ms >= cool_down_ms or odds > said)


@dataclass(slots=True)
class Cadence:
    """Usual time between two readings, ms; learned from readings at any times.

    >>> cadence = Cadence()
    >>> for minute in range(0, 600, 5):
    ...     cadence.learn(minute * 60_000)
    >>> cadence.gap_ms, round(cadence.per_hour(4.0), 2)
    (300000.0, 2.92)
    """

    last_ms: int = 0
    gap_ms: float = float(HOUR_MS)
    readings: int = 0

    def per_hour(self, odds: float) -> float:
        """Log10 odds per reading as log10 odds per hour, never negative."""
        return float(per_hour(odds, self.gap_ms))

    def learn(self, at_ms: int) -> None:
        """Take the time of a reading into account; what goes back in time says nothing about the gap."""
        self.gap_ms = float(next_gap(self.gap_ms, float(self.readings), float(at_ms - self.last_ms)))
        self.last_ms = at_ms
        self.readings += 1


@dataclass(slots=True)
class News:
    """What was said last: for ``cool_down_ms`` only a larger surprise is worth saying."""

    cool_down_ms: int
    odds: float = 0.0
    at_ms: int = 0

    def is_news(self, odds: float, at_ms: int) -> bool:
        """Whether a surprise of ``odds`` is worth saying at ``at_ms``."""
        return bool(is_news(odds, self.odds, float(at_ms - self.at_ms), float(self.cool_down_ms)))

    def learn(self, odds: float, at_ms: int) -> None:
        """Remember what was said, if it was."""
        if self.is_news(odds, at_ms):
            self.odds, self.at_ms = odds, at_ms
