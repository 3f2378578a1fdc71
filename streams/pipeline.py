"""The pipeline: batches of facts in, alert changes out. No clock, no I/O: a function of the log alone.

Facts between two ticks commute; a tick moves the watermarks, closes panes, judges what closed and learns from it.
Everything an account's alerts depend on is the account's own, so any split of accounts over partitions, and any
cutting of the log into batches, ends in the same alerts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from alerts.cause import Happening
from alerts.life import Life
from events.batch import Batch, Kind
from streams import judge
from streams.arrival import Bounds, Facts, Taken, move, refusal, take
from streams.attend import Attention
from streams.columns import Columns
from streams.fence import Fence
from streams.ids import HOUR_MS, Ids
from streams.metrics import Metrics
from streams.outcome import Outcome, Refused
from streams.panes import CLOSED_PANE, MEASURES, NONE, PANE, PANE_MS, USED, WAITING, close
from streams.places import PlaceTable
from streams.restate import Snapshots
from streams.rivals import Rivals
from streams.series import Registry, Scope
from streams.settings import DetectionSettings
from streams.state import pack, unpack

_HAPPENING_KINDS = frozenset({Kind.CHANGE, Kind.STATE})
CAUSE_HORIZON_MS = 2 * 86_400_000
_DETAIL = {
    Taken.FUTURE: "is more than {future} h ahead of the last tick",
    Taken.TOO_OLD: "is more than {horizon} h behind the last tick, further than ids are remembered",
    Taken.CURRENCY: "its account reports in another currency",
}


class Pipeline:
    """All state of one partition of the log."""

    def __init__(self, settings: DetectionSettings) -> None:
        self.settings = settings
        self.counts: dict[str, int] = dict.fromkeys((t.name.lower() for t in Taken), 0)
        self.tick_ms = -1
        self._registry = Registry()
        self._quiet_days = settings.quiet_days
        self._found, self._why = np.empty((2, 64), np.int64)
        self._places = PlaceTable(self._registry, settings.conversions)
        self._ids = Ids()
        self._fence = Fence()
        self._snapshots = Snapshots()
        self._metrics = Metrics(settings)
        self._waiting = Columns(PANE)
        self._closed = Columns(CLOSED_PANE)
        self._sizes = np.array(
            [0, NONE, 0], np.int64
        )  # waiting rows, head of the free closed rows, closed rows ever used
        self._life = Life()
        self._statuses: dict[tuple[str, str, str], str] = {}
        self._rivals = Rivals(settings, self._registry)
        self._attention = Attention(self._registry, self._life, self._statuses, self._rivals.replaced)

    def feed(self, batch: Batch) -> Outcome:
        """Apply ``batch``; a batch of one and of 100,000 end in the same state."""
        outcome = Outcome()
        self._places.learn(batch)
        facts = self._facts(batch)
        taken = np.full(len(batch), Taken.OTHER, np.uint8)
        rare = sorted(batch.rare)
        low = 0
        for row in [*np.flatnonzero(batch.kind == Kind.TICK).tolist(), len(batch)]:
            self._take(batch, facts, low, row, rare, taken, outcome)
            if row < len(batch):
                self._tick(int(batch.at_ms[row]), outcome)
            low = row + 1
        self._account_for(batch, taken, outcome)
        return outcome

    def _facts(self, batch: Batch) -> Facts:
        return Facts(
            batch.kind,
            batch.at_ms,
            batch.key,
            batch.id_hash,
            batch.cost_micros,
            batch.impressions,
            batch.clicks,
            batch.conversions,
            batch.value_micros,
            batch.lag_ms,
            self._fence.repeats(batch),
        )

    def _bounds(self) -> Bounds:
        return Bounds(self.tick_ms, self.settings.horizon_ms, self.settings.future_ms)

    def _take(
        self, batch: Batch, facts: Facts, low: int, high: int, rare: list[int], taken: Any, outcome: Outcome
    ) -> None:
        if high <= low:
            return
        registry, ids = self._registry, self._ids
        ids.reserve(high - low, (self.tick_ms - self.settings.horizon_ms) // HOUR_MS - 1)
        self._make_room(high - low)
        take(
            facts, low, high, self._places.places, self._bounds(),
            registry.series.rows, registry.sources.rows, registry.accounts.rows,
            ids.hashes, ids.hours, ids.used, self._waiting.whole, self._sizes, taken,
        )  # fmt: skip
        while rare and rare[0] < high:
            row = rare.pop(0)
            if taken[row] == Taken.OTHER:
                self._take_rare(batch, row, taken, outcome)

    def _make_room(self, more: int) -> None:
        self._waiting.size, self._closed.size = int(self._sizes[WAITING]), int(self._sizes[USED])
        self._waiting.reserve(self._waiting.size + more)

    def _take_rare(self, batch: Batch, row: int, taken: Any, outcome: Outcome) -> None:
        kind, fact, key = Kind(batch.kind[row]), batch.rare[row], int(batch.key[row])
        places, bounds = self._places.places, self._bounds()
        verdict = int(refusal(fact.at, int(places.flags[key]), bounds))
        if kind is Kind.SNAPSHOT and verdict == Taken.TOO_OLD:
            verdict = Taken.ACCEPTED
        taken[row] = verdict
        if verdict != Taken.ACCEPTED:
            return
        move(self._registry.sources.rows, int(places.source[key]), fact.at, self.tick_ms)
        if kind is Kind.SNAPSHOT:
            taken[row] = self._restate(fact, int(places.leaf[key]))
        elif kind is Kind.METRIC:
            self._metrics.take(fact)
        elif kind in _HAPPENING_KINDS:
            self._happen(kind, fact)

    def _restate(self, fact: Any, leaf: int) -> int:
        replaced = self._snapshots.replace(fact, leaf, fact.name is None or fact.name in self.settings.conversions)
        if replaced is None:
            return Taken.DUPLICATE
        minute, difference = replaced
        self._make_room(1)
        pane = self._waiting.whole[self._sizes[WAITING]]
        pane["series"], pane["minute"], pane["sums"] = leaf, minute, difference
        self._sizes[WAITING] += 1
        self._registry.series["total"][leaf] += difference
        watermark = self._registry.sources["watermark_ms"][self._registry.series["source"][leaf]]
        return Taken.LATE if (minute + 1) * PANE_MS <= watermark else Taken.ACCEPTED

    def _happen(self, kind: Kind, fact: Any) -> None:
        if kind is Kind.STATE:
            self._statuses[fact.account, fact.source, fact.campaign] = fact.status
            happening = Happening(fact.at, "status", f"{fact.campaign}: {fact.status}", fact.source, fact.campaign)
        else:
            happening = Happening(fact.at, fact.kind, fact.what, fact.source or "", fact.campaign or "")
        self._life.happen(fact.account, happening, CAUSE_HORIZON_MS)

    def _tick(self, at_ms: int, outcome: Outcome) -> None:
        if at_ms <= self.tick_ms:
            return
        if at_ms // judge.DAY_MS > self.tick_ms // judge.DAY_MS:
            self._snapshots.forget(at_ms)
        self.tick_ms = at_ms
        registry = self._registry
        series, sources, accounts = registry.series.rows, registry.sources.rows, registry.accounts.rows
        judge.watermarks(sources, at_ms, self.settings.lateness_ms)
        self._make_room(0)
        self._closed.reserve(self._closed.size + self._waiting.size)
        close(self._waiting.whole, self._closed.whole, self._sizes, series, sources, registry.windows)
        if len(series) > len(self._found):
            self._found, self._why = np.empty((2, 2 * len(series)), np.int64)
        order, day, quiet_days = registry.in_order(), registry.windows[-1], self._quiet_days
        count = judge.judge(
            series, sources, accounts, order, registry.spans, day, quiet_days, at_ms, self._found, self._why
        )
        for i in range(count):
            outcome.changes += self._attention.attend(int(self._found[i]), int(self._why[i]), at_ms)
        outcome.changes += self._metrics.tick(at_ms, self._life)
        outcome.changes += self._rivals.tick(at_ms, self._life)

    def _account_for(self, batch: Batch, taken: Any, outcome: Outcome) -> None:
        for verdict, count in enumerate(np.bincount(taken, minlength=len(Taken)).tolist()):
            self.counts[Taken(verdict).name.lower()] += count
        hours = {"future": self.settings.future_ms // HOUR_MS, "horizon": self.settings.horizon_ms // HOUR_MS}
        for row in np.flatnonzero((taken >= Taken.FUTURE) & (taken <= Taken.CURRENCY)).tolist():
            verdict = Taken(taken[row])
            outcome.refused.append(Refused(row, verdict.name.lower(), _DETAIL[verdict].format(**hours)))
        outcome.refused.sort(key=lambda refused: refused.row)

    def totals(self) -> dict[Scope, tuple[int, ...]]:
        """Exact sums per campaign, in millionths: cost, impressions, clicks, conversions, value."""
        registry = self._registry
        leaves = np.flatnonzero(registry.series["level"] == 0).tolist()
        return {registry.scope(s): tuple(registry.series["total"][s, :5].tolist()) for s in leaves}

    def snapshot(self) -> bytes:
        """The whole state as bytes (versioned, no pickle)."""
        registry = self._registry
        self._make_room(0)
        oldest = (self.tick_ms - self.settings.horizon_ms) // HOUR_MS - 1
        arrays = {
            **registry.series.arrays("series"),
            **registry.sources.arrays("sources"),
            **registry.accounts.arrays("accounts"),
            **self._waiting.arrays("waiting"),
            **self._closed.arrays("closed"),
            **self._ids.arrays(oldest),
            "windows": registry.windows[:, : registry.series.size],
            "sizes": self._sizes,
        }
        plain = {
            "tick_ms": self.tick_ms,
            "counts": self.counts,
            "scopes": registry.scopes,
            "currencies": registry.currencies,
            "fence": self._fence.highest,
            "snapshots": self._snapshots.to_state(),
            "metrics": self._metrics.to_state(),
            "rivals": self._rivals.to_state(),
            "life": self._life.to_state(),
            "statuses": [[*scope, status] for scope, status in self._statuses.items()],
        }
        return pack(arrays, plain)

    @classmethod
    def restore(cls, settings: DetectionSettings, data: bytes) -> Pipeline:
        """The inverse of :meth:`snapshot`. Raises :class:`streams.state.UnknownState` for other bytes."""
        arrays, plain = unpack(data)
        pipeline = cls(settings)
        registry = pipeline._registry
        for prefix, table in (
            ("series", registry.series),
            ("sources", registry.sources),
            ("accounts", registry.accounts),
        ):
            table.fill(prefix, arrays)
        pipeline._waiting.fill("waiting", arrays)
        pipeline._closed.fill("closed", arrays)
        pipeline._ids = Ids.of(arrays["ids"], arrays["id_hours"])
        registry.windows = np.concatenate([arrays["windows"], np.zeros((3, 64, MEASURES), np.int64)], axis=1)
        registry.scopes = [tuple(scope) for scope in plain["scopes"]]
        registry.currencies = list(plain["currencies"])
        registry.index()
        pipeline._sizes = arrays["sizes"]
        pipeline.tick_ms, pipeline.counts = plain["tick_ms"], plain["counts"]
        pipeline._fence = Fence(plain["fence"])
        pipeline._snapshots = Snapshots.of_state(plain["snapshots"])
        pipeline._metrics = Metrics.of_state(settings, plain["metrics"])
        pipeline._life = Life.of_state(plain["life"])
        pipeline._statuses.update({(a, s, c): status for a, s, c, status in plain["statuses"]})
        pipeline._rivals.restore(plain["rivals"])
        pipeline._attention = Attention(registry, pipeline._life, pipeline._statuses, pipeline._rivals.replaced)
        return pipeline
