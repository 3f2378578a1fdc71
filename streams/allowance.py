"""How an account's allowance of false alarms is shared out over its series and tests.

An e-detector that alarms at ``R >= gamma`` is wrong at most once in ``gamma``; several whose rates add up to the
promise keep it together, however they depend on each other (a union bound).  A series' share grows with its volume:
where little comes in, little can be seen in time.  A wide scope with one living part says what that part says and
takes no share.  What no source of the account can show (click times, baskets) takes none either.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, level
from streams.limits import BASKETS, COHORT, COUNT, ROAS, SILENCE
from streams.series import LEAF

Ints = NDArray[np.int64]
Rows = NDArray[Any]

LEVELS = (0.7, 0.2, 0.1)
"""Shares of the allowance for all campaigns, all sources, and the account."""
PARTS = 0.1
"""Share of an account's allowance that all legs and names of its sources take together, once it has any to judge."""
LEAST_WEIGHT = 1e-6
"""Weight of parts below which there are none: sums that went up and down again may be off zero by a rounding."""
WEIGHTY_A_DAY = 20.0
"""Conversions a day at which a series gets half of a full share."""
KNOWN_PRIOR = 5.0
KNOWN_LEAST = 0.2
"""Share of conversions that must say when their click was for a source's cohorts to be judged."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def known_share(sources: Rows, c: int) -> float:
    """Share of the conversions of source ``c`` that say when their click was; 0.0 while too few do."""
    share = sources[c].known / (sources[c].arrived + KNOWN_PRIOR)
    return float(share) if share >= KNOWN_LEAST else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def share_out(series: Rows, sources: Rows, accounts: Rows, mine: Ints, quiet_days: float, per_campaign: bool) -> None:
    """Set every series' days between two false alarms of all its tests together."""
    _count_alive(series, mine)
    if accounts[series[mine[0]].account].parts > LEAST_WEIGHT:
        quiet_days /= 1.0 - PARTS
    totals = np.zeros(len(LEVELS))
    for s in mine:
        if speaks(series, s):
            totals[series[s].level] += _weight(series, s) * _runs(series, sources, s)
    all_levels = 0.0
    for i in range(len(LEVELS)):
        all_levels += LEVELS[i] if totals[i] > 0.0 else 0.0
    for s in mine:
        if not speaks(series, s):
            series[s].quiet_days = np.inf
        elif per_campaign:
            series[s].quiet_days = quiet_days * _runs(series, sources, s)
        else:
            share = LEVELS[series[s].level] / all_levels * _weight(series, s) / totals[series[s].level]
            series[s].quiet_days = quiet_days / share


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def speaks(series: Rows, s: int) -> bool:
    """Whether a series has something of its own to say: a campaign once it spent, a wider scope with two parts."""
    if series[s].level != LEAF:
        return bool(series[s].alive > 1)
    return bool(series[s].learned[level.A] > 0.0 or series[s].learned[level.B] > 0.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _count_alive(series: Rows, mine: Ints) -> None:
    """How many parts of every scope bring conversions; parts stand before what they are part of."""
    for s in mine:
        series[s].alive = 0
    for s in mine:
        if series[s].parent != -1 and (series[s].level == LEAF or series[s].alive > 0):
            series[series[s].parent].alive += 1 if series[s].learned[level.A] > 0.0 else 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _weight(series: Rows, s: int) -> float:
    return float(max(series[s].rate_a_day, 1.0) / (series[s].rate_a_day + WEIGHTY_A_DAY))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _runs(series: Rows, sources: Rows, s: int) -> float:
    """Sum of the shares of the tests that this series can be put to."""
    c = series[s].source
    cohorts = c < 0 or known_share(sources, c) > 0.0
    baskets = series[s].level != LEAF or series[s].basket[basket.COUNT] > 0.0
    return COUNT + SILENCE + (COHORT if cohorts else 0.0) + (BASKETS + ROAS if baskets else 0.0)
