"""Settings of the streams and of detection; every key has a default that works."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DetectionSettings(BaseModel):
    """What is watched, and how often an account may be disturbed for nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    false_alarms: str = "1 per month"
    lateness_ms: int = 600_000
