"""Judging at a tick: what closed since the last one is expected, tested, and only then learned.

One pass over the campaigns gives each its expectation; sources and accounts expect the sum of what their campaigns
expect, so that spend moving between a dear and a cheap campaign surprises nobody.  A campaign that is in an incident
counts in no wider scope, and nothing below a scope that is in one is tested.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, deficit, level, outage
from streams.panes import BASKETS, BY_LAG, CONVERSIONS, COST, LOG_BASKETS, VALUE
from streams.series import ACCOUNT, HOURS, LEAF, MODE_CPA, MODE_OUTAGE, MODE_ROAS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WARM_MS = DAY_MS
SEASON_PRIOR = 20.0
SEASON_KEEP = 0.98
LAG_PRIOR = 20.0
SUSPICION = 0.4
"""Share of the threshold, in log, from which nothing is learned."""
CALM = math.log(200.0)
"""Nats of evidence for being back to normal that end an alert."""
BASKET_RECOVERY = math.log(1.6)
"""The drop of basket values that 'back to normal' is weighed against."""
TESTS = 3.0
"""Tests run on every series: count, outage, basket; they share the account's allowance."""
CPA, OUTAGE, ROAS, CALM_COUNT, CALM_BASKET, REVIEW = 1, 2, 4, 8, 16, 32
BLIND = MODE_CPA | MODE_OUTAGE


class Series(NamedTuple):
    """The columns of the series that judging works on, as the registry names them."""

    parent: Ints
    source: Ints
    account: Ints
    level: Ints
    unassigned: Ints
    step: Ints
    learned: Floats
    deficit: Floats
    timer: Floats
    basket: Floats
    mode: Ints
    hot: Ints
    ratio: Floats
    recovered: Floats
    pooled: Floats
    phi: Floats
    certainty: Floats
    steps_a_day: Floats
    rate_a_day: Floats
    history: Floats
    history_hour: Ints
    exposure: Floats
    count: Floats
    expected: Floats
    baskets: Floats
    basket_off: Floats


class Sources(NamedTuple):
    """The columns of the sources."""

    series: Ints
    account: Ints
    newest_ms: Ints
    declared_ms: Ints
    watermark_ms: Ints
    judged_ms: Ints
    first_ms: Ints
    learned_ms: Ints
    dt_ms: Floats


