"""Judging at a tick, account by account: what closed since the last one is expected, weighed, and only then learned."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import level
from streams.allowance import speaks
from streams.expect import WARM_MS, arrivals, expect
from streams.hours import HOUR_MS
from streams.learn import learn
from streams.modes import BLIND
from streams.progress import elapsed, end, hour_turned, modes_above
from streams.series import LEAF, SOURCE
from streams.weigh import REVIEW, learn_baskets, suspect, weigh, weigh_cohorts

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

BUSY_A_DAY = 1000.0
COHORT_MS = 900_000
"""How often click cohorts are judged; their onsets are whole hours."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def judge(
    series: Rows,
    sources: Rows,
    accounts: Rows,
    order: Ints,
    spans: Ints,
    day: Ints,
    quiet_days: float,
    per_campaign: bool,
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
        before_ms = accounts[a].judged_ms
        cohorts_due = tick_ms // COHORT_MS > before_ms // COHORT_MS
        if not _is_due(series, accounts, a, tick_ms) or not _elapse(series, sources, accounts, a, mine, tick_ms):
            continue
        arrivals(series, sources, accounts, mine)
        expect(series, sources, accounts, mine)
        if cohorts_due:
            weigh_cohorts(series, sources, accounts, mine, tick_ms // HOUR_MS > before_ms // HOUR_MS)
        odds, most = 0.0, -1
        for s in mine:
            reason = _attend(series, sources, accounts, s)
            if reason != 0:
                found[flagged] = s
                why[flagged] = reason
                flagged += 1
            if speaks(series, s):
                odds = max(odds, suspect(series, s)) if per_campaign else odds + suspect(series, s)
                if series[s].share > 0.0 and (most < 0 or series[s].share > series[most].share):
                    most = s
        if odds >= 1.0:
            found[flagged] = most
            why[flagged] = series[most].suspected
            flagged += 1
        learn(series, sources, accounts, a, mine, day, quiet_days, per_campaign)
    return flagged


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_due(series: Rows, accounts: Rows, a: int, tick_ms: int) -> bool:
    """Busy accounts are judged at every tick, the others every five minutes: their limits are hours away."""
    every = 60_000 if series[accounts[a].series].rate_a_day >= BUSY_A_DAY else 300_000
    return bool(tick_ms // every > accounts[a].judged_ms // every)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _attend(series: Rows, sources: Rows, accounts: Rows, s: int) -> int:
    dt = elapsed(series, sources, accounts, s)
    if dt <= 0.0:
        return 0
    if series[s].level != LEAF:
        level.note(series[s].learned, series[s].count, 0.0, series[s].expected)
    elif series[s].mode != 0 or speaks(series, s):
        sources[series[s].source].struck |= series[s].mode
        sources[series[s].source].sound |= series[s].mode & BLIND == 0
    from_ms = end(series, sources, accounts, s) - dt
    reason = 0
    if series[s].mode != 0 or speaks(series, s):
        warm = from_ms - accounts[series[s].account].first_ms >= WARM_MS
        reason = weigh(series, s, from_ms, dt, warm)
    elif series[s].baskets > 0.0:
        learn_baskets(series, s)
    return int(reason) | (REVIEW if series[s].mode != 0 and hour_turned(series, sources, accounts, s) else 0)


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
        if (sources[c].struck | series[s].mode | modes_above(series, s)) & BLIND:
            sources[c].entire_ms = max(sources[c].entire_ms, sources[c].watermark_ms)
        sources[c].struck = 0
        sources[c].sound = 0
        if sources[c].watermark_ms <= sources[c].judged_ms:
            continue
        if sources[c].judged_ms >= 0:
            sources[c].dt_ms = sources[c].watermark_ms - sources[c].judged_ms
        else:
            sources[c].first_ms = sources[c].watermark_ms
            sources[c].entire_ms = sources[c].watermark_ms
            sources[c].learned_ms = sources[c].watermark_ms
        sources[c].judged_ms = sources[c].watermark_ms
        accounts[a].judged_ms = tick_ms
        accounts[a].dt_ms = max(accounts[a].dt_ms, sources[c].dt_ms)
        accounts[a].watermark_ms = max(accounts[a].watermark_ms, sources[c].watermark_ms)
        if accounts[a].learned_ms < 0:
            accounts[a].learned_ms = accounts[a].watermark_ms
            accounts[a].first_ms = accounts[a].watermark_ms
    return bool(accounts[a].dt_ms > 0.0)
