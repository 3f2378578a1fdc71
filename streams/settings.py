"""Settings of the streams and of detection; every key has a default that works."""

from __future__ import annotations

import re
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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

    false_alarms: str = Field(
        "1 per month",
        description="how often an account may be disturbed for nothing, in words; 1 per month per campaign works too",
    )
    implausibly_good: Literal["shown", "told"] = Field(
        "shown", description="far more conversions than spend explains: shown on the page only, or told as an alert"
    )
    time_zone: str = Field("UTC", description="IANA zone whose hours and weekdays count where nothing else is known")
    time_zones: dict[str, str] = Field(default_factory=dict, description="IANA zone by account")
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

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return known_zone(name)

    @field_validator("time_zones")
    @classmethod
    def _known_zones(cls, zones: dict[str, str]) -> dict[str, str]:
        return {account: known_zone(name) for account, name in zones.items()}

    @property
    def quiet_days(self) -> float:
        """Days between two false alarms of one account, or of one campaign, as promised."""
        return days_between(self.false_alarms)

    @property
    def per_campaign(self) -> bool:
        """Whether the promise is given for each campaign (and each wider scope) by itself."""
        return self.false_alarms.rstrip().endswith("campaign")


def known_zone(name: str) -> str:
    """``name`` if it is an IANA time zone; a ``ValueError`` that says so where it is none.

    >>> known_zone("Europe/Berlin")
    'Europe/Berlin'
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone such as Europe/Berlin") from None
    return name


def days_between(words: str) -> float:
    """Days between false alarms from words such as ``1 per month``, ``2 per week`` or ``1 per month per campaign``.

    >>> days_between("1 per month"), days_between("2 per week")
    (30.0, 3.5)
    """
    match = re.fullmatch(
        r"\s*(\d+(?:\.\d+)?)\s+(?:per|a|an)\s+(\d+(?:\.\d+)?\s+)?(day|week|month|quarter|year)s?"
        r"(?:\s+(?:per|for each)\s+(?:account|campaign))?\s*",
        words,
    )
    if match is None or float(match[1]) <= 0.0:
        raise ValueError(
            f"{words!r} is not of the form '1 per month' or '1 per month per campaign' "
            "(day, week, month, quarter, year)"
        )
    return float(match[2] or 1.0) * _DAYS[match[3]] / float(match[1])
