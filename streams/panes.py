"""Panes and rolling windows: exact integer sums over half-open minutes, per series, in columns.

A fact falls into the pane of its minute.  Panes wait until their source's watermark says that they are complete; a
tick closes them, oldest and late ones alike, into the step that is judged next and into the rolling windows.  Closed
panes stay in a chain per source, sorted by minute, so that each window forgets a pane exactly when its source's
watermark has moved past it, and so that a late fact still corrects the pane it belongs to.

::

    minute      ... 11:57  11:58  11:59 | 12:00  12:01 ...
                 closed panes (chain)   | waiting panes
                 window 1 h, 6 h, 24 h  ^ the source's watermark
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

PANE_MS = 60_000
WINDOWS_MIN = np.array([60, 360, 1440], np.int64)
COST, IMPRESSIONS, CLICKS, CONVERSIONS, VALUE, BASKETS, LOG_BASKETS, BY_LAG = range(8)
MEASURES = BY_LAG + 4
"""The last four are conversions whose click is known, by lag stage."""
NONE = -1


class Waiting(NamedTuple):
    """Panes (one row a fact) that are not complete yet; ``size[0]`` rows are in use."""

    series: Ints
    minute: Ints
    sums: Ints
    size: Ints


class Closed(NamedTuple):
    """Closed panes of the longest window, chained per source; ``free[0]`` heads the list of free rows, ``free[1]`` is the high-water mark."""

    series: Ints
    minute: Ints
    sums: Ints
    following: Ints
    before: Ints
    free: Ints


class Chain(NamedTuple):
    """Per source: the first and last closed pane, and per window the first pane still inside."""

    head: Ints
    tail: Ints
    first: Ints


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def close(
    waiting: Waiting,
    closed: Closed,
    chain: Chain,
    latest: Ints,
    source_of: Ints,
    parent: Ints,
    watermark_ms: Ints,
    step: Ints,
    windows: Ints,
) -> None:
    """Close every complete pane: into ``step[series]``, into the windows of its series and wider scopes, into its chain."""
    left = 0
    for i in range(waiting.size[0]):
        series = waiting.series[i]
        source = source_of[series]
        if (waiting.minute[i] + 1) * PANE_MS > watermark_ms[source]:
            waiting.series[left] = series
            waiting.minute[left] = waiting.minute[i]
            waiting.sums[left] = waiting.sums[i]
            left += 1
            continue
        step[series] += waiting.sums[i]
        _keep(
            closed,
            chain,
            latest,
            parent,
            windows,
            series,
            source,
            waiting.minute[i],
            waiting.sums[i],
            watermark_ms[source] // PANE_MS,
        )
    waiting.size[0] = left
    for source in range(len(watermark_ms)):
        _expire(closed, chain, latest, parent, windows, source, watermark_ms[source] // PANE_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _keep(
    closed: Closed,
    chain: Chain,
    latest: Ints,
    parent: Ints,
    windows: Ints,
    series: int,
    source: int,
    minute: int,
    sums: Ints,
    end: int,
) -> None:
    if minute < end - WINDOWS_MIN[-1]:
        return
    for w in range(len(WINDOWS_MIN)):
        if minute >= end - WINDOWS_MIN[w]:
            _add(windows[w], parent, series, sums, 1)
    row = latest[series]
    if row != NONE and closed.minute[row] == minute:
        closed.sums[row] += sums
        return
    row = _take_row(closed)
    closed.series[row] = series
    closed.minute[row] = minute
    closed.sums[row] = sums
    latest[series] = row
    _insert(closed, chain, row, source, minute, end)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _take_row(closed: Closed) -> int:
    row = closed.free[0]
    if row != NONE:
        closed.free[0] = closed.following[row]
        return int(row)
    row = closed.free[1]
    closed.free[1] = row + 1
    return int(row)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _insert(closed: Closed, chain: Chain, row: int, source: int, minute: int, end: int) -> None:
    after = chain.tail[source]
    while after != NONE and closed.minute[after] > minute:
        after = closed.before[after]
    following = chain.head[source] if after == NONE else closed.following[after]
    closed.before[row] = after
    closed.following[row] = following
    if after == NONE:
        chain.head[source] = row
    else:
        closed.following[after] = row
    if following == NONE:
        chain.tail[source] = row
    else:
        closed.before[following] = row
    for w in range(len(WINDOWS_MIN)):
        if minute >= end - WINDOWS_MIN[w] and chain.first[source, w] == following:
            chain.first[source, w] = row


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expire(closed: Closed, chain: Chain, latest: Ints, parent: Ints, windows: Ints, source: int, end: int) -> None:
    for w in range(len(WINDOWS_MIN)):
        row = chain.first[source, w]
        while row != NONE and closed.minute[row] < end - WINDOWS_MIN[w]:
            _add(windows[w], parent, closed.series[row], closed.sums[row], -1)
            row = closed.following[row]
        chain.first[source, w] = row
    _release(closed, chain, latest, source, end - WINDOWS_MIN[-1])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _release(closed: Closed, chain: Chain, latest: Ints, source: int, oldest: int) -> None:
    row = chain.head[source]
    while row != NONE and closed.minute[row] < oldest:
        following = closed.following[row]
        if latest[closed.series[row]] == row:
            latest[closed.series[row]] = NONE
        closed.following[row] = closed.free[0]
        closed.free[0] = row
        row = following
    chain.head[source] = row
    if row == NONE:
        chain.tail[source] = NONE
    else:
        closed.before[row] = NONE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _add(window: Ints, parent: Ints, series: int, sums: Ints, sign: int) -> None:
    at = series
    while at != NONE:
        for m in range(MEASURES):
            window[at, m] += sign * sums[m]
        at = parent[at]
