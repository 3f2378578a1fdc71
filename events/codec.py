"""The roads from NDJSON to columns: each line takes the fastest that can read it, and all read it the same.

Plain lines, which nearly all are, go straight into columns (:mod:`events.plain`).  The others are read by msgspec into
slim structs, many at a time, and become columns by one pass per field.  A line that msgspec refuses is shown to the
contract's models (:mod:`events.facts`): theirs is the verdict and the text.

>>> decoder = Decoder()
>>> got = decoder.decode_block(b'{"fact":"tick","at":1767567600000}\\n\\n{"fact":"tick"}\\n')
>>> len(got.batch), got.line_of.tolist(), got.rejects[0].line, got.rejects[0].reason
(1, [0], 2, 'missing_key')
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from events.batch import Batch, Ints, Keys
from events.columns import COLUMNS, Coder
from events.errors import MalformedFact, Reason
from events.facts import encode, parse
from events.plain import Lines, PlainReader
from events.wire import RARE, reader, slim

__all__ = ["Decoded", "Decoder", "Reject", "encode"]

MAX_LINE_BYTES = 1 << 20
KEPT_RAW_BYTES = 2048
_LINES_AT_ONCE = 1500
FEW_LINES = 8
_NEWLINE = ord("\n")
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

    A line longer than ``max_line_bytes`` is rejected as ``too_long``.  Up to ``few_lines`` lines go without the fast
    road, whose setting up costs more than it saves on them.
    """

    def __init__(
        self, keys: Keys | None = None, max_line_bytes: int = MAX_LINE_BYTES, few_lines: int = FEW_LINES
    ) -> None:
        self.keys = Keys() if keys is None else keys
        self.max_line_bytes = max_line_bytes
        self.few_lines = few_lines
        self._coder = Coder(self.keys)
        self._json = reader()
        self._plain = PlainReader(self.keys, self._coder.code)

    def decode(self, lines: Sequence[bytes]) -> Decoded:
        """The facts of ``lines``, one JSON object in each; blank ones are skipped. Bad input never raises."""
        sizes = np.fromiter(map(len, lines), np.int64, len(lines))
        # the newline between two lines ends what reads on and on in the first
        ends = np.cumsum(sizes + 1) - 1
        return self._decode(Lines(b"\n".join(lines), ends - sizes, ends))

    def decode_block(self, block: bytes) -> Decoded:
        """The facts of a piece of NDJSON (the last newline may be missing). Bad input never raises."""
        newlines = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE)
        ends = newlines if block.endswith(b"\n") else np.append(newlines, len(block))
        return self._decode(Lines(block, np.concatenate([[0], ends[:-1] + 1]), ends))

    def _decode(self, lines: Lines) -> Decoded:
        if 0 < len(lines.ends) <= self.few_lines:
            return self._read(np.arange(len(lines.ends)), lines)
        batch, plain = self._plain.read(lines)
        plain &= lines.ends - lines.starts <= self.max_line_bytes
        if plain.all():
            return Decoded(batch, np.arange(len(batch)))
        odd = np.flatnonzero(~plain)
        others = [
            self._read(odd[start : start + _LINES_AT_ONCE], lines) for start in range(0, len(odd), _LINES_AT_ONCE)
        ]
        return _merged(batch, plain, others)

    def _read(self, numbers: Ints, lines: Lines) -> Decoded:
        """What the slower roads make of the lines with these numbers."""
        some = _Some(numbers, [lines[number] for number in numbers.tolist()])
        if (facts := self._at_once(some.lines)) is not None:
            some.facts, some.line_of = facts, list(range(len(some.lines)))
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
    """Some lines of the input, their numbers in it, and what has been made of them."""

    numbers: Ints
    lines: Sequence[bytes]
    facts: list[Any] = field(default_factory=list)
    line_of: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def reject(self, line: int, error: MalformedFact) -> None:
        detail = f"{error.key}: {error.detail}" if error.key else error.detail
        raw = bytes(self.lines[line][:KEPT_RAW_BYTES])
        self.rejects.append(Reject(int(self.numbers[line]), str(error.reason), detail, raw))

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
        return Decoded(batch, self.numbers[self.line_of], self.rejects)


def _merged(batch: Batch, plain: NDArray[np.bool_], others: list[Decoded]) -> Decoded:
    """The plain rows of ``batch``, which has one for every line, and the rows that the slower roads made of others."""
    keep = plain.copy()
    for other in others:
        keep[other.line_of] = True
        for name in COLUMNS:
            getattr(batch, name)[other.line_of] = getattr(other.batch, name)
    line_of, row_of = np.flatnonzero(keep), np.cumsum(keep) - 1
    kept = replace(batch, **{name: getattr(batch, name)[line_of] for name in COLUMNS})
    for other in others:
        kept.rare.update((int(row_of[other.line_of[row]]), fact) for row, fact in other.batch.rare.items())
    return Decoded(kept, line_of, [reject for other in others for reject in other.rejects])
