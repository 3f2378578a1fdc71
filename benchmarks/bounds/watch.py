"""A fleet watched by the whole product: facts in, openings of alerts out, with copies that go different ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from alerts.change import AlertChange, Turn
from benchmarks.bounds.drawing import Effect, Fleet, Source, Underway, chunks
from benchmarks.true_rates import know
from events.batch import Batch
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings


@dataclass(frozen=True, slots=True)
class Opening:
    """An alert that somebody was told of: account, campaign (-1: wider), signal and moment."""

    account: int
    campaign: int
    signal: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Saved:
    """A watch as it stood: the pipeline's snapshot, the source's clock, alerts open, conversions under way."""

    state: bytes
    now_ms: int
    open: dict[str, int]
    underway: Underway


Happens = Callable[[int, int, list[Opening]], Effect]
"""What happens in a chunk: its first interval, how many it has, and what was told before."""


class Watch:
    """One pipeline fed by one source of a fleet's facts."""

    def __init__(self, fleet: Fleet, seed: Iterable[int], settings: DetectionSettings | None = None) -> None:
        self.settings = settings or DetectionSettings()
        self.pipeline = Pipeline(self.settings)
        self.source = Source(fleet, np.random.default_rng(list(seed)))
        self.open: dict[str, int] = {}
        self.fed: list[Batch] | None = None
        """What was fed, once somebody put a list here."""

    def run(self, intervals: int, happens: Happens | None = None, most_h: int = 168) -> list[Opening]:
        """Go on for so many intervals, in chunks of at most ``most_h`` hours, or until every source is silent."""
        opened: list[Opening] = []
        first = 0
        known = self.source.fleet.cost_is_due
        for size in chunks(intervals, self.source.fleet, 1 if known else most_h):
            effect = Effect() if happens is None else happens(first, size, opened)
            if np.all(effect.silent):
                break
            batch = self.source.chunk(size, effect)
            if self.fed is not None:
                self.fed.append(batch)
            outcome = self.pipeline.feed(batch)
            if outcome.refused:
                raise RuntimeError(f"the pipeline refused a drawn fact: {outcome.refused[0]}")
            if known:
                know(self.pipeline.registry)
            opened += self._openings(outcome.changes)
            first += size
        return opened

    def _openings(self, changes: list[AlertChange]) -> list[Opening]:
        for change in changes:
            if change.change is Turn.RESOLVED:
                self.open.pop(change.alert_id, None)
            elif change.change is Turn.OPENED:
                self.open[change.alert_id] = int(change.account[1:])
        told = [c for c in changes if c.change is Turn.OPENED and c.muted_by is None]
        return [
            Opening(int(c.account[1:]), int(c.campaign[1:]) if c.campaign else -1, c.signal, moment_ms(c.at))
            for c in told
        ]

    def disturbed(self) -> set[int]:
        """Accounts with an alert open."""
        return set(self.open.values())

    def save(self) -> Saved:
        """The watch as it stands, to be taken up by :meth:`branch`."""
        return Saved(self.pipeline.snapshot(), self.source.now_ms, dict(self.open), self.source.underway)

    @classmethod
    def branch(cls, fleet: Fleet, saved: Saved, seed: Iterable[int]) -> Watch:
        """A copy that goes on from ``saved`` with draws of its own."""
        watch = cls(fleet, seed)
        watch.pipeline = Pipeline.restore(watch.settings, saved.state)
        watch.source.now_ms, watch.source.underway = saved.now_ms, saved.underway
        watch.open = dict(saved.open)
        return watch


def moment_ms(rfc3339: str) -> int:
    """Epoch milliseconds.

    >>> moment_ms("2026-01-01T00:00:00.000Z")
    1767225600000
    """
    return int(datetime.fromisoformat(rfc3339).timestamp() * 1000.0)
