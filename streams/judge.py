"""Judging at a tick: what closed since the last one is expected, tested, and only then learned.

One pass over the campaigns gives each its expectation; sources and accounts expect the sum of what their campaigns
expect, so that spend moving between a dear and a cheap campaign surprises nobody.  A campaign that is in an incident
counts in no wider scope, and nothing below a scope that is in one is tested.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, deficit, level, outage
from streams.panes import BASKETS, BY_LAG, CONVERSIONS, COST, LOG_BASKETS, VALUE
from streams.series import ACCOUNT, HOURS, LEAF, MODE_CPA, MODE_OUTAGE, MODE_ROAS, SOURCE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]
"""A structured array: one record a series, source or account, as the registry lays it out."""

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
BUSY_A_DAY = 1000.0
USUAL_KEEP = 1.0 - 1.0 / 168.0
TESTS = 3.0
"""Tests run on every series: count, outage, basket; they share the account's allowance."""
CPA, OUTAGE, ROAS, CALM_COUNT, CALM_BASKET, REVIEW = 1, 2, 4, 8, 16, 32
BLIND = MODE_CPA | MODE_OUTAGE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def watermarks(sources: Rows, tick_ms: int, lateness_ms: int) -> None:
    """Move every source's watermark to what the log says at this tick; whole minutes, never back."""
    for s in range(len(sources)):
        said = sources[s].declared_ms
        reach = said if said >= 0 else sources[s].newest_ms - lateness_ms
        reach = min(reach, tick_ms) // 60_000 * 60_000
        if (said >= 0 or sources[s].newest_ms >= 0) and reach > sources[s].watermark_ms:
            sources[s].watermark_ms = reach


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def judge(
    series: Rows,
    sources: Rows,
    accounts: Rows,
    order: Ints,
    spans: Ints,
    day: Ints,
    quiet_days: float,
    tick_ms: int,
    found: Ints,
    why: Ints,
) -> int:
    """Judge and learn what closed; gives how many series want attention: their rows in ``found``, reasons in ``why``.

    ``order`` lists the series by scope, not by when they were first met: floats are summed, and alerts told, in it.
    Each row of ``spans`` is an account and where its series begin and end in ``order``.
    """
    flagged = 0
    for span in spans:
        a = span[0]
        mine = order[span[1] : span[2]]
        if not _is_due(series, accounts, a, tick_ms) or not _elapse(series, sources, accounts, a, mine, tick_ms):
            continue
        _arrivals(series, sources, accounts, mine)
        _expect(series, sources, accounts, mine)
        for s in mine:
            reason = _attend(series, sources, accounts, s, quiet_days)
            if reason != 0:
                found[flagged] = s
                why[flagged] = reason
                flagged += 1
        _learn(series, sources, accounts, a, mine, day)
    return flagged


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_due(series: Rows, accounts: Rows, a: int, tick_ms: int) -> bool:
    """Busy accounts are judged at every tick, the others every five minutes: their limits are hours away."""
    every = 60_000 if series[accounts[a].series].rate_a_day >= BUSY_A_DAY else 300_000
    return bool(tick_ms // every > accounts[a].judged_ms // every)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _attend(series: Rows, sources: Rows, accounts: Rows, s: int, quiet_days: float) -> int:
    dt = _dt(series, sources, accounts, s)
    if dt <= 0.0:
        return 0
    if series[s].level != LEAF:
        level.note(series[s].learned, series[s].count, 0.0, series[s].expected)
    from_ms = _end(series, sources, accounts, s) - dt
    reason = _test(series, s, from_ms, quiet_days, accounts[series[s].account].streams)
    return int(reason) | (REVIEW if series[s].mode != 0 and _hour_turned(series, sources, accounts, s) else 0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _elapse(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints, tick_ms: int) -> bool:
    """How far each source of the account has come since it was judged; false when none has.

    An account that exists but has nothing to judge keeps no trace of the tick: when it was first met must not matter.
    """
    accounts[a].dt_ms = 0.0
    for s in mine:
        if series[s].level != SOURCE:
            continue
        c = series[s].source
        sources[c].dt_ms = 0.0
        if sources[c].watermark_ms <= sources[c].judged_ms:
            continue
        if sources[c].judged_ms >= 0:
            sources[c].dt_ms = sources[c].watermark_ms - sources[c].judged_ms
        else:
            sources[c].first_ms = sources[c].watermark_ms
            sources[c].learned_ms = sources[c].watermark_ms
        sources[c].judged_ms = sources[c].watermark_ms
        accounts[a].judged_ms = tick_ms
        accounts[a].dt_ms = max(accounts[a].dt_ms, sources[c].dt_ms)
        accounts[a].watermark_ms = max(accounts[a].watermark_ms, sources[c].watermark_ms)
        if accounts[a].learned_ms < 0:
            accounts[a].learned_ms = accounts[a].watermark_ms
    return bool(accounts[a].dt_ms > 0.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _dt(series: Rows, sources: Rows, accounts: Rows, s: int) -> float:
    if series[s].level == ACCOUNT:
        return float(accounts[series[s].account].dt_ms)
    return float(sources[series[s].source].dt_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _end(series: Rows, sources: Rows, accounts: Rows, s: int) -> int:
    if series[s].level == ACCOUNT:
        return int(accounts[series[s].account].watermark_ms)
    return int(sources[series[s].source].watermark_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learned_ms(series: Rows, sources: Rows, accounts: Rows, s: int) -> int:
    if series[s].level == ACCOUNT:
        return int(accounts[series[s].account].learned_ms)
    return int(sources[series[s].source].learned_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hour_turned(series: Rows, sources: Rows, accounts: Rows, s: int) -> bool:
    last = _learned_ms(series, sources, accounts, s)
    return bool(last >= 0 and _end(series, sources, accounts, s) // HOUR_MS > last // HOUR_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _arrivals(series: Rows, sources: Rows, accounts: Rows, mine: Ints) -> None:
    """Spend of the step, delayed as conversions are, for every campaign and summed for the wider scopes."""
    for s in mine:
        series[s].exposure = 0.0
        series[s].count = 0.0
        series[s].expected = 0.0
        series[s].baskets = 0.0
        series[s].basket_off = 0.0
    for s in mine:
        if series[s].level != LEAF or sources[series[s].source].dt_ms <= 0.0:
            continue
        cost = series[s].step[COST] / 1e6
        if cost == 0.0 and series[s].learned[level.WEIGHT_1] == 0.0:
            continue
        x = level.arrive(series[s].learned, cost, sources[series[s].source].dt_ms, accounts[series[s].account].lag)
        series[s].exposure = x
        series[series[s].parent].exposure += x
        series[series[series[s].parent].parent].exposure += x


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _season(accounts: Rows, a: int, at_ms: int) -> float:
    hour = at_ms // HOUR_MS % 24
    return float((accounts[a].season_n[hour] + SEASON_PRIOR) / (accounts[a].season_mu[hour] + SEASON_PRIOR))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expect(series: Rows, sources: Rows, accounts: Rows, mine: Ints) -> None:
    """What each campaign should have brought, what it brought, and both summed upwards where they may be judged."""
    for s in mine:
        c = series[s].source
        if series[s].level != LEAF or sources[c].dt_ms <= 0.0:
            continue
        end = sources[c].watermark_ms
        x = _exposure(series, s) * _season(accounts, series[s].account, end - 1)
        n = series[s].step[CONVERSIONS] / 1e6
        rate = level.rate(series[s].learned, series[s].pooled) if end - sources[c].first_ms >= WARM_MS else 0.0
        mu = x * rate
        if rate > 0.0:
            series[s].count = n
            series[s].expected = mu
        if series[s].mode & BLIND == 0:
            level.note(series[s].learned, n, x, mu)
            if rate > 0.0:
                _sum_up(series, s, n, mu)
        _remember(series, s, end, n, mu, rate > 0.0)
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
    series[s].history[slot, 8] += k
    series[s].history[slot, 9] += total - k * row[basket.MEAN]
    at = s
    while series[at].parent != -1 and series[at].mode & MODE_ROAS == 0:
        at = series[at].parent
        series[at].baskets += k
        series[at].basket_off += total - k * row[basket.MEAN]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _remember(series: Rows, s: int, end: int, n: float, mu: float, known: bool) -> None:
    """Hourly history for the charts: of the campaign and of what it belongs to."""
    hour = (end - 1) // HOUR_MS
    at = s
    while at != -1:
        _turn(series, at, hour)
        slot = hour % HOURS
        if at == s or known:
            series[at].history[slot, 0] += n
        series[at].history[slot, 1] += mu
        series[at].history[slot, 2] += series[s].step[COST]
        series[at].history[slot, 3] += series[s].step[VALUE]
        for k in range(4):
            series[at].history[slot, 4 + k] += series[s].step[BY_LAG + k] / 1e6
        at = series[at].parent


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _turn(series: Rows, s: int, hour: int) -> None:
    last = series[s].history_hour
    if last < 0 or hour - last >= HOURS:
        series[s].history[:] = 0.0
    else:
        for h in range(last + 1, hour + 1):
            series[s].history[h % HOURS][:] = 0.0
    series[s].history_hour = max(hour, last)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test(series: Rows, s: int, from_ms: float, quiet_days: float, streams: float) -> int:
    above = 0
    up = series[s].parent
    while up != -1:
        above |= series[up].mode
        up = series[up].parent
    reason = 0
    if series[s].expected > 0.0 or series[s].count > 0.0:
        reason |= _test_count(series, s, from_ms, quiet_days * streams, above)
    if series[s].baskets > 0.0:
        reason |= _test_baskets(series, s, from_ms, quiet_days * streams, above)
    return reason


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_count(series: Rows, s: int, from_ms: float, days: float, above: int) -> int:
    n = series[s].count
    mu = series[s].expected
    phi = series[s].phi
    # while conversions are known to be rarer, silence is measured by what still arrives
    waited = outage.run(series[s].timer, n, mu / series[s].ratio if series[s].mode & BLIND else mu, phi, from_ms)
    stopped = waited >= outage.limit(days * max(series[s].rate_a_day, 1.0)) and above & BLIND == 0
    if series[s].mode & BLIND:
        series[s].recovered = deficit.recover(series[s].deficit, n, mu, phi, series[s].ratio)
        reason = CALM_COUNT if series[s].recovered >= CALM else 0
        return reason | (OUTAGE if stopped and series[s].mode & MODE_OUTAGE == 0 else 0)
    if above & BLIND:
        return 0
    if not deficit.step(series[s].deficit, n, mu, phi, from_ms):
        return OUTAGE if stopped else 0
    gamma = days * max(series[s].steps_a_day, 1.0)
    r = deficit.evidence(series[s].deficit)
    series[s].hot = 1 if math.log(1.0 + r) > SUSPICION * math.log(gamma) else 0
    return (OUTAGE if stopped else 0) | (CPA if r >= gamma else 0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_baskets(series: Rows, s: int, from_ms: float, days: float, above: int) -> int:
    row = series[s].basket
    k = series[s].baskets
    off = series[s].basket_off
    if series[s].mode & MODE_ROAS:
        r = basket.recover(row, k, off, math.log(series[s].basket_ratio))
        return CALM_BASKET if r >= CALM else 0
    if above & MODE_ROAS:
        return 0
    if basket.step(row, k, off, from_ms):
        gamma = days * max(min(series[s].rate_a_day, 1440.0), 1.0)
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
def _learn(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints, day: Ints) -> None:
    """At the turn of an hour learn what is free of suspicion, and renew what follows from it."""
    turned = False
    for s in mine:
        if _hour_turned(series, sources, accounts, s):
            turned = True
            _learn_one(series, sources, accounts, s, day[s, CONVERSIONS] / 1e6)
    if turned:
        _pool(series, mine)
        _derive(series, accounts, a, mine)
        _finish_hour(series, sources, accounts, a, mine)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_one(series: Rows, sources: Rows, accounts: Rows, s: int, last_day: float) -> None:
    row = series[s].learned
    if series[s].mode & BLIND or _above(series, s) & BLIND:
        level.drop(row)
    elif not _suspect(series, s):
        elapsed = _end(series, sources, accounts, s) - _learned_ms(series, sources, accounts, s)
        if series[s].level == LEAF and row[level.HOUR_MU] > 0.0 and elapsed <= 2 * HOUR_MS:
            _learn_season(accounts, series[s].account, _end(series, sources, accounts, s) - HOUR_MS, row)
        level.commit(row, elapsed)
    _learn_usual(series, s, _end(series, sources, accounts, s) // HOUR_MS - 1)
    rate = series[s].rate_a_day
    series[s].rate_a_day = last_day if rate == 0.0 else rate + (last_day - rate) / 48.0
    series[s].steps_a_day = min(1440.0, series[s].rate_a_day / deficit.STEP_MU)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_usual(series: Rows, s: int, hour: int) -> None:
    """Conversions, cost and value of about the last week outside of alerts, for saying what a basket usually is."""
    if series[s].mode & MODE_ROAS or hour > series[s].history_hour or hour <= series[s].history_hour - HOURS:
        return
    for m in range(3):
        of_hour = series[s].history[hour % HOURS][0 if m == 0 else m + 1]
        series[s].usual[m] = series[s].usual[m] * USUAL_KEEP + of_hour


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_season(accounts: Rows, a: int, at_ms: int, row: Floats) -> None:
    hour = at_ms // HOUR_MS % 24
    factor = _season(accounts, a, at_ms)
    accounts[a].season_n[hour] += row[level.HOUR_N]
    accounts[a].season_mu[hour] += row[level.HOUR_MU] / factor


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _above(series: Rows, s: int) -> int:
    up = series[s].parent
    modes = 0
    while up != -1:
        modes |= series[up].mode
        up = series[up].parent
    return modes


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _suspect(series: Rows, s: int) -> bool:
    at = s
    while at != -1:
        if series[at].hot:
            return True
        at = series[at].parent
    return False


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pool(series: Rows, mine: Ints) -> None:
    """Wider scopes know the sum of what their campaigns learned."""
    for s in mine:
        if series[s].level != LEAF:
            series[s].learned[level.A] = 0.0
            series[s].learned[level.B] = 0.0
    for s in mine:
        row = series[s].learned
        spent = series[s].unassigned == 0 or row[level.WEIGHT_1] > 0.0
        up = series[s].parent if series[s].level == LEAF else -1
        while up != -1:
            series[up].learned[level.A] += row[level.A]
            series[up].learned[level.B] += row[level.B] if spent else 0.0
            up = series[up].parent


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _derive(series: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    """What tests need to know of the level: the wider one, how certain and how spread it is, how many tests run."""
    streams = 0.0
    for s in mine:
        row = series[s].learned
        up = series[s].parent
        series[s].pooled = 0.0 if up == -1 else level.rate(series[up].learned, 0.0)
        if up != -1 and series[s].pooled == 0.0 and series[up].parent != -1:
            series[s].pooled = level.rate(series[series[up].parent].learned, 0.0)
        series[s].certainty = row[level.A] + level.PRIOR_CONVERSIONS
        series[s].phi = deficit.widened(level.dispersion(row), series[s].certainty)
        if row[level.A] > 0.0:
            streams += TESTS
    accounts[a].streams = max(1.0, streams)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _finish_hour(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    if accounts[a].watermark_ms // HOUR_MS > accounts[a].learned_ms // HOUR_MS:
        _learn_lag(accounts, a, accounts[a].watermark_ms // DAY_MS > accounts[a].learned_ms // DAY_MS)
        accounts[a].learned_ms = accounts[a].watermark_ms
    for s in mine:
        c = series[s].source
        if series[s].level == SOURCE and _hour_turned(series, sources, accounts, s):
            sources[c].learned_ms = sources[c].watermark_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_lag(accounts: Rows, a: int, new_day: bool) -> None:
    total = LAG_PRIOR + accounts[a].lags.sum()
    for k in range(4):
        accounts[a].lag[k] = (accounts[a].lags[k] + (LAG_PRIOR if k == 0 else 0.0)) / total
    if new_day:
        for h in range(24):
            accounts[a].season_n[h] *= SEASON_KEEP
            accounts[a].season_mu[h] *= SEASON_KEEP
