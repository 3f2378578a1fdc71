"""Against which damage the end of an alert is judged, and what is learned then; nothing is while it is open."""

from __future__ import annotations

import math

from detectors import basket, deficit, level
from streams import weigh
from streams.history import HOUR_MS, History
from streams.hours import EXPECTED, HOURS, SEEN
from streams.modes import BLIND
from streams.progress import youth
from streams.series import LEAF

DEVIATIONS = 2.0
"""Standard deviations by which an incident may be milder than it looks."""
LEAST_EXPECTED = 10.0
MILDEST, WORST = 1.5, 4.0
"""The range of ratios that "normal" is held against: a nearer one takes for ever, a farther one ends an alert of a
milder incident."""
LEAST_MILD, LONGEST_END_H = 1.15, 12.0
"""Of busy series the nearer one, down to this: dear clicks are few of all at first, while older ones convert."""
EASED = 0.6
"""An alert ends when "normal" is likelier than this power of the damage that was found: damage that turns out to be
milder than it looked at first does not end it."""
RELEARN = 0.05
"""What a level from before is worth where another one has lasted a week."""


def renew_ratio(history: History, s: int, started_ms: int) -> None:
    """Hold "back to normal" against the least damage that what came since ``started_ms``, until then, speaks for."""
    series = history.registry.series
    told = history.since(s, started_ms)
    seen, expected = told.seen, told.expected
    if series["deficit"][s, deficit.RECOVERY] > 0.0:
        back = history.since(s, int(series["deficit"][s, deficit.RECOVERING_MS]))
        seen, expected = seen - back.seen, expected - back.expected
    if expected > LEAST_EXPECTED:
        most = seen + DEVIATIONS * math.sqrt(history.phi(s, expected) * (seen + 1.0))
        series["ratio"][s] = within(expected / most, mildest(history, s))


def mildest(history: History, s: int) -> float:
    """The mildest damage that "normal" is held against: one that it is told from within ``LONGEST_END_H`` hours.

    A ratio near 1 takes ``2 phi calm / ln(ratio) ** 2`` conversions to be told from normal.
    """
    a_day = max(float(history.registry.series["rate_a_day"][s]), 1.0)
    nats = history.phi(s, deficit.TYPICAL_STRETCH) * weigh.calm(a_day)
    return min(max(math.exp(math.sqrt(2.0 * nats * 24.0 / (a_day * LONGEST_END_H))), LEAST_MILD), MILDEST)


def within(ratio: float, mildest: float = MILDEST, worst: float = WORST) -> float:
    """``ratio`` or the nearest one that an end may be judged against."""
    return min(max(ratio, mildest), worst)


def eased(ratio: float, mildest: float = MILDEST, worst: float = WORST) -> float:
    """What the end of an alert is judged against where the damage found was ``ratio``.

    >>> eased(2.0) < 2.0, eased(1.6), eased(100.0)
    (True, 1.5, 4.0)
    """
    return within(ratio**EASED, mildest, worst)


def believe(history: History, s: int) -> None:
    """Take what the hours kept show for the new level of a series."""
    lost = history.since(s, history.end_ms(s) - HOURS * HOUR_MS)
    learned, baskets = history.registry.series["learned"][s], history.registry.series["basket"][s]
    if lost.expected > 0.0:
        learned[level.A] *= RELEARN
        learned[level.B] *= RELEARN * lost.expected / max(lost.seen, 0.5)
    if lost.baskets > 0.0:
        baskets[basket.MEAN] += lost.baskets_off / lost.baskets


def trust_recovery(history: History, s: int, started_ms: int) -> None:
    """Learn what came since the incident of ``s`` was over, as it would have been learned without an alert.

    Of a young account the level from before counts less: it may be what was wrong (a promotion taken for the usual).
    Where alerts have come and gone before, the alert itself is believed to be the noise of ``s``, the more the more.
    """
    registry = history.registry
    keep = 1.0 / youth(registry.accounts.rows, int(registry.series["account"][s]))
    from_ms = -(-int(registry.series["deficit"][s, deficit.RECOVERING_MS]) // HOUR_MS) * HOUR_MS
    restless = float(registry.series["restless"][s])
    _learn_spread(history, s, started_ms, from_ms, restless / (1.0 + restless))
    _learn_spread(history, s, from_ms, history.end_ms(s), 1.0)
    registry.series["restless"][s] = restless + 1.0
    for row in (s, *history.below(s)):
        own_alert = row != s and registry.series["mode"][row] & BLIND
        if registry.series["level"][row] == LEAF and not own_alert and from_ms < history.end_ms(row):
            _learn(history, row, from_ms, keep)


def _learn_spread(history: History, s: int, from_ms: int, to_ms: int, weight: float) -> None:
    """What the hours between two moments say of the dispersion."""
    for seen, expected in history.hours(s, from_ms // HOUR_MS, to_ms // HOUR_MS - 1)[:, [SEEN, EXPECTED]]:
        level.spread(history.registry.series["learned"][s], seen, expected, weight)


def _learn(history: History, leaf: int, from_ms: int, keep: float) -> None:
    learned, pooled = history.registry.series["learned"][leaf], float(history.registry.series["pooled"][leaf])
    came, rate = history.since(leaf, from_ms), level.rate(learned, pooled)
    if rate > 0.0:
        learned[level.A] = learned[level.A] * keep + came.seen
        learned[level.B] = learned[level.B] * keep + came.expected / rate
