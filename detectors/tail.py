"""How rare is a size this large: a streaming tail probability without a window of old values.

The edge, the size that a share ``SHARE`` of all sizes exceeds, is followed on a log scale by stochastic approximation
(Robbins and Monro, 1951), its step scaled by the tail's own slope so that the unit of the sizes does not matter.
Beyond the edge the tail is taken for a power law whose index is the mean log excess (Hill, 1975), begun from a prior:
``P(size > s) = SHARE * (s / edge) ** (-1 / index)``.  A power law overrates the chance of extremes where the truth
decays faster; that errs on the quiet side.

The functions work on four columns of a row, so that a thousand tails are a part of an array; :class:`Tail` is one.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]

SHARE = 0.05
START = 20.0
"""The edge begins as the largest of the first so many sizes above the floor, which one in twenty exceeds.  Sizes at
the floor do not count here: a series that has not begun to move says nothing about how it moves."""
EDGE_MEMORY = 5_000.0
"""Sizes that the edge rests on: two and a half weeks of readings every five minutes, half a year of hourly ones."""
INDEX_MEMORY = 1_000.0
GAIN, LEAST_GAIN = 2.0, 0.6
"""The step in units of the tail's slope: 1 is the least noisy, 2 finds back sooner from a start that misled."""
PRIOR_INDEX = 0.4
PRIOR_WEIGHT = 10.0
"""Until some ten excesses were met a tail is taken for heavy, so that a young series keeps quiet."""
CLIP = 6.0
"""An excess teaches the index at most so many times the index: one disaster does not make the next one ordinary."""
DECADES_PER_NAT = 1.0 / math.log(10.0)
AT_EDGE = -math.log10(SHARE)

# The columns of a tail: log of the edge, sum and weight of the log excesses, sizes seen (of those that count).
LOG_EDGE, EXCESS, WEIGHT, SEEN = range(4)
COLUMNS = 4
# Functions take the row and the column at which the tail begins, and sizes as logs: a log is taken once per reading.


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def begin(row: Row, at: int) -> None:
    """Know nothing but the prior."""
    row[at + LOG_EDGE] = 0.0
    row[at + EXCESS] = PRIOR_INDEX * PRIOR_WEIGHT
    row[at + WEIGHT] = PRIOR_WEIGHT
    row[at + SEEN] = 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def edge(row: Row, at: int) -> float:
    """The size that one in twenty exceeds; 0 while none was seen."""
    return math.exp(row[at + LOG_EDGE]) if row[at + SEEN] > 0.0 else 0.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def evidence(row: Row, at: int, log_size: float) -> float:
    """``-log10`` of the chance of a size this large; 0 below the edge and while the edge is unknown."""
    beyond = log_size - row[at + LOG_EDGE]
    if beyond <= 0.0 or row[at + SEEN] < START:
        return 0.0
    return float(AT_EDGE + beyond * row[at + WEIGHT] / row[at + EXCESS] * DECADES_PER_NAT)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def learn(row: Row, at: int, log_size: float, counts: bool) -> None:
    """Take a size into account; ``counts`` tells whether it is above the floor, so that it may begin the edge."""
    if row[at + SEEN] < START:
        if counts:
            row[at + LOG_EDGE] = max(row[at + LOG_EDGE], log_size) if row[at + SEEN] > 0.0 else log_size
            row[at + SEEN] += 1.0
        return
    beyond = log_size - row[at + LOG_EDGE]
    row[at + SEEN] = min(row[at + SEEN] + 1.0, EDGE_MEMORY)
    step = max(GAIN * row[at + EXCESS] / row[at + WEIGHT], LEAST_GAIN) / (SHARE * row[at + SEEN])
    if beyond > 0.0:
        _learn_excess(row, at, beyond)
        row[at + LOG_EDGE] += min(step * (1.0 - SHARE), 2.0)
    else:
        row[at + LOG_EDGE] -= step * SHARE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_excess(row: Row, at: int, beyond: float) -> None:
    row[at + EXCESS] += min(beyond, CLIP * row[at + EXCESS] / row[at + WEIGHT])
    row[at + WEIGHT] += 1.0
    if row[at + WEIGHT] > INDEX_MEMORY:
        row[at + EXCESS] *= INDEX_MEMORY / row[at + WEIGHT]
        row[at + WEIGHT] = INDEX_MEMORY


class Tail:
    """Tail of one stream of sizes (>= 0).  Sizes below ``floor`` count as ``floor``: too small to matter to anybody.

    >>> tail = Tail()
    >>> for n in range(1000):
    ...     tail.learn(1.0 + n % 10, floor=1e-6)
    >>> tail.evidence(5.0, floor=1e-6), tail.evidence(100.0, floor=1e-6) > tail.evidence(50.0, floor=1e-6) > 2.0
    (0.0, True)
    """

    __slots__ = ("_row",)

    def __init__(self) -> None:
        self._row = np.empty(COLUMNS)
        begin(self._row, 0)

    @property
    def edge(self) -> float:
        """The size that one in twenty exceeds; 0 while none was seen."""
        return float(edge(self._row, 0))

    @property
    def seen(self) -> float:
        """How many sizes the edge rests on."""
        return float(self._row[SEEN])

    def evidence(self, size: float, floor: float) -> float:
        """``-log10`` of the chance of a size this large; 0 below the edge and while the edge is unknown."""
        return float(evidence(self._row, 0, math.log(max(size, floor))))

    def learn(self, size: float, floor: float) -> None:
        """Take a size into account."""
        learn(self._row, 0, math.log(max(size, floor)), size > floor)

    def state(self) -> list[float]:
        """All there is to know, as numbers."""
        return [float(column) for column in self._row]

    @classmethod
    def restore(cls, state: list[float]) -> Tail:
        """The inverse of :meth:`state`."""
        tail = cls()
        tail._row[:] = state
        return tail
