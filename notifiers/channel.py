"""What a channel is: it says one delivery, or says whose fault it is that it did not.

::

    NotSaid
    |-- Refused       the channel will never take it: a dead letter
    |-- Unreachable   not now; nothing was said; try again, no sooner than ``retry_after_s``
    `-- Ambiguous     it may have been said: look for it before saying it again
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from alerts.change import AlertChange


class NotSaid(Exception):
    """A delivery that has not (surely) reached its receiver. The text never holds a secret."""


class Refused(NotSaid):
    """The receiver will never take this delivery as it is."""


class Unreachable(NotSaid):
    """The receiver cannot be had now, and nothing was said. ``retry_after_s`` is its own wish, if it had one."""

    def __init__(self, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class Ambiguous(NotSaid):
    """The connection broke after the delivery was sent: it may have been said."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a delivery stands at its receiver: ``place`` (a Slack channel id, a mailbox) and ``message`` in it."""

    place: str
    message: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The newest state of one alert for one receiver.

    ``delivery_id`` is the same at every attempt.  ``said`` is the receipt of the first message about this alert
    there (``None``: nothing was said yet).  ``skipped`` counts older states that this one stands for, because they
    waited while the receiver was away.
    """

    delivery_id: str
    receiver: str
    change: AlertChange
    said: Receipt | None
    skipped: int = 0


class Channel(Protocol):
    """One way of reaching people. ``pace_s`` is the least time between two deliveries, in seconds."""

    @property
    def name(self) -> str:
        """The receiver's name in settings, outbox and metrics: ``slack``, ``email``, ``console`` …"""

    @property
    def pace_s(self) -> float:
        """Seconds to leave between two deliveries."""

    def send(self, delivery: Delivery) -> Receipt:
        """Say it. Raises :class:`NotSaid`. For an update gives the receipt of the message that stands for the alert."""

    def find(self, delivery: Delivery, since_ms: int) -> Receipt | None:
        """The receipt of this delivery if the receiver has it since ``since_ms``; ``None`` if not, or if it cannot tell."""
