"""What a step should have brought: exposure, level and season give each campaign its expectation.

Sources and accounts expect the sum of what their campaigns expect, so that spend moving between a dear and a cheap
campaign surprises nobody; one that has no level of its own yet is left out.  A campaign that is in an incident counts
in no wider scope.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, lag, level
from streams import hours, lumps
from streams.allowance import known_share
from streams.clocks import hour_of_week
from streams.hours import HOUR_MS, HOURS, add_up, turn
from streams.modes import BLIND, MODE_ROAS
from streams.panes import BASKETS, CONVERSIONS, COST, KNOWN, LOG_BASKETS, VALUE
from streams.series import ACCOUNT, LEAF, SOURCE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

WARM_MS = 86_400_000
"""A source is judged once it has been seen for so long."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def arrivals(series: Rows, sources: Rows, accounts: Rows, mine: Ints) -> None:
    """Spend of the step, delayed as conversions are, for every campaign and summed for the wider scopes."""
    for s in mine:
        series[s].exposure = 0.0
        series[s].count = 0.0
        series[s].expected = 0.0
        series[s].baskets = 0.0
        series[s].basket_off = 0.0
        if series[s].level == ACCOUNT:
            accounts[series[s].account].stages[:] = 0.0
        elif series[s].level == SOURCE:
            sources[series[s].source].stages[:] = 0.0
    keep = np.empty(lag.STAGES - 1)
    kept_ms = 0.0
    for s in mine:
        if series[s].level != LEAF or sources[series[s].source].dt_ms <= 0.0:
            continue
        cost = series[s].step[COST] / 1e6
        if cost == 0.0 and series[s].learned[level.WEIGHT] == 0.0:
            continue
        dt_ms = sources[series[s].source].dt_ms
        if series[s].learned[level.WEIGHT] == 0.0:
            _launch(series, sources, s)
        if dt_ms != kept_ms:
            lag.keeps(dt_ms, keep)
            kept_ms = dt_ms
        lumps.note(series, s, cost, series[s].step[CONVERSIONS] / 1e6, sources[series[s].source].judged_ms)
        cost = lumps.even(series, s, cost, dt_ms)
        x = level.arrive(series[s].learned, cost, dt_ms, sources[series[s].source].lag, keep)
        if sources[series[s].source].known > 0.0:
            worth = level.rate(series[s].learned, series[s].pooled)
            level.expose(series[s].learned, cost, dt_ms, worth, sources[series[s].source].fresh[lag.BINS :])
        if accounts[series[s].account].named:
            level.expose(series[s].learned, cost, dt_ms, 1.0, sources[series[s].source].stages)
            level.expose(series[s].learned, cost, dt_ms, 1.0, accounts[series[s].account].stages)
        series[s].exposure = x
        series[series[s].parent].exposure += x
        series[series[series[s].parent].parent].exposure += x


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _launch(series: Rows, sources: Rows, s: int) -> None:
    """A campaign spends for the first time: with its source, in mid-life; later than that, after nothing."""
    c = series[s].source
    begins_ms = sources[c].judged_ms - sources[c].dt_ms
    if sources[c].spending_ms < 0:
        sources[c].spending_ms = begins_ms
    level.begin(series[s].learned, begins_ms - sources[c].spending_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def expect(series: Rows, sources: Rows, accounts: Rows, mine: Ints) -> None:
    """What each campaign should have brought, what it brought, and both summed upwards where they may be judged."""
    for s in mine:
        c = series[s].source
        if series[s].level != LEAF or sources[c].dt_ms <= 0.0:
            continue
        end = sources[c].watermark_ms
        factor = accounts[series[s].account].factor[hour_of_week(accounts, series[s].account, end - 1)]
        x = _exposure(series, s) * factor
        n = series[s].step[CONVERSIONS] / 1e6
        rate = level.rate(series[s].learned, series[s].pooled) if end - sources[c].first_ms >= WARM_MS else 0.0
        rate *= 1.0 - sources[c].taken  # an open alert of a leg or name accounts for these
        mu = x * rate
        judged = rate > 0.0 and not level.resting(series[s].learned, sources[c].lag)
        if judged:
            series[s].count = n
            series[s].expected = mu
        if series[s].mode & BLIND == 0:
            # what comes before any spend was seen, of clicks of long ago, says nothing of what spend is worth
            spent = series[s].unassigned != 0 or series[s].learned[level.WEIGHT] > 0.0
            level.note(series[s].learned, n if spent else 0.0, x, mu)
            if judged and series[s].learned[level.A] >= level.MIN_CONVERSIONS:
                _sum_up(series, s, n, mu)
        _remember(series, s, end, n, mu, rate > 0.0)
        sources[c].arrived += n
        sources[c].known += series[s].step[KNOWN] / 1e6
        due = series[s].step[COST] / 1e6 * factor * rate * known_share(sources, c)
        if due != 0.0:
            add_up(series, s, (end - 1) // HOUR_MS, hours.DUE, due, BLIND)
        _expect_baskets(series, s, (end - 1) // HOUR_MS % HOURS)
        series[s].step[:] = 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _exposure(series: Rows, s: int) -> float:
    """A campaign's own exposure; conversions that name no campaign are held against their source's or account's."""
    own = series[s].exposure
    if own > 0.0 or series[s].unassigned == 0:
        return float(own)
    up = series[s].parent
    return float(series[up].exposure if series[up].exposure > 0.0 else series[series[up].parent].exposure)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sum_up(series: Rows, s: int, n: float, mu: float) -> None:
    up = series[s].parent
    while up != -1:
        series[up].count += n
        series[up].expected += mu
        up = -1 if series[up].mode & BLIND else series[up].parent


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expect_baskets(series: Rows, s: int, slot: int) -> None:
    k = series[s].step[BASKETS] / 1e6
    if k <= 0.0:
        return
    total = series[s].step[LOG_BASKETS] / 1e6
    series[s].baskets = k
    series[s].basket_off = total
    row = series[s].basket
    if row[basket.COUNT] < basket.MIN_BASKETS:
        return
    series[s].history[slot, hours.BASKETS] += k
    series[s].history[slot, hours.BASKETS_OFF] += total - k * row[basket.MEAN]
    at = s
    while series[at].parent != -1 and series[at].mode & MODE_ROAS == 0:
        at = series[at].parent
        series[at].baskets += k
        series[at].basket_off += total - k * row[basket.MEAN]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _remember(series: Rows, s: int, end: int, n: float, mu: float, known: bool) -> None:
    """Hourly history for the charts: of the campaign and of what it belongs to."""
    hour = (end - 1) // HOUR_MS
    slot = hour % HOURS
    step = series[s].step
    quiet = n == 0.0 and step[KNOWN] == 0 and step[COST] == 0 and step[VALUE] == 0
    at = s
    while at != -1:
        turn(series, at, hour)
        row = series[at].history[slot]
        row[hours.EXPECTED] += mu
        if not quiet:
            if at == s or known:
                row[hours.SEEN] += n
                row[hours.KNOWN] += step[KNOWN] / 1e6
            row[hours.SPENT] += step[COST]
            row[hours.SOLD] += step[VALUE]
        at = series[at].parent