class Accounts(NamedTuple):
    """The columns of the accounts."""

    series: Ints
    season_n: Floats
    season_mu: Floats
    lags: Ints
    lag: Floats
    watermark_ms: Ints
    learned_ms: Ints
    dt_ms: Floats
    streams: Floats


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def watermarks(sources: Sources, accounts: Accounts, tick_ms: int, lateness_ms: int) -> None:
    """Move every source's watermark to what the log says at this tick; whole minutes, never back."""
    for s in range(len(sources.series)):
        said = sources.declared_ms[s]
        reach = said if said >= 0 else sources.newest_ms[s] - lateness_ms
        reach = min(reach, tick_ms) // 60_000 * 60_000
        if (said >= 0 or sources.newest_ms[s] >= 0) and reach > sources.watermark_ms[s]:
            sources.watermark_ms[s] = reach


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def judge(
    series: Series, sources: Sources, accounts: Accounts, day: Ints, quiet_days: float, found: Ints, why: Ints
) -> int:
    """Judge and learn what closed; gives how many series want attention: their rows in ``found``, reasons in ``why``."""
    if not _elapse(sources, accounts):
        return 0
    _arrivals(series, sources, accounts)
    _expect(series, sources, accounts)
    flagged = 0
    for s in range(len(series.parent)):
        dt = _dt(series, sources, accounts, s)
        if dt <= 0.0:
            continue
        if series.level[s] != LEAF:
            level.note(series.learned[s], series.count[s], 0.0, series.expected[s])
        reason = _test(
            series, s, _end(series, sources, accounts, s) - dt, quiet_days, accounts.streams[series.account[s]]
        )
        if series.mode[s] != 0 and _hour_turned(series, sources, accounts, s):
            reason |= REVIEW
        if reason != 0:
            found[flagged] = s
            why[flagged] = reason
            flagged += 1
    _learn(series, sources, accounts, day)
    return flagged


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _elapse(sources: Sources, accounts: Accounts) -> bool:
    moved = False
    accounts.dt_ms[:] = 0.0
    for s in range(len(sources.series)):
        sources.dt_ms[s] = 0.0
        if sources.watermark_ms[s] <= sources.judged_ms[s]:
            continue
        if sources.judged_ms[s] >= 0:
            sources.dt_ms[s] = sources.watermark_ms[s] - sources.judged_ms[s]
            moved = True
        else:
            sources.first_ms[s] = sources.watermark_ms[s]
            sources.learned_ms[s] = sources.watermark_ms[s]
        sources.judged_ms[s] = sources.watermark_ms[s]
        a = sources.account[s]
        accounts.dt_ms[a] = max(accounts.dt_ms[a], sources.dt_ms[s])
        accounts.watermark_ms[a] = max(accounts.watermark_ms[a], sources.watermark_ms[s])
        if accounts.learned_ms[a] < 0:
            accounts.learned_ms[a] = accounts.watermark_ms[a]
    return moved


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _dt(series: Series, sources: Sources, accounts: Accounts, s: int) -> float:
    if series.level[s] == ACCOUNT:
        return float(accounts.dt_ms[series.account[s]])
    return float(sources.dt_ms[series.source[s]])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _end(series: Series, sources: Sources, accounts: Accounts, s: int) -> int:
    if series.level[s] == ACCOUNT:
        return int(accounts.watermark_ms[series.account[s]])
    return int(sources.watermark_ms[series.source[s]])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learned_ms(series: Series, sources: Sources, accounts: Accounts, s: int) -> int:
    if series.level[s] == ACCOUNT:
        return int(accounts.learned_ms[series.account[s]])
    return int(sources.learned_ms[series.source[s]])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hour_turned(series: Series, sources: Sources, accounts: Accounts, s: int) -> bool:
    last = _learned_ms(series, sources, accounts, s)
    return bool(last >= 0 and _end(series, sources, accounts, s) // HOUR_MS > last // HOUR_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _arrivals(series: Series, sources: Sources, accounts: Accounts) -> None:
    """Spend of the step, delayed as conversions are, for every campaign and summed for the wider scopes."""
    for s in range(len(series.parent)):
        series.exposure[s] = 0.0
        series.count[s] = 0.0
        series.expected[s] = 0.0
        series.baskets[s] = 0.0
        series.basket_off[s] = 0.0
    for s in range(len(series.parent)):
        if series.level[s] != LEAF or sources.dt_ms[series.source[s]] <= 0.0:
            continue
        cost = series.step[s, COST] / 1e6
        if cost == 0.0 and series.learned[s, level.WEIGHT_1] == 0.0:
            continue
        x = level.arrive(series.learned[s], cost, sources.dt_ms[series.source[s]], accounts.lag[series.account[s]])
        series.exposure[s] = x
        series.exposure[series.parent[s]] += x
        series.exposure[series.parent[series.parent[s]]] += x


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _season(accounts: Accounts, a: int, at_ms: int) -> float:
    hour = at_ms // HOUR_MS % 24
    return float((accounts.season_n[a, hour] + SEASON_PRIOR) / (accounts.season_mu[a, hour] + SEASON_PRIOR))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expect(series: Series, sources: Sources, accounts: Accounts) -> None:
    """What each campaign should have brought, what it brought, and both summed upwards where they may be judged."""
    for s in range(len(series.parent)):
        c = series.source[s]
        if series.level[s] != LEAF or sources.dt_ms[c] <= 0.0:
            continue
        end = sources.watermark_ms[c]
        x = _exposure(series, s) * _season(accounts, series.account[s], end - 1)
        n = series.step[s, CONVERSIONS] / 1e6
        rate = level.rate(series.learned[s], series.pooled[s]) if end - sources.first_ms[c] >= WARM_MS else 0.0
        mu = x * rate
        if rate > 0.0:
            series.count[s] = n
            series.expected[s] = mu
        if series.mode[s] & BLIND == 0:
            level.note(series.learned[s], n, x, mu)
            if rate > 0.0:
                _sum_up(series, s, n, mu)
        _remember(series, s, end, n, mu, rate > 0.0)
        _expect_baskets(series, s)
        series.step[s] = 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _exposure(series: Series, s: int) -> float:
    """A campaign's own exposure; conversions that name no campaign are held against their source's or account's."""
    own = series.exposure[s]
    if own > 0.0 or series.unassigned[s] == 0:
        return float(own)
    up = series.parent[s]
    return float(series.exposure[up] if series.exposure[up] > 0.0 else series.exposure[series.parent[up]])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _sum_up(series: Series, s: int, n: float, mu: float) -> None:
    up = series.parent[s]
    for _ in range(2):
        series.count[up] += n
        series.expected[up] += mu
        up = series.parent[up]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expect_baskets(series: Series, s: int) -> None:
    k = series.step[s, BASKETS] / 1e6
    if k <= 0.0:
        return
    total = series.step[s, LOG_BASKETS] / 1e6
    series.baskets[s] = k
    series.basket_off[s] = total
    row = series.basket[s]
    if row[basket.COUNT] < basket.MIN_BASKETS or series.mode[s] & MODE_ROAS:
        return
    up = series.parent[s]
    for _ in range(2):
        series.baskets[up] += k
        series.basket_off[up] += total - k * row[basket.MEAN]
        up = series.parent[up]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _remember(series: Series, s: int, end: int, n: float, mu: float, known: bool) -> None:
    """Hourly history for the charts: of the campaign and of what it belongs to."""
    hour = (end - 1) // HOUR_MS
    at = s
    while at != -1:
        _turn(series, at, hour)
        slot = hour % HOURS
        if at == s or known:
            series.history[at, slot, 0] += n
        series.history[at, slot, 1] += mu
        series.history[at, slot, 2] += series.step[s, COST]
        series.history[at, slot, 3] += series.step[s, VALUE]
        for k in range(4):
            series.history[at, slot, 4 + k] += series.step[s, BY_LAG + k] / 1e6
        at = series.parent[at]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _turn(series: Series, s: int, hour: int) -> None:
    last = series.history_hour[s]
    if last < 0 or hour - last >= HOURS:
        series.history[s] = 0.0
    else:
        for h in range(last + 1, hour + 1):
            series.history[s, h % HOURS] = 0.0
    series.history_hour[s] = max(hour, last)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test(series: Series, s: int, from_ms: float, quiet_days: float, streams: float) -> int:
    above = 0
    up = series.parent[s]
    while up != -1:
        above |= series.mode[up]
        up = series.parent[up]
    reason = 0
    if series.expected[s] > 0.0 or series.count[s] > 0.0:
        reason |= _test_count(series, s, from_ms, quiet_days * streams, above)
    if series.baskets[s] > 0.0:
        reason |= _test_baskets(series, s, from_ms, quiet_days * streams, above)
    return reason


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_count(series: Series, s: int, from_ms: float, days: float, above: int) -> int:
    n = series.count[s]
    mu = series.expected[s]
    phi = series.phi[s]
    waited = outage.run(series.timer[s], n, mu, phi, from_ms)
    stopped = waited >= outage.limit(days * max(series.rate_a_day[s], 1.0)) and above & BLIND == 0
    if series.mode[s] & BLIND:
        series.recovered[s] = deficit.recover(series.deficit[s], n, mu, phi, series.ratio[s])
        reason = CALM_COUNT if series.recovered[s] >= CALM else 0
        return reason | (OUTAGE if stopped and series.mode[s] & MODE_OUTAGE == 0 else 0)
    if above & BLIND:
        return 0
    if not deficit.step(series.deficit[s], n, mu, phi, from_ms):
        return OUTAGE if stopped else 0
    gamma = days * max(series.steps_a_day[s], 1.0)
    r = deficit.evidence(series.deficit[s])
    series.hot[s] = 1 if math.log(1.0 + r) > SUSPICION * math.log(gamma) else 0
    return (OUTAGE if stopped else 0) | (CPA if r >= gamma else 0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_baskets(series: Series, s: int, from_ms: float, days: float, above: int) -> int:
    row = series.basket[s]
    k = series.baskets[s]
    off = series.basket_off[s]
    if series.mode[s] & MODE_ROAS:
        r = basket.recover(row, k, off, BASKET_RECOVERY)
        return CALM_BASKET if r >= CALM else 0
    if above & MODE_ROAS:
        return 0
    if basket.step(row, k, off, from_ms):
        gamma = days * max(min(series.rate_a_day[s], 1440.0), 1.0)
        r = basket.evidence(row)
        if math.log(1.0 + r) <= SUSPICION * math.log(gamma):
            basket.hold(row, k, off)
            basket.commit(row)
        else:
            basket.hold(row, k, off)
        return ROAS if r >= gamma else 0
    basket.hold(row, k, off)
    basket.commit(row)
    return 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn(series: Series, sources: Sources, accounts: Accounts, day: Ints) -> None:
    """At the turn of an hour learn what is free of suspicion, and renew what follows from it."""
    turned = False
    for c in range(len(sources.series)):
        turned |= sources.watermark_ms[c] // HOUR_MS > sources.learned_ms[c] // HOUR_MS and sources.judged_ms[c] >= 0
    if not turned:
        return
    for s in range(len(series.parent)):
        if _hour_turned(series, sources, accounts, s):
            _learn_one(series, sources, accounts, s, day[s, CONVERSIONS] / 1e6)
    _pool(series)
    _finish_hour(series, sources, accounts)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_one(series: Series, sources: Sources, accounts: Accounts, s: int, last_day: float) -> None:
    row = series.learned[s]
    if series.mode[s] & BLIND or _above(series, s) & BLIND:
        level.drop(row)
    elif not _suspect(series, s):
        elapsed = _end(series, sources, accounts, s) - _learned_ms(series, sources, accounts, s)
        if series.level[s] == LEAF and row[level.HOUR_MU] > 0.0 and elapsed <= 2 * HOUR_MS:
            _learn_season(accounts, series.account[s], _end(series, sources, accounts, s) - HOUR_MS, row)
        level.commit(row, elapsed)
    rate = series.rate_a_day[s]
    series.rate_a_day[s] = last_day if rate == 0.0 else rate + (last_day - rate) / 48.0
    series.steps_a_day[s] = min(1440.0, series.rate_a_day[s] / deficit.STEP_MU)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_season(accounts: Accounts, a: int, at_ms: int, row: Floats) -> None:
    hour = at_ms // HOUR_MS % 24
    factor = _season(accounts, a, at_ms)
    accounts.season_n[a, hour] += row[level.HOUR_N]
    accounts.season_mu[a, hour] += row[level.HOUR_MU] / factor


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _above(series: Series, s: int) -> int:
    up = series.parent[s]
    modes = 0
    while up != -1:
        modes |= series.mode[up]
        up = series.parent[up]
    return modes


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _suspect(series: Series, s: int) -> bool:
    at = s
    while at != -1:
        if series.hot[at]:
            return True
        at = series.parent[at]
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pool(series: Series) -> None:
    """Wider scopes know the sum of what their campaigns learned."""
    for s in range(len(series.parent)):
        if series.level[s] != LEAF:
            series.learned[s, level.A] = 0.0
            series.learned[s, level.B] = 0.0
    for s in range(len(series.parent)):
        row = series.learned[s]
        spent = series.unassigned[s] == 0 or row[level.WEIGHT_1] > 0.0
        up = series.parent[s] if series.level[s] == LEAF else -1
        while up != -1:
            series.learned[up, level.A] += row[level.A]
            series.learned[up, level.B] += row[level.B] if spent else 0.0
            up = series.parent[up]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _finish_hour(series: Series, sources: Sources, accounts: Accounts) -> None:
    accounts.streams[:] = 0.0
    for s in range(len(series.parent)):
        row = series.learned[s]
        up = series.parent[s]
        series.pooled[s] = 0.0 if up == -1 else level.rate(series.learned[up], 0.0)
        if up != -1 and series.pooled[s] == 0.0 and series.parent[up] != -1:
            series.pooled[s] = level.rate(series.learned[series.parent[up]], 0.0)
        series.certainty[s] = row[level.A] + level.PRIOR_CONVERSIONS
        series.phi[s] = deficit.widened(level.dispersion(row), series.certainty[s])
        if row[level.A] > 0.0:
            accounts.streams[series.account[s]] += TESTS
    for a in range(len(accounts.series)):
        accounts.streams[a] = max(1.0, accounts.streams[a])
        if accounts.watermark_ms[a] // HOUR_MS > accounts.learned_ms[a] // HOUR_MS:
            _learn_lag(accounts, a, accounts.watermark_ms[a] // DAY_MS > accounts.learned_ms[a] // DAY_MS)
            accounts.learned_ms[a] = accounts.watermark_ms[a]
    for c in range(len(sources.series)):
        if sources.judged_ms[c] >= 0 and sources.watermark_ms[c] // HOUR_MS > sources.learned_ms[c] // HOUR_MS:
            sources.learned_ms[c] = sources.watermark_ms[c]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_lag(accounts: Accounts, a: int, new_day: bool) -> None:
    total = LAG_PRIOR + accounts.lags[a].sum()
    for k in range(4):
        accounts.lag[a, k] = (accounts.lags[a, k] + (LAG_PRIOR if k == 0 else 0.0)) / total
    if new_day:
        for h in range(24):
            accounts.season_n[a, h] *= SEASON_KEEP
            accounts.season_mu[a, h] *= SEASON_KEEP
