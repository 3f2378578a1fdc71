"""What can go wrong in telling, and whose fault it is. No message holds a secret.

``NotifierError``
``├─ StoreError``     the database: full, locked, read-only, not there; tried again, nothing is lost
``└─ Fault``          a channel could not say it
``   ├─ Refused``     for good: the settings or the message are wrong; goes to the dead letters
``   ├─ Unreachable`` for now, and surely not said; tried again
``   └─ Ambiguous``   perhaps said; the channel is asked before it is said again
"""

from __future__ import annotations


class NotifierError(Exception):
    """An error of this room."""


class StoreError(NotifierError):
    """The database did not do what was asked; names its URL without the password."""


class Fault(NotifierError):
    """A channel could not say a message, or cannot tell whether it did.

    ``reason`` is one of a closed set of words, fit for a metric's label.
    """

    def __init__(self, words: str, reason: str = "other") -> None:
        super().__init__(words)
        self.reason = reason


class Refused(Fault):
    """The other side will never take this message."""


class Unreachable(Fault):
    """Not said. ``retry_after_s`` is what the other side asked for, in seconds, where it did."""

    def __init__(self, words: str, reason: str = "other", retry_after_s: float | None = None) -> None:
        super().__init__(words, reason)
        self.retry_after_s = retry_after_s


class Ambiguous(Fault):
    """Perhaps said: the answer was lost."""
