"""What the pages read. The ledger of the notifiers implements it through ``service.wiring``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from alerts.change import AlertChange


@dataclass(frozen=True, slots=True)
class Told:
    """One attempt to tell somebody: the channel, what was said, how it stands."""

    channel: str
    what: str
    state: str
    tries: int
    last: str


class Book(Protocol):
    """Read access to what has been decided and said."""

    def latest(self, limit: int) -> Sequence[AlertChange]:
        """The newest change of every alert, at most ``limit``: open ones before resolved ones."""

    def changes(self, alert_id: str) -> Sequence[AlertChange]:
        """All changes of one alert in order; empty when there is no such alert."""

    def told(self, alert_id: str) -> Sequence[Told]:
        """Who was told about one alert, and how that went."""
