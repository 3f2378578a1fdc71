"""Taking facts in: between two ticks they commute, so one pass in log order decides each fact by itself.

A fact is refused when it is far ahead of the last tick, older than the horizon in which ids are remembered, in a
currency other than its account's, or a repeat.  A late one (its pane is already closed) is counted and still summed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from detectors.lag import delay_bin
from streams.ids import HOUR_MS, seen
from streams.panes import (
    BASKETS,
    CLICKS,
    CONVERSIONS,
    COST,
    IMPRESSIONS,
    KNOWN,
    LOG_BASKETS,
    MEASURES,
    NONE,
    PANE_MS,
    VALUE,
    WAITING,
    Rows,
)
from streams.parts import count_parts

Ints = NDArray[np.int64]

DELIVERY, CONVERSION, WATERMARK = 0, 1, 7
AHEAD_MS = 600_000
"""A fact further ahead of the last tick than this does not move its source's watermark."""
PRIMARY, FOREIGN = 1, 2


class Taken(IntEnum):
    """What became of a fact."""

    ACCEPTED = 0
    LATE = 1
    DUPLICATE = 2
    REPEATED = 3
    FUTURE = 4
    TOO_OLD = 5
    CURRENCY = 6
    OTHER = 7


class Facts(NamedTuple):
    """The columns of a batch that sums are made of."""

    kind: NDArray[np.uint8]
    at_ms: Ints
    key: NDArray[np.int32]
    id_hash: NDArray[np.uint64]
    cost_micros: Ints
    impressions: Ints
    clicks: Ints
    conversions: Ints
    value_micros: Ints
    lag_ms: Ints
    fenced: NDArray[np.bool_]


class Places(NamedTuple):
    """Where the facts of a key go: its leaf series, source, leg and name (-1: none), its account, and its flags."""

    leaf: Ints
    source: Ints
    account: Ints
    flags: Ints
    leg: Ints
    name: Ints


class Bounds(NamedTuple):
    """The last tick (-1: none yet) and how far around it facts are taken."""

    tick_ms: int
    horizon_ms: int
    future_ms: int


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def refusal(at_ms: int, flags: int, bounds: Bounds) -> int:
    """Why a fact of this time and currency cannot be used, or ``ACCEPTED``."""
    if flags & FOREIGN:
        return 6
    if bounds.tick_ms >= 0 and at_ms > bounds.tick_ms + bounds.future_ms:
        return 4
    if bounds.tick_ms >= 0 and at_ms < bounds.tick_ms - bounds.horizon_ms:
        return 5
    return 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def move(sources: Rows, source: int, at_ms: int, tick_ms: int) -> None:
    """Let a fact move its source's newest time."""
    if source >= 0 and at_ms > sources[source].newest_ms and (tick_ms < 0 or at_ms <= tick_ms + AHEAD_MS):
        sources[source].newest_ms = at_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _add(sums: Ints, facts: Facts, i: int, primary: bool) -> None:
    if facts.kind[i] == DELIVERY:
        sums[COST] += facts.cost_micros[i]
        sums[IMPRESSIONS] += facts.impressions[i]
        sums[CLICKS] += facts.clicks[i]
    elif primary:
        count = facts.conversions[i]
        value = facts.value_micros[i]
        sums[CONVERSIONS] += count
        sums[VALUE] += value
        if facts.lag_ms[i] >= 0:
            sums[KNOWN] += count
        if value > 0 and count > 0:
            sums[BASKETS] += count
            sums[LOG_BASKETS] += np.int64(np.rint(np.log(value / count) * count))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def take(
    facts: Facts,
    low: int,
    high: int,
    places: Places,
    bounds: Bounds,
    series: Rows,
    sources: Rows,
    accounts: Rows,
    ids: Ints,
    used: Ints,
    waiting: Rows,
    sizes: Ints,
    parts: Rows,
    parts_waiting: Rows,
    taken: NDArray[np.uint8],
) -> None:
    """Take rows ``low`` to ``high``; ``taken[row]`` tells what became of each."""
    oldest = (bounds.tick_ms - bounds.horizon_ms) // HOUR_MS - 1
    for i in range(low, high):
        kind = facts.kind[i]
        key = facts.key[i]
        if kind != DELIVERY and kind != CONVERSION and kind != WATERMARK:
            taken[i] = 3 if facts.fenced[i] else 7
            continue
        if facts.fenced[i]:
            taken[i] = 3
            continue
        at_ms = facts.at_ms[i]
        verdict = refusal(at_ms, places.flags[key], bounds)
        source = places.source[key]
        if kind == WATERMARK:
            taken[i] = 4 if verdict == 4 else 0
            if verdict != 4:
                sources[source].declared_ms = max(sources[source].declared_ms, at_ms)
            continue
        if verdict == 0 and seen(ids, used, facts.id_hash[i], at_ms // HOUR_MS, oldest):
            verdict = 2
        taken[i] = verdict
        if kind == CONVERSION and (verdict == 0 or (verdict == 2 and places.leg[key] >= 0)):
            count_parts(
                parts, parts_waiting, sizes, sources, ids, used, places.leg[key], places.name[key],
                facts.id_hash[i], at_ms, oldest, facts.conversions[i], verdict == 0,
                places.flags[key] & PRIMARY != 0, facts.lag_ms[i],
            )  # fmt: skip
        if verdict != 0:
            continue
        move(sources, source, at_ms, bounds.tick_ms)
        minute = at_ms // PANE_MS
        if (minute + 1) * PANE_MS <= sources[source].watermark_ms:
            taken[i] = 1
        leaf = places.leaf[key]
        primary = places.flags[key] & PRIMARY != 0
        clicked_hour = NONE
        if kind == CONVERSION and facts.lag_ms[i] >= 0 and primary:
            clicked_hour = (at_ms - facts.lag_ms[i]) // HOUR_MS
            sources[source].fresh[delay_bin(facts.lag_ms[i])] += 1.0
        row = _pane(waiting, sizes, series, leaf, minute, clicked_hour)
        _add(waiting[row].sums, facts, i, primary)
        _add(series[leaf].total, facts, i, primary)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pane(waiting: Rows, sizes: Ints, series: Rows, leaf: int, minute: int, clicked_hour: int) -> int:
    """The row of the pane that waits for more of the same; the series' last one, or a new one."""
    row = series[leaf].waits
    if 0 <= row < sizes[WAITING]:
        last = waiting[row]
        if last.series == leaf and last.minute == minute and last.clicked_hour == clicked_hour:
            return int(row)
    row = sizes[WAITING]
    sizes[WAITING] = row + 1
    series[leaf].waits = row
    waiting[row].series = leaf
    waiting[row].minute = minute
    waiting[row].clicked_hour = clicked_hour
    waiting[row].undated = 0
    for m in range(MEASURES):
        waiting[row].sums[m] = 0
    return int(row)
