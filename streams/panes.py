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

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import ripening
from detectors.lag import delay_bin
from streams.columns import Spec
from streams.hours import CLICKED, HOUR_MS, add_up
from streams.modes import BLIND

Ints = NDArray[np.int64]

PANE_MS = 60_000
WINDOWS_MIN = np.array([60, 360, 1440], np.int64)
COST, IMPRESSIONS, CLICKS, CONVERSIONS, VALUE, BASKETS, LOG_BASKETS, KNOWN = range(8)
MEASURES = 8
"""The last are conversions that say when their click was."""
NONE = -1
WAITING, FREE, USED = range(3)
"""How many panes wait, which closed row heads the list of free ones, and how many closed rows were ever used."""

PANE: Spec = {"series": (np.int64, (), 0), "minute": (np.int64, (), 0), "sums": (np.int64, (MEASURES,), 0)}
WAITING_PANE: Spec = {**PANE, "clicked_hour": (np.int64, (), NONE), "undated": (np.int64, (), 0)}
"""``undated``: conversions, in millionths, whose delay shows only when the pane closes."""
CLOSED_PANE: Spec = {**PANE, "following": (np.int64, (), NONE), "before": (np.int64, (), NONE)}
Rows = NDArray[Any]
"""A structured array: panes as above, series and sources as the registry lays them out."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def close(waiting: Rows, closed: Rows, sizes: Ints, series: Rows, sources: Rows, windows: Ints) -> None:
    """Close every complete pane: into its series' ``step``, into the windows of its scopes, into its source's chain."""
    for source in range(len(sources)):
        _expire(closed, sizes, series, sources, windows, source, sources[source].watermark_ms // PANE_MS)
    left = 0
    for i in range(sizes[WAITING]):
        s = waiting[i].series
        source = series[s].source
        if (waiting[i].minute + 1) * PANE_MS > sources[source].watermark_ms:
            waiting[left].series = s
            waiting[left].minute = waiting[i].minute
            waiting[left].clicked_hour = waiting[i].clicked_hour
            waiting[left].undated = waiting[i].undated
            for m in range(MEASURES):
                waiting[left].sums[m] = waiting[i].sums[m]
            left += 1
            continue
        for m in range(MEASURES):
            series[s].step[m] += waiting[i].sums[m]
        if waiting[i].clicked_hour != NONE:
            add_up(series, s, waiting[i].clicked_hour, CLICKED, waiting[i].sums[KNOWN], BLIND)
            _ripen(series, sources, s, waiting[i])
        if waiting[i].undated > 0:
            late_ms = sources[source].watermark_ms - (waiting[i].minute + 1) * PANE_MS
            sources[source].fresh[delay_bin(late_ms)] += waiting[i].undated / 1e6
        _keep(waiting[i], closed, sizes, series, sources, windows, sources[source].watermark_ms // PANE_MS)
    sizes[WAITING] = left


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _ripen(series: Rows, sources: Rows, s: int, pane: Any) -> None:
    """Count conversions by the age of their clicks, those of cohorts that are entire."""
    source = series[s].source
    group = ripening.group(pane.minute // 60 - pane.clicked_hour)
    if group >= 0 and series[s].mode & BLIND == 0 and pane.clicked_hour > sources[source].entire_ms // HOUR_MS >= 0:
        sources[source].ripened[group] += pane.sums[KNOWN] / 1e6


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _keep(pane: Any, closed: Rows, sizes: Ints, series: Rows, sources: Rows, windows: Ints, end: int) -> None:
    if pane.minute < end - WINDOWS_MIN[-1]:
        return
    s = pane.series
    for w in range(len(WINDOWS_MIN)):
        if pane.minute >= end - WINDOWS_MIN[w]:
            _add(windows[w], series, s, pane.sums, 1)
    row = series[s].latest
    if row != NONE and closed[row].minute == pane.minute:
        for m in range(MEASURES):
            closed[row].sums[m] += pane.sums[m]
        return
    row = _take_row(closed, sizes)
    closed[row].series = s
    closed[row].minute = pane.minute
    for m in range(MEASURES):
        closed[row].sums[m] = pane.sums[m]
    series[s].latest = row
    _insert(closed, sources, row, series[s].source, end)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _take_row(closed: Rows, sizes: Ints) -> int:
    row = sizes[FREE]
    if row != NONE:
        sizes[FREE] = closed[row].following
        return int(row)
    row = sizes[USED]
    sizes[USED] = row + 1
    return int(row)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _insert(closed: Rows, sources: Rows, row: int, source: int, end: int) -> None:
    minute = closed[row].minute
    after = sources[source].tail
    while after != NONE and closed[after].minute > minute:
        after = closed[after].before
    following = sources[source].head if after == NONE else closed[after].following
    closed[row].before = after
    closed[row].following = following
    if after == NONE:
        sources[source].head = row
    else:
        closed[after].following = row
    if following == NONE:
        sources[source].tail = row
    else:
        closed[following].before = row
    for w in range(len(WINDOWS_MIN)):
        if minute >= end - WINDOWS_MIN[w] and sources[source].first[w] == following:
            sources[source].first[w] = row


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expire(closed: Rows, sizes: Ints, series: Rows, sources: Rows, windows: Ints, source: int, end: int) -> None:
    for w in range(len(WINDOWS_MIN)):
        row = sources[source].first[w]
        while row != NONE and closed[row].minute < end - WINDOWS_MIN[w]:
            _add(windows[w], series, closed[row].series, closed[row].sums, -1)
            row = closed[row].following
        sources[source].first[w] = row
    _release(closed, sizes, series, sources, source, end - WINDOWS_MIN[-1])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _release(closed: Rows, sizes: Ints, series: Rows, sources: Rows, source: int, oldest: int) -> None:
    row = sources[source].head
    while row != NONE and closed[row].minute < oldest:
        following = closed[row].following
        if series[closed[row].series].latest == row:
            series[closed[row].series].latest = NONE
        closed[row].following = sizes[FREE]
        sizes[FREE] = row
        row = following
    sources[source].head = row
    if row == NONE:
        sources[source].tail = NONE
    else:
        closed[row].before = NONE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _add(window: Ints, series: Rows, s: int, sums: Ints, sign: int) -> None:
    at = s
    while at != NONE:
        for m in range(MEASURES):
            window[at, m] += sign * sums[m]
        at = series[at].parent
