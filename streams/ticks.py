"""Ticks for a history that holds none: one per minute of the log's own clock, placed the same way for every reader.

The log's clock is the running maximum of ``known_at_ms``.  A tick at the minute boundary ``m`` stands before the first
fact with which the clock reaches ``m``; one tick opens the history (at the boundary at or before its start) and one
closes it (at the boundary after its last moment).  Four rules keep one bad fact from spoiling that:

* A fact more than ``believe_gap_ms`` ahead of the clock moves it only if more than half of the next ``look_ahead``
  facts (fewer at the end of the history) stand beyond that gap too.  Nobody vouches for a lone last fact.
* The first fact starts the clock unless more than half of the facts after it stand more than the gap before it.
* A believed leap of more than ``silence_ms`` is a new start, not a silence: one tick, not one for every minute.
* A history that holds ticks of its own is left alone.  It holds them if a tick fact comes before the clock has crossed
  two boundaries (two, because a live ticker may be a moment later than the facts).  Should tick facts begin only
  later, the history is left alone from the first of them on.

Every decision depends on the order of the facts alone, never on how they were cut into blocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from events.batch import NO_ORIGIN, Batch, Ints, Keys, Kind
from events.columns import blank, concatenate

MINUTE_MS = 60_000
DAY_MS = 86_400_000
NO_LINE = 0
"""The line number of a row that stands in no file: a tick made here (lines count from 1)."""

_NONE: Ints = np.empty(0, np.int64)
_FIRST_STRETCH = 256
_ROWS_A_BLOCK = 262_144

Item = TypeVar("Item")
Tag = TypeVar("Tag")


@dataclass(frozen=True, slots=True)
class Cuts:
    """Where ticks stand: tick ``at_ms[i]`` comes right before row ``before[i]``, counted from the history's start.

    All rows below ``ready`` are decided: no later cut falls at or before ``ready - 1``.
    """

    before: Ints
    at_ms: Ints
    ready: int


class TickMaker:
    """Decides where ticks stand, from the ``known_at_ms`` of the facts and which of them are ticks.

    >>> maker = TickMaker()
    >>> cuts = maker.push(np.array([5_000, 61_000, 200_000]), np.zeros(3, bool))
    >>> last = maker.finish()
    >>> [(int(row), int(at)) for c in (cuts, last) for row, at in zip(c.before, c.at_ms)]
    [(0, 0), (1, 60000), (2, 120000), (2, 180000), (3, 240000)]
    """

    def __init__(
        self,
        period_ms: int = MINUTE_MS,
        believe_gap_ms: int = DAY_MS,
        look_ahead: int = 20,
        silence_ms: int = 366 * DAY_MS,
    ) -> None:
        self.period_ms, self.believe_gap_ms = period_ms, believe_gap_ms
        self.look_ahead, self.silence_ms = look_ahead, silence_ms
        self.own_ticks = False
        """Whether the history has shown ticks of its own; none are made from there on."""
        self._clock_ms: int | None = None
        self._start_ms = 0
        self._sure = False
        self._row = 0
        self._known: Ints = _NONE
        self._ticks: NDArray[np.bool_] = np.empty(0, bool)
        self._before: list[Ints] = []
        self._at: list[Ints] = []

    def push(self, known_at_ms: Ints, is_tick: NDArray[np.bool_]) -> Cuts:
        """Take the next facts, in log order; answer with what is decided by now."""
        return self._go_on(known_at_ms, is_tick, last=False)

    def finish(self) -> Cuts:
        """Say that no more facts follow; answer with the rest, the closing tick included."""
        self._go_on(_NONE, np.empty(0, bool), last=True)
        self._sure = True
        if not self.own_ticks and self._clock_ms is not None:
            self._cut(self._row, (self._clock_ms // self.period_ms + 1) * self.period_ms)
        return self._decided()

    def _go_on(self, known: Ints, ticks: NDArray[np.bool_], last: bool) -> Cuts:
        if self.own_ticks:
            self._row += len(known)
            return self._decided()
        self._known = np.concatenate((self._known, known))
        self._ticks = np.concatenate((self._ticks, ticks))
        at = self._walk(int(self._ticks.argmax()) if self._ticks.any() else len(self._known), last)
        if at < len(self._known) and self._ticks[at]:
            self._stand_back()
            at = len(self._known)
        self._row += at
        self._known, self._ticks = self._known[at:], self._ticks[at:]
        return self._decided() if not last else Cuts(_NONE, _NONE, self._row)

    def _walk(self, end: int, last: bool) -> int:
        """Move the clock over the held rows below ``end``; the row at which it had to wait for more, or ``end``."""
        at, stretch = 0, _FIRST_STRETCH
        while at < end:
            if self._clock_ms is not None:
                calm = self._calm(at, min(end, at + stretch))
                at, stretch = at + calm, stretch * 2 if calm else _FIRST_STRETCH
                if calm:
                    continue
            ahead = self._known[at + 1 : at + 1 + self.look_ahead]
            if len(ahead) < self.look_ahead and not last:
                return at
            self._judge(at, ahead)
            at += 1
        return at

    def _calm(self, start: int, end: int) -> int:
        """Move the clock over rows that do not leap; how many they were."""
        assert self._clock_ms is not None
        known = self._known[start:end]
        clock = np.maximum.accumulate(np.concatenate(([self._clock_ms], known)))
        leaps = known > clock[:-1] + self.believe_gap_ms
        calm = int(leaps.argmax()) if leaps.any() else len(known)
        self._advance(self._row + start, clock[: calm + 1])
        return calm

    def _judge(self, at: int, ahead: Ints) -> None:
        """Decide on a fact that leaps ahead of the clock, or that would start it."""
        known = int(self._known[at])
        if self._clock_ms is None:
            if 2 * int((ahead < known - self.believe_gap_ms).sum()) <= len(ahead):
                self._clock_ms = self._start_ms = known
                self._cut(0, known // self.period_ms * self.period_ms)
        elif 2 * int((ahead > self._clock_ms + self.believe_gap_ms).sum()) > len(ahead):
            if known - self._clock_ms > self.silence_ms:
                self._clock_ms, self._sure = known, True
                self._cut(self._row + at, known // self.period_ms * self.period_ms)
            else:
                self._advance(self._row + at, np.array([self._clock_ms, known]))

    def _advance(self, row: int, clock: Ints) -> None:
        """Cut at every boundary between ``clock[i]`` and ``clock[i + 1]``, the latter reached by ``row + i``."""
        boundary = clock // self.period_ms
        crossed = np.diff(boundary)
        if total := int(crossed.sum()):
            self._before.append(np.repeat(np.arange(row, row + len(crossed)), crossed))
            self._at.append((boundary[0] + 1 + np.arange(total)) * self.period_ms)
        self._clock_ms = int(clock[-1])
        self._sure |= int(boundary[-1]) >= self._start_ms // self.period_ms + 2

    def _cut(self, row: int, at_ms: int) -> None:
        self._before.append(np.array([row]))
        self._at.append(np.array([at_ms]))

    def _stand_back(self) -> None:
        self.own_ticks = True
        if not self._sure:
            self._before, self._at, self._sure = [], [], True

    def _decided(self) -> Cuts:
        if not (self._sure or self.own_ticks):
            return Cuts(_NONE, _NONE, 0)
        cuts = Cuts(np.concatenate([_NONE, *self._before]), np.concatenate([_NONE, *self._at]), self._row)
        self._before, self._at = [], []
        return cuts


@dataclass(frozen=True, slots=True)
class Ticked(Generic[Tag]):
    """A batch with its ticks, the line of each row (``NO_LINE`` for ticks made here) and what it came with."""

    batch: Batch
    line_of: Ints
    tag: Tag | None


class Ticker(Generic[Tag]):
    """Puts ticks into batches as they stream by; holds back a batch until all of its rows are decided.

    ``tag`` is whatever the caller wants back with the rows of a batch (the name of its file).
    """

    def __init__(self, maker: TickMaker | None = None) -> None:
        self._maker = maker or TickMaker()
        self._held: deque[Ticked[Tag]] = deque()
        self._given = 0
        self._keys = Keys()
        self._cuts = Cuts(_NONE, _NONE, 0)

    def push(self, batch: Batch, line_of: Ints, tag: Tag | None = None) -> Iterator[Ticked[Tag]]:
        """Take the next batch; yield what is decided, in order. Consume it before the next call."""
        self._held.append(Ticked(batch, line_of, tag))
        self._keys = batch.keys
        self._merge(self._maker.push(batch.known_at_ms, batch.kind == Kind.TICK))
        while self._held and self._given + len(self._held[0].batch) <= self._cuts.ready:
            yield from self._release(self._held.popleft())

    def finish(self) -> Iterator[Ticked[Tag]]:
        """Yield what was held back, and the closing tick."""
        self._merge(self._maker.finish())
        while self._held:
            yield from self._release(self._held.popleft())
        if len(self._cuts.at_ms):
            yield from insert(
                Ticked(blank(np.empty(0, np.uint8), self._keys), _NONE, None),
                self._cuts.before - self._given,
                self._cuts.at_ms,
            )

    def _merge(self, new: Cuts) -> None:
        old = self._cuts
        before, at_ms = np.concatenate((old.before, new.before)), np.concatenate((old.at_ms, new.at_ms))
        self._cuts = Cuts(before, at_ms, max(new.ready, old.ready))

    def _release(self, held: Ticked[Tag]) -> Iterator[Ticked[Tag]]:
        cuts, end = self._cuts, self._given + len(held.batch)
        mine = int(np.searchsorted(cuts.before, end))
        before = cuts.before[:mine] - self._given
        self._cuts = Cuts(cuts.before[mine:], cuts.at_ms[mine:], cuts.ready)
        self._given = end
        return insert(held, before, cuts.at_ms[:mine])


class ItemTicker(Generic[Item]):
    """The same decisions for items of any kind (raw lines): items and, where a tick stands, its epoch milliseconds.

    >>> ticker = ItemTicker[bytes]()
    >>> out = list(ticker.push([b"a", b"b"], np.array([5_000, 130_000]), np.zeros(2, bool)))
    >>> out + list(ticker.finish())
    [0, b'a', 60000, 120000, b'b', 180000]
    """

    def __init__(self, maker: TickMaker | None = None) -> None:
        self._maker = maker or TickMaker()
        self._held: deque[Item] = deque()
        self._given = 0

    def push(self, items: Sequence[Item], known_at_ms: Ints, is_tick: NDArray[np.bool_]) -> Iterator[Item | int]:
        """Take the next items and their ``known_at_ms``; yield what is decided. Consume it before the next call."""
        self._held.extend(items)
        return self._give(self._maker.push(known_at_ms, is_tick))

    def finish(self) -> Iterator[Item | int]:
        """Yield what was held back, and the closing tick."""
        return self._give(self._maker.finish())

    def _give(self, cuts: Cuts) -> Iterator[Item | int]:
        for before, at_ms in zip(cuts.before.tolist(), cuts.at_ms.tolist(), strict=True):
            yield from self._until(before)
            yield at_ms
        yield from self._until(cuts.ready)

    def _until(self, row: int) -> Iterator[Item]:
        while self._given < row:
            self._given += 1
            yield self._held.popleft()


def with_ticks(batch: Batch, maker: TickMaker | None = None) -> Batch:
    """A whole history in one batch, with the ticks it needs."""
    ticker: Ticker[None] = Ticker(maker)
    line_of = np.zeros(len(batch), np.int64)
    return concatenate(
        [*(t.batch for t in ticker.push(batch, line_of)), *(t.batch for t in ticker.finish())], batch.keys
    )


def insert(held: Ticked[Tag], before: Ints, at_ms: Ints) -> Iterator[Ticked[Tag]]:
    """``held`` with ticks before the rows ``before`` (ascending), in pieces of a bounded number of rows."""
    if not len(before):
        yield held
        return
    rows = len(held.batch) + len(before)
    source, tick_at = np.full(rows, -1, np.int64), np.zeros(rows, np.int64)
    ticks = before + np.arange(len(before))
    tick_at[ticks] = at_ms
    facts = np.ones(rows, bool)
    facts[ticks] = False
    source[facts] = np.arange(len(held.batch))
    for start in range(0, rows, _ROWS_A_BLOCK):
        piece = slice(start, start + _ROWS_A_BLOCK)
        yield _pick(held, source[piece], tick_at[piece])


def _pick(held: Ticked[Tag], source: Ints, tick_at: Ints) -> Ticked[Tag]:
    """The rows ``source`` of a batch, ticks where it is -1. The rows that are no ticks follow one another."""
    old, tick = held.batch, source < 0
    facts = np.flatnonzero(~tick)
    first = int(source[facts[0]]) if len(facts) else 0
    rows = slice(first, first + len(facts))

    def column(values: Any, filler: int) -> Any:
        out = np.full(len(source), filler, values.dtype)
        out[facts] = values[rows]
        return out

    columns: dict[str, Any] = {name: column(getattr(old, name), filler) for name, filler in _FILLERS.items()}
    new = replace(old, **columns)
    new.kind[tick], new.at_ms[tick], new.known_at_ms[tick] = Kind.TICK, tick_at[tick], tick_at[tick]
    new.rare = {int(facts[row - first]): fact for row, fact in old.rare.items() if rows.start <= row < rows.stop}
    if old.origin is not None and old.origin_offset is not None:
        new.origin, new.origin_offset = column(old.origin, NO_ORIGIN), column(old.origin_offset, -1)
    return Ticked(new, column(held.line_of, NO_LINE), held.tag)


_FILLERS = {
    "kind": int(Kind.TICK),
    "at_ms": 0,
    "known_at_ms": 0,
    "key": -1,
    "id_hash": 0,
    "cost_micros": 0,
    "impressions": 0,
    "clicks": 0,
    "conversions": 0,
    "value_micros": 0,
    "lag_ms": -1,
}
