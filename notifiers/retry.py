"""Whether and when something is tried again: a pure function of the fault, the tries and the age."""

from __future__ import annotations

from dataclasses import dataclass

from notifiers.errors import Ambiguous, Fault, Refused, Unreachable

BASE_S = 1.0
CAP_S = 300.0
OLDEST_S = 24 * 3600.0
"""No number of tries ends the trying; only this age does."""
LOOK_AFTER_S = 2.0
"""What was perhaps said may need a moment until it can be seen."""


@dataclass(frozen=True, slots=True)
class Again:
    """Try again in ``wait_s`` seconds; ``look``: first ask the channel whether it was said."""

    wait_s: float
    look: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not try again."""

    why: str


def decide(fault: Fault, tries: int, age_s: float, draw: float) -> Again | GiveUp:
    """What to do after ``fault``. ``tries`` counts from 1, ``draw`` is uniform in [0, 1).

    Waits are full-jitter exponential: uniform between 0 and 1, 2, 4 … 300 seconds.  ``Retry-After`` always wins.

    >>> decide(Unreachable("down"), tries=3, age_s=10, draw=0.5)
    Again(wait_s=2.0, look=False)
    >>> decide(Unreachable("slow down", retry_after_s=30), tries=1, age_s=10, draw=0.5)
    Again(wait_s=30, look=False)
    """
    if isinstance(fault, Refused):
        return GiveUp(str(fault))
    if age_s >= OLDEST_S:
        return GiveUp(f"not said within {OLDEST_S / 3600:.0f} hours: {fault}")
    if isinstance(fault, Unreachable) and fault.retry_after_s is not None:
        return Again(fault.retry_after_s)
    wait_s = draw * min(CAP_S, BASE_S * 2.0 ** min(tries - 1, 30))
    look = isinstance(fault, Ambiguous)
    return Again(max(wait_s, LOOK_AFTER_S) if look else wait_s, look)
