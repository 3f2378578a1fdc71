"""Histories: NDJSON (plain, gzip, Zstandard), Parquet or standard input, read in log order, in big blocks.

What a file is shows in its first bytes, whatever it is called.  Several files are one history, in the order given.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import zstandard

from events.batch import Batch, Ints, Keys
from events.codec import KEPT_RAW_BYTES, MAX_LINE_BYTES, Decoded, Decoder
from events.errors import ForeignTable, Reason
from replay.ahead import ahead

STDIN = "-"
BLOCK_BYTES = 1 << 21
_NEWLINE = ord("\n")
_BOM = b"\xef\xbb\xbf"
_BROKEN = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class Readable(Protocol):
    """Whatever bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        ...


class HistoryError(ValueError):
    """A history cannot be read; the message names the file."""


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A line that is no fact, or a fact that could not be used: its file, its line (from 1), why, and its beginning."""

    file: str
    line: int
    reason: str
    detail: str
    raw: str


@dataclass(frozen=True, slots=True)
class Block:
    """Where a batch came from: its file, the bytes taken from it so far, and the text of its lines, if it had any."""

    file: str
    bytes_read: int
    first_line: int
    text: bytes | None

    def raw(self, line: int) -> str:
        """The beginning of a line of this block, by its number in the file; empty where the file has no lines."""
        if self.text is None:
            return ""
        return as_text(self.text.split(b"\n", line - self.first_line + 1)[line - self.first_line])


Rejects = Callable[[RejectedLine], None]
_Found = tuple[list[RejectedLine], tuple[Batch, Ints, Block] | None]
"""What was refused in a block, and what was not."""


def check(paths: Sequence[str]) -> int:
    """Make sure that all files are there before the first is read; their bytes in all, as they lie on disk.

    Raises :class:`HistoryError`.
    """
    total = 0
    for path in paths:
        if path != STDIN:
            with _opened(path):
                total += Path(path).stat().st_size
    return total


def read(paths: Sequence[str], keys: Keys, *, rejects: Rejects) -> Iterator[tuple[Batch, Ints, Block]]:
    """Batches over ``keys``, the line (from 1, per file; in Parquet the row) of each of their rows, and their block.

    Lines that are no facts go to ``rejects`` in the order of the file. Raises :class:`HistoryError`.
    """
    for rejected, taken in ahead(_found(paths, keys)):
        for one in rejected:
            rejects(one)
        if taken is not None:
            yield taken


def _found(paths: Sequence[str], keys: Keys) -> Iterator[_Found]:
    for path in paths:
        with _opened(path) as raw:
            head = _peek(raw)
            try:
                if head.startswith(b"PAR1"):
                    yield from _parquet(path, keys)
                else:
                    yield from _ndjson(path, raw, _unpacked(path, raw, head), keys)
            except ForeignTable as error:
                raise HistoryError(str(error)) from error
            except _BROKEN as error:
                raise HistoryError(f"{path}: {_words(error)}") from error


def as_text(raw: bytes) -> str:
    """The beginning of a line as text; what is no UTF-8 shows as a replacement character."""
    return raw[:KEPT_RAW_BYTES].decode("utf-8", "replace")


def _opened(path: str) -> IO[bytes]:
    try:
        return open(sys.stdin.fileno() if path == STDIN else path, "rb", closefd=path != STDIN)
    except OSError as error:
        raise HistoryError(f"{path}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _peek(raw: IO[bytes]) -> bytes:
    return raw.peek(4096)[:4096]  # type: ignore[attr-defined,no-any-return]


def _unpacked(path: str, raw: IO[bytes], head: bytes) -> Readable:
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _Frames(raw)
    if b"\0" in head:
        raise HistoryError(f"{path}: is neither NDJSON (plain, gzip, Zstandard) nor Parquet")
    return raw


class _Frames:
    """Zstandard frames, one after another. Unlike the library's own reader it notices a frame that is cut short."""

    def __init__(self, raw: Readable) -> None:
        self._raw = raw
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._fresh = True

    def read(self, size: int, /) -> bytes:
        """Some bytes, about ``size`` packed ones unpacked; none at the end."""
        while packed := self._raw.read(size):
            if unpacked := self._unpack(packed):
                return unpacked
        if not self._fresh:
            raise EOFError("Zstandard data ended before the end of its frame")
        return b""

    def _unpack(self, packed: bytes) -> bytes:
        parts = []
        while packed:
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            parts.append(self._frame.decompress(packed))
            self._fresh = self._frame.eof
            packed = self._frame.unused_data if self._frame.eof else b""
        return b"".join(parts)


def _parquet(path: str, keys: Keys) -> Iterator[_Found]:
    if path == STDIN:
        raise HistoryError("-: Parquet cannot be read from standard input; give the file")
    from events.parquet import read as read_parquet  # Arrow takes long to load, and most histories are NDJSON

    size, rows = Path(path).stat().st_size, 0
    for decoded in read_parquet(path, keys):
        rows += len(decoded.batch) + len(decoded.rejects)
        yield _rejected(path, 1, decoded), (decoded.batch, decoded.line_of + 1, Block(path, size, 0, None))
    if rows == 0:
        raise HistoryError(f"{path}: is empty")


def _ndjson(path: str, raw: IO[bytes], text: Readable, keys: Keys) -> Iterator[_Found]:
    decoder, line = Decoder(keys), 1
    for lines in whole_lines(text):
        if isinstance(lines, TooLong):
            detail = f"the line is longer than {MAX_LINE_BYTES} bytes"
            yield [RejectedLine(path, line, Reason.TOO_LONG, detail, as_text(lines.start))], None
            line += 1
            continue
        decoded = decoder.decode_block(lines)
        position = raw.tell() if raw.seekable() else 0
        block = Block(path, position, line, lines)
        yield _rejected(path, line, decoded), (decoded.batch, decoded.line_of + line, block)
        line += int(np.count_nonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)) + (not lines.endswith(b"\n"))
    if line == 1:
        raise HistoryError(f"{path}: is empty")


def _rejected(path: str, first: int, decoded: Decoded) -> list[RejectedLine]:
    return [RejectedLine(path, first + one.line, one.reason, one.detail, as_text(one.raw)) for one in decoded.rejects]


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line beyond the limit, of which only the start was kept."""

    start: bytes


def whole_lines(
    text: Readable, block_bytes: int = BLOCK_BYTES, longest: int = MAX_LINE_BYTES
) -> Iterator[bytes | TooLong]:
    """Cut a stream into blocks that end with a line; a line beyond ``longest`` is read past, not kept.

    >>> import io
    >>> list(whole_lines(io.BytesIO(b"a\\nb")))
    [b'a\\n', b'b']
    """
    rest, block = b"", text.read(max(block_bytes, len(_BOM))).removeprefix(_BOM)
    while block:
        end = block.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(block)[:end]))
            rest = block[end:]
        else:
            rest += block
        block = b""
        if len(rest) > longest:
            yield TooLong(rest[:KEPT_RAW_BYTES])
            rest, block = b"", _after_line(text, block_bytes)
        block = block or text.read(block_bytes)
    if rest:
        yield rest


def _after_line(text: Readable, block_bytes: int) -> bytes:
    while block := text.read(block_bytes):
        end = block.find(b"\n") + 1
        if end:
            return block[end:]
    return b""
