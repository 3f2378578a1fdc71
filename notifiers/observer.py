"""Who is told what the relay does; metrics and logs implement it. Every label is from a closed set."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Is told what happens while messages are sent. Called from the relays' threads."""

    def attempted(self, receiver: str, outcome: str, reason: str) -> None:
        """A try ended: ``delivered``, ``found``, ``unreachable``, ``ambiguous`` or ``refused``, and why."""

    def said(self, receiver: str, latency_s: float) -> None:
        """Somebody was told, this long after the change was decided."""

    def dead(self, receiver: str, words: str) -> None:
        """A message was given up. ``words`` are for the log."""

    def failed(self, receiver: str, words: str) -> None:
        """A try failed and is repeated. ``words`` are for the log."""

    def store_failed(self, receiver: str, words: str) -> None:
        """The database refused; it is tried again."""


class Silent:
    """An observer that does nothing."""

    def attempted(self, receiver: str, outcome: str, reason: str) -> None:
        """Nothing."""

    def said(self, receiver: str, latency_s: float) -> None:
        """Nothing."""

    def dead(self, receiver: str, words: str) -> None:
        """Nothing."""

    def failed(self, receiver: str, words: str) -> None:
        """Nothing."""

    def store_failed(self, receiver: str, words: str) -> None:
        """Nothing."""
