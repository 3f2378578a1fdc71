"""From which evidence each test of a series alarms: its share of the series' allowance, renewed with it every hour.

Kept as what a step needs: one over the limit, nats from which nothing is learned, and how spread silence is.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import deficit, outage

Rows = NDArray[Any]

COUNT, COHORT, SILENCE, BASKETS, ROAS = 0.42, 0.22, 0.2, 0.12, 0.04
"""Shares of a series' allowance that its tests take."""
LOOSE_COUNT, LOOSE_COHORT, LOOSE_BASKETS = 1.1, 1.1, 2.0
"""How many times oftener than its share a test may be sure, measured: it leans on doubts of level, season and noise
that seldom all come true, and on a union bound over tests that agree (``docs/detectors.md``).  Counts only where no
click is told: where one is, a lag that shifts is the greater doubt."""
BUSY_A_DAY = 400.0
"""Conversions a day at which that is half as much again for a campaign: there doubts, not chance, set the pace. Wider
scopes have no such room: their campaigns are promoted, paused and launched together.  Of those that tell their clicks
counts and cohorts are asked for as much more: lags shift, and the busy see it first."""
SUSPICION, SUSPICION_ALONE = 0.3, 0.15
"""Share of the evidence that alarms, in nats, from which nothing is learned; the latter where one campaign is all that
an account has: there nothing else waits with it.

Measured by the stretch since the likeliest onset: the sum over all onsets grows with time where nothing is wrong."""
SILENT = 10.0
"""Conversions expected that a decision on silence rests on."""

# The columns of a row of limits: one over the limit of each test, then the dispersion of silence.
PER_COUNT, PER_COHORT, PER_SILENCE, PER_BASKETS, PER_ROAS, SILENT_PHI = range(6)
COLUMNS = 6
# The columns of what is suspicious, in nats.
COUNT_NATS, COHORT_NATS, BASKETS_NATS = range(3)
TESTS = 3


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def renew(series: Rows, s: int, campaign: bool, clicks_told: bool, alone: bool) -> None:
    """Set the limits of ``s`` from its share of the allowance, its volume and its dispersion.

    The time of all tests is conversions: due ones, or baskets, one a conversion.
    """
    row = series[s].limits
    phi = deficit.spread(series[s].phi, series[s].doubt, series[s].mood, series[s].rate_a_day, SILENT)
    a_day = max(series[s].rate_a_day, 1.0)
    oftener = busy(a_day) if campaign else 1.0
    shared = series[s].quiet_days * a_day
    quiet = shared / oftener
    lagging = shared * oftener if clicks_told else quiet
    row[PER_COUNT] = (1.0 if clicks_told else LOOSE_COUNT) * COUNT / lagging
    row[PER_COHORT] = LOOSE_COHORT * COHORT / lagging
    row[PER_SILENCE] = SILENCE / (quiet * outage.pace(phi))
    row[PER_BASKETS] = LOOSE_BASKETS * BASKETS / quiet
    row[PER_ROAS] = LOOSE_BASKETS * ROAS / lagging
    row[SILENT_PHI] = phi
    suspicion = SUSPICION_ALONE if alone else SUSPICION
    nats = series[s].suspicious
    nats[COUNT_NATS] = suspicion * math.log(lagging / COUNT)
    nats[COHORT_NATS] = suspicion * math.log(lagging / COHORT)
    nats[BASKETS_NATS] = suspicion * math.log(quiet / BASKETS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def busy(a_day: float) -> float:
    """How many times oftener the tests of a campaign of ``a_day`` conversions a day may be sure, from 1.0 to 2.0.

    >>> busy(0.0), busy(400.0)
    (1.0, 1.5)
    """
    return 1.0 + a_day * a_day / (a_day * a_day + BUSY_A_DAY * BUSY_A_DAY)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def slope(series: Rows, s: int) -> None:
    """Set the slopes of the count test, each at the dispersion of the stretch that its ratio decides on."""
    phis = np.empty(deficit.GRID_SIZE)
    gamma = series[s].quiet_days / COUNT * max(series[s].rate_a_day, 1.0)
    deficit.spreads(series[s].phi, series[s].doubt, series[s].mood, series[s].rate_a_day, gamma, phis)
    deficit.slopes(phis, series[s].slopes)
