"""How late conversions come: a histogram of delays from click to conversion, and exponentials fitted to it.

The histogram answers "which share of what was clicked so long ago should have arrived".  The exponentials, of fixed
mean delays a factor of four apart, turn a stream of spend into a stream of expected arrivals with one number of state
each; their weights are the maximum likelihood of the histogram, by expectation maximisation on its bins (Dempster,
Laird and Rubin 1977).

Beside the histogram runs what could have been seen of every stage: once spend has doubled, most delays are short, since
the clicks of last week are few, and conversions come no sooner for it.  A stage's weight is its delays over its
exposure, the maximum likelihood of Poisson arrivals.  Delays longer than the history is old are not seen yet; the first
days take them for none.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

EDGES_MS = np.array([60_000.0 * 2.0**k for k in range(14)])
"""Upper edges of the delay bins: 1, 2, 4 ... 8,192 minutes; a last bin has none."""
BINS = len(EDGES_MS) + 1
TAUS_MS = np.array([60_000.0 * 4.0**k for k in range(1, 8)])
"""Mean delays of the exponentials: 4, 16, 64 ... 16,384 minutes."""
STAGES = len(TAUS_MS) + 1
"""Weights of a lag: what arrives at once, then one per exponential."""
COLUMNS = BINS + STAGES
"""Of a row of delays: how many fell into each bin, then how many each stage would have brought with a weight of 1."""
REMEMBERED = 3000.0
"""Delays that are remembered at most."""
LEAST_EXPOSED = 0.1
"""Exposure of a stage over that of all, at least."""
ROUNDS = 20
WIDE = 30.0
"""Delays' worth of belief that a source is as late as its account."""
PRIOR = 20.0
"""Conversions' worth of belief that all arrive at once."""


def _bin_shares() -> Row:
    """Share of every stage (rows) that falls into every bin (columns)."""
    shares = np.zeros((STAGES, BINS))
    shares[0, 0] = 1.0
    edges = np.array([0.0, *EDGES_MS, np.inf])
    for k in range(1, STAGES):
        shares[k] = np.exp(-edges[:-1] / TAUS_MS[k - 1]) - np.exp(-edges[1:] / TAUS_MS[k - 1])
    return shares


BIN_SHARES = _bin_shares()


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def delay_bin(lag_ms: float) -> int:
    """Which bin a delay falls into."""
    k = 0
    while k < BINS - 1 and lag_ms >= EDGES_MS[k]:
        k += 1
    return k


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def fit(lag: Row, delays: Row) -> None:
    """Move the weights ``lag`` (they sum to 1) towards the likeliest ones of the histogram ``delays``."""
    total = delays.sum() + PRIOR
    shares = np.empty(STAGES)
    for _ in range(ROUNDS):
        shares[:] = 0.0
        shares[0] = PRIOR
        for b in range(BINS):
            told = _chance(lag, b)
            for k in range(STAGES):
                if delays[b] > 0.0:
                    shares[k] += delays[b] * max(lag[k], 1e-6) * BIN_SHARES[k, b] / told
        for k in range(STAGES):
            lag[k] = shares[k] / total


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _chance(lag: Row, b: int) -> float:
    told = 0.0
    for k in range(STAGES):
        told += max(lag[k], 1e-6) * BIN_SHARES[k, b]
    return told


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def correct(lag: Row, delays: Row, into: Row) -> None:
    """The histogram of the row ``delays`` as it would be had every stage of ``lag`` been exposed alike."""
    mean = 0.0
    for k in range(STAGES):
        mean += lag[k] * delays[BINS + k]
    for b in range(BINS):
        rarer = 0.0
        for k in range(STAGES):
            exposed = max(delays[BINS + k] / mean, LEAST_EXPOSED) if mean > 0.0 else 1.0
            rarer += max(lag[k], 1e-6) * BIN_SHARES[k, b] / exposed
        into[b] = delays[b] * rarer / _chance(lag, b)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def apart(below: Row, total: float, into: Row) -> None:
    """A histogram of ``total`` delays with the shares ``below``."""
    for b in range(BINS - 1):
        into[b] = total * (below[b] - (below[b - 1] if b > 0 else 0.0))
    into[BINS - 1] = total * (1.0 - below[BINS - 2])


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def forget(row: Row, counts: int, most: float) -> None:
    """Keep no more than ``most`` delays of a row, which its first ``counts`` columns count."""
    row *= min(1.0, most / max(row[:counts].sum(), 1.0))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def pooled(own: Row, wide: Row) -> Row:
    """The row ``own`` with what is known of wider ones, worth at most ``WIDE`` delays."""
    total = wide[:BINS].sum()
    return own + wide * min(1.0, WIDE / total) if total > 0.0 else own.copy()


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def cumulate(delays: Row, below: Row) -> None:
    """Fill ``below`` with the share of delays under each bin's upper edge; all ones where none is known.

    Of the delays beyond the last edge half are taken to have come, so the last share is not 1.
    """
    total = delays.sum()
    sum_ = 0.0
    for k in range(BINS):
        sum_ += delays[k] if k < BINS - 1 else 0.5 * delays[k]
        below[k] = sum_ / total if total > 0.0 else 1.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def arrived(below: Row, age_ms: float) -> float:
    """Share of conversions that arrive within ``age_ms`` of the click, of :func:`cumulate`; even within a bin."""
    if below[0] >= 1.0:
        return 1.0
    if age_ms < EDGES_MS[0]:
        return float(below[0] * max(age_ms, 0.0) / EDGES_MS[0])
    k = min(int(math.log2(age_ms / EDGES_MS[0])) + 1, BINS - 1)
    if k == BINS - 1:
        return float(below[k])
    return float(below[k - 1] + (below[k] - below[k - 1]) * (age_ms / EDGES_MS[k - 1] - 1.0))


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def matured(below: Row, youngest_ms: float, span_ms: float) -> float:
    """Mean share arrived of clicks spread evenly over ``span_ms``, the last of them ``youngest_ms`` ago."""
    total = 0.0
    for k in range(3):
        total += arrived(below, youngest_ms + span_ms * (2 * k + 1) / 6.0)
    return total / 3.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def shares(below: Row, youngest_ms: Row, span_ms: Row) -> Row:
    """:func:`matured` of many stretches of clicks."""
    found = np.empty(len(youngest_ms))
    for i in range(len(youngest_ms)):
        found[i] = matured(below, youngest_ms[i], span_ms[i])
    return found


def cumulated(delays: Row) -> Row:
    """:func:`cumulate` into an array of its own.

    >>> arrived(cumulated(np.array([0.0, 0.0, 1.0] + [0.0] * 12)), 180_000)
    0.5
    """
    below = np.empty(BINS)
    cumulate(delays, below)
    return below


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def keeps(dt_ms: float, into: Row) -> None:
    """Share of each exponential's state that ``dt_ms`` leaves."""
    for k in range(STAGES - 1):
        into[k] = math.exp(-dt_ms / TAUS_MS[k])
