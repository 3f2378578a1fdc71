"""The retry decision, as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifiers.errors import Ambiguous, Fault, Refused, Unreachable
from notifiers.retry import CAP_S, LOOK_AFTER_S, OLDEST_S, Again, GiveUp, decide

DOWN, SLOW, LOST, NEVER = (
    Unreachable("down"),
    Unreachable("slow", retry_after_s=30),
    Ambiguous("lost"),
    Refused("never"),
)
DAY = OLDEST_S


@pytest.mark.parametrize(
    ("fault", "tries", "age_s", "draw", "decision"),
    [
        (NEVER, 1, 0.0, 0.5, GiveUp("never")),
        (DOWN, 1, 0.0, 0.5, Again(0.5)),
        (DOWN, 2, 0.0, 0.5, Again(1.0)),
        (DOWN, 5, 0.0, 0.5, Again(8.0)),
        (DOWN, 9, 0.0, 0.5, Again(128.0)),
        (DOWN, 10, 0.0, 0.5, Again(CAP_S / 2)),
        (DOWN, 10**9, DAY - 1, 0.999, Again(CAP_S * 0.999)),
        (DOWN, 1, 0.0, 0.0, Again(0.0)),
        (DOWN, 3, DAY, 0.5, GiveUp("not said within 24 hours: down")),
        (SLOW, 1, 0.0, 0.5, Again(30)),
        (SLOW, 99, 0.0, 0.999, Again(30)),
        (SLOW, 1, DAY, 0.5, GiveUp("not said within 24 hours: slow")),
        (LOST, 1, 0.0, 0.1, Again(LOOK_AFTER_S, look=True)),
        (LOST, 6, 0.0, 0.5, Again(16.0, look=True)),
        (LOST, 1, DAY, 0.5, GiveUp("not said within 24 hours: lost")),
    ],
)
def test_the_decision_follows_the_table(
    fault: Fault, tries: int, age_s: float, draw: float, decision: Again | GiveUp
) -> None:
    assert decide(fault, tries, age_s, draw) == decision


@given(tries=st.integers(1, 10**6), age_s=st.floats(0, DAY - 1), draw=st.floats(0, 1, exclude_max=True))
def test_what_is_down_for_now_is_tried_again_within_the_cap(tries: int, age_s: float, draw: float) -> None:
    decision = decide(DOWN, tries, age_s, draw)
    assert isinstance(decision, Again)
    assert 0 <= decision.wait_s <= CAP_S
