"""Sixty-four bits for an id: equal for the same fact said twice, different for any two others.

An id is a promise of its sender within one source of one account and one kind of fact.  So the hash of the id is mixed
with a salt made of these three: ids that happen to be equal elsewhere never meet.  The two legs of one conversion
(browser and server) share source and id, and do meet.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np
from numpy.typing import NDArray

from events.batch import Ints, Keys, Kind
from events.words import PADDING, Text, hash_of

Hashes = NDArray[np.uint64]
NO_ID = 0
SALTED = (Kind.DELIVERY, Kind.CONVERSION)
"""The kinds that have an id."""


def hash_ids(ids: Sequence[str]) -> Hashes:
    """The plain 64-bit hash of every id."""
    texts = [each.encode() for each in ids]
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
    hashes = np.empty(len(texts), np.uint64)
    _hash_all(np.frombuffer(b"".join(texts) + PADDING, np.uint8), ends, hashes)
    return hashes


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_all(text: Text, ends: Ints, hashes: Hashes) -> None:
    start = 0
    for row in range(len(ends)):
        hashes[row] = hash_of(text, start, ends[row])
        start = ends[row]


class Salts:
    """The salt of every key of a table, for each kind that has ids; grows as the table does.

    >>> from events.batch import Key
    >>> keys = Keys()
    >>> codes = np.array([keys.code(Key("acme", "meta")), keys.code(Key("acme", "tiktok"))])
    >>> meta, tiktok = Salts(keys).mix(Kind.DELIVERY, codes, hash_ids(["1", "1"]))
    >>> bool(meta == tiktok)
    False
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._salts: dict[Kind, Hashes] = {kind: np.empty(0, np.uint64) for kind in SALTED}

    def mix(self, kind: Kind, codes: NDArray[np.int32] | Ints, hashes: Hashes) -> Hashes:
        """The ``id_hash`` column for facts of ``kind`` with these keys and plain hashes; no salt where no key is."""
        known = codes >= 0
        mixed = hashes.copy()
        mixed[known] ^= self._of(kind)[codes[known]]
        mixed[mixed == NO_ID] = 1
        return mixed

    def _of(self, kind: Kind) -> Hashes:
        salts = self._salts[kind]
        if len(salts) < len(self._keys):
            new = hash_ids([_salt(kind, key.account, key.source) for key in self._keys.rows[len(salts) :]])
            salts = self._salts[kind] = np.concatenate((salts, new))
        return salts


def _salt(kind: Kind, account: str, source: str | None) -> str:
    # lengths keep ("a", "bc") from meeting ("ab", "c")
    return f"{int(kind)} {len(account)} {account} {source or ''}"
