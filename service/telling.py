"""What relays tell: counted, and logged when it changes, not each time."""

from __future__ import annotations

import logging

from service.logs import event
from service.metrics import Metrics

log = logging.getLogger(__name__)


class Telling:
    """The observer of one relay."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._troubled = False

    def attempted(self, receiver: str, outcome: str, reason: str) -> None:
        """A try ended."""
        self._metrics.attempts.labels(receiver, outcome, reason).inc()

    def said(self, receiver: str, latency_s: float) -> None:
        """Somebody was told."""
        self._metrics.told.labels(receiver).observe(latency_s)
        if self._troubled:
            log.warning(event("tells_again", receiver=receiver))
        self._troubled = False

    def dead(self, receiver: str, words: str) -> None:
        """A message was given up."""
        log.error(event("message_given_up", receiver=receiver, reason=words))

    def failed(self, receiver: str, words: str) -> None:
        """A try failed and is repeated."""
        self._say("cannot_tell", receiver, words)

    def store_failed(self, receiver: str, words: str) -> None:
        """The database refused."""
        self._say("store_refuses", receiver, words)

    def _say(self, name: str, receiver: str, words: str) -> None:
        if not self._troubled:
            log.error(event(name, receiver=receiver, reason=words))
        self._troubled = True
