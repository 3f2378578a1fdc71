"""Packs: what goes in comes out, in order, with its origin; the numbers of origins rise."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from events.batch import NO_ORIGIN
from streams.packs import BadPack, Lines, joined, numbered, offset_of, opened, packs, partition_of

LINE = st.binary(min_size=1, max_size=30).filter(lambda line: b"\n" not in line)
ROW = st.tuples(LINE, st.integers(0, 3), st.integers(NO_ORIGIN, 2), st.integers(0, 2**40))


@given(st.lists(ROW, max_size=60), st.integers(1, 7))
def test_lines_leave_their_packs_as_they_went_in(rows: list[tuple[bytes, int, int, int]], most_facts: int) -> None:
    names = ["raw/0", "raw/1", "other/7"]
    origin = np.array([row[2] for row in rows], np.int32)
    found = Lines([row[0] for row in rows], names, origin, np.array([row[3] for row in rows], np.int64))
    partition = np.array([row[1] for row in rows], np.int64)
    out = list(packs(found, partition, lambda row: f"account-{row}", most_facts))
    assert all(len(opened(pack.value, pack.headers).lines) <= most_facts for pack in out)
    for number in range(4):
        back = joined([opened(pack.value, pack.headers) for pack in out if pack.partition == number])
        wanted = [row for row in rows if row[1] == number]
        assert back.lines == [row[0] for row in wanted]
        told = [None if code == NO_ORIGIN else back.origins[code] for code in back.origin.tolist()]
        assert told == [None if row[2] == NO_ORIGIN else names[row[2]] for row in wanted]
        known = [at for at, code in zip(back.number.tolist(), back.origin.tolist(), strict=True) if code != NO_ORIGIN]
        assert known == [row[3] for row in wanted if row[2] != NO_ORIGIN]


@given(st.text(min_size=1, max_size=20), st.integers(1, 64))
def test_an_account_lives_where_kafkas_own_partitioner_puts_its_key(account: str, partitions: int) -> None:
    everywhere = list(range(partitions))
    assert partition_of(account, partitions) == DefaultPartitioner()(account.encode(), everywhere, everywhere)


@given(st.tuples(st.integers(0, 2**40), st.integers(0, 2**21 - 1)), st.tuples(st.integers(0, 2**40), st.integers(0, 9)))
def test_origin_numbers_order_lines_as_the_raw_topic_does(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (numbered(*one) < numbered(*other)) == (one < other)
    assert offset_of(numbered(*one)) == one[0]
    assert -(2**63) <= numbered(*one) < 2**63


def test_an_origin_header_that_cannot_be_read_is_the_writers_fault() -> None:
    with pytest.raises(BadPack, match="origin header"):
        opened(b"{}\n", [("origin", b"\xff\xff")])
    with pytest.raises(BadPack, match="are 2"):
        opened(b"{}\n{}\n", [("origin", b"\x93\x91\xa5raw/0\xc4\x00\xc4\x00")])
