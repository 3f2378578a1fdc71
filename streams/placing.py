"""Which scope to name: of all that an alarm may speak of, the one that explains best what is missing.

Every scope at, above and below the alarming series is held against the same stretch of history.  A scope's log
likelihood ratio says how much better "all campaigns in it are struck alike" fits than "none is": it is largest where
the damage is not diluted by healthy parts and not cut short by struck neighbours.  Narrow scopes pay for being many:
each level is as likely as the others before anything is known, and so is each scope of a level.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce

import numpy as np

from alerts.signal import Name
from detectors import basket, level
from streams import naming
from streams.history import HOUR_MS, History
from streams.series import ACCOUNT, LEAF

WHOLE = 1.5
"""Nats that the whole account pays: two parts of a broken one show it, one part says nothing of the other."""

Told = tuple[float, float]
"""What one campaign's history tells: two sums, each over the campaign's own variance."""


def tell(history: History, s: int, onset_ms: int, modes: int) -> tuple[int, Name]:
    """The scope and the story that together explain best what is missing since ``onset_ms``; ``modes`` are left out.

    Both are read from click cohorts, each campaign's evidence over its own variance, and to the minute where a scope's
    own tests tell of something sudden.  Stories may begin as early as anything that the tests of ``s`` hold: what fell
    silent by chance amid a longer shortfall is part of that.
    """
    onset_ms = history.earliest_ms(s, onset_ms)
    leaves = _leaves_around(history, s)
    newest = max((history.end_ms(leaf) - 1) // HOUR_MS for leaf in leaves)
    told = {leaf: naming.stretches(history, leaf, onset_ms, newest) for leaf in leaves}
    told = {leaf: one.over(history.phi(leaf, one.most)) for leaf, one in told.items()}
    found = []
    for c in _candidates(history, s, modes):
        parts = [told[leaf] for leaf in leaves if _is_in(history, leaf, c, modes)]
        if parts:
            nats = naming.stories_of(history, c, reduce(operator.add, parts), onset_ms, newest)
            found += [(nats[name] - _crowd(history, c), -c, name) for name in nats]
    if not found:
        return s, naming.name(history, s, onset_ms)
    _, row, name = max(found)
    return -row, name


def place_surplus(history: History, s: int, onset_ms: int, modes: int) -> int:
    """The scope whose implausibly many conversions since ``onset_ms`` are the most telling."""
    return _best(history, s, modes, lambda leaf: _counts(history, leaf, onset_ms), _thickened)


def place_baskets(history: History, s: int, onset_ms: int, modes: int) -> int:
    """The scope whose baskets since ``onset_ms`` are the most tellingly small."""
    return _best(history, s, modes, lambda leaf: _baskets(history, leaf, onset_ms), _shrunk)


def _counts(history: History, leaf: int, onset_ms: int) -> Told:
    lost = history.since(leaf, onset_ms)
    phi = history.phi(leaf, lost.expected)
    return lost.seen / phi, lost.expected / phi


def _thickened(seen: float, expected: float) -> float:
    """Nats by which the best fitting multiple of ``expected`` beats none."""
    return seen * math.log(seen / expected) + expected - seen if seen > expected > 0.0 else 0.0


def _baskets(history: History, leaf: int, onset_ms: int) -> Told:
    lost, s2 = history.since(leaf, onset_ms), basket.spread(history.registry.series["basket"][leaf])
    return lost.baskets / s2, lost.baskets_off / s2


def _shrunk(baskets: float, off: float) -> float:
    """Nats by which the best fitting common shift of log values beats none."""
    return off * off / (2.0 * baskets) if off < 0.0 < baskets else 0.0


def _best(
    history: History, s: int, modes: int, told: Callable[[int], Told], nats: Callable[[float, float], float]
) -> int:
    leaves = _leaves_around(history, s)
    by_leaf = {leaf: told(leaf) for leaf in leaves}

    def telling(c: int) -> float:
        inside = [leaf for leaf in leaves if _is_in(history, leaf, c, modes)]
        return nats(*(sum(by_leaf[leaf][i] for leaf in inside) for i in (0, 1))) - _crowd(history, c)

    return max(_candidates(history, s, modes), key=lambda c: (telling(c), -c))


def _candidates(history: History, s: int, modes: int) -> list[int]:
    """Every scope at, above and below ``s`` that may be named; ``s`` itself where there is none."""
    series = history.registry.series
    around = (s, *history.above(s), *history.below(s))
    free = [c for c in around if not series["mode"][c] & modes and not series["unassigned"][c]]
    return [c for c in free if not _says_no_more(history, c)] or [s]


def _says_no_more(history: History, c: int) -> bool:
    """Whether a wide scope has one living campaign, which says the same more precisely and is what is tested."""
    series = history.registry.series
    living = [b for b in history.below(c) if series["level"][b] == LEAF and series["learned"][b, level.A] > 0.0]
    return len(living) == 1 and not series["unassigned"][living[0]]


def _leaves_around(history: History, s: int) -> list[int]:
    top = history.above(s)[-1] if history.above(s) else s
    return [leaf for leaf in history.below(top) if history.registry.series["level"][leaf] == LEAF]


def _is_in(history: History, leaf: int, scope: int, modes: int) -> bool:
    """Whether ``leaf`` lies in ``scope`` and in no scope whose alert is open."""
    path = [leaf, *history.above(leaf)]
    return scope in path and not any(history.registry.series["mode"][c] & modes for c in path)


def _crowd(history: History, s: int) -> float:
    """What a scope pays before anything is known: log of how many of its level there are; all at once is rare."""
    series = history.registry.series
    if series["level"][s] == ACCOUNT:
        return WHOLE
    alike = (series["account"] == series["account"][s]) & (series["level"] == series["level"][s])
    return math.log(max(1, int(np.count_nonzero(alike))))
