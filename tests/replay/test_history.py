from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events import parquet
from events.batch import Keys
from replay.history import HistoryError, RejectedLine, TooLong, check, read, whole_lines

START_MS = 1_767_225_600_000


def tick(number: int) -> bytes:
    return json.dumps({"fact": "tick", "at": START_MS + number * 60_000}).encode() + b"\n"


def state(number: int) -> bytes:
    said = {"fact": "state", "at": START_MS + number, "source": "meta", "account": "a", "campaign": "c"}
    return json.dumps(said | {"status": "active"}).encode() + b"\n"


def taken(*paths: Path | str) -> tuple[list[tuple[str, int, int]], list[RejectedLine]]:
    """File, line and moment of every fact, and what was rejected."""
    rejects: list[RejectedLine] = []
    names = [str(path) for path in paths]
    facts = [
        (Path(block.file).name, line, at)
        for batch, line_of, block in read(names, Keys(), rejects=rejects.append)
        for line, at in zip(line_of.tolist(), batch.at_ms.tolist(), strict=True)
    ]
    return facts, rejects


LINES = [tick(0), b"\n", b"{broken\n", state(1), tick(1)]
TEXT = b"".join(LINES)
PACKED = {"plain": TEXT, "gzip": gzip.compress(TEXT), "zstd": zstandard.compress(TEXT), "bom": b"\xef\xbb\xbf" + TEXT}


@pytest.mark.parametrize("form", PACKED)
def test_a_file_is_read_by_its_content_whatever_it_is_called(tmp_path: Path, form: str) -> None:
    path = tmp_path / "history.txt"
    path.write_bytes(PACKED[form])
    facts, rejects = taken(path)
    assert [(line, at - START_MS) for _, line, at in facts] == [(1, 0), (4, 1), (5, 60_000)]
    assert [(one.file, one.line, one.reason, one.raw) for one in rejects] == [(str(path), 3, "broken_json", "{broken")]


def test_frames_and_members_that_follow_one_another_are_one_file(tmp_path: Path) -> None:
    for name, pack in (("a.gz", gzip.compress), ("a.zst", zstandard.compress)):
        path = tmp_path / name
        path.write_bytes(pack(tick(0)) + pack(tick(1)))
        assert [line for _, line, _ in taken(path)[0]] == [1, 2]


def test_parquet_is_read_and_its_rows_are_numbered_from_one(tmp_path: Path) -> None:
    path = tmp_path / "history"
    assert parquet.write(path, [tick(0), state(1), tick(1)]).facts == 3
    facts, rejects = taken(path)
    assert [(line, at - START_MS) for _, line, at in facts] == [(1, 0), (2, 1), (3, 60_000)]
    assert rejects == []


def test_a_broken_foreign_or_empty_parquet_file_is_named(tmp_path: Path) -> None:
    foreign, cut, empty = tmp_path / "foreign", tmp_path / "cut", tmp_path / "empty"
    pq.write_table(pa.table({"spend": [1.0]}), foreign)
    parquet.write(empty, [])
    cut.write_bytes(foreign.read_bytes()[:-9])
    for path in (foreign, cut, empty):
        with pytest.raises(HistoryError, match=f"^{path}: "):
            taken(path)


def test_files_are_read_in_the_order_given_and_lines_count_from_one_in_each(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(tick(0) + b"x\n")
    (tmp_path / "a").write_bytes(tick(1) + b"y")
    facts, rejects = taken(tmp_path / "b", tmp_path / "a")
    assert [(name, line) for name, line, _ in facts] == [("b", 1), ("a", 1)]
    assert [(Path(one.file).name, one.line, one.raw) for one in rejects] == [("b", 2, "x"), ("a", 2, "y")]


def test_a_line_of_ten_megabytes_is_rejected_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(tick(0) + b'{"x": "' + b"a" * 10_000_000 + b'"}\n' + tick(1) + b"b" * 1_500_000)
    facts, rejects = taken(path)
    assert [line for _, line, _ in facts] == [1, 3]
    assert [(one.line, one.reason, len(one.raw) <= 2048) for one in rejects] == [
        (2, "too_long", True),
        (4, "too_long", True),
    ]


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12),
    st.booleans(),
    st.integers(1, 30),
)
def test_blocks_put_together_are_the_file_but_for_the_lines_that_are_too_long(
    lines: list[bytes], ended: bool, block_bytes: int
) -> None:
    text = b"\n".join(lines) + (b"\n" if ended and lines else b"")
    if text.startswith(b"\xef\xbb\xbf"):
        return
    blocks = list(whole_lines(io.BytesIO(text), block_bytes=block_bytes, longest=20))
    assert b"".join(block for block in blocks if isinstance(block, bytes)) == text
    assert not any(isinstance(block, TooLong) for block in blocks)
    assert all(block.endswith(b"\n") for block in blocks[:-1] if isinstance(block, bytes))


@given(st.lists(st.integers(0, 60), max_size=8), st.integers(1, 30))
def test_no_line_is_lost_or_counted_twice_beside_one_that_is_too_long(lengths: list[int], block_bytes: int) -> None:
    text = b"".join(b"x" * length + b"\n" for length in lengths)
    count = 0
    for block in whole_lines(io.BytesIO(text), block_bytes=block_bytes, longest=20):
        count += 1 if isinstance(block, TooLong) else block.count(b"\n")
    assert count == len(lengths)


def broken(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


FAULTS = [
    (b"", "is empty"),
    (gzip.compress(b""), "is empty"),
    (b"\x00\x01\x02\x03" * 100, "is neither NDJSON"),
    (gzip.compress(TEXT * 99)[:-20], "ended before"),
    (zstandard.compress(TEXT)[:9] + b"\xff" * 400, "zstd|Zstandard"),
    (zstandard.compress(TEXT * 99)[:-20], "Zstandard data ended"),
    (b"\x1f\x8b garbage", "."),
]


@pytest.mark.parametrize(("data", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    path = broken(tmp_path / "a.ndjson", data)
    with pytest.raises(HistoryError, match=f"^{path}: .*{said}"):
        taken(path)


def test_a_file_that_is_not_there_or_a_directory_is_named_before_the_first_is_read(tmp_path: Path) -> None:
    good = broken(tmp_path / "good", TEXT)
    for path, said in [(tmp_path / "none", "No such file"), (tmp_path, "directory")]:
        with pytest.raises(HistoryError, match=f"^{path}: .*{said}"):
            check([str(good), str(path)])
    assert check([str(good), "-"]) == len(TEXT)


READ_STDIN = """
from events.batch import Keys
from replay.history import read
for batch, line_of, block in read(["-"], Keys(), rejects=print):
    print(block.file, line_of.tolist())
"""


@pytest.mark.parametrize("form", ["plain", "gzip", "zstd"])
def test_standard_input_is_a_file_like_any_other(form: str) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", READ_STDIN], input=PACKED[form], cwd=root, capture_output=True, check=True
    )
    assert b"- [1, 4, 5]" in done.stdout
    assert b"line=3, reason='broken_json'" in done.stdout.replace(
        b"<Reason.BROKEN_JSON: 'broken_json'>", b"'broken_json'"
    )
