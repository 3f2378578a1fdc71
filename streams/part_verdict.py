"""From a part that wants attention to a signal: since when, how many are missing, what it costs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.change import Point, rfc3339
from alerts.signal import Name, Signal
from detectors import deficit, outage
from streams import weigh
from streams.history import HOUR_MS, History
from streams.hours import HOURS
from streams.panes import COST
from streams.part_judge import TAKES, first_ratio
from streams.parts import EXPECTED, KINDS, SEEN
from streams.series import Registry


class PartVerdicts:
    """Reads a registry's columns; changes nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._history = History(registry)

    def struck(self, p: int, reason: int) -> tuple[int, tuple[float, float]]:
        """Since when the alarming test holds the part to be struck, and the counts seen and expected since, exactly."""
        timer, row = self._registry.parts.rows["timer"][p], self._registry.parts.rows["deficit"][p]
        if reason & weigh.OUTAGE:
            return int(timer[outage.SINCE_MS]), (0.0, float(timer[outage.SINCE_MU]))
        cell = row[deficit.FIRST + deficit.best(row) * deficit.PER_RATIO :]
        return int(cell[deficit.ONSET]), (float(cell[deficit.SINCE_N]), float(cell[deficit.SINCE_MU]))

    def evidence(self, p: int) -> float:
        """Log10 of the odds that the tests of the part hold against chance."""
        parts = self._registry.parts.rows
        cells = parts["deficit"][p][deficit.FIRST :].reshape(deficit.GRID_SIZE, deficit.PER_RATIO)
        counted = float(cells[first_ratio(parts.rows, p) : deficit.WORSE_SIZE, deficit.EVIDENCE].sum())
        return math.log10(1.0 + max(counted, float(parts["timer"][p, outage.EVIDENCE])))

    def sums(self, p: int, from_ms: int) -> tuple[float, float]:
        """Seen and expected from the hour of ``from_ms`` on."""
        last = (self._end_ms(p) - 1) // HOUR_MS
        seen, expected = self._hours(p, min(from_ms // HOUR_MS, last), last).sum(axis=0).tolist()
        return seen, expected

    def _hours(self, p: int, first: int, last: int) -> NDArray[Any]:
        parts = self._registry.parts.rows
        newest = int(parts["history_hour"][p])
        wanted = np.arange(max(first, last - HOURS + 1), last + 1)
        return np.where(
            ((wanted <= newest) & (wanted > newest - HOURS))[:, None], parts["history"][p][wanted % HOURS], 0.0
        )

    def _end_ms(self, p: int) -> int:
        return int(self._registry.sources["watermark_ms"][self._registry.parts.rows["source"][p]])

    def signal(self, p: int, at_ms: int, from_ms: int, counts: tuple[float, float], evidence: float) -> Signal:
        """The signal of a part that brought and should have brought ``counts`` since ``from_ms``."""
        registry, part = self._registry, self._registry.parts.scopes[p]
        seen, expected = counts
        spread = self._spread(p, expected)
        share, loss = self._risk(p, from_ms)
        observed, due, low, high = (
            float(f"{x:.6g}") for x in (seen, expected, max(expected - spread, 0.0), expected + spread)
        )
        return Signal(
            name=Name.TRACKING_OUTAGE, account=part.account, source=part.source, campaign=None,
            at_ms=at_ms, onset_ms=from_ms, until_ms=self._end_ms(p), measure="conversions",
            observed=observed, expected=due, low=low, high=high, evidence=evidence,
            ratio=expected / max(seen, 0.1), loss_micros=loss, share=share,
            currency=registry.currencies[int(registry.parts.rows["account"][p])],
            history=self._points(p), part=(KINDS[part.kind], part.text),
        )  # fmt: skip

    def _spread(self, p: int, expected: float) -> float:
        parts = self._registry.parts.rows
        phi = deficit.spread(parts["phi"][p], parts["doubt"][p], 0.0, parts["rate_a_day"][p], expected)
        return 2.0 * math.sqrt(phi * max(expected, 1e-9))

    def _risk(self, p: int, from_ms: int) -> tuple[float, int | None]:
        """Share of the account's spend that runs blind, and money an hour; none where others tell the same sales."""
        registry, taken = self._registry, float(self._registry.parts.rows["taken"][p])
        if taken <= TAKES:
            return 0.0, None
        s = int(registry.sources["series"][registry.parts.rows["source"][p]])
        day = registry.windows[-1]
        spend = float(day[registry.series["parent"][s], COST])
        lost = self._history.since(s, from_ms // HOUR_MS * HOUR_MS)
        return (taken * float(day[s, COST]) / spend if spend > 0.0 else 0.0), round(
            lost.cost_micros / lost.hours * taken
        )

    def _points(self, p: int) -> tuple[Point, ...]:
        last = (self._end_ms(p) - 1) // HOUR_MS
        first = last - HOURS + 1
        cells = self._hours(p, first, last)[:, [SEEN, EXPECTED]].tolist()
        return tuple(self._point(p, first + i, seen, expected) for i, (seen, expected) in enumerate(cells))

    def _point(self, p: int, hour: int, seen: float, expected: float) -> Point:
        spread = self._spread(p, expected)
        figures = (seen, expected, max(expected - spread, 0.0), expected + spread) if expected else (seen, *[None] * 3)
        observed, due, low, high = (None if x is None else float(f"{x:.5g}") for x in figures)
        return Point(at=rfc3339(hour * HOUR_MS), observed=observed, expected=due, low=low, high=high)
