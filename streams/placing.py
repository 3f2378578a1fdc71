"""Which scope to name: of all that an alarm may speak of, the one that explains best what is missing.

Every scope at, above and below the alarming series is held against the same stretch of history.  A scope's log
likelihood ratio says how much better "all campaigns in it are struck alike" fits than "none is": it is largest where
the damage is not diluted by healthy parts and not cut short by struck neighbours.  Narrow scopes pay for being many:
each level is as likely as the others before anything is known, and so is each scope of a level.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from detectors import basket
from streams.history import History
from streams.series import ACCOUNT, LEAF

WHOLE = 1.5
"""Nats that the whole account pays: two parts of a broken one show it, one part says nothing of the other."""

Told = tuple[float, float]
"""What one campaign's history tells: two sums, each over the campaign's own variance."""


def place_count(history: History, s: int, onset_ms: int, modes: int) -> int:
    """The scope whose shortfall of conversions since ``onset_ms`` is the most telling; open ``modes`` are left out."""
    return _best(history, s, modes, lambda leaf: _counts(history, leaf, onset_ms), _thinned)


def place_baskets(history: History, s: int, onset_ms: int, modes: int) -> int:
    """The scope whose baskets since ``onset_ms`` are the most tellingly small."""
    return _best(history, s, modes, lambda leaf: _baskets(history, leaf, onset_ms), _shrunk)


def _counts(history: History, leaf: int, onset_ms: int) -> Told:
    lost = history.since(leaf, onset_ms)
    phi = history.phi(leaf, lost.expected)
    return lost.seen / phi, lost.expected / phi


def _thinned(seen: float, expected: float) -> float:
    """Nats by which the best fitting thinning of ``expected`` beats none."""
    if seen >= expected:
        return 0.0
    return (seen * math.log(seen / expected) if seen > 0.0 else 0.0) + expected - seen


def _baskets(history: History, leaf: int, onset_ms: int) -> Told:
    lost, s2 = history.since(leaf, onset_ms), basket.spread(history.registry.series["basket"][leaf])
    return lost.baskets / s2, lost.baskets_off / s2


def _shrunk(baskets: float, off: float) -> float:
    """Nats by which the best fitting common shift of log values beats none."""
    return off * off / (2.0 * baskets) if off < 0.0 < baskets else 0.0


def _best(
    history: History, s: int, modes: int, told: Callable[[int], Told], nats: Callable[[float, float], float]
) -> int:
    series = history.registry.series
    candidates = [c for c in (s, *history.above(s), *history.below(s)) if not series["mode"][c] & modes]
    free = [c for c in candidates if not series["unassigned"][c]]
    by_leaf = {leaf: told(leaf) for leaf in history.below(history.above(s)[-1] if history.above(s) else s)}

    def telling(c: int) -> float:
        leaves = [leaf for leaf in by_leaf if series["level"][leaf] == LEAF and _is_in(history, leaf, c, modes)]
        return nats(*(sum(by_leaf[leaf][i] for leaf in leaves) for i in (0, 1))) - _crowd(history, c)

    return max(free or [s], key=lambda c: (telling(c), -c))


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
