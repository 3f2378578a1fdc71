"""The tests of a step: counts, click cohorts, silence, baskets; each has its share of the account's allowance."""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import basket, cohort, deficit, lag, outage, roas
from streams import hours
from streams.allowance import known_share, speaks
from streams.hours import HOUR_MS, HOURS
from streams.limits import (
    BASKETS_NATS,
    COHORT_NATS,
    COUNT,
    COUNT_NATS,
    PER_BASKETS,
    PER_COHORT,
    PER_COUNT,
    PER_ROAS,
    PER_SILENCE,
    SILENT_PHI,
)  # fmt: skip
from streams.modes import BLIND, MODE_GOOD, MODE_OUTAGE, MODE_ROAS
from streams.progress import end, modes_above

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

CPA, OUTAGE, ROAS, CALM_COUNT, CALM_BASKET, REVIEW, COHORT, GOOD, CALM_GOOD, BOTH = (
    1,
    2,
    4,
    8,
    16,
    32,
    64,
    128,
    256,
    512,
)
"""Why a series wants attention, as bits."""
CALM = math.log(30.0)
"""Nats of evidence for being back to normal that end an alert, up to ``CALM_A_DAY`` conversions a day."""
CALM_A_DAY = 100.0
"""Beyond it the evidence grows with the volume: chance has so many more occasions a day to look like the end."""
WORTH_NATS = 3.0
"""Evidence, roughly, that some stretch of cohorts must hold for all of it to be computed."""
ENOUGH_DUE = 400.0
"""Conversions due that the cohorts looked at hold at most: a decision needs no more, and older ones tell of lags."""
BRISK_A_DAY = 200.0
"""Conversions a day below which cohorts decide within hours, not within minutes."""
HOT_COUNT, HOT_COHORT, HOT_GOOD = 1, 2, 4


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def weigh(series: Rows, s: int, from_ms: float, dt_ms: float, warm: bool) -> int:
    """Put what a step brought to the tests of ``s``; the reasons for attention, as bits."""
    above = modes_above(series, s)
    reason = 0
    if series[s].expected > 0.0 or series[s].count > 0.0:
        reason |= _test_count(series, s, from_ms, dt_ms, above)
    if series[s].basket[basket.COUNT] >= basket.MIN_BASKETS and warm:
        _test_both(series, s, from_ms, dt_ms, above)
    if series[s].baskets > 0.0:
        reason |= _test_baskets(series, s, from_ms, above, warm)
    return reason


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_both(series: Rows, s: int, from_ms: float, dt_ms: float, above: int) -> None:
    """Let counts and baskets of the step speak together."""
    if (series[s].mode | above) & (BLIND | MODE_ROAS):
        series[s].roas[:] = 0.0
        return
    slopes = series[s].slopes[0]
    change = series[s].count * slopes[deficit.PER_SEEN] + series[s].expected * slopes[deficit.PER_DUE]
    if series[s].baskets > 0.0:
        change += basket.log_ratio(series[s].basket, series[s].baskets, series[s].basket_off, roas.SMALLER)
    roas.step(series[s].roas, series[s].expected, change - dt_ms / deficit.FADE_MS, from_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_count(series: Rows, s: int, from_ms: float, dt_ms: float, above: int) -> int:
    n = series[s].count
    mu = series[s].expected
    _test_silence(series, s, n, mu, from_ms)
    if series[s].mode & BLIND:
        return CALM_COUNT if _recovers(series, s, n, mu, series[s].ratio, from_ms) else 0
    if above & BLIND:
        return 0
    reason = 0
    if series[s].mode & MODE_GOOD and _recovers(series, s, n, mu, series[s].good_ratio, from_ms):
        reason |= CALM_GOOD
    row = series[s].deficit
    if not deficit.step(row, n, mu, series[s].slopes, from_ms, dt_ms):
        return reason
    nats = series[s].suspicious[COUNT_NATS]
    _mark(series, s, HOT_COUNT, deficit.nats(row, deficit.best(row)), nats)
    _mark(series, s, HOT_GOOD, deficit.nats(row, deficit.best_surplus(row)), nats)
    quiet = series[s].quiet_days * max(series[s].rate_a_day, 1.0)
    if deficit.surplus(row) * COUNT >= quiet and (series[s].mode | above) & MODE_GOOD == 0:
        reason |= GOOD
    return reason


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def suspect(series: Rows, s: int) -> float:
    """What all tests of ``s`` hold together against chance: the sum of each one's evidence over its limit.

    Tells in ``series[s].suspected`` which test holds most.  The sum of e-detectors over their limits is an e-detector
    itself, however they depend on each other, with limit 1 (Vovk and Wang, arXiv 1912.06116): several that agree
    alarm sooner than each would alone, at the same promise.
    """
    series[s].suspected = 0
    series[s].share = 0.0
    above = modes_above(series, s)
    total = 0.0
    if above & BLIND == 0:
        if series[s].mode & MODE_OUTAGE == 0:
            total += _share(series, s, OUTAGE, series[s].timer[outage.EVIDENCE] * series[s].limits[PER_SILENCE])
        if series[s].mode & BLIND == 0:
            total += _share(series, s, CPA, deficit.evidence(series[s].deficit) * series[s].limits[PER_COUNT])
            total += _share(series, s, COHORT, series[s].cohort[cohort.EVIDENCE] * series[s].limits[PER_COHORT])
    if (above | series[s].mode) & MODE_ROAS == 0:
        total += _share(series, s, ROAS, basket.evidence(series[s].basket) * series[s].limits[PER_BASKETS])
        total += _share(series, s, BOTH, series[s].roas[roas.EVIDENCE] * series[s].limits[PER_ROAS])
    return total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _share(series: Rows, s: int, bit: int, share: float) -> float:
    if share > series[s].share:
        series[s].share = share
        series[s].suspected = bit
    return share


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_silence(series: Rows, s: int, n: float, mu: float, from_ms: float) -> None:
    """Let the outage timer run; while conversions are known to be rarer, by what still arrives."""
    due = mu / series[s].ratio if series[s].mode & BLIND else mu
    outage.run(series[s].timer, n, due, series[s].limits[SILENT_PHI], from_ms)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _recovers(series: Rows, s: int, n: float, mu: float, ratio: float, from_ms: float) -> bool:
    stretch = deficit.TYPICAL_STRETCH
    phi = deficit.spread(series[s].phi, series[s].doubt, series[s].mood, series[s].rate_a_day, stretch)
    series[s].recovered = deficit.recover(series[s].deficit, n, mu, phi, ratio, from_ms)
    return bool(series[s].recovered >= calm(series[s].rate_a_day))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def calm(a_day: float) -> float:
    """Nats that end an alert of a series of ``a_day`` conversions a day, so that few end too soon in any day.

    >>> round(calm(24.0), 2), round(calm(2400.0), 2)
    (3.4, 6.58)
    """
    return CALM + math.log(max(a_day / CALM_A_DAY, 1.0))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _mark(series: Rows, s: int, bit: int, nats: float, suspicious: float) -> None:
    """Note whether so much evidence is a suspicion already: then nothing is learned."""
    if nats > suspicious:
        series[s].hot |= bit
    else:
        series[s].hot &= ~bit


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _test_baskets(series: Rows, s: int, from_ms: float, above: int, warm: bool) -> int:
    row = series[s].basket
    k = series[s].baskets
    off = series[s].basket_off
    if series[s].mode & MODE_ROAS:
        r = basket.recover(row, k, off, math.log(series[s].basket_ratio))
        return CALM_BASKET if r >= CALM else 0
    if above & MODE_ROAS:
        return 0
    if warm:
        basket.step(row, k, off, from_ms)
    basket.hold(row, k, off)
    if basket.nats(row) <= series[s].suspicious[BASKETS_NATS]:
        basket.commit(row)
    return 0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn_baskets(series: Rows, s: int) -> None:
    """Learn the baskets of a series that is not judged."""
    basket.hold(series[s].basket, series[s].baskets, series[s].basket_off)
    basket.commit(series[s].basket)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def weigh_cohorts(series: Rows, sources: Rows, accounts: Rows, mine: Ints, turned: bool) -> None:
    """Weigh the click cohorts of every series that may be judged; of slow ones only when an hour has ``turned``."""
    share = np.empty(HOURS)
    seen = np.empty(HOURS)
    due = np.empty(HOURS)
    last = -1
    known = -2
    told = 0.0
    for s in mine:
        c = series[s].source
        clicks_told = known_share(sources, c) if c >= 0 else told
        told = max(told, clicks_told)
        if clicks_told == 0.0:
            series[s].cohort[:] = 0.0
            series[s].hot &= ~HOT_COHORT
            continue
        if not turned and series[s].rate_a_day < BRISK_A_DAY:
            continue
        if series[s].source != known:
            known = series[s].source
            last = end(series, sources, accounts, s)
            _mature(sources[known].below if known >= 0 else accounts[series[s].account].below, last, share)
        series[s].hot &= ~HOT_COHORT
        cells = _cohorts(series, s, (last - 1) // HOUR_MS, share, seen, due)
        if cells == 0:
            series[s].cohort[:] = 0.0
            continue
        cohort.judge(series[s].cohort, seen, due, share, cells, series[s].slopes)
        _mark(series, s, HOT_COHORT, series[s].cohort[cohort.NATS], series[s].suspicious[COHORT_NATS])


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
    if blind or series[s].unassigned or not speaks(series, s):
        return 0
    cells = min(HOURS, newest - series[s].since_hour + 1, series[s].history_hour + 1)
    total = 0.0
    missing = 0.0
    most = 0.0
    all_due = 0.0
    for i in range(cells):
        if all_due > ENOUGH_DUE:
            cells = i
            break
        hour = newest - i
        inside = series[s].history_hour >= hour > series[s].history_hour - HOURS
        seen[i] = series[s].history[hour % HOURS, hours.CLICKED] / 1e6 if inside else 0.0
        due[i] = series[s].history[hour % HOURS, hours.DUE] if inside else 0.0
        all_due += due[i]
        total += due[i] * share[i]
        missing += due[i] * share[i] - seen[i]
        if missing > 0.0:
            most = max(most, missing * missing / total)
    return max(cells, 0) if most > 2.0 * WORTH_NATS * series[s].phi else 0
