"""Facts as Parquet: the columns of the contract, read straight into batches.

A file written here also carries the hash of every id, so that reading it makes no Python object per fact; its schema's
metadata says that the hash is ours.  Any other file with the contract's columns is read as well: where a stretch of
rows is plainly within the contract, by columns; where not, row by row through :mod:`events.codec`, which says what is
wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from events.batch import Keys, Kind
from events.codec import Decoded, Decoder, Reject
from events.columns import MILLION
from events.errors import ForeignTable
from events.ids import hash_ids
from events.table import DIMENSIONS, KEY_PARTS, NUMBERS, RARE, TEXTS, TIMES, WHOLE_NUMBERS, Tables

OURS = b"adwatch.facts"
VERSION = b"2"
ROWS_PER_GROUP = 131_072
ROWS_PER_BATCH = 65_536
_KIND_NAMES = pa.array([kind.name.lower() for kind in Kind])
_DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_REST = ("id", *DIMENSIONS)
_SCHEMA = pa.schema(
    [
        pa.field("fact", _DICTIONARY, nullable=False),
        pa.field("at", pa.int64(), nullable=False),
        pa.field("known_at", pa.int64(), nullable=False),
        *(pa.field(part, _DICTIONARY) for part in KEY_PARTS),
        *(pa.field(name, pa.int64()) for name in ("cost_micros", "value_micros", "clicked_at")),
        *(pa.field(name, pa.float64()) for name in ("impressions", "clicks", "count")),
        *(pa.field(name, pa.string()) for name in _REST),
        pa.field("json", pa.string()),
        pa.field("id_hash", pa.uint64(), nullable=False),
    ],
    metadata={OURS: VERSION},
)


@dataclass(frozen=True, slots=True)
class Written:
    """How many facts were written, and the lines that were not, by their index in the input."""

    facts: int
    rejects: list[Reject] = field(default_factory=list)


class _Rest(msgspec.Struct, gc=False):
    """What a batch does not hold."""

    id: str | None = None
    order_id: str | None = None
    ad_group: str | None = None
    device: str | None = None
    country: str | None = None


def write(path: str | PathLike[str], lines: Iterable[bytes], rows_per_group: int = ROWS_PER_GROUP) -> Written:
    """Write NDJSON lines as Parquet, in the same order; what is no fact is left out and reported.

    Keys of the sender's own (``x_…``) stay only with the rare kinds. Raises ``OSError``.
    """
    decoder, reader = Decoder(), msgspec.json.Decoder(_Rest)
    facts, first = 0, 0
    rejects: list[Reject] = []
    source = iter(lines)
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        while some := list(itertools.islice(source, rows_per_group)):
            decoded = decoder.decode(some)
            good = [some[line] for line in decoded.line_of.tolist()]
            if good:
                writer.write_table(_table(decoded, good, reader), row_group_size=rows_per_group)
            facts += len(good)
            rejects += [Reject(first + r.line, r.reason, r.detail, r.raw) for r in decoded.rejects]
            first += len(some)
    return Written(facts, rejects)


def _table(decoded: Decoded, lines: list[bytes], reader: msgspec.json.Decoder[_Rest]) -> pa.Table:
    b = decoded.batch
    common = np.isin(b.kind, (Kind.DELIVERY, Kind.CONVERSION))
    rest = [reader.decode(line) if plain else _Rest() for line, plain in zip(lines, common.tolist(), strict=True)]
    delivery, conversion = b.kind == Kind.DELIVERY, b.kind == Kind.CONVERSION
    columns: dict[str, Any] = {
        "fact": pa.DictionaryArray.from_arrays(pa.array(b.kind.astype(np.int32)), _KIND_NAMES),
        "at": pa.array(b.at_ms),
        "known_at": pa.array(b.known_at_ms),
        "cost_micros": pa.array(b.cost_micros, mask=~delivery),
        "value_micros": pa.array(b.value_micros, mask=~conversion),
        "clicked_at": pa.array(b.at_ms - b.lag_ms, mask=b.lag_ms < 0),
        "impressions": pa.array(b.impressions / MILLION, mask=~delivery),
        "clicks": pa.array(b.clicks / MILLION, mask=~delivery),
        "count": pa.array(b.conversions / MILLION, mask=~conversion),
        "json": pa.array([lines[row].decode() if row in b.rare else None for row in range(len(b))], pa.string()),
        "id_hash": pa.array(hash_ids([each.id or "" for each in rest])),
    }
    for name in _REST:
        columns[name] = pa.array([getattr(each, name) for each in rest], pa.string())
    # the rare kinds stand in `json` as a whole
    key = np.where(np.isin(b.kind, (*RARE, Kind.TICK)), -1, b.key)
    for part in KEY_PARTS:
        columns[part] = _part(key, [getattr(row, part) for row in b.keys.rows])
    return pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _part(key: NDArray[np.int64], of_key: list[str | None]) -> pa.DictionaryArray:
    """One part of the key of every row."""
    values = list(dict.fromkeys(value for value in of_key if value is not None))
    place = {value: index for index, value in enumerate(values)}
    index = np.array([*(-1 if value is None else place[value] for value in of_key), -1], np.int32)[key]
    return pa.DictionaryArray.from_arrays(pa.array(index, mask=index < 0), pa.array(values, pa.string()))


def read(
    path: str | PathLike[str], keys: Keys | None = None, rows_per_batch: int = ROWS_PER_BATCH
) -> Iterator[Decoded]:
    """The facts of a Parquet file in their order; ``line_of`` and rejects give the index of the row in the file.

    Raises :class:`ForeignTable` where the columns are not the contract's, and ``OSError``.
    """
    keys = Keys() if keys is None else keys
    try:
        schema = pq.read_schema(path)
        ours = (schema.metadata or {}).get(OURS) == VERSION
        _check(path, schema, ours)
        tables, first = Tables(keys, ours), 0
        with pq.ParquetFile(path, read_dictionary=[name for name in schema.names if name in TEXTS]) as file:
            for rows in file.iter_batches(rows_per_batch, columns=tables.needed(schema.names)):
                yield tables.decode(rows, first)
                first += len(rows)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise ForeignTable(f"{path}: cannot be read as Parquet: {error}") from error


def _check(path: str | PathLike[str], schema: pa.Schema, ours: bool) -> None:
    if ours and schema.names != _SCHEMA.names:
        raise ForeignTable(f"{path}: bears our mark, but not our columns")
    for column in schema:
        if (wanted := _wanted(column.name, column.type, ours)) is not None:
            raise ForeignTable(f"{path}: column {column.name!r} of type {column.type}: must be {wanted}")
    for name in ("fact", "at"):
        if name not in schema.names:
            raise ForeignTable(f"{path}: column {name!r}: is missing")


def _wanted(name: str, kind: pa.DataType, ours: bool) -> str | None:
    """What a column must be, ``None`` if it is that."""
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    if name in TIMES:
        good = pa.types.is_integer(kind) or (pa.types.is_timestamp(kind) and kind.tz is not None)
        wanted = "integer milliseconds or a timestamp with a time zone"
    elif name in WHOLE_NUMBERS:
        good, wanted = pa.types.is_integer(kind), "an integer"
    elif name in NUMBERS:
        good, wanted = pa.types.is_integer(kind) or pa.types.is_floating(kind), "a number"
    elif name in TEXTS or name == "id" or (ours and name == "json"):
        good, wanted = pa.types.is_string(text) or pa.types.is_large_string(text), "text"
    else:
        good, wanted = name.startswith("x_") or (ours and name == "id_hash"), "a key of the contract"
    return None if good or pa.types.is_null(kind) else wanted
