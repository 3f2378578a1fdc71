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
_LINES_AT_ONCE = 1500
_BYTES_AT_ONCE = 384 * 1024
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
        starts = range(0, len(lines), _LINES_AT_ONCE)
        return self._join([self._read(start, lines[start : start + _LINES_AT_ONCE]) for start in starts])

    def decode_block(self, block: bytes) -> Decoded:
        """The facts of a piece of NDJSON (the last newline may be missing). Bad input never raises."""
        parts: list[Decoded] = []
        first = 0
        for text in _pieces(block):
            lines = text.removesuffix(b"\n").split(b"\n")
            parts.append(self._read(first, lines))
            first += len(lines)
        return self._join(parts)

    def _join(self, parts: list[Decoded]) -> Decoded:
        if len(parts) == 1:
            return parts[0]
        batch = concatenate([part.batch for part in parts], self.keys)
        line_of = np.concatenate([np.empty(0, np.int64), *(part.line_of for part in parts)])
        return Decoded(batch, line_of, [reject for part in parts for reject in part.rejects])

    def _read(self, first: int, lines: Sequence[bytes]) -> Decoded:
        some = _Some(first, lines)
        if (facts := self._at_once(lines)) is not None:
            some.facts, some.line_of = facts, list(range(len(lines)))
        else:
            self._one_by_one(some)
        if not RARE.isdisjoint(map(type, some.facts)):
            some.ask_models([row for row, fact in enumerate(some.facts) if type(fact) in RARE])
        columns = self._coder.columns(some.facts)
        if columns.bad_rows:
            some.ask_models(columns.bad_rows)
            columns = self._coder.columns(some.facts)
            assert not columns.bad_rows, "the models accept what has no columns"
        return some.decoded(columns.batch)

    def _at_once(self, lines: Sequence[bytes]) -> list[Any] | None:
        """All facts, ``None`` where any line is unusual."""
        if max(map(len, lines)) > self.max_line_bytes:
            return None
        try:
            return list(map(self._json.decode, lines))
        except _REFUSED:
            return None

    def _one_by_one(self, some: _Some) -> None:
        for line, raw in enumerate(some.lines):
            try:
                fact = self._one(raw)
            except MalformedFact as error:
                some.reject(line, error)
                continue
            if fact is not None:
                some.facts.append(fact)
                some.line_of.append(line)

    def _one(self, raw: bytes) -> Any:
        """What stands in one line, ``None`` if nothing does."""
        if len(raw) > self.max_line_bytes:
            raise MalformedFact(Reason.TOO_LONG, None, f"the line is longer than {self.max_line_bytes} bytes")
        try:
            return self._json.decode(raw)
        except _REFUSED:
            return None if not raw or raw.isspace() else slim(parse(raw))


@dataclass(slots=True)
class _Some:
    """Some lines of the input and what has been made of them; lines count from ``first``."""

    first: int
    lines: Sequence[bytes]
    facts: list[Any] = field(default_factory=list)
    line_of: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, line: int, error: MalformedFact) -> None:
        detail = f"{error.key}: {error.detail}" if error.key else error.detail
        raw = bytes(self.lines[line][:KEPT_RAW_BYTES])
        self.rejects.append(Reject(self.first + line, str(error.reason), detail, raw))

    def ask_models(self, rows: list[int]) -> None:
        """Let the contract's models read the lines of ``rows``; drop what they refuse."""
        for row in rows:
            try:
                self.facts[row] = slim(parse(self.lines[self.line_of[row]]))
            except MalformedFact as error:
                self.facts[row] = None
                self.reject(self.line_of[row], error)
        if None in map(self.facts.__getitem__, rows):
            kept = [row for row, fact in enumerate(self.facts) if fact is not None]
            self.facts, self.line_of = [self.facts[row] for row in kept], [self.line_of[row] for row in kept]

    def decoded(self, batch: Batch) -> Decoded:
        self.rejects.sort(key=lambda reject: reject.line)
        return Decoded(batch, np.array(self.line_of, np.int64) + self.first, self.rejects)


def _pieces(block: bytes) -> Iterator[bytes]:
    """Cut ``block`` after newlines into pieces of some hundred lines, or of one line where that is longer."""
    start = 0
    while start < len(block):
        end = start + _BYTES_AT_ONCE
        if end < len(block):
            newline = block.rfind(b"\n", start, end)
            if newline < 0:
                newline = block.find(b"\n", end)
            end = len(block) if newline < 0 else newline + 1
        yield block[start:end]
        start = end
