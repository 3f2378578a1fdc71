"""Alerts to tell, and the real parts to tell them through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from alerts.change import AlertChange, Point, Turn, rfc3339

START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000


def make_change(version: int = 1, **fields: Any) -> AlertChange:
    """A CPA spike of an agency's campaign; what matters to a test is given by name."""
    onset = START_MS + 30 * HOUR_MS
    told: dict[str, Any] = {
        "alert_id": "cpa_spike-00000000000000a1",
        "change": Turn.OPENED if version == 1 else Turn.WORSENED,
        "version": version,
        "signal": "cpa_spike",
        "severity": "warning",
        "account": "acme",
        "source": "meta",
        "campaign": "Brand | Search | DE",
        "at": rfc3339(onset + 2 * HOUR_MS + version * 600_000),
        "started_at": rfc3339(onset),
        "window": {"from": rfc3339(onset), "to": rfc3339(onset + 2 * HOUR_MS)},
        "measure": "cpa",
        "observed": 24.37,
        "expected": 9.8,
        "low": 7.1,
        "high": 13.2,
        "evidence": 4.2,
        "money_at_risk_micros": 118_500_000,
        "currency": "EUR",
        "cause": {"kind": "deploy", "what": "checkout 2.14", "at": rfc3339(onset - 600_000)},
        "action": "Compare landing page, bid and audience changes since the start.",
        "muted_by": None,
        "history": history(onset),
    }
    return AlertChange.model_validate(told | fields)


def history(onset_ms: int, hours: int = 34) -> tuple[Point, ...]:
    """Calm hours, one of them unknown, then the spike."""
    points = []
    for hour in range(hours):
        at_ms = START_MS + hour * HOUR_MS
        level = 9.8 + (hour % 6) * 0.3
        seen = None if hour == 12 else level + (hour % 5) * 0.4 - 0.8
        if at_ms >= onset_ms:
            seen = 21.0 + (hour % 3) * 2
        points.append(Point(at=rfc3339(at_ms), observed=seen, expected=level, low=level - 2.6, high=level + 3.2))
    return tuple(points)


@pytest.fixture
def change() -> Callable[..., AlertChange]:
    """Makes alert changes."""
    return make_change
