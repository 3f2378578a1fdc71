"""Where the facts of a batch's keys go: each key's series, source, account and flags, found once per key."""

from __future__ import annotations

import numpy as np

from events.batch import Batch, Key, Keys
from streams.arrival import FOREIGN, PRIMARY, Places
from streams.panes import NONE
from streams.parts import LEG, NAME, Part
from streams.series import Registry

UNKNOWN = -2


class PlaceTable:
    """The places of every key code met so far, in the order of the log."""

    def __init__(self, registry: Registry, conversions: tuple[str, ...]) -> None:
        self._registry = registry
        self._primary = frozenset(conversions)
        self._keys: Keys | None = None
        self.places = _unknown(0)

    def learn(self, batch: Batch) -> None:
        """Find the places of the batch's keys that are new, first met first."""
        if batch.keys is not self._keys:
            self._keys, self.places = batch.keys, _unknown(0)
        if len(batch.keys) > len(self.places.leaf):
            self.places = _grown(self.places, 2 * len(batch.keys))
        known = np.append(self.places.source, 0)  # a tick's key is -1
        for code in dict.fromkeys(batch.key[known[batch.key] == UNKNOWN].tolist()):
            self._place(code, batch.keys.rows[code])

    def _place(self, code: int, key: Key) -> None:
        registry = self._registry
        account = registry.account(key.account)
        source = NONE if key.source is None else registry.source(key.account, key.source)
        foreign = not self._reports_in(account, key.currency)
        # what names a campaign has a series, also where it says no currency: a state may come before all spend
        has_series = key.source is not None and not foreign and (key.currency or key.campaign) is not None
        self.places.leaf[code] = registry.leaf(key) if has_series else NONE
        self.places.source[code] = source
        self.places.account[code] = account
        self.places.flags[code] = (PRIMARY if key.name in self._primary else 0) | (FOREIGN if foreign else 0)
        self.places.leg[code] = self._part(key, LEG, key.leg, account) if has_series else NONE
        self.places.name[code] = self._part(key, NAME, key.name, account) if has_series else NONE

    def _part(self, key: Key, kind: int, text: str | None, account: int) -> int:
        if text is None or key.source is None:
            return NONE
        source = self._registry.source(key.account, key.source)
        part = Part(key.account, key.source, kind, text)
        return self._registry.parts.part(part, source, account, kind == NAME and text in self._primary)

    def _reports_in(self, account: int, currency: str | None) -> bool:
        """Whether ``currency`` is the account's; the first one met becomes it."""
        if currency is not None and self._registry.currencies[account] is None:
            self._registry.currencies[account] = currency
        return currency is None or self._registry.currencies[account] == currency


def _unknown(size: int) -> Places:
    return Places(*(np.full(size, UNKNOWN, np.int64) for _ in Places._fields))


def _grown(places: Places, size: int) -> Places:
    return Places(*(np.concatenate([column, np.full(size - len(column), UNKNOWN, np.int64)]) for column in places))
