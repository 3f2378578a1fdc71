"""Packs: many facts in one Kafka message, with the raw partition and offset that each came from.

A pack's value is NDJSON, its key the account of its first fact.  All facts of a pack belong to one partition of the
facts topic, chosen by the hash that Kafka's own clients use for keys, so any producer that keys by account and sends
single facts agrees with it.  A pack may hold facts of several accounts of that partition, and ticks, in log order.

The header ``origin`` numbers each line within its raw partition: the raw offset, then the line inside that message
(a raw message may hold several facts).  The number rises within a raw partition and is the fence against repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from kafka.partitioner.default import murmur2
from numpy.typing import NDArray

from events.batch import NO_ORIGIN, Batch, Ints

ORIGIN_HEADER = "origin"
PACK_BYTES = 512 * 1024
"""A pack is closed when it has grown beyond this; one fact alone may be larger."""

_LINE_BITS = 21
MOST_LINES = 1 << _LINE_BITS
"""Lines in one raw message that can be told apart."""

Headers = list[tuple[str, bytes]]


class BadPack(ValueError):
    """A message on the facts topic whose origin header cannot be read; the writer's fault."""


@dataclass(frozen=True, slots=True)
class Pack:
    """One message for the facts topic."""

    partition: int
    key: bytes | None
    value: bytes
    headers: Headers


@dataclass(slots=True)
class Lines:
    """Lines in log order with the origin of each: index into ``origins`` (or ``NO_ORIGIN``) and its number there."""

    lines: list[bytes]
    origins: list[str]
    origin: NDArray[np.int32]
    number: Ints


class _Header(msgspec.Struct, array_like=True, frozen=True):
    origins: list[str]
    codes: bytes
    numbers: bytes


_HEADER = msgspec.msgpack.Decoder(_Header)


def numbered(offset: int, line: int) -> int:
    """The number of line ``line`` of the raw message at ``offset``. It rises with both.

    >>> numbered(7, 0) < numbered(7, 1) < numbered(8, 0), offset_of(numbered(7, 1))
    (True, 7)
    """
    return offset << _LINE_BITS | min(line, MOST_LINES - 1)


def offset_of(number: int) -> int:
    """The raw offset in a number made by :func:`numbered`."""
    return number >> _LINE_BITS


@lru_cache(maxsize=1 << 16)
def partition_of(account: str, partitions: int) -> int:
    """The partition of an account, the same that any Kafka client chooses for this key.

    >>> partition_of("acme", 12)
    0
    """
    return int(murmur2(account.encode()) & 0x7FFF_FFFF) % partitions


def packs(
    found: Lines, partition: NDArray[np.int64], account: Callable[[int], str | None], most_facts: int
) -> Iterator[Pack]:
    """``found`` cut into packs; ``partition`` names the partition of each line, ``account`` the account of a row."""
    for number in np.unique(partition).tolist():
        rows = np.flatnonzero(partition == number)
        for piece in _pieces(found.lines, rows, most_facts):
            key = next((name for row in piece.tolist() if (name := account(row)) is not None), None)
            value = b"\n".join([found.lines[row] for row in piece.tolist()]) + b"\n"
            yield Pack(number, None if key is None else key.encode(), value, _header(found, piece))


def _pieces(lines: Sequence[bytes], rows: Ints, most_facts: int) -> Iterator[Ints]:
    """Runs of ``rows`` of at most ``most_facts``, closed earlier where they hold more than ``PACK_BYTES``."""
    size = np.cumsum([len(lines[row]) + 1 for row in rows.tolist()])
    start = 0
    while start < len(rows):
        before = int(size[start - 1]) if start else 0
        end = min(start + most_facts, int(np.searchsorted(size, before + PACK_BYTES)) or 1, len(rows))
        end = max(end, start + 1)
        yield rows[start:end]
        start = end


def _header(found: Lines, rows: Ints) -> Headers:
    codes = found.origin[rows]
    if not len(found.origins) or (codes == NO_ORIGIN).all():
        return []
    used, local = np.unique(codes, return_inverse=True)
    names = ["" if code == NO_ORIGIN else found.origins[code] for code in used.tolist()]
    narrow = b"" if len(names) == 1 else local.astype("<u2").tobytes()
    body = msgspec.msgpack.encode(_Header(names, narrow, found.number[rows].astype("<i8").tobytes()))
    return [(ORIGIN_HEADER, body)]


def opened(value: bytes, headers: Sequence[tuple[str, bytes]]) -> Lines:
    """The lines of one message of the facts topic. Raises :class:`BadPack`."""
    lines = value.split(b"\n")
    if not lines[-1]:
        lines.pop()
    body = next((v for k, v in headers if k == ORIGIN_HEADER), None)
    if body is None:
        none = np.full(len(lines), NO_ORIGIN, np.int32)
        return Lines(lines, [], none, none.astype(np.int64))
    try:
        return _with_origins(lines, _HEADER.decode(body))
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadPack(f"origin header: {error}") from None


def _with_origins(lines: list[bytes], header: _Header) -> Lines:
    number = np.frombuffer(header.numbers, "<i8").astype(np.int64)
    codes = np.frombuffer(header.codes, "<u2").astype(np.int32) if header.codes else np.zeros(len(number), np.int32)
    if len(number) != len(lines) or len(codes) != len(lines) or (len(codes) and codes.max() >= len(header.origins)):
        raise ValueError(f"speaks of {len(number)} lines where there are {len(lines)}")
    unknown = np.array([not name for name in header.origins], bool)
    return Lines(lines, header.origins, np.where(unknown[codes], np.int32(NO_ORIGIN), codes), number)


def joined(parts: Sequence[Lines]) -> Lines:
    """Several messages' lines as one."""
    names: dict[str, int] = {}
    codes: list[NDArray[np.int32]] = []
    for part in parts:
        place = np.array([names.setdefault(name, len(names)) for name in part.origins] + [NO_ORIGIN], np.int32)
        codes.append(place[part.origin])
    none, none_wide = np.empty(0, np.int32), np.empty(0, np.int64)
    lines = [line for part in parts for line in part.lines]
    number = np.concatenate([none_wide, *(part.number for part in parts)])
    return Lines(lines, list(names), np.concatenate([none, *codes]), number)


def cut(found: Lines, start: int, end: int) -> Lines:
    """The lines from ``start`` up to ``end``."""
    return Lines(found.lines[start:end], found.origins, found.origin[start:end], found.number[start:end])


def with_origin(batch: Batch, line_of: Ints, found: Lines) -> Batch:
    """``batch``, decoded from ``found``, with its origin columns filled."""
    batch.origins, batch.origin, batch.origin_offset = found.origins, found.origin[line_of], found.number[line_of]
    return batch
