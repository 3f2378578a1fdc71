"""Reading the hourly history of the series: what was seen, expected, spent and sold since an onset."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors import deficit, outage
from streams.hours import BASKETS, BASKETS_OFF, EXPECTED, HOUR_MS, HOURS, SEEN, SOLD, SPENT
from streams.series import ACCOUNT, LEAF, Registry

DAILY_LUMPS = 3
"""Hours with spend, of the last two days, up to which the spend is taken to be told by the day."""
SHORT_MS = 3 * HOUR_MS
"""Younger shortfalls are told by the minute, as their hours are half healthy."""
HELD_NATS = 3.0
"""Evidence from which a ratio of the count test is taken to hold something."""
_SUMMED = [SEEN, EXPECTED, SPENT, SOLD, BASKETS, BASKETS_OFF]
__all__ = ["HOUR_MS", "SHORT_MS", "History", "Shortfall"]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Sums of a stretch of history. ``baskets_off`` is how far their log values lie from the usual, summed."""

    seen: float
    expected: float
    cost_micros: float
    value_micros: float
    baskets: float
    baskets_off: float
    hours: float

    @property
    def missing(self) -> float:
        """Expected and not seen."""
        return self.expected - self.seen


class History:
    """Reads a registry's columns; changes nothing."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def end_ms(self, s: int) -> int:
        """Up to where the series has been judged."""
        registry = self.registry
        if registry.series["level"][s] == ACCOUNT:
            return int(registry.accounts["watermark_ms"][registry.series["account"][s]])
        return int(registry.sources["watermark_ms"][registry.series["source"][s]])

    def children(self, s: int) -> list[int]:
        """The series directly below."""
        return [int(c) for c in np.flatnonzero(self.registry.series["parent"] == s)]

    def below(self, s: int) -> list[int]:
        """All series below."""
        children = self.children(s)
        deeper = (
            [] if self.registry.series["level"][s] == LEAF else [c for child in children for c in self.below(child)]
        )
        return children + deeper

    def above(self, s: int) -> list[int]:
        """The wider series that ``s`` is part of, nearest first."""
        parent = self.registry.series["parent"]
        rows: list[int] = []
        up = int(parent[s])
        while up != -1:
            rows.append(up)
            up = int(parent[up])
        return rows

    def phi(self, s: int, expected: float) -> float:
        """Variance over mean of a count with ``expected`` due, the doubt about the level inside."""
        series = self.registry.series
        known = (float(series[name][s]) for name in ("phi", "doubt", "mood", "rate_a_day"))
        return float(deficit.spread(*known, expected))

    def hours(self, s: int, first: int, last: int) -> NDArray[np.float64]:
        """The columns of the hours ``first`` to ``last``, a row an hour; zeros where one is not kept."""
        series = self.registry.series
        newest = int(series["history_hour"][s])
        wanted = np.arange(first, last + 1)
        cells: NDArray[np.float64] = series["history"][s][wanted % HOURS]
        return np.where(((wanted <= newest) & (wanted > newest - HOURS) & (newest >= 0))[:, None], cells, 0.0)

    def is_daily(self, s: int) -> bool:
        """Whether the spend of ``s`` comes in a few lumps, as it does from daily exports."""
        newest = int(self.registry.series["history_hour"][s])
        spent: NDArray[np.float64] = self.hours(s, newest - HOURS + 1, newest)[:, SPENT]
        return 0 < int(np.count_nonzero(spent)) <= DAILY_LUMPS

    def holds(self, s: int) -> bool:
        """Whether the tests of ``s`` hold anything against chance."""
        series = self.registry.series
        row = series["deficit"][s]
        return bool(series["timer"][s, outage.WAITED] > 0.0 or deficit.nats(row, deficit.best(row)) > 0.0)

    def run(self, s: int, onset_ms: int) -> tuple[float, float, int]:
        """Seen, expected and since when (ms), to the minute: of what the tests of ``s`` themselves hold to be struck.

        The hourly history from ``onset_ms`` on where they hold nothing.
        """
        timer, row = self.registry.series["timer"][s], self.registry.series["deficit"][s]
        cell = row[deficit.FIRST + deficit.best(row) * deficit.PER_RATIO :]
        if timer[outage.WAITED] > cell[deficit.CUSUM]:
            return 0.0, float(timer[outage.SINCE_MU]), int(timer[outage.SINCE_MS])
        if cell[deficit.CUSUM] > 0.0:
            return float(cell[deficit.SINCE_N]), float(cell[deficit.SINCE_MU]), int(cell[deficit.ONSET])
        lost = self.since(s, onset_ms)
        return lost.seen, lost.expected, onset_ms

    def earliest_ms(self, s: int, onset_ms: int) -> int:
        """The earliest onset that a ratio of the count test of ``s`` holds something for, or ``onset_ms``."""
        ratios = self.registry.series["deficit"][s, deficit.FIRST :].reshape(-1, deficit.PER_RATIO)
        held = ratios[: deficit.WORSE_SIZE][ratios[: deficit.WORSE_SIZE, deficit.CUSUM] >= HELD_NATS]
        return min(onset_ms, *(int(at_ms) for at_ms in held[:, deficit.ONSET]), onset_ms)

    def exact(self, s: int, onset_ms: int) -> Shortfall:
        """:meth:`since`; counts to the minute where the shortfall is young and the tests of ``s`` hold it to be struck.

        Money of the hour of the onset is taken in proportion to what was expected.
        """
        lost = self.since(s, onset_ms)
        if self.end_ms(s) - onset_ms >= SHORT_MS:
            return lost
        seen, expected, from_ms = self.run(s, onset_ms)
        if from_ms == onset_ms or not 0.0 < expected < lost.expected:
            return lost
        part = expected / lost.expected
        hours = max((self.end_ms(s) - from_ms) / HOUR_MS, 1 / 60)
        return replace(
            lost, seen=seen, expected=expected, cost_micros=lost.cost_micros * part,
            value_micros=lost.value_micros * part, hours=hours,
        )  # fmt: skip

    def since(self, s: int, onset_ms: int) -> Shortfall:
        """Sums from the hour of the onset on."""
        last = self.end_ms(s) - 1
        first_hour = max(onset_ms // HOUR_MS, last // HOUR_MS - HOURS + 1)
        sums = self.hours(s, first_hour, last // HOUR_MS).sum(axis=0)
        hours = max((last + 1 - max(onset_ms, first_hour * HOUR_MS)) / HOUR_MS, 1 / 60)
        seen, expected, cost, value, baskets, off = sums[_SUMMED].tolist()
        return Shortfall(seen, expected, cost, value, baskets, off, hours)
