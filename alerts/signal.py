"""A judged reading of one series: what the alerts room decides on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from alerts.change import Point


class Name(StrEnum):
    """The signals this service knows."""

    CPA_SPIKE = "cpa_spike"
    ROAS_DROP = "roas_drop"
    TRACKING_OUTAGE = "tracking_outage"
    IMPLAUSIBLY_GOOD = "implausibly_good"
    METRIC_ANOMALY = "metric_anomaly"
    ACCOUNT_ANOMALY = "account_anomaly"


@dataclass(frozen=True, slots=True)
class Signal:
    """One judged reading, with the figures a human needs.

    ``at_ms`` is the tick that judged; the figures speak of ``onset_ms`` to ``until_ms``.  ``evidence`` is log10 odds
    against chance; ``loss_micros`` is money per hour; ``share`` is the part of the account's spend the scope has
    (0..1); ``ratio`` is how many times worse than expected (1: as expected); ``part`` is the kind and the text of the
    part of the source that it is about (``("leg", "browser")``), ``None`` where it is about all of the scope.
    """

    name: str
    account: str
    source: str | None
    campaign: str | None
    at_ms: int
    onset_ms: int
    until_ms: int
    measure: str
    observed: float | None
    expected: float | None
    low: float | None
    high: float | None
    evidence: float
    ratio: float
    loss_micros: int | None
    share: float
    currency: str | None
    history: tuple[Point, ...] = ()
    part: tuple[str, str] | None = None

    @property
    def key(self) -> str:
        """What is told apart within a scope: the signal, for metrics the series as well, and the part of a source."""
        if self.part is not None:
            return part_key(self.name, self.part)
        return f"{self.name} {self.measure}" if self.name == Name.METRIC_ANOMALY else self.name

    @property
    def scope(self) -> tuple[str, str | None, str | None]:
        """Account, source and campaign; ``None`` where it is wider."""
        return self.account, self.source, self.campaign


def part_key(name: str, part: tuple[str, str]) -> str:
    """What a signal of a part of a source is told apart by.

    >>> part_key("tracking_outage", ("leg", "browser"))
    'tracking_outage leg=browser'
    """
    return f"{name} {part[0]}={part[1]}"


def covers(wide: tuple[str, str | None, str | None], narrow: tuple[str, str | None, str | None]) -> bool:
    """Whether the first scope is the second or contains it.

    >>> covers(("acme", "meta", None), ("acme", "meta", "brand")), covers(("acme", "meta", None), ("acme", None, None))
    (True, False)
    """
    return all(part is None or part == other for part, other in zip(wide, narrow, strict=True))
