"""The journal of the embedded service: what was promised is there, whatever broke in between."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import StoreError
from service.journal import Journal


def content(journal: Journal, position: int = 0, chunk_bytes: int = 8 << 20) -> bytes:
    return b"".join(journal.read_from(position, chunk_bytes))


def test_what_was_appended_is_read_again_after_opening_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"a\nb\n")
    end = journal.append(b"c\n")
    journal.close()
    again = Journal(tmp_path)
    assert (content(again), again.position) == (b"a\nb\nc\n", end)
    assert content(again, 4) == b"c\n"


def test_a_line_that_a_crash_cut_off_is_gone_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(b"whole\n")
    journal.close()
    segment = next(tmp_path.glob("*.ndjson"))
    with segment.open("ab") as file:
        file.write(b'{"half":')
    again = Journal(tmp_path)
    again.append(b"next\n")
    assert content(again) == b"whole\nnext\n"


@given(
    posts=st.lists(
        st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"") + b"\n"), min_size=1), max_size=8
    ),
    segment_bytes=st.integers(1, 60),
    chunk_bytes=st.integers(1, 30),
)
def test_segments_and_chunks_change_nothing_of_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, posts: list[list[bytes]], segment_bytes: int, chunk_bytes: int
) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal"), segment_bytes)
    positions = [0, *(journal.append(b"".join(post)) for post in posts)]
    whole = b"".join(b"".join(post) for post in posts)
    for position in positions:
        assert content(journal, position, chunk_bytes) == whole[position:]
    journal.close()


def test_a_snapshot_lets_old_segments_go_and_keeps_the_tail(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=4)
    journal.append(b"one\n")
    middle = journal.append(b"two\n")
    journal.save_snapshot(b"state\nwith a newline", middle)
    journal.append(b"three\n")
    journal.close()
    again = Journal(tmp_path)
    assert again.load_snapshot() == (b"state\nwith a newline", middle)
    assert content(again, middle) == b"three\n"
    assert len(list(tmp_path.glob("*.ndjson"))) == 2


def test_a_damaged_snapshot_is_refused_and_not_half_used(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.save_snapshot(b"state", 0)
    path = tmp_path / "snapshot"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="not a snapshot of this version"):
        journal.load_snapshot()


def test_two_processes_do_not_share_a_store(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(StoreError, match="another adwatch process is using this store"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a directory")
    with pytest.raises(StoreError, match=str(blocker)):
        Journal(blocker / "store")


def test_a_refused_write_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    """The limit on a file's size makes the system refuse in the middle of a write, as a full disk does."""
    journal = Journal(tmp_path)
    journal.append(b"kept\n")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(StoreError, match="cannot write the journal: File too large"):
            journal.append(b"x" * 200 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    journal.append(b"after\n")
    assert content(journal) == b"kept\nafter\n"
