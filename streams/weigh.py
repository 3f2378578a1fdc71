"""The tests of a step: counts, click cohorts, silence, baskets; each has its share of the account's allowance."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, cohort, deficit, lag, level, outage
from streams import hours
from streams.hours import HOUR_MS, HOURS
from streams.modes import BLIND, MODE_OUTAGE, MODE_ROAS
from streams.progress import end, modes_above

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

CPA, OUTAGE, ROAS, CALM_COUNT, CALM_BASKET, REVIEW, COHORT = 1, 2, 4, 8, 16, 32, 64
"""Why a series wants attention, as bits."""
SUSPICION = 0.4
"""Share of the threshold, in log, from which nothing is learned."""
CALM = math.log(200.0)
"""Nats of evidence for being back to normal that end an alert."""
WORTH_NATS = 3.0
"""Evidence, roughly, that some stretch of cohorts must hold for all of it to be computed."""
HOT_COUNT, HOT_COHORT = 1, 2


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def weigh(series: Rows, s: int, from_ms: float, dt_ms: float, quiet_days: float, warm: bool) -> int:
    above = 0
    up = series[s].parent
    while up != -1:
        above |= series[up].mode
        up = series[up].parent
    reason = 0
    if series[s].expected > 0.0 or series[s].count > 0.0:
        reason |= _test_count(series, s, from_ms, dt_ms, quiet_days, above)
    if series[s].baskets > 0.0:
        reason |= _test_baskets(series, s, from_ms, quiet_days, above, warm)
    return reason


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_count(series: Rows, s: int, from_ms: float, dt_ms: float, days: float, above: int) -> int:
    n = series[s].count
    mu = series[s].expected
    phi = series[s].phi + deficit.TYPICAL_HORIZON * series[s].doubt
    # while conversions are known to be rarer, silence is measured by what still arrives
    waited = outage.run(
        series[s].timer,
        n,
        mu / series[s].ratio if series[s].mode & BLIND else mu,
        series[s].phi + deficit.DECISION_NATS * series[s].doubt,
        from_ms,
    )
    stopped = waited >= outage.limit(days * max(series[s].rate_a_day, 1.0)) and above & BLIND == 0
    if series[s].mode & BLIND:
        series[s].recovered = deficit.recover(series[s].deficit, n, mu, phi, series[s].ratio)
        reason = CALM_COUNT if series[s].recovered >= CALM else 0
        return reason | (OUTAGE if stopped and series[s].mode & MODE_OUTAGE == 0 else 0)
    if above & BLIND:
        return 0
    if not deficit.step(series[s].deficit, n, mu, series[s].phi, series[s].doubt, from_ms, dt_ms):
        return OUTAGE if stopped else 0
    gamma = days * max(series[s].steps_a_day, 1.0)
    r = deficit.evidence(series[s].deficit)
    hot = math.log(1.0 + r) > SUSPICION * math.log(gamma)
    series[s].hot = series[s].hot | HOT_COUNT if hot else series[s].hot & ~HOT_COUNT
    return (OUTAGE if stopped else 0) | (CPA if r >= gamma else 0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_baskets(series: Rows, s: int, from_ms: float, days: float, above: int, warm: bool) -> int:
    row = series[s].basket
    k = series[s].baskets
    off = series[s].basket_off
    if series[s].mode & MODE_ROAS:
        r = basket.recover(row, k, off, math.log(series[s].basket_ratio))
        return CALM_BASKET if r >= CALM else 0
    if above & MODE_ROAS:
        return 0
    r = 0.0
    gamma = days * max(min(series[s].rate_a_day, 1440.0), 1.0)
    if warm and basket.step(row, k, off, from_ms):
        r = basket.evidence(row)
    basket.hold(row, k, off)
    if math.log(1.0 + r) <= SUSPICION * math.log(gamma):
        basket.commit(row)
    return ROAS if r >= gamma else 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def weigh_cohorts(series: Rows, sources: Rows, accounts: Rows, mine: Ints, quiet_days: float) -> None:
    """Weigh the click cohorts of every series that may be judged."""
    share = np.empty(HOURS)
    seen = np.empty(HOURS)
    due = np.empty(HOURS)
    below = np.empty(lag.BINS)
    last = -1
    for s in mine:
        a = series[s].account
        if last < 0:
            lag.cumulate(accounts[a].delays, below)
        if end(series, sources, accounts, s) != last:
            last = end(series, sources, accounts, s)
            _mature(below, last, share)
        series[s].hot &= ~HOT_COHORT
        cells = _cohorts(series, s, (last - 1) // HOUR_MS, share, seen, due)
        if cells == 0:
            series[s].cohort[:] = 0.0
            continue
        r = cohort.judge(series[s].cohort, seen, due, share, cells, series[s].phi, series[s].doubt)
        days = quiet_days * accounts[a].streams / series[s].weight
        if math.log(1.0 + r) > SUSPICION * math.log(days * max(series[s].rate_a_day, 1.0)):
            series[s].hot |= HOT_COHORT


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _mature(below: Floats, until: int, share: Floats) -> None:
    """Share arrived of the clicks of the newest hour, which is not over, and of the hours before."""
    begins = (until - 1) // HOUR_MS * HOUR_MS
    share[0] = lag.matured(below, 0.0, until - begins)
    for i in range(1, HOURS):
        share[i] = lag.matured(below, until - begins + (i - 1.0) * HOUR_MS, HOUR_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _cohorts(series: Rows, s: int, newest: int, share: Floats, seen: Floats, due: Floats) -> int:
    """Fill in what the cohorts brought and are due, newest first; 0 where nothing is missing that is worth a look."""
    blind = (series[s].mode | modes_above(series, s)) & BLIND
    if blind or series[s].unassigned or series[s].learned[level.A] == 0.0:
        return 0
    cells = min(HOURS, newest - series[s].since_hour + 1, series[s].history_hour + 1)
    total = 0.0
    missing = 0.0
    most = 0.0
    for i in range(cells):
        hour = newest - i
        inside = series[s].history_hour >= hour > series[s].history_hour - HOURS
        seen[i] = series[s].history[hour % HOURS, hours.CLICKED] / 1e6 if inside else 0.0
        due[i] = series[s].history[hour % HOURS, hours.DUE] if inside else 0.0
        total += due[i] * share[i]
        missing += due[i] * share[i] - seen[i]
        if missing > 0.0:
            most = max(most, missing * missing / total)
    return max(cells, 0) if most > 2.0 * WORTH_NATS * series[s].phi else 0
