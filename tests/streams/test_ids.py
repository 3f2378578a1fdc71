"""The table of ids: an id counts as seen for as long as the log says so, never longer or shorter."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.ids import Ids, seen


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(0, 200)), max_size=400),
    st.integers(1, 50),
    st.booleans(),
)
def test_seen_equals_a_dictionary_with_an_age(ids: list[tuple[int, int]], horizon: int, snapshot: bool) -> None:
    """Growing, dropping old ids and going through a snapshot are never noticed."""
    table, known, newest = Ids(), dict[int, int](), 0
    for one, hour in ids:
        newest = max(newest, hour)
        oldest = newest - horizon
        if hour < oldest:
            continue
        expected = known.get(one, -(10**9)) >= oldest
        if not expected:
            known[one] = hour
        table.reserve(1, oldest)
        key = np.uint64(one * 0x9E3779B97F4A7C15 % 2**64)
        assert seen(table.table, table.used, key, hour, oldest) == expected
        if snapshot:
            arrays = table.arrays(oldest)
            table = Ids.of(arrays["ids"], arrays["id_hours"])


def test_the_table_stays_small_when_old_ids_go() -> None:
    """A hundred thousand ids over a hundred hours with a horizon of one hour fit a small table."""
    table = Ids()
    for hour in range(100):
        table.reserve(1000, hour - 1)
        for n in range(1000):
            seen(table.table, table.used, np.uint64(hour * 1000 + n + 1), hour, hour - 1)
    assert len(table.table) <= 1 << 14
