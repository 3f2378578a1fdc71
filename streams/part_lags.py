"""How late the conversions of a name come, and the spend of a step as they see it: each name has a lag of its own.

A cart is filled at the click and a subscription is paid a week later, so where spend comes back, doubles or stops, the
names of a source part for a while although nothing is wrong.  Legs report the same conversions, and need no lag.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import lag
from streams.clocks import hour_of_week
from streams.parts import NAME

Rows = NDArray[Any]

LEAST_EXPOSED = 0.25
"""Share of what is due without any lag, or would be had spend not stopped, below which a name rests: how many come that
soon, or that late, hangs on the ends of a lag, of which little is known."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def expose(series: Rows, sources: Rows, accounts: Rows, parts: Rows, c: int, p: int) -> None:
    """Set the exposure of a part: spend of its source, or of the account where that has none, times the season.

    A name's is delayed as its own conversions are, a leg's as those that the source is judged by.
    """
    a = sources[c].account
    own = series[sources[c].series].exposure
    x = own if own > 0.0 else series[accounts[a].series].exposure
    if parts[p].kind == NAME:
        stages = sources[c].stages if sources[c].stages.max() > 0.0 else accounts[a].stages
        if parts[p].lag.sum() == 0.0:
            parts[p].lag[:] = sources[c].lag
        x = (parts[p].lag * stages).sum()
        if parts[p].rate > 0.0:
            parts[p].fresh[lag.BINS :] += parts[p].rate * stages
        if x < LEAST_EXPOSED * stages.max():
            x = 0.0
    parts[p].exposed = x * accounts[a].factor[hour_of_week(accounts, a, sources[c].watermark_ms - 1)]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(sources: Rows, parts: Rows, p: int) -> None:
    """Learn the delays that wait, and fit the lag of a name to all that are remembered; without any, its source's."""
    if parts[p].kind != NAME:
        return
    parts[p].delays += parts[p].fresh
    if parts[p].delays[: lag.BINS].sum() == 0.0:
        parts[p].lag[:] = sources[parts[p].source].lag
        return
    lag.forget(parts[p].delays, lag.BINS, lag.REMEMBERED)
    corrected = np.empty(lag.BINS)
    lag.correct(parts[p].lag, lag.pooled(parts[p].delays, sources[parts[p].source].delays), corrected)
    lag.fit(parts[p].lag, corrected)
