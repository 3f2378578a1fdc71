"""The life of an alert: opened, worsened while it goes on, resolved; one id and a version a change.

An episode begins when a signal of a scope opens and ends when it resolves; the id is made of the signal, the scope
and the tick that opened it, so every run over the same log gives the same id.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

from pydantic import BaseModel

from alerts.action import action
from alerts.cause import Happening, cause
from alerts.change import AlertChange, Severity, Turn, Window, rfc3339
from alerts.severity import severity
from alerts.signal import Name, Signal, covers

MUTED_BY_OUTAGE = (Name.CPA_SPIKE, Name.ROAS_DROP)
WORSE = 1.5
"""An alert worsens when its severity rises or what it costs per hour grows by this factor since it was last said."""
LEAST_BETWEEN_MS = 3_600_000
"""An alert worsens at most once in so long."""
_ORDER = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
Scope = tuple[str, str | None, str | None]


class OpenAlert(BaseModel):
    """An alert that has not resolved yet."""

    alert_id: str
    signal: str
    scope: Scope
    version: int
    severity: Severity
    opened_ms: int
    said_ms: int
    started_ms: int
    loss_micros: int | None
    muted_by: str | None
    cause: dict[str, str] | None


class Life:
    """The open alerts of a partition, and the changes facts make to them."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, Scope], OpenAlert] = {}
        self._happenings: dict[str, list[Happening]] = {}

    def happen(self, account: str, happening: Happening, horizon_ms: int) -> None:
        """Remember a change or a status for the cause of alerts to come; what is older than ``horizon_ms`` goes."""
        known = [h for h in self._happenings.get(account, []) if h.at_ms >= happening.at_ms - horizon_ms]
        self._happenings[account] = sorted({*known, happening})

    def is_open(self, key: str, scope: Scope) -> bool:
        """Whether this very alert is open."""
        return (key, scope) in self._open

    def alert_id(self, key: str, scope: Scope) -> str | None:
        """The id of this very alert, or ``None`` where it is not open."""
        alert = self._open.get((key, scope))
        return None if alert is None else alert.alert_id

    def opened_ms(self, key: str, scope: Scope) -> int | None:
        """When this very alert was opened, or ``None``."""
        alert = self._open.get((key, scope))
        return None if alert is None else alert.opened_ms

    def started_ms(self, key: str, scope: Scope) -> int | None:
        """When what this very alert is about began, or ``None``."""
        alert = self._open.get((key, scope))
        return None if alert is None else alert.started_ms

    def open(self, signal: Signal, muted_by: str | None = None) -> AlertChange:
        """A new episode. ``muted_by`` keeps it from people; an open outage of a covering scope does so by itself."""
        alert = OpenAlert(
            alert_id=_alert_id(signal),
            signal=signal.key,
            scope=signal.scope,
            version=1,
            severity=severity(signal),
            opened_ms=signal.at_ms,
            said_ms=signal.at_ms,
            started_ms=signal.onset_ms,
            loss_micros=signal.loss_micros,
            muted_by=muted_by or self._outage_over(signal),
            cause=cause(signal, self._happenings.get(signal.account, [])),
        )
        self._open[signal.key, signal.scope] = alert
        return _change(alert, signal, Turn.OPENED)

    def review(self, signal: Signal) -> AlertChange | None:
        """A change when the open alert has worsened, else nothing."""
        alert = self._open[signal.key, signal.scope]
        if signal.at_ms - alert.said_ms < LEAST_BETWEEN_MS:
            return None
        now = severity(signal)
        dearer = (
            signal.loss_micros is not None
            and alert.loss_micros is not None
            and signal.loss_micros > WORSE * max(alert.loss_micros, 1)
        )
        if _ORDER[now] <= _ORDER[alert.severity] and not dearer:
            return None
        worst = max(now, alert.severity, key=lambda level: _ORDER[level])
        alert = alert.model_copy(
            update={
                "severity": worst,
                "loss_micros": signal.loss_micros,
                "said_ms": signal.at_ms,
                "version": alert.version + 1,
            }
        )
        self._open[signal.key, signal.scope] = alert
        return _change(alert, signal, Turn.WORSENED)

    def resolve(self, signal: Signal, why: str) -> AlertChange:
        """The end of the episode; ``why`` says what ended it."""
        alert = self._open.pop((signal.key, signal.scope))
        alert = alert.model_copy(update={"version": alert.version + 1})
        calm = replace(signal, onset_ms=alert.started_ms, loss_micros=0 if signal.loss_micros is not None else None)
        return _change(alert, calm, Turn.RESOLVED).model_copy(update={"action": why})

    def _outage_over(self, signal: Signal) -> str | None:
        if signal.name not in MUTED_BY_OUTAGE:
            return None
        for (name, scope), alert in self._open.items():
            if name == Name.TRACKING_OUTAGE and covers(scope, signal.scope):
                return f"tracking_outage {alert.alert_id}"
        return None

    def to_state(self) -> dict[str, object]:
        """The whole state as plain values."""
        return {
            "open": [alert.model_dump(mode="json") for alert in self._open.values()],
            "happenings": {account: [list(h) for h in known] for account, known in self._happenings.items()},
        }

    @classmethod
    def of_state(cls, state: dict[str, list[object]]) -> Life:
        """The inverse of :meth:`to_state`."""
        life = cls()
        for raw in state["open"]:
            alert = OpenAlert.model_validate(raw)
            life._open[alert.signal, alert.scope] = alert
        happenings: dict[str, list[list[object]]] = dict(state["happenings"])  # type: ignore[arg-type]
        life._happenings = {account: [Happening(*h) for h in known] for account, known in happenings.items()}  # type: ignore[arg-type]
        return life


def _alert_id(signal: Signal) -> str:
    words = "\x1f".join([signal.key, *(part or "\x00" for part in signal.scope), str(signal.at_ms)])
    return f"{signal.name}-{blake2b(words.encode(), digest_size=8).hexdigest()}"


def _change(alert: OpenAlert, signal: Signal, turn: Turn) -> AlertChange:
    return AlertChange(
        alert_id=alert.alert_id,
        change=turn,
        version=alert.version,
        signal=signal.name,
        severity=alert.severity,
        account=signal.account,
        source=signal.source,
        campaign=signal.campaign,
        part=None if signal.part is None else dict([signal.part]),
        at=rfc3339(signal.at_ms),
        started_at=rfc3339(alert.started_ms),
        window=Window(**{"from": rfc3339(signal.onset_ms), "to": rfc3339(signal.until_ms)}),
        measure=signal.measure,
        observed=signal.observed,
        expected=signal.expected,
        low=signal.low,
        high=signal.high,
        evidence=round(signal.evidence, 3),
        money_at_risk_micros=signal.loss_micros,
        currency=signal.currency,
        cause=alert.cause,
        action=action(signal.name, alert.cause, signal.part, bool(signal.loss_micros)),
        muted_by=alert.muted_by,
        history=signal.history,
    )
