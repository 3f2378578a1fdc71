"""The fast road from NDJSON to columns.

Lines are read by msgspec into slim structs, many at a time, and become columns by one pass per field.  A line that
msgspec refuses is shown to the contract's models (:mod:`events.facts`): theirs is the verdict and the text.

>>> decoder = Decoder()
>>> got = decoder.decode_block(b'{"fact":"tick","at":1767567600000}\\n\\n{"fact":"tick"}\\n')
>>> len(got.batch), got.line_of.tolist(), got.rejects[0].line, got.rejects[0].reason
(1, [0], 2, 'missing_key')
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from events.batch import Batch, Ints, Keys
from events.columns import Coder, concatenate
from events.errors import MalformedFact, Reason
from events.facts import encode, parse
from events.wire import RARE, reader, slim

__all__ = ["Decoded", "Decoder", "Reject", "encode"]

MAX_LINE_BYTES = 1 << 20
KEPT_RAW_BYTES = 2048
_CHUNK_LINES = 1500
_CHUNK_BYTES = 384 * 1024
_REFUSED = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Reject:
    """A line that is no fact: its index in the input (from 0), why, and its beginning.

    ``reason`` is a value of :class:`events.errors.Reason`; ``raw`` is cut to ``KEPT_RAW_BYTES``.
    """

    line: int
    reason: str
    detail: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch, the index (from 0) of the input line of each row, and what was refused."""

    batch: Batch
    line_of: Ints
    rejects: list[Reject] = field(default_factory=list)


class Decoder:
    """Turns lines into batches; all of its batches share one :class:`Keys`, which grows as keys are seen.

    A line longer than ``max_line_bytes`` is rejected as ``too_long``.
    """

    def __init__(self, keys: Keys | None = None, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.keys = Keys() if keys is None else keys
        self.max_line_bytes = max_line_bytes
        self._coder = Coder(self.keys)
        self._json = reader()

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """The facts of ``lines``, one JSON object in each; blank ones are skipped. Bad input never raises."""
        starts = range(0, len(lines), _CHUNK_LINES)
        some = ((start, lines[start : start + _CHUNK_LINES]) for start in starts)
        return self._join([self._read(_Lines(start, len(part), b"\n".join(part), part)) for start, part in some])

    def decode_block(self, block: bytes) -> Decoded:
        """The facts of a piece of NDJSON (the last newline may be missing). Bad input never raises."""
        parts: list[Decoded] = []
        line = 0
        for text in _pieces(block, min(_CHUNK_BYTES, self.max_line_bytes)):
            lines = _Lines(line, text.count(b"\n") + (not text.endswith(b"\n")), text)
            parts.append(self._read(lines))
            line += lines.count
        return self._join(parts)

    def _join(self, parts: list[Decoded]) -> Decoded:
        if len(parts) == 1:
            return parts[0]
        batch = concatenate([part.batch for part in parts], self.keys)
        line_of = np.concatenate([np.empty(0, np.int64), *(part.line_of for part in parts)])
        return Decoded(batch, line_of, [reject for part in parts for reject in part.rejects])

    def _read(self, lines: _Lines) -> Decoded:
        found = self._at_once(lines)
        if found is not None:
            return self._columns(found, np.arange(lines.first, lines.first + lines.count), [], lines)
        found, line_of, rejects = self._one_by_one(lines)
        return self._columns(found, np.array(line_of, np.int64), rejects, lines)

    def _at_once(self, lines: _Lines) -> list[Any] | None:
        """All facts in one call; ``None`` where anything at all is unusual."""
        text = lines.text
        if len(text) > self.max_line_bytes and lines.longest() > self.max_line_bytes:
            return None
        try:
            found = self._json.decode_lines(text)
        except _REFUSED:
            return None
        # msgspec reads values, not lines: make sure that each line begins one
        if not len(found) == lines.count == text.startswith(b"{") + text.count(b"\n{"):
            return None
        return found if RARE.keys().isdisjoint(map(type, found)) else _with_models(found, lines)

    def _one_by_one(self, lines: _Lines) -> tuple[list[Any], list[int], list[Reject]]:
        found: list[Any] = []
        line_of: list[int] = []
        rejects: list[Reject] = []
        for line, raw in enumerate(lines.split(), lines.first):
            try:
                fact = self._line(raw)
            except MalformedFact as error:
                rejects.append(_reject(line, raw, error))
                continue
            if fact is not None:
                found.append(fact)
                line_of.append(line)
        return found, line_of, rejects

    def _line(self, raw: bytes) -> Any:
        """What stands in one line, ``None`` if nothing does."""
        if len(raw) > self.max_line_bytes:
            raise MalformedFact(Reason.TOO_LONG, None, f"the line is longer than {self.max_line_bytes} bytes")
        try:
            fact = self._json.decode(raw)
        except _REFUSED:
            return None if not raw or raw.isspace() else slim(parse(raw))
        return parse(raw) if type(fact) in RARE else fact

    def _columns(self, found: list[Any], line_of: Ints, rejects: list[Reject], lines: _Lines) -> Decoded:
        columns = self._coder.columns(found)
        if columns.bad_rows:
            rejects += [_refusal(int(line_of[row]), lines) for row in columns.bad_rows]
            rejects.sort(key=lambda reject: reject.line)
            good = np.delete(np.arange(len(found)), columns.bad_rows)
            line_of = line_of[good]
            columns = self._coder.columns([found[row] for row in good.tolist()])
        return Decoded(columns.batch, line_of, rejects)


@dataclass(slots=True)
class _Lines:
    """Some lines of the input: the index of the first, how many, and their text; split only if needed."""

    first: int
    count: int
    text: bytes
    parts: Sequence[bytes] | None = None

    def split(self) -> Sequence[bytes]:
        if self.parts is None:
            self.parts = self.text.split(b"\n")[: self.count]
        return self.parts

    def longest(self) -> int:
        return max(map(len, self.split()), default=0)


def _pieces(block: bytes, size: int) -> Iterator[bytes]:
    """Cut ``block`` after newlines into pieces of at most ``size``, or of one line where that is longer."""
    start = 0
    while start < len(block):
        end = start + size
        if end < len(block):
            newline = block.rfind(b"\n", start, end)
            if newline < 0:
                newline = block.find(b"\n", end)
            end = len(block) if newline < 0 else newline + 1
        yield block[start:end]
        start = end


def _with_models(found: list[Any], lines: _Lines) -> list[Any] | None:
    """Put the contract's models in the place of the rare kinds; ``None`` if one of them is refused."""
    raw = lines.split()
    for row, fact in enumerate(found):
        if type(fact) not in RARE:
            continue
        try:
            found[row] = parse(raw[row])
        except MalformedFact:
            return None
        if type(found[row]) is not RARE[type(fact)]:
            return None
    return found


def _reject(line: int, raw: bytes, error: MalformedFact) -> Reject:
    detail = f"{error.key}: {error.detail}" if error.key else error.detail
    return Reject(line, str(error.reason), detail, bytes(raw[:KEPT_RAW_BYTES]))


def _refusal(line: int, lines: _Lines) -> Reject:
    raw = lines.split()[line - lines.first]
    try:
        parse(raw)
    except MalformedFact as error:
        return _reject(line, raw, error)
    raise AssertionError("the columns refuse what the contract accepts")
