"""How rare is a size this large: a streaming tail probability without a window of old values.

The edge, the size that a share ``SHARE`` of all sizes exceeds, is followed on a log scale by stochastic approximation
(Robbins and Monro, 1951), its step scaled by the tail's own slope so that the unit of the sizes does not matter.
Beyond the edge the tail is taken for a power law whose index is the mean log excess (Hill, 1975), begun from a prior:
``P(size > s) = SHARE * (s / edge) ** (-1 / index)``.  A power law overrates the chance of extremes where the truth
decays faster; that errs on the quiet side.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

SHARE = 0.05
START = 20
"""The edge begins as the largest of the first so many sizes above the floor, which one in twenty exceeds.  Sizes at
the floor do not count here: a series that has not begun to move says nothing about how it moves."""
EDGE_MEMORY = 20_000.0
INDEX_MEMORY = 1_000.0
GAIN, LEAST_GAIN = 2.0, 0.6
"""The step in units of the tail's slope: 1 is the least noisy, 2 finds back sooner from a start that misled."""
PRIOR_INDEX = 0.4
PRIOR_WEIGHT = 10.0
CLIP = 6.0
"""An excess teaches the index at most so many times the index: one disaster does not make the next one ordinary."""


@dataclass(slots=True)
class Tail:
    """Tail of one stream of sizes (>= 0).  Sizes below ``floor`` count as ``floor``: too small to matter to anybody.

    >>> tail = Tail()
    >>> for n in range(1000):
    ...     tail.learn(1.0 + n % 10, floor=1e-6)
    >>> tail.evidence(5.0, floor=1e-6), tail.evidence(100.0, floor=1e-6) > tail.evidence(50.0, floor=1e-6) > 2.0
    (0.0, True)
    """

    log_edge: float = -math.inf
    excess: float = PRIOR_INDEX * PRIOR_WEIGHT
    weight: float = PRIOR_WEIGHT
    seen: float = 0.0

    @property
    def edge(self) -> float:
        """The size that one in twenty exceeds."""
        return math.exp(self.log_edge)

    def evidence(self, size: float, floor: float) -> float:
        """``-log10`` of the chance of a size this large; 0 below the edge and while the edge is unknown."""
        beyond = math.log(max(size, floor)) - self.log_edge
        if beyond <= 0.0 or self.seen < START:
            return 0.0
        return -math.log10(SHARE) + beyond * self.weight / self.excess / math.log(10.0)

    def learn(self, size: float, floor: float) -> None:
        """Take a size into account."""
        log_size = math.log(max(size, floor))
        if self.seen < START:
            self._begin(size > floor, log_size)
            return
        beyond = log_size - self.log_edge
        self.seen = min(self.seen + 1.0, EDGE_MEMORY)
        step = max(GAIN * self.excess / self.weight, LEAST_GAIN) / (SHARE * self.seen)
        if beyond > 0.0:
            self._learn_excess(beyond)
            self.log_edge += min(step * (1.0 - SHARE), 2.0)
        else:
            self.log_edge -= step * SHARE

    def _begin(self, counts: bool, log_size: float) -> None:
        if counts:
            self.log_edge = max(self.log_edge, log_size)
            self.seen += 1.0

    def _learn_excess(self, beyond: float) -> None:
        self.excess += min(beyond, CLIP * self.excess / self.weight)
        self.weight += 1.0
        if self.weight > INDEX_MEMORY:
            self.excess *= INDEX_MEMORY / self.weight
            self.weight = INDEX_MEMORY

    def state(self) -> list[float]:
        """All there is to know, as numbers."""
        return [self.log_edge if self.seen else 0.0, self.excess, self.weight, self.seen]

    @classmethod
    def restore(cls, state: list[float]) -> Tail:
        """The inverse of :meth:`state`."""
        log_edge, excess, weight, seen = state
        return cls(log_edge if seen else -math.inf, excess, weight, seen)
