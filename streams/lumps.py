"""Spend that is told in lumps, every five minutes or every hour, beside conversions that are told one by one.

What was spent in an hour and is told in one of its minutes brings conversions in all of them.  Taken at its word it
would make that minute due all that the hour brings, and the others nothing: noise, to whoever learns it, and silence,
to whoever waits.  So a lump works evenly until the next one is due.  Conversions that come in the same lumps, as those
of totals by the hour do, need none of that.
"""

from __future__ import annotations

import math
from typing import Any

import numba
from numpy.typing import NDArray

Rows = NDArray[Any]

LONGEST_GAP_MS = 2 * 3_600_000
"""Longer without spend is a pause."""
WEIGHT = 0.1
"""Of the newest gap."""
MEMORY = 20.0
"""Conversions by which is told whether they come apart from spend."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def note(series: Rows, s: int, cost: float, n: float, now_ms: int) -> None:
    """Learn from a step that ends now how far apart steps with spend are, and whether conversions come between."""
    if n > 0.0:
        between = 1.0 if cost <= 0.0 else 0.0
        series[s].apart -= (between - series[s].apart) * math.expm1(-n / MEMORY)
    if cost <= 0.0:
        return
    gap_ms = now_ms - series[s].paid_ms
    if series[s].paid_ms >= 0 and gap_ms <= LONGEST_GAP_MS:
        series[s].gap_ms += (gap_ms - series[s].gap_ms) * WEIGHT
    series[s].paid_ms = now_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def even(series: Rows, s: int, cost: float, dt_ms: float) -> float:
    """Of what was spent in a step and before, what works in it: a lump works evenly until the next one is due."""
    gap_ms = series[s].gap_ms
    series[s].owed += cost
    if gap_ms < 1.5 * dt_ms or series[s].apart < 0.5 * (1.0 - dt_ms / gap_ms):
        worked = series[s].owed
    else:
        if cost > 0.0:
            series[s].pace = series[s].owed / gap_ms
        worked = min(series[s].owed, series[s].pace * dt_ms)
    series[s].owed -= worked
    return float(worked)
