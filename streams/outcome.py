"""What feeding a batch to the pipeline gives back."""

from __future__ import annotations

from dataclasses import dataclass, field

from alerts.change import AlertChange


@dataclass(frozen=True, slots=True)
class Refused:
    """A fact the pipeline could not use: its row in the batch, a reason from a closed set, and words for a human."""

    row: int
    reason: str
    detail: str


@dataclass(slots=True)
class Outcome:
    """Alert changes in order, and the facts that were refused."""

    changes: list[AlertChange] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
