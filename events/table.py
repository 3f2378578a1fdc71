"""Arrow tables with the contract's columns, as batches, without a Python object per fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from events.batch import Batch, Ints, Key, Keys, Kind
from events.codec import Decoded, Decoder, Reject
from events.columns import LEGS, blank, millionths
from events.errors import ForeignTable
from events.facts import EARLIEST_MS, LATEST_MS, LONGEST_TEXT, MOST_COUNT, MOST_MICROS, currencies
from events.ids import Salts, hash_ids

Mask = NDArray[np.bool_]
KEY_PARTS = ("account", "source", "campaign", "currency", "name", "leg")
DIMENSIONS = ("order_id", "ad_group", "device", "country")
TEXTS = ("fact", *KEY_PARTS, *DIMENSIONS, "bucket", "basis", "time_zone", "series", "unit", "status", "reason", "kind",
         "what", "who", "link", "cmp", "cmp_version")  # fmt: skip
TIMES = ("at", "known_at", "clicked_at")
WHOLE_NUMBERS = ("cost_micros", "value_micros", "revision", "daily_budget_micros", "target_cpa_micros")
NUMBERS = ("impressions", "clicks", "count", "conversions", "shown", "granted", "value", "target_roas")
RARE = (Kind.SNAPSHOT, Kind.METRIC, Kind.STATE, Kind.CHANGE, Kind.CONSENT)

_REQUIRED: dict[Kind, tuple[str, ...]] = {
    Kind.DELIVERY: ("source", "account", "campaign", "currency", "cost_micros", "impressions", "clicks"),
    Kind.CONVERSION: ("source", "account", "name", "currency", "value_micros"),
    Kind.WATERMARK: ("source", "account"),
    Kind.TICK: (),
}
_OPTIONAL: dict[Kind, tuple[str, ...]] = {
    Kind.DELIVERY: ("id", "known_at", "ad_group", "device", "country"),
    Kind.CONVERSION: ("id", "known_at", "clicked_at", "count", "campaign", "leg", *DIMENSIONS),
}
# our own writer gives every row a moment at which it was known, and a hash
_EVERYWHERE = {"fact", "at"}
_OURS_EVERYWHERE = {"fact", "at", "known_at", "id_hash"}
_FACTS = {kind.name.lower(): int(kind) for kind in Kind}
_UNKNOWN = 255
_MOST_COMBINATIONS = 1 << 20


class _Odd(Exception):
    """Some row is not plainly within the contract."""


class Tables:
    """Turns record batches of one file into batches; ``ours``: the file was written by :mod:`events.parquet`."""

    def __init__(self, keys: Keys, ours: bool) -> None:
        self.keys, self.ours = keys, ours
        self._salts = Salts(keys)
        self._decoder = Decoder(keys)

    def needed(self, names: Sequence[str]) -> list[str]:
        """Which columns of a file have to be read."""
        unread = {"id", *DIMENSIONS} if self.ours else set()
        return [name for name in names if name not in unread and not name.startswith("x_")]

    def decode(self, rows: pa.RecordBatch, first: int) -> Decoded:
        """``rows`` as a batch; ``first`` is the index of the first row in the file. Raises :class:`ForeignTable`."""
        columns = _Columns(rows)
        try:
            batch = self._by_columns(columns)
        except (_Odd, pa.ArrowInvalid):
            if self.ours:
                raise ForeignTable(f"rows {first} and on: bear our mark, but not what we write") from None
            return self._by_rows(columns, first)
        return Decoded(batch, np.arange(first, first + len(batch)))

    def _by_rows(self, columns: _Columns, first: int) -> Decoded:
        decoded = self._decoder.decode(columns.lines())
        rejects = [Reject(reject.line + first, reject.reason, reject.detail, reject.raw) for reject in decoded.rejects]
        return Decoded(decoded.batch, decoded.line_of + first, rejects)

    def _by_columns(self, columns: _Columns) -> Batch:
        kind = columns.kinds()
        self._check_presence(columns, kind)
        batch = blank(kind, self.keys)
        batch.at_ms[:] = columns.whole("at", EARLIEST_MS, LATEST_MS)
        batch.known_at_ms[:] = columns.whole("known_at", EARLIEST_MS, LATEST_MS, missing=batch.at_ms)
        batch.cost_micros[:] = columns.whole("cost_micros", 0, MOST_MICROS)
        batch.value_micros[:] = columns.whole("value_micros", 0, MOST_MICROS)
        batch.impressions[:] = columns.count("impressions", 0.0)
        batch.clicks[:] = columns.count("clicks", 0.0)
        conversion = kind == Kind.CONVERSION
        batch.conversions[:] = np.where(conversion, columns.count("count", 1.0), 0)
        # a click after the conversion is no click we know of
        clicked = columns.whole("clicked_at", EARLIEST_MS, LATEST_MS, missing=batch.at_ms + 1)
        batch.lag_ms[:] = np.where(conversion & (clicked <= batch.at_ms), batch.at_ms - clicked, -1)
        keyed = ~np.isin(kind, (*RARE, Kind.TICK))
        batch.key[keyed] = self._codes(columns, keyed)
        self._identify(batch, columns)
        self._add_rare(batch, columns)
        return batch

    def _check_presence(self, columns: _Columns, kind: NDArray[np.uint8]) -> None:
        """All that a kind requires is there, and nothing that it does not know."""
        everywhere = _OURS_EVERYWHERE if self.ours else _EVERYWHERE
        for each in map(Kind, np.unique(kind).tolist()):
            rows = kind == each
            required = ("json",) if each in RARE else _REQUIRED[each]
            if each in (Kind.DELIVERY, Kind.CONVERSION) and not self.ours:
                required = (*required, "id")
            allowed = everywhere.union(required, _OPTIONAL.get(each, ()))
            if not all(columns.given(name)[rows].all() for name in (*required, *everywhere)):
                raise _Odd
            if any(columns.given(name)[rows].any() for name in columns.names if name not in allowed):
                raise _Odd
        if not self.ours:
            columns.check_texts(DIMENSIONS)

    def _codes(self, columns: _Columns, rows: Mask) -> Ints:
        """The key of each row: distinct ones are found by number, then looked up once."""
        parts = [columns.texts(name) for name in KEY_PARTS]
        combined, size = np.zeros(int(rows.sum()), np.int64), 1
        for index, values in parts:
            if size * len(values) > _MOST_COMBINATIONS:
                combined = np.unique(combined, return_inverse=True)[1]
                size = len(combined)
            combined, size = combined * len(values) + index[rows], size * len(values)
        if size > _MOST_COMBINATIONS:
            combined, size = np.unique(combined, return_inverse=True)[1], len(combined)
        some_row = np.full(size, -1, np.int64)
        some_row[combined] = np.flatnonzero(rows)
        distinct = np.flatnonzero(some_row >= 0)
        found = [Key(*(values[index[row]] for index, values in parts)) for row in some_row[distinct].tolist()]
        if any(key.currency is not None and key.currency not in currencies() for key in found):
            raise _Odd
        if any(key.leg is not None and key.leg not in LEGS for key in found):
            raise _Odd
        some_row[distinct] = [self.keys.code(key) for key in found]
        codes: Ints = some_row[combined]
        return codes

    def _identify(self, batch: Batch, columns: _Columns) -> None:
        for kind in (Kind.DELIVERY, Kind.CONVERSION):
            rows = np.flatnonzero(batch.kind == kind)
            if len(rows):
                hashes = columns.hashes()[rows] if self.ours else hash_ids(columns.ids(rows))
                batch.id_hash[rows] = self._salts.mix(kind, batch.key[rows], hashes)

    def _add_rare(self, batch: Batch, columns: _Columns) -> None:
        rows = np.flatnonzero(np.isin(batch.kind, RARE))
        if not len(rows):
            return
        decoded = self._decoder.decode(columns.stored(rows))
        if len(decoded.batch) != len(rows) or (decoded.batch.kind != batch.kind[rows]).any():
            raise _Odd
        for name in ("at_ms", "known_at_ms", "key"):
            getattr(batch, name)[rows] = getattr(decoded.batch, name)
        batch.rare.update(zip(rows.tolist(), (fact for _, fact in sorted(decoded.batch.rare.items())), strict=True))


class _Columns:
    """The columns of a record batch as numpy sees them; raises :class:`_Odd` where a value breaks the contract."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.names: list[str] = rows.schema.names
        self._size = len(rows)
        self._columns = {name: _milliseconds(rows.column(name)) for name in self.names}
        self._given: dict[str, Mask] = {}

    def given(self, name: str) -> Mask:
        """Where ``name`` has a value."""
        if name not in self._given:
            column = self._columns.get(name)
            if column is None or column.null_count == self._size:
                self._given[name] = np.zeros(self._size, bool)
            else:
                self._given[name] = column.is_valid().to_numpy(zero_copy_only=False)
        return self._given[name]

    def kinds(self) -> NDArray[np.uint8]:
        """The kind of each row."""
        index, values = self.texts("fact")
        kinds = np.array([_FACTS.get(value or "", _UNKNOWN) for value in values], np.uint8)[index]
        if (kinds == _UNKNOWN).any():
            raise _Odd
        return kinds

    def texts(self, name: str) -> tuple[Ints, list[str | None]]:
        """The place of each row's text in a list of texts; the first place is for none."""
        column = self._columns.get(name)
        if column is None or pa.types.is_null(column.type):
            return np.zeros(self._size, np.int64), [None]
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        values = column.dictionary.to_pylist()
        if not all(value is not None and 0 < len(value) <= LONGEST_TEXT for value in values):
            raise _Odd
        index: Ints = pc.add(pc.fill_null(column.indices.cast(pa.int64()), -1), 1).to_numpy()
        return index, [None, *values]

    def check_texts(self, names: Sequence[str]) -> None:
        """All texts under ``names`` are of a length that the contract allows."""
        for name in names:
            self.texts(name)

    def whole(self, name: str, least: int, most: int, missing: Ints | int = 0) -> Ints:
        """Integers within bounds, ``missing`` where none is given."""
        return np.where(self.given(name), self._numbers(name, pa.int64(), least, most), missing)

    def count(self, name: str, missing: float) -> Ints:
        """Counts in millionths, ``missing`` where none is given."""
        return millionths(np.where(self.given(name), self._numbers(name, pa.float64(), 0, MOST_COUNT), missing))

    def _numbers(self, name: str, kind: pa.DataType, least: int, most: int) -> NDArray[Any]:
        column = self._columns.get(name)
        if column is None:
            return np.zeros(self._size, np.int64)
        values: NDArray[Any] = pc.fill_null(column.cast(kind), least).to_numpy()
        # the negation also finds NaN
        if not ((values >= least) & (values <= most)).all():
            raise _Odd
        return values

    def hashes(self) -> NDArray[np.uint64]:
        """The hashes that our own writer stored."""
        hashes: NDArray[np.uint64] = self._columns["id_hash"].to_numpy()
        return hashes

    def ids(self, rows: Ints) -> list[str]:
        """The ids of some rows."""
        column = self._columns["id"].take(pa.array(rows))
        lengths = pc.min_max(pc.utf8_length(column))
        if not 0 < lengths["min"].as_py() <= lengths["max"].as_py() <= LONGEST_TEXT:
            raise _Odd
        ids: list[str] = column.to_pylist()
        return ids

    def stored(self, rows: Ints) -> list[bytes]:
        """The lines that our own writer stored for the rare kinds."""
        return [line.encode() for line in self._columns["json"].take(pa.array(rows)).to_pylist()]

    def lines(self) -> list[bytes]:
        """Each row as a line of NDJSON; an empty row still is an object, so that it is refused."""
        lists = [self._columns[name].to_pylist() for name in self.names]
        return [
            msgspec.json.encode({name: value for name, value in zip(self.names, row, strict=True) if value is not None})
            for row in zip(*lists, strict=True)
        ]


def _milliseconds(column: pa.Array) -> pa.Array:
    if not pa.types.is_timestamp(column.type):
        return column
    # a finer clock is cut off, as everywhere
    return column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64())
