"""What a source learns of its lag at the turn of an hour: delays, exposures, and how cohorts of clicks grow older."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import lag, ripening
from streams.hours import CLICKED, HOUR_MS, HOURS
from streams.modes import BLIND
from streams.progress import hour_turned, modes_above, suspicious
from streams.series import LEAF, SOURCE

Ints = NDArray[np.int64]
Rows = NDArray[Any]
Row = NDArray[np.float64]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    """Learn what the last hour showed of the lags of every source whose hour has turned, and of the account's."""
    corrected = np.empty(lag.BINS)
    grown = np.empty(2 * ripening.GROUPS)
    for s in mine:
        if series[s].level == SOURCE and hour_turned(series, sources, accounts, s):
            c = series[s].source
            _learn_delays(series, sources, accounts, a, mine, c)
            _learn_ages(series, sources, c, grown)
            delays = lag.pooled(sources[c].delays, accounts[a].delays)
            lag.correct(sources[c].lag, delays, corrected)
            lag.cumulate(corrected, sources[c].below)
            ripening.bend(sources[c].below, sources[c].ripe)
            sources[c].settled[:] = sources[c].below
            ripening.note(sources[c].below, sources[c].ripe, grown)
            ripening.stretch(sources[c].below, sources[c].ripe)
            lag.apart(sources[c].below, corrected.sum(), corrected)
            lag.fit(sources[c].lag, corrected)
    lag.correct(accounts[a].lag, accounts[a].delays, corrected)
    lag.fit(accounts[a].lag, corrected)
    lag.cumulate(corrected, accounts[a].below)
    lag.forget(accounts[a].delays, lag.BINS, lag.REMEMBERED)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_delays(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints, c: int) -> None:
    """Learn the delays that wait, unless most of the source is under suspicion; never those of an incident."""
    total, hot, struck = 0.0, 0.0, 0.0
    for s in mine:
        if series[s].source == c and series[s].level == LEAF:
            total += series[s].rate_a_day
            hot += series[s].rate_a_day if suspicious(series, s) else 0.0
            struck += series[s].rate_a_day if (series[s].mode | modes_above(series, s)) & BLIND else 0.0
    if 2.0 * struck > total:
        sources[c].fresh[:] = 0.0
    elif 2.0 * hot <= total:
        sources[c].delays += sources[c].fresh
        accounts[a].delays += sources[c].fresh
        sources[c].fresh[:] = 0.0
        lag.forget(sources[c].delays, lag.BINS, lag.REMEMBERED)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_ages(series: Rows, sources: Rows, c: int, grown: Row) -> None:
    """Learn what arrived in the last hour by the age of its clicks, beside what clicks of that age had brought by then.

    Clicks from before the source was first seen, or before an incident's end, have brought more than was counted, or
    less than they should, so they are left out.
    """
    grown[:] = 0.0
    whole = sources[c].series
    newest = sources[c].watermark_ms // HOUR_MS - 1
    first = max(newest - HOURS + 1, sources[c].entire_ms // HOUR_MS + 1)
    if sources[c].watermark_ms - sources[c].learned_ms <= 2 * HOUR_MS and series[whole].history_hour >= newest:
        for hour in range(first, newest):
            group = ripening.group(newest - hour)
            if group >= 0:
                grown[ripening.GROUPS + group] += series[whole].history[hour % HOURS, CLICKED] / 1e6
        grown[: ripening.GROUPS] = sources[c].ripened
        sources[c].ripe[: 2 * ripening.GROUPS] += grown
        lag.forget(sources[c].ripe, ripening.GROUPS, ripening.REMEMBERED)
    sources[c].ripened[:] = 0.0
