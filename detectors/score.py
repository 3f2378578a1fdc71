"""What a detector says about one number: what was to be expected, within which bounds, and how surprised to be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """One judgement.

    ``expected``, ``low`` and ``high`` are in the unit of what was judged, ``None`` while too little is known; about
    95 of 100 healthy readings lie between ``low`` and ``high``.

    ``evidence`` is log10 odds against chance, never negative: 0 is nothing, and every further 1 makes a chance
    explanation ten times rarer.  Less than nothing is not kept apart, because no decision rests on *how* ordinary a
    reading is.  Each detector's file says over what its chances are counted (readings, steps, hours), so that
    ``log10`` of that count per false alarm one is willing to bear is its threshold.

    >>> Score(expected=100.0, low=90.0, high=110.0, evidence=3.2).outside(130.0)
    True
    """

    expected: float | None
    low: float | None
    high: float | None
    evidence: float

    def outside(self, observed: float) -> bool:
        """Whether ``observed`` lies beyond the bounds; never while they are unknown."""
        if self.low is None or self.high is None:
            return False
        return not self.low <= observed <= self.high


UNKNOWN = Score(expected=None, low=None, high=None, evidence=0.0)
"""The judgement of a detector that knows too little to have an opinion."""
