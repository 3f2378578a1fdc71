"""Learning at the turn of an hour: what is free of suspicion, and what the tests need to know of it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import deficit, drift, lag, level, season
from streams import lags, limits
from streams.allowance import known_share, share_out, speaks
from streams.clocks import hour_of_week
from streams.expect import WARM_MS
from streams.hours import EXPECTED, HOUR_MS, HOURS, SEEN
from streams.modes import MODE_ROAS, UNUSUAL
from streams.panes import CONVERSIONS
from streams.progress import DAY_MS, age_days, end, hour_turned, learned_until, modes_above, suspicious, youth
from streams.series import LEAF, SOURCE

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

DAY_KEEP = 0.98
"""Share of the seasons, delays and their like that a day leaves."""
RESTLESS_KEEP = 0.9
"""Share of the memory of ended alerts that a day leaves."""
WIDE_VARIANCE = 0.002
"""Relative variance of what a source or an account expects: its campaigns begin, rest and are promoted together.

At ``YOUNG_WIDE_DAYS`` it is twice that: a promotion may have been taken for the usual level."""
YOUNG_WIDE_DAYS = 10.0
LATE_STAGE = lag.STAGES - 2
LAG_VARIANCE = 0.005
"""Relative variance of what is expected where all conversions come days late: that is known with a delay itself."""
ALIKE_HOURS = 6.0
"""Hours of the day that are wrong together while they are not learned."""
LEAST_PACE = 0.25
"""Share of what the last hour was due, as a day's, that a series is taken to bring at least: it was launched, or back
from a pause, and has no day yet to go by."""
USUAL_KEEP = 1.0 - 1.0 / 168.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(
    series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints, day: Ints, quiet_days: float, per_campaign: bool
) -> None:
    """At the turn of an hour learn what is free of suspicion, and renew what follows from it."""
    turned = False
    for s in mine:
        if hour_turned(series, sources, accounts, s):
            turned = True
            _learn_one(series, sources, accounts, s, day[s, CONVERSIONS] / 1e6)
    if turned:
        _pool(series, mine)
        _derive(series, sources, accounts, a, mine)
        share_out(series, sources, accounts, mine, quiet_days * youth(accounts, a), per_campaign)
        _renew(series, sources, mine)
        _finish_hour(series, sources, accounts, a, mine)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_one(series: Rows, sources: Rows, accounts: Rows, s: int, last_day: float) -> None:
    row = series[s].learned
    end_ms = end(series, sources, accounts, s)
    elapsed_ms = end_ms - learned_until(series, sources, accounts, s)
    due_a_day = (row[level.HOUR_MU] - row[level.CLOSED_MU]) * DAY_MS / elapsed_ms
    if series[s].mode & UNUSUAL or modes_above(series, s) & UNUSUAL:
        level.drop(row)
    else:
        level.close(row, elapsed_ms, _doubted(series, sources, accounts, s))
        if not suspicious(series, s) or row[level.A] < level.MIN_CONVERSIONS:
            if series[s].level == LEAF and row[level.HOUR_MU] > 0.0:
                drift.note(series[s].day, row[level.HOUR_TOLD], row[level.HOUR_MU])
                if elapsed_ms <= 2 * HOUR_MS:
                    since_ms = int(end_ms - row[level.WAITED_MS])
                    _learn_season(sources, accounts, series, s, since_ms // HOUR_MS, end_ms // HOUR_MS)
            level.commit(row)
    _learn_usual(series, s, end_ms // HOUR_MS - 1)
    rate = series[s].rate_a_day
    rate = last_day if rate == 0.0 else rate + (last_day - rate) / 48.0
    series[s].rate_a_day = max(rate, LEAST_PACE * due_a_day)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _doubted(series: Rows, sources: Rows, accounts: Rows, s: int) -> float:
    """Relative variance of what was expected in the last hour: season and level are not known exactly."""
    a = series[s].account
    hour = hour_of_week(accounts, a, end(series, sources, accounts, s) - HOUR_MS)
    known = series[s].learned[level.A] + level.PRIOR_CONVERSIONS
    return float(season.doubt(accounts[a].season, hour, age_days(accounts, a)) + 1.0 / known)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_usual(series: Rows, s: int, hour: int) -> None:
    """Conversions, cost and value of about the last week outside of alerts, for saying what a basket usually is."""
    if series[s].mode & MODE_ROAS or hour > series[s].history_hour or hour <= series[s].history_hour - HOURS:
        return
    for m in range(3):
        of_hour = series[s].history[hour % HOURS][0 if m == 0 else m + 1]
        series[s].usual[m] = series[s].usual[m] * USUAL_KEEP + of_hour


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_season(sources: Rows, accounts: Rows, series: Rows, s: int, first: int, until: int) -> None:
    """Learn the hours from ``first`` to before ``until``, of those that are kept, each as its own hour of the week.

    The hour in which its source began to be judged is none of them: only some of its minutes had an expectation.
    """
    a = series[s].account
    judged = -(-(sources[series[s].source].first_ms + WARM_MS) // HOUR_MS)
    for hour in range(max(first, until - HOURS, judged), until):
        seen, expected = series[s].history[hour % HOURS, SEEN], series[s].history[hour % HOURS, EXPECTED]
        if series[s].history_hour >= hour and expected > 0.0:
            of_week = hour_of_week(accounts, a, hour * HOUR_MS)
            season.learn(accounts[a].season, of_week, seen, expected / accounts[a].factor[of_week])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pool(series: Rows, mine: Ints) -> None:
    """Wider scopes know the sum of what their campaigns learned."""
    for s in mine:
        if series[s].level != LEAF:
            series[s].learned[level.A] = 0.0
            series[s].learned[level.B] = 0.0
    for s in mine:
        row = series[s].learned
        spent = series[s].unassigned == 0 or row[level.WEIGHT] > 0.0
        up = series[s].parent if series[s].level == LEAF else -1
        while up != -1:
            series[up].learned[level.A] += row[level.A]
            series[up].learned[level.B] += row[level.B] if spent else 0.0
            up = series[up].parent


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _derive(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    """What tests need to know of the level: the wider one, how certain and how spread it is."""
    days = age_days(accounts, a)
    lasting = drift.lasting(accounts[a].drift)
    mood = drift.passing(accounts[a].drift)
    unknown = season.derive(accounts[a].season, days, mood, accounts[a].factor)
    phi = level.dispersion(series[accounts[a].series].learned)
    unknown += ALIKE_HOURS / (24.0 * deficit.MOOD_DAYS) * season.unlearned(accounts[a].season, phi)
    mood += unknown / _voices(series, mine)
    latest = 0.0
    for s in mine:
        row = series[s].learned
        late = latest if series[s].source < 0 else sources[series[s].source].lag[LATE_STAGE:].sum()
        latest = max(latest, late)
        series[s].pooled = _borrowed(series, accounts, a, s)
        series[s].phi = level.cautious_dispersion(row, series[s].rate_a_day)
        shifting = LAG_VARIANCE * late * late
        if series[s].level != LEAF:
            shifting += WIDE_VARIANCE * (1.0 + YOUNG_WIDE_DAYS / max(days, 1.0))
        series[s].doubt = deficit.doubt(row[level.A] + level.PRIOR_CONVERSIONS, days, lasting + shifting)
        series[s].mood = mood


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _voices(series: Rows, mine: Ints) -> float:
    """How many scopes of an account have something of their own to say, at least 1: they share the weekdays' doubt.

    What all scopes may say falsely is added up as if they never agreed, so an account of many has room for that doubt,
    and one of a single campaign has none (``docs/detectors.md``).
    """
    found = 0.0
    for s in mine:
        found += 1.0 if speaks(series, s) else 0.0
    return max(found, 1.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _renew(series: Rows, sources: Rows, mine: Ints) -> None:
    """What each test of a series needs to know of its share of the allowance and of its dispersion."""
    alone = _voices(series, mine) == 1.0
    for s in mine:
        c = series[s].source
        limits.renew(series, s, series[s].level == LEAF, c >= 0 and known_share(sources, c) > 0.0, alone)
        if speaks(series, s):
            limits.slope(series, s)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _borrowed(series: Rows, accounts: Rows, a: int, s: int) -> float:
    """Conversions per unit of money to believe in before a series has its own: its bid target, or a wider level."""
    if series[s].target_cpa > 0.0:
        return 1.0 / float(series[s].target_cpa)
    whole = accounts[a].series
    if series[s].target_roas > 0.0 and series[whole].usual[0] > 0.0 and series[whole].usual[2] > 0.0:
        return float(series[s].target_roas * series[whole].usual[0] / (series[whole].usual[2] / 1e6))
    up = series[s].parent
    if up == -1:
        return 0.0
    wider = level.rate(series[up].learned, 0.0)
    if wider == 0.0 and series[up].parent != -1:
        wider = level.rate(series[series[up].parent].learned, 0.0)
    return float(wider)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _finish_hour(series: Rows, sources: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    lags.learn(series, sources, accounts, a, mine)
    if accounts[a].watermark_ms // HOUR_MS > accounts[a].learned_ms // HOUR_MS:
        if accounts[a].watermark_ms // DAY_MS > accounts[a].learned_ms // DAY_MS:
            _end_day(series, accounts, a, mine)
        accounts[a].learned_ms = accounts[a].watermark_ms
    for s in mine:
        c = series[s].source
        if series[s].level == SOURCE and hour_turned(series, sources, accounts, s):
            if sources[c].watermark_ms // DAY_MS > sources[c].learned_ms // DAY_MS:
                sources[c].arrived *= DAY_KEEP
                sources[c].known *= DAY_KEEP
                sources[c].delays *= DAY_KEEP
                sources[c].ripe *= DAY_KEEP
            sources[c].learned_ms = sources[c].watermark_ms


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _end_day(series: Rows, accounts: Rows, a: int, mine: Ints) -> None:
    for s in mine:
        series[s].restless *= RESTLESS_KEEP
        if series[s].level == LEAF:
            drift.end_day(series[s].day, series[s].phi, accounts[a].drift)
    accounts[a].drift *= DAY_KEEP
    accounts[a].delays *= DAY_KEEP
    accounts[a].season *= DAY_KEEP
