"""Metric facts: any other number, judged by one detector per series at the next tick."""

from __future__ import annotations

from typing import Any

from alerts.change import AlertChange
from alerts.life import Life
from streams.settings import DetectionSettings


class Metrics:
    """The detectors of all metric series of a partition."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings

    def take(self, fact: Any) -> None:
        """Keep a reading for the next tick."""

    def tick(self, at_ms: int, life: Life) -> list[AlertChange]:
        """Judge the readings that came, in order of their time."""
        return []

    def to_state(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {}

    @classmethod
    def of_state(cls, settings: DetectionSettings, state: dict[str, Any]) -> Metrics:
        """The inverse of :meth:`to_state`."""
        return cls(settings)
