"""Outage or dear clicks: which story a stretch of conversions tells."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.naming import Part, Stretch, odds

NONE = (np.zeros(1), np.zeros(1))


def part(seen: float, expected: float) -> Part:
    return np.array([seen]), np.array([expected])


DUE = st.floats(20.0, 500.0)


@given(DUE, DUE)
def test_silence_is_an_outage(fresh: float, old: float) -> None:
    assert odds(Stretch(part(0.0, fresh), NONE, part(0.0, old), NONE), 1.3) < 0.0


@given(DUE, DUE, st.floats(0.34, 0.66))
def test_fewer_conversions_of_new_clicks_only_are_dear_clicks(fresh: float, old: float, kept: float) -> None:
    assert odds(Stretch(part(fresh * kept, fresh), NONE, part(old, old), NONE), 1.3) > 0.0


@given(DUE, DUE, st.floats(0.0, 0.5))
def test_who_loses_old_clicks_conversions_alike_has_lost_conversions(fresh: float, old: float, kept: float) -> None:
    told = Stretch(part(fresh * kept, fresh), NONE, part(2 * old * kept, 2 * old), NONE)
    assert odds(told, 1.0) < odds(Stretch(part(fresh * kept, fresh), NONE, part(2 * old, 2 * old), NONE), 1.0)


@given(DUE, st.floats(0.0, 0.9), st.floats(1.0, 4.0))
def test_dispersion_makes_less_sure(fresh: float, kept: float, phi: float) -> None:
    """The prior of the two stories stays; what the counts say weighs less."""
    told = Stretch(part(fresh * kept, fresh), NONE, part(fresh, fresh), NONE)
    assert odds(told, phi) <= odds(told, 1.0) + 1e-9


def test_without_known_clicks_the_amount_alone_speaks() -> None:
    assert (
        odds(Stretch(part(2.0, 40.0), NONE, NONE, NONE), 1.3)
        < 0.0
        < odds(Stretch(part(20.0, 40.0), NONE, NONE, NONE), 1.3)
    )
