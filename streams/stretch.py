"""A stretch of the log in compiled code: facts are taken in, ticks are judged, until something needs more than that."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from events.batch import Ints, Kind
from events.compiled import keep_fresh
from streams.arrival import Bounds, Facts, Places, take
from streams.judge import judge
from streams.panes import close
from streams.part_judge import judge_parts
from streams.parts import close_parts
from streams.progress import watermarks

Rows = NDArray[Any]
TICK = int(Kind.TICK)
ENDED, NEW_DAY = -1, -2


class State(NamedTuple):
    """All the arrays that facts and ticks change; each as its own module lays it out."""

    series: Rows
    sources: Rows
    accounts: Rows
    windows: Ints
    order: Ints
    spans: Ints
    ids: Ints
    used: Ints
    waiting: Rows
    closed: Rows
    sizes: Ints
    parts: Rows
    parts_waiting: Rows
    parts_order: Ints
    families: Ints


class Rules(NamedTuple):
    """What stays the same over a stretch, and the moment from which the next day's ticks need Python first."""

    horizon_ms: int
    future_ms: int
    lateness_ms: int
    quiet_days: float
    per_campaign: bool
    every_tick: bool
    next_day_ms: int


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def advance(
    facts: Facts,
    low: int,
    high: int,
    tick_ms: int,
    rules: Rules,
    places: Places,
    state: State,
    taken: NDArray[np.uint8],
    found: Ints,
    why: Ints,
) -> tuple[int, int, int]:
    """Go through the rows from ``low`` up to ``high``; the row to go on with, what made it stop, and the last tick.

    It stops behind a tick with the number of series that want attention (0 only with ``every_tick``), before a tick
    of the next day with ``NEW_DAY``, or at ``high`` with ``ENDED``.  The arrays must have room for all rows.
    """
    start = low
    for row in range(low, high + 1):
        if row < high and facts.kind[row] != TICK:
            continue
        if row > start:
            take(
                facts, start, row, places, Bounds(tick_ms, rules.horizon_ms, rules.future_ms),
                state.series, state.sources, state.accounts,
                state.ids, state.used, state.waiting, state.sizes, state.parts, state.parts_waiting, taken,
            )  # fmt: skip
        start = row + 1
        if row == high or facts.at_ms[row] <= tick_ms:
            continue
        if facts.at_ms[row] >= rules.next_day_ms:
            return row, NEW_DAY, tick_ms
        tick_ms = facts.at_ms[row]
        count = _tick(tick_ms, rules, state, found, why)
        if count > 0 or rules.every_tick:
            return start, count, tick_ms
    return high, ENDED, tick_ms


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tick(tick_ms: int, rules: Rules, state: State, found: Ints, why: Ints) -> Any:
    """Move the watermarks, close panes, judge; how many series want attention."""
    series, sources, accounts = state.series, state.sources, state.accounts
    watermarks(sources, tick_ms, rules.lateness_ms)
    close(state.waiting, state.closed, state.sizes, series, sources, state.windows)
    parts, order, families = state.parts, state.parts_order, state.families
    close_parts(state.parts_waiting, state.sizes, parts, sources, accounts, order, families)
    day = state.windows[-1]
    count = judge(
        series, sources, accounts, state.order, state.spans, day, rules.quiet_days, rules.per_campaign, tick_ms,
        found, why,
    )  # fmt: skip
    return judge_parts(series, sources, accounts, parts, order, families, rules.quiet_days, tick_ms, found, why, count)


keep_fresh()
