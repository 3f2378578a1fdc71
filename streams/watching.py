"""What the shells on Kafka tell an observer; metrics and logs implement it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alerts.change import AlertChange
from events.batch import Batch


class RoadObserver(Protocol):
    """Is told what happens on the road. Calls are made in the shell's own thread and must not block."""

    def folded(self, partition: int, batch: Batch, changes: Sequence[AlertChange]) -> None:
        """A worker has fed a batch of ``partition`` to its pipeline, and these changes came of it."""

    def refused(self, reason: str) -> None:
        """One line or fact went to the dead-letter topic."""

    def packed(self, facts: int, messages: int) -> None:
        """An intake has written ``facts`` in ``messages`` packs, confirmed by the broker."""

    def state_written(self, partition: int, row_bytes: int) -> None:
        """A worker's state row is confirmed."""

    def behind(self, partition: int, messages: int) -> None:
        """How many messages of ``partition`` this worker has not yet applied."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """The partitions that this worker now holds, ready to work."""


class Unwatched:
    """An observer that looks away."""

    def folded(self, partition: int, batch: Batch, changes: Sequence[AlertChange]) -> None:
        """See :class:`RoadObserver`."""

    def refused(self, reason: str) -> None:
        """See :class:`RoadObserver`."""

    def packed(self, facts: int, messages: int) -> None:
        """See :class:`RoadObserver`."""

    def state_written(self, partition: int, row_bytes: int) -> None:
        """See :class:`RoadObserver`."""

    def behind(self, partition: int, messages: int) -> None:
        """See :class:`RoadObserver`."""

    def assigned(self, partitions: Sequence[int]) -> None:
        """See :class:`RoadObserver`."""
