"""From structs to columns: one pass per field, one group per kind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.batch import Batch, Ints, Key, Keys, Kind
from events.facts import EARLIEST_MS, LATEST_MS, currencies
from events.ids import Salts, hash_ids
from events.wire import KIND

MILLION = 1_000_000
LEGS = frozenset({"browser", "server", "backend", "platform"})
_UNKNOWN = -1
_NO_KEY = -2
_NEVER_MS = 0
_TYPES = {
    "kind": np.uint8,
    "at_ms": np.int64,
    "known_at_ms": np.int64,
    "key": np.int32,
    "id_hash": np.uint64,
    "cost_micros": np.int64,
    "impressions": np.int64,
    "clicks": np.int64,
    "conversions": np.int64,
    "value_micros": np.int64,
    "lag_ms": np.int64,
}
COLUMNS = tuple(_TYPES)
"""The columns that every batch has."""
_RARE_KEYS: dict[int, Callable[[Any], Key]] = {
    Kind.SNAPSHOT: lambda f: Key(f.account, f.source, f.campaign, f.currency, f.name),
    Kind.METRIC: lambda f: Key(f.account, f.source, name=f.series),
    Kind.STATE: lambda f: Key(f.account, f.source, f.campaign, f.currency),
    Kind.CHANGE: lambda f: Key(f.account, f.source, f.campaign),
    Kind.CONSENT: lambda f: Key(f.account),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch, and the rows in it that break the contract in a way that only columns show."""

    batch: Batch
    bad_rows: list[int]


def millionths(counts: Sequence[float] | NDArray[np.float64]) -> Ints:
    """Counts as exact integers, rounded to a millionth."""
    exact: Ints = np.rint(np.asarray(counts, np.float64) * MILLION).astype(np.int64)
    return exact


def times_ms(times: Sequence[Any]) -> Ints:
    """Epoch milliseconds of integers and of datetimes with an offset; below a millisecond is cut off."""
    try:
        return np.array(times, np.int64)
    except TypeError:
        pass
    try:
        # a double holds the microseconds of our bounds to within half of one, so rounding finds them
        seconds = np.array([time.timestamp() for time in times])
    except AttributeError:
        seconds = np.array([time / 1000 if type(time) is int else time.timestamp() for time in times])
    micros: Ints = np.rint(seconds * MILLION).astype(np.int64)
    return micros // 1000


def blank(kind: NDArray[np.uint8], keys: Keys) -> Batch:
    """A batch of facts of these kinds of which nothing else is known yet."""
    columns: dict[str, Any] = {name: np.zeros(len(kind), dtype) for name, dtype in _TYPES.items()}
    columns["lag_ms"] -= 1
    columns["key"] -= 1
    columns["kind"] = kind
    return Batch(keys=keys, **columns)


def concatenate(batches: Sequence[Batch], keys: Keys) -> Batch:
    """One batch of several that share ``keys`` and carry no origins."""
    columns: dict[str, Any] = {
        name: np.concatenate([np.empty(0, dtype), *(getattr(batch, name) for batch in batches)])
        for name, dtype in _TYPES.items()
    }
    rare: dict[int, Any] = {}
    start = 0
    for batch in batches:
        rare.update((start + row, fact) for row, fact in batch.rare.items())
        start += len(batch)
    return Batch(keys=keys, rare=rare, **columns)


