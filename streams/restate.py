"""Snapshots: running totals of a bucket, replaced by revision; what changed is summed into the bucket's last pane."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from streams.panes import BASKETS, CLICKS, CONVERSIONS, COST, IMPRESSIONS, LOG_BASKETS, MEASURES, PANE_MS, VALUE

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
KEPT_MS = 35 * DAY_MS
"""How long a bucket can still be replaced; platforms restate for up to 28 days."""

LUMP_BIAS = 0.15
"""Half the variance of a log basket, as shops usually have it (sd 0.55)."""

Bucket = tuple[int, int, str, str]
"""Leaf series, start of the bucket, its length, conversion name ('' where none is said)."""


def bucket_end_ms(at_ms: int, bucket: str, time_zone: str | None) -> int:
    """End of an hour or day that starts at ``at_ms``; a day ends at the next local midnight where a zone is given.

    >>> (bucket_end_ms(1_774_738_800_000, "day", "Europe/Berlin") - 1_774_738_800_000) / 3_600_000
    23.0
    """
    if bucket == "hour":
        return at_ms + HOUR_MS
    if time_zone is None:
        return at_ms + DAY_MS
    start = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(time_zone))
    following = (start.replace(tzinfo=None) + timedelta(days=1)).replace(tzinfo=start.tzinfo)
    return int(following.astimezone(UTC).timestamp() * 1000)


class Snapshots:
    """The newest revision of every bucket that can still be replaced."""

    def __init__(self) -> None:
        self._known: dict[Bucket, tuple[int, tuple[int, ...]]] = {}

    def replace(self, fact: Any, leaf: int, primary: bool) -> tuple[int, NDArray[np.int64]] | None:
        """The pane (minute) and the difference to what stood there; ``None`` where the revision is not newer."""
        bucket = (leaf, fact.at, fact.bucket, fact.name or "")
        known = self._known.get(bucket)
        if known is not None and fact.revision <= known[0]:
            return None
        before = np.array(known[1] if known is not None else (0,) * MEASURES, np.int64)
        totals = _totals(fact, before, primary)
        self._known[bucket] = (fact.revision, tuple(int(x) for x in totals))
        return bucket_end_ms(fact.at, fact.bucket, fact.time_zone) // PANE_MS - 1, totals - before

    def forget(self, tick_ms: int) -> None:
        """Drop the buckets that nobody restates any more."""
        oldest = tick_ms - KEPT_MS
        self._known = {bucket: known for bucket, known in self._known.items() if bucket[1] >= oldest}

    def to_state(self) -> list[list[Any]]:
        """The whole state as plain values."""
        return [[*bucket, revision, list(totals)] for bucket, (revision, totals) in self._known.items()]

    @classmethod
    def of_state(cls, state: list[list[Any]]) -> Snapshots:
        """The inverse of :meth:`to_state`."""
        snapshots = cls()
        snapshots._known = {
            (leaf, at, bucket, name): (revision, tuple(totals)) for leaf, at, bucket, name, revision, totals in state
        }
        return snapshots


def _totals(fact: Any, before: NDArray[np.int64], primary: bool) -> NDArray[np.int64]:
    totals = before.copy()
    for place, micros in ((COST, fact.cost_micros), (VALUE, fact.value_micros if primary else None)):
        if micros is not None:
            totals[place] = micros
    for place, count in (
        (IMPRESSIONS, fact.impressions),
        (CLICKS, fact.clicks),
        (CONVERSIONS, fact.conversions if primary else None),
    ):
        if count is not None:
            totals[place] = round(count * 1_000_000)
    baskets = _baskets(totals - before, fact.conversions is None)
    totals[BASKETS] += baskets[0]
    totals[LOG_BASKETS] += baskets[1]
    return totals


def _baskets(more: NDArray[np.int64], uncounted: bool) -> tuple[int, int]:
    """Log baskets of what a revision adds: its mean basket for each conversion; without a count, its value per spend.

    A revision that takes something back says nothing about baskets.  The log of the mean of ``k`` baskets lies above
    the mean of their logs, by about half the variance of a log basket times ``1 - 1 / k``; that is taken off, so
    that busy hours do not look dearer than quiet ones.
    """
    cost, conversions, value = int(more[COST]), int(more[CONVERSIONS]), int(more[VALUE])
    if value <= 0:
        return 0, 0
    if conversions > 0:
        lump = LUMP_BIAS * max(0.0, 1.0 - 1e6 / conversions)
        return conversions, round((math.log(value / conversions) - lump) * conversions)
    return (1_000_000, round(math.log(value / cost) * 1_000_000)) if uncounted and cost > 0 else (0, 0)
