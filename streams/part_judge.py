"""Judging parts: each is expected by what its siblings bring, so that what strikes the whole source is not its matter.

With ``n`` conversions of the siblings in a step, each part's rate ``a / x`` learned over the same spend, a part is due
``n * rate / sum of the siblings' rates``.  Spend and season cancel; how often the whole source converts is left open.
Names have lags of their own, so their rates count times the spend of the step as each sees it.  Given the siblings'
count, the part's is negative binomial with variance over mean ``1 + rate / sum`` where the two are independent (names),
and closer where they report the same ids (legs): what is learned says which.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import deficit, level, outage
from streams import part_lags
from streams.allowance import LEAST_WEIGHT, PARTS, WEIGHTY_A_DAY
from streams.hours import HOUR_MS, HOURS
from streams.limits import SILENT, SUSPICION
from streams.modes import BLIND, UNUSUAL
from streams.parts import EXPECTED, LEG, NAME, SEEN, WHOLE
from streams.progress import DAY_MS, modes_above
from streams.weigh import CALM_COUNT, CPA, OUTAGE, REVIEW, calm

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Rows = NDArray[Any]

COUNT, SILENCE = 0.5, 0.5
"""Shares of a part's allowance that its tests take."""
LEAST_A_DAY = 5.0
"""Conversions a day below which a part is not judged, nor others by it."""
LEAST_DAYS = 1.0
MOST_LATE = 0.2
"""Share of conversions coming after their pane had closed from which a part's silence says nothing."""
MAJORITY = 0.8
"""Share of a source's primary conversions from which a name is the source's own matter, which its alerts tell."""
PHI_WEIGHT = 40.0
SHARE_DRIFT = 0.004
"""Variance of the slow, honest wandering of a part's share (sd 6 %)."""
FIRST_RATIO = (0, 2, 4)
"""From which ratio of the grid on a loss is looked for: legs, names, primary names, of which fewer by up to two thirds
is what a dear CPA looks like."""
TAKES = 0.05
"""Share of its source's conversions from which what an open part takes is expected no more of its campaigns."""
HOT_PARTS = 1 << 8
"""Bit in ``hot`` of a source's series: a part with an open alert takes some of its conversions."""


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def judge_parts(
    series: Rows,
    sources: Rows,
    accounts: Rows,
    parts: Rows,
    order: Ints,
    spans: Ints,
    quiet_days: float,
    tick_ms: int,
    found: Ints,
    why: Ints,
    flagged: int,
) -> int:
    """Judge the parts of what was judged at this tick; they are added to ``found`` as ``-1 - row``."""
    for span in spans:
        c = span[0]
        counted = sources[c].whole >= 0 if span[1] == LEG else sources[c].named != 0
        if not counted or accounts[sources[c].account].judged_ms != tick_ms or sources[c].dt_ms <= 0.0:
            continue
        family = order[span[2] : span[3]]
        _expect(series, sources, accounts, parts, c, family)
        flagged = _weigh_family(series, sources, accounts, parts, c, family, quiet_days, found, why, flagged)
        _learn_family(series, sources, accounts, parts, c, family, quiet_days)
    return flagged


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _expect(series: Rows, sources: Rows, accounts: Rows, parts: Rows, c: int, family: Ints) -> None:
    """What each part brought, and what it should have brought by what its healthy siblings did."""
    seen = 0.0
    weights = 0.0
    for p in family:
        parts[p].count = parts[p].step[0] / 1e6
        parts[p].arrived[0] += parts[p].count
        parts[p].arrived[1] += parts[p].step[1] / 1e6
        parts[p].sold_hour += parts[p].step[2] / 1e6
        parts[p].step[:] = 0
        part_lags.expose(series, sources, accounts, parts, c, p)
        if _vouches(parts, p):
            seen += parts[p].count
            weights += parts[p].rate * _reach(parts, p)
    hour = (sources[c].watermark_ms - 1) // HOUR_MS
    for p in family:
        reach = _reach(parts, p)
        beside, others = weights, seen
        if _vouches(parts, p):
            beside -= parts[p].rate * reach
            others -= parts[p].count
        # what is left of a difference of equal sums is no sibling
        alone = parts[p].kind == WHOLE or reach == 0.0 or beside <= 1e-9 * weights
        parts[p].beside = 0.0 if alone else beside / reach
        parts[p].expected = 0.0 if alone else others * parts[p].rate * reach / beside
        _note(parts[p].learned, parts[p].count, parts[p].exposed, parts[p].expected, alone)
        _turn(parts, p, hour)
        parts[p].history[hour % HOURS, SEEN] += parts[p].count
        parts[p].history[hour % HOURS, EXPECTED] += parts[p].expected


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _note(row: Floats, n: float, exposed: float, mu: float, alone: bool) -> None:
    """Put a step into the running hour; where siblings brought nothing, nothing was expected, and that was told."""
    row[level.HOUR_N] += n
    row[level.HOUR_X] += exposed
    if not alone:
        row[level.HOUR_MU] += mu
        row[level.HOUR_TOLD] += n


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _reach(parts: Rows, p: int) -> float:
    """Spend of the step as a name sees it; legs see it alike."""
    return float(parts[p].exposed) if parts[p].kind == NAME else 1.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _vouches(parts: Rows, p: int) -> bool:
    """Whether others are judged by what the part brought in this step."""
    return bool(speaks(parts, p) and parts[p].mode == 0 and _reach(parts, p) > 0.0)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def speaks(parts: Rows, p: int) -> bool:
    """Whether enough is known of a part to judge it, and others by it."""
    return bool(
        parts[p].kind != WHOLE
        and parts[p].rate > 0.0
        and parts[p].days >= LEAST_DAYS
        and parts[p].rate_a_day >= LEAST_A_DAY
        and parts[p].arrived[1] <= MOST_LATE * parts[p].arrived[0]
    )


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _turn(parts: Rows, p: int, hour: int) -> None:
    """Move the ring of hours on."""
    last = parts[p].history_hour
    if hour <= last:
        return
    for h in range(max(last + 1, hour - HOURS + 1), hour + 1):
        parts[p].history[h % HOURS, :] = 0.0
    parts[p].history_hour = hour


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _weigh_family(
    series: Rows,
    sources: Rows,
    accounts: Rows,
    parts: Rows,
    c: int,
    family: Ints,
    quiet_days: float,
    found: Ints,
    why: Ints,
    flagged: int,
) -> int:
    s = sources[c].series
    blind = (series[s].mode | modes_above(series, s)) & BLIND != 0 or sources[c].sound == 0
    primary = 0.0
    for p in family:
        primary += parts[p].rate if parts[p].primary else 0.0
    series[s].hot = series[s].hot | HOT_PARTS if sources[c].taken > 0.0 else series[s].hot & ~HOT_PARTS
    for p in family:
        reason = 0
        if blind:
            forget(parts, p)
        elif parts[p].mode != 0 or (speaks(parts, p) and not _is_main(parts, p, primary)):
            days = _quiet_days(accounts, parts, p, quiet_days)
            reason = _weigh(parts, p, sources[c].watermark_ms - sources[c].dt_ms, sources[c].dt_ms, days)
        if parts[p].mode != 0 and _hour_turned(sources, parts, p):
            reason |= REVIEW
        if reason != 0:
            found[flagged] = -1 - p
            why[flagged] = reason
            flagged += 1
    return flagged


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _is_main(parts: Rows, p: int, primary: float) -> bool:
    """Whether a name is nearly all that its source is judged by."""
    return bool(parts[p].primary and parts[p].rate >= MAJORITY * primary)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _hour_turned(sources: Rows, parts: Rows, p: int) -> bool:
    last = parts[p].learned_ms
    return bool(last >= 0 and sources[parts[p].source].watermark_ms // HOUR_MS > last // HOUR_MS)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def first_ratio(parts: Rows, p: int) -> int:
    """The first ratio of the grid that counts against a part."""
    return FIRST_RATIO[0] if parts[p].kind == LEG else FIRST_RATIO[2] if parts[p].primary else FIRST_RATIO[1]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _weigh(parts: Rows, p: int, from_ms: float, dt_ms: float, days: float) -> int:
    """The count test and the silence timer of a part; an alarm when both together hold enough."""
    n = parts[p].count
    mu = parts[p].expected
    if parts[p].mode != 0:
        phi = deficit.spread(parts[p].phi, parts[p].doubt, 0.0, parts[p].rate_a_day, deficit.TYPICAL_STRETCH)
        recovered = deficit.recover(parts[p].deficit, n, mu, phi, parts[p].ratio, from_ms)
        return CALM_COUNT if recovered >= calm(parts[p].rate_a_day) else 0
    if n <= 0.0 and mu <= 0.0:
        return 0
    phi = deficit.spread(parts[p].phi, parts[p].doubt, 0.0, parts[p].rate_a_day, SILENT)
    silence = outage.run(parts[p].timer, n, mu, phi, from_ms)
    a_day = max(parts[p].rate_a_day, 1.0)
    deficit.step(parts[p].deficit, n, mu, parts[p].slopes, from_ms, dt_ms)
    counted = 0.0
    nats = 0.0
    for g in range(first_ratio(parts, p), deficit.WORSE_SIZE):
        counted += parts[p].deficit[deficit.FIRST + g * deficit.PER_RATIO + deficit.EVIDENCE]
        nats = max(nats, deficit.nats(parts[p].deficit, g))
    gamma = days / COUNT * a_day
    silent = silence / (days / SILENCE * a_day)
    parts[p].hot = nats > SUSPICION * math.log(gamma)
    if counted / gamma + silent < 1.0:
        return 0
    return OUTAGE if silent >= counted / gamma else CPA


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def forget(parts: Rows, p: int) -> None:
    """Begin the tests anew, and learn nothing from the running hour."""
    parts[p].deficit[:] = 0.0
    parts[p].timer[:] = 0.0
    parts[p].hot = 0
    _drop(parts, p)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _drop(parts: Rows, p: int) -> None:
    level.drop(parts[p].learned)
    parts[p].sold_hour = 0.0
    parts[p].fresh[:] = 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def relearn(parts: Rows, p: int) -> None:
    """Forget what was learned of a part: it is judged again, and others by it, after a day."""
    parts[p].learned[:] = 0.0
    parts[p].sold = 0.0
    parts[p].days = 0.0
    parts[p].rate = 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_family(
    series: Rows, sources: Rows, accounts: Rows, parts: Rows, c: int, family: Ints, quiet_days: float
) -> None:
    """At the turn of an hour learn what is free of suspicion, and renew what the tests need to know."""
    s = sources[c].series
    unusual = (series[s].mode | modes_above(series, s) | sources[c].struck) & UNUSUAL
    phis = np.empty(deficit.GRID_SIZE)
    suspected = (series[s].hot & ~HOT_PARTS) != 0 or series[series[s].parent].hot != 0
    for p in family:
        if parts[p].learned_ms < 0:
            parts[p].learned_ms = sources[c].watermark_ms
        if not _hour_turned(sources, parts, p):
            continue
        if sources[c].watermark_ms // DAY_MS > parts[p].learned_ms // DAY_MS:
            parts[p].arrived *= 0.9
        if unusual or parts[p].mode != 0:
            _drop(parts, p)
        else:
            level.close(parts[p].learned, sources[c].watermark_ms - parts[p].learned_ms)
            if parts[p].hot == 0 and not suspected:
                _commit(sources, parts, p)
        parts[p].learned_ms = sources[c].watermark_ms
        _derive(accounts, parts, p)
        if parts[p].weight > 0.0:
            a_day = parts[p].rate_a_day
            gamma = _quiet_days(accounts, parts, p, quiet_days) / COUNT * max(a_day, 1.0)
            deficit.spreads(parts[p].phi, parts[p].doubt, 0.0, a_day, gamma, phis)
            deficit.slopes(phis, parts[p].slopes)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _quiet_days(accounts: Rows, parts: Rows, p: int, quiet_days: float) -> float:
    """Days between two false alarms of this part: its share, by volume, of what all parts of the account have."""
    everyone = accounts[parts[p].account].parts
    return float(quiet_days / PARTS * max(everyone / max(parts[p].weight, LEAST_WEIGHT), 1.0))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _commit(sources: Rows, parts: Rows, p: int) -> None:
    waited_ms = parts[p].learned[level.WAITED_MS]
    keep = math.exp(-waited_ms / level.FORGET_MS)
    parts[p].days = parts[p].days * keep + waited_ms / DAY_MS
    parts[p].sold = parts[p].sold * keep + parts[p].sold_hour
    part_lags.learn(sources, parts, p)
    level.commit(parts[p].learned)
    _drop(parts, p)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _derive(accounts: Rows, parts: Rows, p: int) -> None:
    row = parts[p].learned
    parts[p].rate = level.rate(row, 0.0)
    parts[p].rate_a_day = row[level.A] / parts[p].days if parts[p].days > 0.0 else 0.0
    ratio = parts[p].rate / parts[p].beside if parts[p].beside > 0.0 else 1.0
    square = row[level.PEARSON] + (1.0 + ratio) * PHI_WEIGHT
    least = 1.0 if parts[p].kind == LEG else 1.0 + ratio
    parts[p].phi = max(least, square / (row[level.PEARSON_WEIGHT] + PHI_WEIGHT))
    certainty = row[level.A] / (1.0 + ratio)
    parts[p].doubt = deficit.doubt(certainty, parts[p].days, SHARE_DRIFT)
    a_day = parts[p].rate_a_day
    weight = max(a_day, 1.0) / (a_day + WEIGHTY_A_DAY) if speaks(parts, p) else 0.0
    accounts[parts[p].account].parts += weight - parts[p].weight
    parts[p].weight = weight
