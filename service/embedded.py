"""The whole road in one process, no broker: journal → pipeline → ledger.

Facts are on disk before anyone is told that they were taken; state and position are one record; what a crash leaves
is the newest snapshot and the journal after it.  Replaying that tail decides the same changes again, and the ledger
drops what it already has, so a ``kill -9`` loses nothing and says nothing twice.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from alerts.change import AlertChange
from events.batch import Batch, Kind
from events.codec import Decoded, Decoder, Reject
from service.errors import StoreError
from service.journal import Journal
from streams.outcome import Outcome
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings

SNAPSHOT_EVERY_BYTES = 32 << 20
SHOWN_REJECTS = 100


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A line that was not taken: its number from 1, the reason from a closed set, and words."""

    line: int
    reason: str
    detail: str


@dataclass(slots=True)
class Taken:
    """What became of a post: how many facts count now, and what was refused (the first hundred in words)."""

    accepted: int = 0
    rejected: int = 0
    rejects: list[NotTaken] = field(default_factory=list)


class Observer(Protocol):
    """Is told what happens; implemented by metrics and logs."""

    def taken(self, batch: Batch, rejects: Sequence[Reject]) -> None:
        """Facts were taken and lines refused."""

    def decided(self, outcome: Outcome) -> None:
        """The pipeline has judged."""

    def delivery_failed(self, error: str) -> None:
        """A change could not be handed on; it is kept and tried again."""


class Embedded:
    """One journal, one pipeline, one place to deliver to. Thread-safe; one post or tick at a time."""

    def __init__(
        self,
        settings: DetectionSettings,
        journal: Journal,
        deliver: Callable[[AlertChange], None],
        observer: Observer,
    ) -> None:
        self.journal = journal
        self.pipeline = Pipeline(settings)
        self.newest_tick_ms: int | None = None
        self._settings = settings
        self._decoder = Decoder()
        self._deliver = deliver
        self._observer = observer
        self._lock = threading.Lock()
        self._waiting: deque[AlertChange] = deque()
        self._snapshot_at = 0

    def recover(self) -> int:
        """Load the newest snapshot and replay the journal after it; the number of facts replayed."""
        with self._lock:
            position = self._load_snapshot()
            facts = 0
            for lines in self.journal.read_from(position):
                batch = self._decoder.decode_block(lines).batch
                facts += len(batch)
                self._feed(batch)
                self._hand_on()
            return facts

    def take(self, lines: bytes) -> Taken:
        """Take NDJSON facts: what is good is on disk and judged when this returns.

        Raises :class:`StoreError` when the disk refuses; nothing was taken then.
        """
        with self._lock:
            decoded = self._decoder.decode_block(lines)
            self._hand_on()
            self.journal.append(_kept(lines, decoded.rejects))
            self._observer.taken(decoded.batch, decoded.rejects)
            outcome = self._feed(decoded.batch)
            self._hand_on(patient=True)
            self._snapshot_when_due()
        return _told(decoded, outcome)

    def tick(self, at_ms: int) -> None:
        """Write the time into the log, as a fact like any other."""
        self.take(b'{"fact":"tick","at":%d}\n' % at_ms)

    def snapshot(self) -> None:
        """Keep the state now, so that the next start has little to replay."""
        with self._lock:
            self._save_snapshot()

    @property
    def has_facts(self) -> bool:
        """Whether anything but ticks has ever been taken."""
        return self.pipeline.counts["accepted"] > 0

    @property
    def undelivered(self) -> int:
        """Changes decided that the store has not taken yet."""
        return len(self._waiting)

    def _load_snapshot(self) -> int:
        found = self.journal.load_snapshot()
        if found is None:
            return 0
        data, position = found
        self.pipeline = Pipeline.restore(self._settings, data)
        self._snapshot_at = position
        return position

    def _feed(self, batch: Batch) -> Outcome:
        outcome = self.pipeline.feed(batch)
        ticks = batch.at_ms[batch.kind == Kind.TICK]
        if len(ticks):
            self.newest_tick_ms = max(int(ticks.max()), self.newest_tick_ms or 0)
        self._waiting.extend(outcome.changes)
        self._observer.decided(outcome)
        return outcome

    def _hand_on(self, patient: bool = False) -> None:
        """Deliver what waits. A store that fails keeps it waiting: the journal has the facts, so nothing is lost."""
        while self._waiting:
            try:
                self._deliver(self._waiting[0])
            except StoreError as error:
                self._observer.delivery_failed(str(error))
                if patient:
                    return
                raise
            self._waiting.popleft()

    def _snapshot_when_due(self) -> None:
        if self.journal.position - self._snapshot_at >= SNAPSHOT_EVERY_BYTES:
            self._save_snapshot()

    def _save_snapshot(self) -> None:
        if self._waiting:
            return  # a snapshot must not stand after a change that nobody has taken
        self.journal.save_snapshot(self.pipeline.snapshot(), self.journal.position)
        self._snapshot_at = self.journal.position


def _kept(lines: bytes, rejects: Sequence[Reject]) -> bytes:
    """``lines`` without the rejected ones, ending in a newline."""
    bad = {reject.line for reject in rejects}
    if not bad:
        return lines if not lines or lines.endswith(b"\n") else lines + b"\n"
    kept = [line for number, line in enumerate(lines.split(b"\n")) if number not in bad and line.strip()]
    return b"".join(line + b"\n" for line in kept)


def _told(decoded: Decoded, outcome: Outcome) -> Taken:
    """What the sender hears: both the codec's and the pipeline's refusals, by line."""
    refused = [NotTaken(one.line + 1, one.reason, one.detail) for one in decoded.rejects]
    refused += [NotTaken(int(decoded.line_of[one.row]) + 1, one.reason, one.detail) for one in outcome.refused]
    refused.sort(key=lambda one: one.line)
    return Taken(len(decoded.batch) - len(outcome.refused), len(refused), refused[:SHOWN_REJECTS])
