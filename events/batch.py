"""A batch: facts in log order, as columns.

Everything that drives the pipeline (a file, a Kafka message, an HTTP post) is turned into batches; a batch of one
and a batch of a hundred thousand are the same thing to the pipeline.  Rare kinds travel as objects in ``rare``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NO_ORIGIN = -1


class Kind(IntEnum):
    """The kind of a fact, as it stands in :attr:`Batch.kind`."""

    DELIVERY = 0
    CONVERSION = 1
    SNAPSHOT = 2
    METRIC = 3
    STATE = 4
    CHANGE = 5
    CONSENT = 6
    WATERMARK = 7
    TICK = 8


class Key(NamedTuple):
    """What a fact is about. ``None`` where the fact's kind or the fact itself does not say."""

    account: str
    source: str | None = None
    campaign: str | None = None
    currency: str | None = None
    name: str | None = None
    leg: str | None = None


class Keys:
    """An append-only table of keys; a batch's ``key`` column points into it. Grows, never changes.

    >>> keys = Keys()
    >>> keys.code(Key("acme", "meta", "brand")), keys.code(Key("acme", "meta", "brand")), len(keys)
    (0, 0, 1)
    """

    __slots__ = ("codes", "rows")

    def __init__(self) -> None:
        self.rows: list[Key] = []
        self.codes: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def code(self, key: Key) -> int:
        """The position of ``key``, adding it when it is new."""
        code = self.codes.get(key)
        if code is None:
            code = self.codes[key] = len(self.rows)
            self.rows.append(key)
        return code


@dataclass(slots=True)
class Batch:
    """``n`` facts in log order. All columns have length ``n``; counts are in millionths, money in micros.

    ``at_ms`` and ``known_at_ms`` are epoch milliseconds (``known_at_ms == at_ms`` where the fact does not say);
    ``key`` is -1 for ticks; ``id_hash`` is the 64-bit hash of the fact's id and kind (0: the kind has no id);
    ``lag_ms`` is ``at - clicked_at`` (-1: unknown).  ``rare`` maps a row to its whole fact for the kinds
    SNAPSHOT, METRIC, STATE, CHANGE and CONSENT.  ``origin`` indexes ``origins`` ("topic/partition" of the raw
    record a fact came from), or is ``NO_ORIGIN``.
    """

    kind: NDArray[np.uint8]
    at_ms: Ints
    known_at_ms: Ints
    key: NDArray[np.int32]
    id_hash: NDArray[np.uint64]
    cost_micros: Ints
    impressions: Ints
    clicks: Ints
    conversions: Ints
    value_micros: Ints
    lag_ms: Ints
    keys: Keys
    rare: dict[int, Any] = field(default_factory=dict)
    origins: list[str] = field(default_factory=list)
    origin: NDArray[np.int32] | None = None
    origin_offset: Ints | None = None

    def __len__(self) -> int:
        return len(self.kind)
