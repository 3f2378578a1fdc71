"""What a channel is: one way to a person. Each channel is one file, with its settings beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from alerts.change import AlertChange
from notifiers.message import Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message for one receiver.

    ``delivery_id`` is opaque and the same for every try.  ``place`` is where the alert's first message stands, from
    an earlier receipt; empty when this is the first.  ``escalated``: it has become critical since it was last said.
    ``accepted_ms`` is when the ledger took the change, ``tried_ms`` when the first try began.
    """

    delivery_id: str
    message: Message
    change: AlertChange
    place: Mapping[str, str] = field(default_factory=dict)
    escalated: bool = False
    accepted_ms: int = 0
    tried_ms: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that it was said: ``place`` is what the channel needs to say more about the same alert."""

    place: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


class Channel(Protocol):
    """One way to a person. Not shared between threads."""

    @property
    def name(self) -> str:
        """The receiver's name in the ledger; stays the same over restarts."""

    @property
    def pace_s(self) -> float:
        """The least time between two messages, in seconds."""

    @property
    def promise(self) -> str:
        """What is promised about repeats, for the status page."""

    def send(self, delivery: Delivery) -> Receipt:
        """Say it. Raises :class:`~notifiers.errors.Refused`, ``Unreachable`` or ``Ambiguous``, nothing else."""

    def find(self, delivery: Delivery) -> Receipt | None:
        """Whether it has been said already; ``None``: it has not, or nobody can know. Raises as :meth:`send` does."""

    def close(self) -> None:
        """Let go of connections."""
