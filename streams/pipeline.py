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
from streams.arrival import Bounds, Facts, Taken, move, refusal
from streams.attend import Attention
from streams.clocks import Clocks
from streams.columns import Columns, layout
from streams.fence import Fence
from streams.ids import HOUR_MS, Ids
from streams.metrics import Metrics
from streams.outcome import Outcome, Refused
from streams.panes import CLOSED_PANE, CONVERSIONS, KNOWN, MEASURES, NONE, PANE_MS, USED, WAITING, WAITING_PANE
from streams.parts import PART_PANE, PARTS, PARTS_WAITING, Part
from streams.places import PlaceTable
from streams.progress import DAY_MS
from streams.restate import Snapshots
from streams.rivals import Rivals
from streams.series import ACCOUNTS, SERIES, SOURCES, Registry, Scope
from streams.settings import DetectionSettings
from streams.state import UnknownState, pack, unpack
from streams.stretch import ENDED, NEW_DAY, Rules, State, advance

_HAPPENING_KINDS = frozenset({Kind.CHANGE, Kind.STATE})
LAYOUT = layout(SERIES, SOURCES, ACCOUNTS, PARTS, WAITING_PANE, CLOSED_PANE, PART_PANE)
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
        self._day_ms = -DAY_MS
        self._registry = Registry()
        self._quiet_days = settings.quiet_days
        self._found, self._why = np.empty((2, 64), np.int64)
        self._places = PlaceTable(self._registry, settings.conversions)
        self._clocks = Clocks(self._registry, settings.time_zone, settings.time_zones)
        self._ids = Ids()
        self._fence = Fence()
        self._snapshots = Snapshots()
        self._metrics = Metrics(settings)
        self._waiting = Columns(WAITING_PANE)
        self._closed = Columns(CLOSED_PANE)
        self._parts_waiting = Columns(PART_PANE)
        # waiting rows, head of the free closed rows, closed rows ever used, waiting rows of parts
        self._sizes = np.array([0, NONE, 0, 0], np.int64)
        self._life = Life()
        self._statuses: dict[tuple[str, str, str], str] = {}
        self._rivals = Rivals(settings, self._registry)
        self._rivals_named = bool(settings.account_anomaly or settings.models)
        self._attention = Attention(
            self._registry, self._life, self._statuses, self._rivals.replaced, settings.implausibly_good
        )

    @property
    def registry(self) -> Registry:
        """The columns of state; for benchmarks, which overwrite what is learned with what is true."""
        return self._registry

    def feed(self, batch: Batch) -> Outcome:
        """Apply ``batch``; a batch of one and of 100,000 end in the same state."""
        outcome = Outcome()
        self._places.learn(batch)
        self._clocks.follow()
        facts = self._facts(batch)
        taken = np.full(len(batch), Taken.OTHER, np.uint8)
        rare = sorted(batch.rare)
        self._reserve(len(batch))
        ticks = np.append(np.flatnonzero(batch.kind == Kind.TICK), len(batch))
        low = 0
        while low < len(batch):
            # rare facts are taken with the others that stand before the same tick
            high = int(ticks[np.searchsorted(ticks, rare[0])]) if rare else len(batch)
            low = self._advance(batch, facts, low, high, taken, outcome)
            while rare and rare[0] < low:
                row = rare.pop(0)
                if taken[row] == Taken.OTHER:
                    self._take_rare(batch, row, taken, outcome)
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

    def _reserve(self, rows: int) -> None:
        """Make room for all that ``rows`` facts can need."""
        self._make_room(rows)
        self._closed.reserve(self._closed.size + self._waiting.size + rows)
        self._ids.reserve(
            rows * (1 if self._registry.parts.legs == 0 else 2),
            (self.tick_ms - self.settings.horizon_ms) // HOUR_MS - 1,
        )
        judged = self._registry.series.size + self._registry.parts.rows.size
        if 2 * judged > len(self._found):
            self._found, self._why = np.empty((2, 3 * judged), np.int64)

    def _advance(self, batch: Batch, facts: Facts, low: int, high: int, taken: Any, outcome: Outcome) -> int:
        """Go through the rows from ``low`` to ``high`` or to a tick that brings more to do; where to go on."""
        low, stop, self.tick_ms = advance(
            facts, low, high, self.tick_ms, self._rules(), self._places.places, self._state(), taken,
            self._found, self._why,
        )  # fmt: skip
        if stop == NEW_DAY:
            self._snapshots.forget(int(batch.at_ms[low]))
            self._day_ms = int(batch.at_ms[low]) // DAY_MS * DAY_MS
            self._clocks.turn(self._day_ms)
        elif stop != ENDED:
            self._attend(stop, outcome)
        return int(low)

    def _rules(self) -> Rules:
        settings = self.settings
        every_tick = self._metrics.waiting or self._rivals_named
        return Rules(
            settings.horizon_ms, settings.future_ms, settings.lateness_ms, self._quiet_days, settings.per_campaign,
            every_tick, self._day_ms + DAY_MS,
        )  # fmt: skip

    def _state(self) -> State:
        registry, ids = self._registry, self._ids
        order = registry.in_order()
        parts_order, families = registry.parts.families()
        return State(
            registry.series.rows, registry.sources.rows, registry.accounts.rows, registry.windows, order,
            registry.spans, ids.table, ids.used, self._waiting.whole, self._closed.whole, self._sizes,
            registry.parts.rows.rows, self._parts_waiting.whole, parts_order, families,
        )  # fmt: skip

    def _make_room(self, more: int) -> None:
        self._waiting.size, self._closed.size = int(self._sizes[WAITING]), int(self._sizes[USED])
        self._waiting.reserve(self._waiting.size + more)
        self._parts_waiting.size = int(self._sizes[PARTS_WAITING])
        if len(self._registry.parts.families()[1]):
            # a conversion counts for its leg, for the whole of the legs, and for its name
            self._parts_waiting.reserve(self._parts_waiting.size + 3 * more)

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
            self._happen(kind, fact, int(places.leaf[key]))

    def _restate(self, fact: Any, leaf: int) -> int:
        if fact.time_zone is not None:
            self._clocks.name(int(self._registry.series["account"][leaf]), fact.time_zone)
        replaced = self._snapshots.replace(fact, leaf, fact.name is None or fact.name in self.settings.conversions)
        if replaced is None:
            return Taken.DUPLICATE
        minute, difference = replaced
        self._make_room(1)
        pane = self._waiting.whole[self._sizes[WAITING]]
        pane["series"], pane["minute"], pane["sums"], pane["clicked_hour"] = leaf, minute, difference, NONE
        pane["undated"] = 0
        if fact.basis == "click":
            # booked with the bucket of its click: the bucket is a cohort, and what a revision adds has come late
            pane["sums"][KNOWN] = pane["undated"] = difference[CONVERSIONS]
            pane["clicked_hour"] = minute * PANE_MS // HOUR_MS
        self._sizes[WAITING] += 1
        self._registry.series["total"][leaf] += difference
        watermark = self._registry.sources["watermark_ms"][self._registry.series["source"][leaf]]
        return Taken.LATE if (minute + 1) * PANE_MS <= watermark else Taken.ACCEPTED

    def _happen(self, kind: Kind, fact: Any, leaf: int) -> None:
        if kind is Kind.STATE:
            self._aim(fact, leaf)
            self._statuses[fact.account, fact.source, fact.campaign] = fact.status
            happening = Happening(fact.at, "status", f"{fact.campaign}: {fact.status}", fact.source, fact.campaign)
        else:
            happening = Happening(fact.at, fact.kind, fact.what, fact.source or "", fact.campaign or "")
        self._life.happen(fact.account, happening, CAUSE_HORIZON_MS)

    def _aim(self, fact: Any, leaf: int) -> None:
        """Remember the bid targets of a campaign that has a series; money in units of its currency."""
        if leaf >= 0 and fact.target_cpa_micros is not None:
            self._registry.series["target_cpa"][leaf] = fact.target_cpa_micros / 1e6
        if leaf >= 0 and fact.target_roas is not None:
            self._registry.series["target_roas"][leaf] = fact.target_roas

    def _attend(self, count: int, outcome: Outcome) -> None:
        """What the last tick found, and what is judged in Python."""
        for i in range(count):
            outcome.changes += self._attention.attend(int(self._found[i]), int(self._why[i]), self.tick_ms)
        outcome.changes += self._metrics.tick(self.tick_ms, self._life)
        outcome.changes += self._rivals.tick(self.tick_ms, self._life)

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
            **registry.parts.rows.arrays("parts"),
            **self._parts_waiting.arrays("parts_waiting"),
            **self._ids.arrays(oldest),
            "windows": registry.windows[:, : registry.series.size],
            "sizes": self._sizes,
        }
        plain = {
            "layout": LAYOUT,
            "tick_ms": self.tick_ms,
            "counts": self.counts,
            "scopes": registry.scopes,
            "parts": registry.parts.scopes,
            "currencies": registry.currencies,
            "zones": registry.zones,
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
        if plain.get("layout") != LAYOUT:
            raise UnknownState(
                "the state was written by another version of adwatch: its columns are laid out in another way. "
                "Go back to that version, or delete the state, which is then made anew from the log"
            )
        pipeline = cls(settings)
        registry = pipeline._registry
        for prefix, table in (
            ("series", registry.series),
            ("sources", registry.sources),
            ("accounts", registry.accounts),
            ("parts", registry.parts.rows),
        ):
            table.fill(prefix, arrays)
        pipeline._waiting.fill("waiting", arrays)
        pipeline._closed.fill("closed", arrays)
        pipeline._parts_waiting.fill("parts_waiting", arrays)
        pipeline._ids = Ids.of(arrays["ids"], arrays["id_hours"])
        registry.windows = np.concatenate([arrays["windows"], np.zeros((3, 64, MEASURES), np.int64)], axis=1)
        registry.scopes = [tuple(scope) for scope in plain["scopes"]]
        registry.currencies = list(plain["currencies"])
        registry.zones = list(plain["zones"])
        registry.parts.scopes = [Part(*part) for part in plain["parts"]]
        registry.index()
        pipeline._sizes = arrays["sizes"]
        pipeline.tick_ms, pipeline.counts = plain["tick_ms"], plain["counts"]
        pipeline._day_ms = pipeline.tick_ms // DAY_MS * DAY_MS
        pipeline._clocks.resume(pipeline._day_ms)
        pipeline._fence = Fence(plain["fence"])
        pipeline._snapshots = Snapshots.of_state(plain["snapshots"])
        pipeline._metrics = Metrics.of_state(settings, plain["metrics"])
        pipeline._life = Life.of_state(plain["life"])
        pipeline._statuses.update({(a, s, c): status for a, s, c, status in plain["statuses"]})
        pipeline._rivals.restore(plain["rivals"])
        pipeline._attention = Attention(
            registry, pipeline._life, pipeline._statuses, pipeline._rivals.replaced, settings.implausibly_good
        )
        return pipeline
