"""What leaves the service: one change in the life of one alert, exactly as ``docs`` and the topic show it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Turn(StrEnum):
    """What happened to the alert."""

    OPENED = "opened"
    WORSENED = "worsened"
    RESOLVED = "resolved"


class Severity(StrEnum):
    """How much a human should mind."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Window(BaseModel):
    """The half-open stretch of time the figures speak of, RFC 3339 in UTC."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)
    from_: str = Field(alias="from")
    to: str


class Point(BaseModel):
    """One hour of an alert's history, for its chart; ``None`` where nothing is known."""

    model_config = ConfigDict(frozen=True)
    at: str
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None


class AlertChange(BaseModel):
    """One change of one alert. ``version`` counts the changes of an alert from 1.

    ``measure`` names what ``observed``, ``expected``, ``low`` and ``high`` are: ``cpa`` and ``value_per_conversion``
    in units of ``currency``, ``roas`` as a ratio, ``conversions`` as a count, otherwise the metric's own name.
    ``part`` is the leg or the conversion name of ``source`` that it is about, ``{"leg": "browser"}`` or
    ``{"name": "add_to_cart"}``; ``None``: all of them.
    ``money_at_risk_micros`` is per hour while it goes on.  ``history`` holds up to 48 hourly points for the chart.
    """

    model_config = ConfigDict(frozen=True)
    alert_id: str
    change: Turn
    version: int
    signal: str
    severity: Severity
    account: str
    source: str | None
    campaign: str | None
    part: dict[str, str] | None = None
    at: str
    started_at: str
    window: Window
    measure: str
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None
    evidence: float
    money_at_risk_micros: int | None
    currency: str | None
    cause: dict[str, Any] | None
    action: str
    muted_by: str | None
    history: tuple[Point, ...] = ()

    def to_line(self) -> bytes:
        """The change as one JSON line, byte for byte the same for the same change."""
        return (
            json.dumps(self.model_dump(by_alias=True, mode="json"), separators=(",", ":"), ensure_ascii=False).encode()
            + b"\n"
        )

    @classmethod
    def from_line(cls, line: bytes) -> AlertChange:
        """The inverse of :meth:`to_line`."""
        return cls.model_validate_json(line)


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC.

    >>> rfc3339(1_767_225_600_000)
    '2026-01-01T00:00:00.000Z'
    """
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
