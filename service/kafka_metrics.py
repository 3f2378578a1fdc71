"""Metrics of the processes beside Kafka."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.change import AlertChange
from events.batch import Batch
from service.metrics import Metrics


class RoadMetrics(Metrics):
    """What worker and intake tell about the road."""

    def __init__(self) -> None:
        super().__init__()
        self.lag = self._gauge("adwatch_lag_messages", "Messages not yet applied, by partition.", "partition")
        self.held = self._gauge("adwatch_assigned_partitions", "Partitions that this worker holds.")
        self.packs = self._counter("adwatch_packs", "Messages written to the facts topic.")
        self.packed_facts = self._counter("adwatch_packed_facts", "Facts written to the facts topic.")
        self.state_rows = self._counter("adwatch_state_rows", "State rows written and confirmed.")
        self.state_bytes = self._gauge("adwatch_state_row_size_bytes", "Newest state row, by partition.", "partition")
        self._works = False

    def waits_for(self) -> str | None:
        """``None`` once partitions are assigned."""
        return None if self._works else "no partition is assigned yet"

    def folded(self, partition: int, batch: Batch, changes: Sequence[AlertChange]) -> None:
        """A worker has fed a batch to its pipeline."""
        self.taken(batch, ())
        self.changed(changes)

    def refused(self, reason: str) -> None:
        """One line or fact went to the dead-letter topic."""
        self.reject(reason)

    def packed(self, facts: int, messages: int) -> None:
        """An intake has written packs, confirmed by the broker."""
        self._works = True
        self.packed_facts.inc(facts)
        self.packs.inc(messages)

    def state_written(self, partition: int, row_bytes: int) -> None:
        """A worker's state row is confirmed."""
        self.state_rows.inc()
        self.state_bytes.labels(str(partition)).set(row_bytes)

    def behind(self, partition: int, messages: int) -> None:
        """How far a partition is behind."""
        self.lag.labels(str(partition)).set(messages)

    def assigned(self, partitions: Sequence[int]) -> None:
        """The partitions that this worker now holds."""
        self._works = True
        self.lag.clear()
        self.state_bytes.clear()
        self.held.set(len(partitions))
