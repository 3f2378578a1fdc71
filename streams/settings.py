"""Settings of the streams and of detection; every key has a default that works."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_DAYS = {"day": 1.0, "week": 7.0, "month": 30.0, "quarter": 91.0, "year": 365.0}


class NamedModel(BaseModel):
    """A River model by its dotted name (``anomaly.HalfSpaceTrees``, ``mypackage.module.Class``) and its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    parameters: dict[str, Any] = Field(default_factory=dict)


class DetectionSettings(BaseModel):
    """What is watched, and how often an account may be disturbed for nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    false_alarms: str = Field("1 per month", description="how often one account may be disturbed for nothing, in words")
    conversions: tuple[str, ...] = Field(
        ("purchase", "lead", "install"), description="conversion names that CPA and ROAS are made of"
    )
    lateness_ms: int = Field(
        600_000, ge=0, description="how far a source that sends no watermarks is taken to be behind its newest fact"
    )
    horizon_ms: int = Field(
        86_400_000, ge=3_600_000, le=7 * 86_400_000, description="how long ids are remembered and panes corrected"
    )
    future_ms: int = Field(86_400_000, ge=60_000, description="a fact further ahead of the last tick is refused")
    metric_model: str | None = Field(
        None,
        description="a River model for metric facts in place of our own, by its dotted name: anomaly.HalfSpaceTrees",
    )
    metric_parameters: dict[str, Any] = Field(default_factory=dict, description="the parameters of metric_model")
    models: dict[Literal["cpa_spike", "roas_drop"], NamedModel] = Field(
        default_factory=dict, description="River models in place of our own detectors, judging hourly CPA or ROAS"
    )
    account_anomaly: bool = Field(False, description="Google's Account Anomaly Detector rule as well, for comparison")

    @field_validator("false_alarms")
    @classmethod
    def _readable(cls, words: str) -> str:
        days_between(words)
        return words

    @property
    def quiet_days(self) -> float:
        """Days between two false alarms of one account, as promised."""
        return days_between(self.false_alarms)


def days_between(words: str) -> float:
    """Days between false alarms from words such as ``1 per month`` or ``2 per week``.

    >>> days_between("1 per month"), days_between("2 per week")
    (30.0, 3.5)
    """
    match = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s+(?:per|a|an)\s+(\d+(?:\.\d+)?\s+)?(day|week|month|quarter|year)s?\s*", words
    )
    if match is None or float(match[1]) <= 0.0:
        raise ValueError(f"{words!r} is not of the form '1 per month' (day, week, month, quarter, year)")
    return float(match[2] or 1.0) * _DAYS[match[3]] / float(match[1])
