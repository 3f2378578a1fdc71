"""The state of one partition of the facts topic: what was read, what it came to, and up to where. No Kafka in here.

The log is the truth: state is the snapshot taken at ``next_offset`` and what the facts from there on make of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, Self

import zstandard

from alerts.change import AlertChange
from events.batch import NO_ORIGIN, Batch
from events.codec import Decoder
from streams.outcome import Outcome
from streams.packs import BadPack, Headers, Lines, cut, joined, offset_of, opened, with_origin
from streams.settings import DetectionSettings

_ROW = struct.Struct(">4sq")
_MAGIC = b"AWR1"
_MOST_ROW_BYTES = 4 << 30


class PipelineLike(Protocol):
    """What a shard needs of a pipeline; :class:`streams.pipeline.Pipeline` is one."""

    def __init__(self, settings: DetectionSettings) -> None: ...

    def feed(self, batch: Batch) -> Outcome:
        """Apply a batch."""

    def snapshot(self) -> bytes:
        """The whole state."""

    @classmethod
    def restore(cls, settings: DetectionSettings, data: bytes) -> Self:
        """The inverse of :meth:`snapshot`."""


class RowError(RuntimeError):
    """A state row that cannot be read: written by another version, or damaged."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the facts topic."""

    offset: int
    value: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class Dead:
    """What could not be used: the bytes, why, and where they came from."""

    value: bytes
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    key: bytes | None = None


@dataclass(slots=True)
class Folded:
    """What a fold came to: alert changes in order, and what could not be used."""

    facts: int = 0
    changes: list[AlertChange] = field(default_factory=list)
    dead: list[Dead] = field(default_factory=list)


class Shard:
    """One partition: a buffer of messages, a pipeline, and the offset up to which the pipeline has been fed."""

    def __init__(
        self,
        topic: str,
        partition: int,
        settings: DetectionSettings,
        pipeline: type[PipelineLike],
        row: bytes | None = None,
    ) -> None:
        self.topic, self.partition = topic, partition
        self.next_offset, state = (0, None) if row is None else read_row(row)
        self.pipeline = pipeline(settings) if state is None else pipeline.restore(settings, state)
        self.read_up_to = self.next_offset
        """The offset after the newest buffered message."""
        self.written = self.next_offset
        """What the newest confirmed state row stands for."""
        self.facts_since_row = 0
        self._decoder = Decoder()
        self._buffer: list[Message] = []

    @property
    def buffered(self) -> int:
        """Messages taken and not yet folded."""
        return len(self._buffer)

    def take(self, message: Message) -> bool:
        """Buffer ``message``; ``False`` for one that the state already holds."""
        if message.offset < self.read_up_to:
            return False
        self._buffer.append(message)
        self.read_up_to = message.offset + 1
        return True

    def pass_over(self, end: int) -> None:
        """There is nothing up to offset ``end`` beyond what is buffered: retention or a transaction's marker took it.

        >>> from streams.pipeline import Pipeline
        >>> shard = Shard("facts", 0, DetectionSettings(), Pipeline)
        >>> shard.pass_over(7)
        >>> shard.next_offset, shard.read_up_to
        (7, 7)
        """
        self.read_up_to = max(self.read_up_to, end)
        if not self._buffer:
            self.next_offset = self.read_up_to

    def fold(self, most_facts: int) -> Iterator[tuple[Batch, Folded]]:
        """Feed what is buffered, at most ``most_facts`` at a time. When it ends, ``next_offset`` has moved on."""
        messages, self._buffer = self._buffer, []
        if not messages:
            return
        held: list[tuple[Message, Lines]] = []
        count = 0
        for message in messages:
            try:
                lines = opened(message.value, message.headers)
            except BadPack as error:
                yield self._decoder.decode([]).batch, Folded(dead=[self._whole(message, str(error))])
                continue
            held.append((message, lines))
            count += len(lines.lines)
            if count >= most_facts:
                yield from self._feed(held, most_facts)
                held, count = [], 0
        if held:
            yield from self._feed(held, most_facts)
        self.next_offset = messages[-1].offset + 1

    def row(self) -> bytes:
        """The state and the offset it stands for, as one record. Not while messages are buffered in the pipeline."""
        state = zstandard.ZstdCompressor(level=1).compress(self.pipeline.snapshot())
        return _ROW.pack(_MAGIC, self.next_offset) + state

    def _feed(self, held: list[tuple[Message, Lines]], most_facts: int) -> Iterator[tuple[Batch, Folded]]:
        whole = joined([lines for _, lines in held])
        offsets = [message.offset for message, lines in held for _ in lines.lines]
        for start in range(0, len(whole.lines), most_facts):
            part = cut(whole, start, start + most_facts)
            decoded = self._decoder.decode(part.lines)
            batch = with_origin(decoded.batch, decoded.line_of, part)
            outcome = self.pipeline.feed(batch)
            self.facts_since_row += len(batch)
            bad = [(r.line, r.reason, r.detail) for r in decoded.rejects]
            bad += [(int(decoded.line_of[r.row]), r.reason, r.detail) for r in outcome.refused]
            dead = [self._dead(part, line, offsets[start + line], reason, detail) for line, reason, detail in bad]
            yield batch, Folded(len(batch), outcome.changes, dead)

    def _dead(self, part: Lines, line: int, offset: int, reason: str, detail: str) -> Dead:
        topic, partition = self.topic, self.partition
        if part.origin[line] != NO_ORIGIN:
            topic, _, number = part.origins[int(part.origin[line])].rpartition("/")
            partition, offset = int(number), offset_of(int(part.number[line]))
        return Dead(part.lines[line], reason, detail, topic, partition, offset)

    def _whole(self, message: Message, detail: str) -> Dead:
        return Dead(message.value, "bad_pack", detail, self.topic, self.partition, message.offset)


def next_offset_of(row: bytes) -> int:
    """The offset that a state row stands for. Raises :class:`RowError`."""
    if len(row) < _ROW.size or row[:4] != _MAGIC:
        raise RowError("a state row of an unknown version; was it written by a newer adwatch?")
    return int(_ROW.unpack_from(row)[1])


def read_row(row: bytes) -> tuple[int, bytes]:
    """Offset and snapshot of a state row. Raises :class:`RowError`."""
    offset = next_offset_of(row)
    try:
        return offset, zstandard.ZstdDecompressor().decompress(row[_ROW.size :], max_output_size=_MOST_ROW_BYTES)
    except zstandard.ZstdError as error:
        raise RowError(f"a damaged state row for offset {offset}: {error}") from None