class Coder:
    """Makes batches of structs and models (:mod:`events.wire`), with codes from one table of keys."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._salts = Salts(keys)
        self._known: dict[tuple[str | None, ...], int] = {}

    def columns(self, found: list[Any]) -> Columns:
        """The columns of ``found``, in the same order."""
        kind = np.fromiter(map(KIND.__getitem__, map(type, found)), np.uint8, len(found))
        batch = blank(kind, self.keys)
        bad: list[int] = []
        present = np.flatnonzero(np.bincount(kind, minlength=len(Kind))).tolist()
        for each in present:
            fill = _FILL.get(Kind(each), Coder._rare)
            if len(present) == 1:
                rows, facts = np.arange(len(found)), found
            else:
                rows = np.flatnonzero(kind == each)
                facts = [found[row] for row in rows.tolist()]
            bad += rows[fill(self, batch, rows, facts)].tolist()
        return Columns(batch, sorted(bad))

    def _delivery(self, batch: Batch, rows: Ints, facts: list[Any]) -> NDArray[np.bool_]:
        key = self._codes([(f.account, f.source, f.campaign, f.currency) for f in facts])
        batch.cost_micros[rows] = [f.cost_micros for f in facts]
        batch.impressions[rows] = millionths([f.impressions for f in facts])
        batch.clicks[rows] = millionths([f.clicks for f in facts])
        return self._identity(batch, rows, facts, Kind.DELIVERY, key)

    def _conversion(self, batch: Batch, rows: Ints, facts: list[Any]) -> NDArray[np.bool_]:
        key = self._codes([(f.account, f.source, f.campaign, f.currency, f.name, f.leg) for f in facts])
        batch.conversions[rows] = millionths([f.count for f in facts])
        batch.value_micros[rows] = [f.value_micros for f in facts]
        bad = self._identity(batch, rows, facts, Kind.CONVERSION, key)
        clicked_at = times_ms([_NEVER_MS if f.clicked_at is None else f.clicked_at for f in facts])
        lag = batch.at_ms[rows] - clicked_at
        batch.lag_ms[rows] = np.where((clicked_at == _NEVER_MS) | (lag < 0), _UNKNOWN, lag)
        bad |= _out_of_time(clicked_at) & (clicked_at != _NEVER_MS)
        return bad

    def _identity(
        self, batch: Batch, rows: Ints, facts: list[Any], kind: Kind, key: NDArray[np.int32]
    ) -> NDArray[np.bool_]:
        at = times_ms([f.at for f in facts])
        known_at = times_ms([f.at if f.known_at is None else f.known_at for f in facts])
        batch.key[rows], batch.at_ms[rows], batch.known_at_ms[rows] = key, at, known_at
        batch.id_hash[rows] = self._salts.mix(kind, key, hash_ids([f.id for f in facts]))
        bad = _out_of_time(at) | _out_of_time(known_at)
        bad |= key == _NO_KEY
        return bad

    def _watermark(self, batch: Batch, rows: Ints, facts: list[Any]) -> NDArray[np.bool_]:
        batch.key[rows] = self._codes([(f.account, f.source) for f in facts])
        return self._tick(batch, rows, facts)

    def _tick(self, batch: Batch, rows: Ints, facts: list[Any]) -> NDArray[np.bool_]:
        batch.at_ms[rows] = batch.known_at_ms[rows] = at = times_ms([f.at for f in facts])
        return _out_of_time(at)

    def _rare(self, batch: Batch, rows: Ints, facts: list[Any]) -> NDArray[np.bool_]:
        """Models: nothing is left to check, and they are few."""
        key = _RARE_KEYS[int(batch.kind[rows[0]])]
        batch.key[rows] = [self.keys.code(key(fact)) for fact in facts]
        batch.at_ms[rows] = [fact.at for fact in facts]
        batch.known_at_ms[rows] = [_known_at(fact) for fact in facts]
        batch.rare.update(zip(rows.tolist(), facts, strict=True))
        return np.zeros(len(rows), bool)

    def _codes(self, parts: list[tuple[str | None, ...]]) -> NDArray[np.int32]:
        """The codes of keys given by their first parts; ``_NO_KEY`` where the currency is none."""
        codes = list(map(self._known.get, parts))
        if None in codes:
            codes = [self._new_code(part) if code is None else code for code, part in zip(codes, parts, strict=True)]
        return np.array(codes, np.int32)

    def _new_code(self, parts: tuple[Any, ...]) -> int:
        code = self.code(Key(*parts))
        if code is None:
            return _NO_KEY
        self._known[parts] = code
        return code

    def code(self, key: Key) -> int | None:
        """The code of ``key``; ``None`` where its currency or leg is none."""
        if key.currency is not None and key.currency not in currencies():
            return None
        if key.leg is not None and key.leg not in LEGS:
            return None
        return self.keys.code(key)


_FILL = {
    Kind.DELIVERY: Coder._delivery,
    Kind.CONVERSION: Coder._conversion,
    Kind.WATERMARK: Coder._watermark,
    Kind.TICK: Coder._tick,
}


def _out_of_time(at_ms: Ints) -> NDArray[np.bool_]:
    return (at_ms < EARLIEST_MS) | (at_ms > LATEST_MS)


def _known_at(fact: Any) -> int:
    known_at: int | None = getattr(fact, "known_at", None)
    return int(fact.at) if known_at is None else known_at
