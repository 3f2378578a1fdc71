"""The summary of a replay: what was read, what was said, what could not be used. One object, two forms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from alerts.change import AlertChange, Turn
from replay.history import RejectedLine
from replay.labels import moment_ms
from replay.score import Score

HOUR_MS = 3_600_000
DEAREST = 5


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Period(_Part):
    """The stretch of the log's clock: its first and its last tick, RFC 3339 in UTC."""

    from_: str = Field(alias="from")
    to: str


class DearAlert(_Part):
    """An alert and what it stood for: money at risk per hour, added up over its life, in micros of its currency."""

    alert_id: str
    signal: str
    severity: str
    account: str
    source: str | None
    campaign: str | None
    part: dict[str, str] | None
    opened_at: str
    resolved_at: str | None
    hours: float
    money_at_risk_micros: int
    currency: str | None


class Alerts(_Part):
    """Alerts by what they were when they opened; severities as they became at worst. Muted ones count apart."""

    opened: int
    muted: int
    still_open: int
    by_signal: dict[str, int]
    by_severity: dict[str, int]
    dearest: list[DearAlert]


class RejectGroup(_Part):
    """How many lines or facts were refused for one reason, and the first of them."""

    count: int
    file: str
    line: int
    detail: str


class Summary(_Part):
    """What a replay came to.

    ``series`` are distinct campaigns of a source of an account; ``facts`` counts what was read by kind, ``became`` what
    the pipeline made of it (late facts count, duplicates and repeats do not), and ``ticks_made`` what was added to it
    (see :mod:`streams.ticks`).
    """

    files: list[str]
    period: Period | None
    accounts: int
    sources: list[str]
    series: int
    facts: dict[str, int]
    became: dict[str, int]
    ticks_made: int
    alerts: Alerts
    rejects: dict[str, RejectGroup]
    score: Score | None = None


class RejectCount:
    """Counts refusals by reason and keeps the first of each."""

    def __init__(self) -> None:
        self.groups: dict[str, RejectGroup] = {}

    def add(self, one: RejectedLine) -> None:
        """Count one more."""
        known = self.groups.get(one.reason)
        count = known.count + 1 if known else 1
        first = known or RejectGroup(count=1, file=one.file, line=one.line, detail=one.detail)
        self.groups[one.reason] = first.model_copy(update={"count": count})


class _Life:
    """One alert while it is open, and the money it has stood for so far."""

    def __init__(self, opened: AlertChange) -> None:
        self.opened = self.latest = opened
        self.worst = opened
        self.money = 0

    def step(self, change: AlertChange) -> None:
        """Go on to the next change."""
        self._add_until(moment_ms(change.at))
        self.latest = change
        if change.change is Turn.WORSENED:
            self.worst = change

    def _add_until(self, at_ms: int) -> None:
        rate = self.latest.money_at_risk_micros or 0
        self.money += rate * (at_ms - moment_ms(self.latest.at)) // HOUR_MS

    def end(self, end_ms: int) -> DearAlert:
        """The life as it looks at the end of the history."""
        resolved = self.latest.change is Turn.RESOLVED
        if not resolved:
            self._add_until(max(end_ms, moment_ms(self.latest.at)))
        opened, until = self.opened, moment_ms(self.latest.at) if resolved else end_ms
        return DearAlert(
            alert_id=opened.alert_id,
            signal=opened.signal,
            severity=self.worst.severity,
            account=opened.account,
            source=opened.source,
            campaign=opened.campaign,
            part=opened.part,
            opened_at=opened.at,
            resolved_at=self.latest.at if resolved else None,
            hours=round(max(0, until - moment_ms(opened.at)) / HOUR_MS, 2),
            money_at_risk_micros=self.money,
            currency=opened.currency,
        )


class AlertCount:
    """Follows alerts through their changes."""

    def __init__(self) -> None:
        self.lives: dict[str, _Life] = {}

    def add(self, changes: Iterable[AlertChange]) -> None:
        """Take the next changes, in order."""
        for change in changes:
            life = self.lives.get(change.alert_id)
            if change.change is Turn.OPENED and life is None:
                self.lives[change.alert_id] = _Life(change)
            elif life is not None:
                life.step(change)

    def openings(self) -> list[AlertChange]:
        """The first change of every alert, in order."""
        return [life.opened for life in self.lives.values()]

    def sum_up(self, end_ms: int) -> Alerts:
        """All alerts as they look at the end of the history."""
        told = [life for life in self.lives.values() if life.opened.muted_by is None]
        ended = [life.end(end_ms) for life in told]
        dear = sorted((one for one in ended if one.money_at_risk_micros), key=lambda one: -one.money_at_risk_micros)
        return Alerts(
            opened=len(told),
            muted=len(self.lives) - len(told),
            still_open=sum(one.resolved_at is None for one in ended),
            by_signal=dict(sorted(Counter(one.signal for one in ended).items())),
            by_severity=dict(sorted(Counter(one.severity for one in ended).items())),
            dearest=dear[:DEAREST],
        )
