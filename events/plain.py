"""Plain lines as batches: :mod:`events.scan` and a table of the keys that were met, both compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from events.batch import Batch, Ints, Key, Keys, Kind
from events.columns import blank
from events.compiled import keep_fresh
from events.ids import SALTED, Salts
from events.scan import FIELDS, KEY_PARTS, ODD, Out, scan
from events.words import PADDING, Text, first_bytes, hash_of, unowned, word

_UNMET = -2
_MEET_AT_ONCE = 1024
"""Lines: those behind them mostly have the same new keys."""
_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)
_FIRST_ENTRIES = 1024
_FIRST_BYTES = 1 << 16


class Entries(NamedTuple):
    """Keys as an open-addressing table: ``slots`` leads to an entry (-1: none), which has its bytes in ``store``."""

    slots: NDArray[np.int32]
    hashes: NDArray[np.uint64]
    parts: Ints
    codes: NDArray[np.int32]
    store: Text


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _hash_key(text: Text, parts: Ints) -> np.uint64:
    mixed = np.uint64(0)
    for part in range(KEY_PARTS):
        start, end = parts[part, 0], parts[part, 1]
        mixed = (mixed ^ hash_of(text, start, end)) * _SPREAD
        mixed ^= mixed >> np.uint64(29)
    return mixed


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _same(text: Text, parts: Ints, store: Text, stored: Ints) -> bool:
    for part in range(KEY_PARTS):
        at, size = parts[part, 0], parts[part, 1] - parts[part, 0]
        other = stored[part, 0]
        if stored[part, 1] - other != size:
            return False
        for i in range(0, size, 8):
            if first_bytes(word(text, at + i) ^ word(store, other + i), size - i) != 0:
                return False
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find(
    owned: Text, kind: NDArray[np.uint8], spans: Ints, entries: Entries, key: NDArray[np.int32], again: bool
) -> int:
    """The code of every plain line's key into ``key``, ``_UNMET`` where it is new; how many those are.

    With ``again`` only what was new is looked at.
    """
    text, parts, store, stored = unowned(owned), unowned(spans), unowned(entries.store), unowned(entries.parts)
    mask = np.uint64(len(entries.slots) - 1)
    unmet = 0
    for row in range(len(kind)):
        if kind[row] == ODD or kind[row] == Kind.TICK.value or (again and key[row] != _UNMET):
            continue
        mixed = _hash_key(text, parts[row])
        slot = mixed & mask
        key[row] = _UNMET
        while entries.slots[slot] >= 0:
            entry = entries.slots[slot]
            if entries.hashes[entry] == mixed and _same(text, parts[row], store, stored[entry]):
                key[row] = entries.codes[entry]
                break
            slot = slot + np.uint64(1) & mask
        unmet += key[row] == _UNMET
    return unmet


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _lead(entries: Entries, first: int, size: int) -> None:
    """Make ``slots`` lead to the entries from ``first`` up to ``size``."""
    mask = np.uint64(len(entries.slots) - 1)
    for entry in range(first, size):
        entries.hashes[entry] = _hash_key(entries.store, entries.parts[entry])
        slot = entries.hashes[entry] & mask
        while entries.slots[slot] >= 0:
            slot = slot + np.uint64(1) & mask
        entries.slots[slot] = entry


class _Table:
    """The keys met so far, with their codes; grows."""

    def __init__(self) -> None:
        self.size = self._used = 0
        self.entries = _room(_FIRST_ENTRIES, _FIRST_BYTES)

    def add(self, found: list[tuple[bytes, ...]], codes: list[int]) -> None:
        """Remember the codes of keys that are not there yet, given by the bytes of their parts."""
        texts = [part for parts in found for part in parts]
        ends = self._used + np.cumsum([len(text) for text in texts])
        size, used = self.size + len(found), int(ends[-1])
        self._grow(size, used)
        entries, mine = self.entries, slice(self.size, size)
        entries.store[self._used : used] = np.frombuffer(b"".join(texts), np.uint8)
        entries.parts[mine, :, 0] = np.concatenate([[self._used], ends[:-1]]).reshape(-1, KEY_PARTS)
        entries.parts[mine, :, 1] = ends.reshape(-1, KEY_PARTS)
        entries.codes[mine] = codes
        _lead(entries, self.size, size)
        self.size, self._used = size, used

    def _grow(self, size: int, used: int) -> None:
        """Make room for so many entries and bytes."""
        old = self.entries
        if size <= len(old.codes) and used + len(PADDING) <= len(old.store):
            return
        new = _room(max(2 * len(old.codes), 1 << size.bit_length()), 2 * max(len(old.store), used))
        for name in ("parts", "codes"):
            getattr(new, name)[: self.size] = getattr(old, name)[: self.size]
        new.store[: self._used] = old.store[: self._used]
        _lead(new, 0, self.size)
        self.entries = new


def _room(entries: int, size: int) -> Entries:
    return Entries(
        np.full(2 * entries, -1, np.int32),
        np.zeros(entries, np.uint64),
        np.zeros((entries, KEY_PARTS, 2), np.int64),
        np.zeros(entries, np.int32),
        np.zeros(size, np.uint8),
    )


@dataclass(frozen=True, slots=True)
class Lines:
    """A text and where its lines start and end (the newline not included)."""

    text: bytes
    starts: Ints
    ends: Ints

    def __getitem__(self, line: int) -> bytes:
        return self.text[self.starts[line] : self.ends[line]]


class PlainReader:
    """Makes batches of lines: one row per line, and which of them are plain; the rows of others mean nothing.

    ``code`` gives the code of a key, ``None`` for one that the contract does not allow.
    """

    def __init__(self, keys: Keys, code: Callable[[Key], int | None]) -> None:
        self._keys, self._code = keys, code
        self._salts, self._table = Salts(keys), _Table()
        self._parts = np.empty((0, KEY_PARTS, 2), np.int64)
        self._scratch = np.empty((len(FIELDS), 3), np.int64)

    def read(self, lines: Lines) -> tuple[Batch, NDArray[np.bool_]]:
        """The batch of ``lines``, and which of its rows are good."""
        text = np.frombuffer(lines.text + PADDING, np.uint8)
        rows = len(lines.starts)
        batch = blank(np.zeros(rows, np.uint8), self._keys)
        if rows > len(self._parts):
            self._parts = np.empty((rows, KEY_PARTS, 2), np.int64)
        parts = self._parts[:rows]
        columns = {field.name: getattr(batch, field.name) for field in fields(Batch) if field.name in Out._fields}
        scan(text, lines.starts, lines.ends, self._scratch, Out(parts=parts, **columns))
        again = False
        while _find(text, batch.kind, parts, self._table.entries, batch.key, again):
            self._meet(lines.text, batch, parts)
            again = True
        self._salt(batch)
        return batch, batch.kind != ODD

    def _meet(self, text: bytes, batch: Batch, parts: Ints) -> None:
        """Learn the keys that were not met before; a line with one that is not allowed is not plain."""
        unmet = np.flatnonzero((batch.key == _UNMET) & (batch.kind != ODD))[:_MEET_AT_ONCE]
        found = [tuple(text[a:b] for a, b in each) for each in parts[unmet].tolist()]
        allowed: dict[tuple[bytes, ...], int] = {}
        for each in dict.fromkeys(found):
            key = _key(each)
            code = None if key is None else self._code(key)
            if code is not None:
                allowed[each] = code
        if allowed:
            self._table.add(list(allowed), list(allowed.values()))
        batch.kind[unmet[[each not in allowed for each in found]]] = ODD

    def _salt(self, batch: Batch) -> None:
        for kind in SALTED:
            rows = np.flatnonzero(batch.kind == kind)
            batch.id_hash[rows] = self._salts.mix(kind, batch.key[rows], batch.id_hash[rows])


def _key(parts: tuple[bytes, ...]) -> Key | None:
    """The key of these parts, ``None`` where they are no UTF-8."""
    try:
        account, *others = (part.decode() for part in parts)
    except UnicodeDecodeError:
        return None
    return Key(account, *(other or None for other in others))


keep_fresh()
