"""What the pages show of an alert: the notifiers' own wording, in the order in which a person should look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from alerts.change import AlertChange, Severity, Turn
from notifiers import figures, moments
from notifiers.message import Message, MessageSettings, compose

SIGNS = {Severity.CRITICAL: "▲▲", Severity.WARNING: "▲", Severity.INFO: "●"}
RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
DASH = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the list shows it. All texts are plain; the template escapes them."""

    message: Message
    is_open: bool
    sign: str
    began: str
    lasted: str
    observed: str
    expected: str
    at_risk: str
    muted_by: str | None


def listed(latest: Iterable[AlertChange]) -> list[AlertChange]:
    """Open alerts first, those that somebody is told about before muted ones, the dearest first; then the resolved,
    newest first."""
    changes = sorted(latest, key=lambda change: change.at, reverse=True)
    return sorted(changes, key=_place)


def _place(change: AlertChange) -> tuple[bool, bool, int, int]:
    if change.change is Turn.RESOLVED:
        return (True, False, 0, 0)
    return (False, change.muted_by is not None, -(change.money_at_risk_micros or 0), RANK[change.severity])


def row(change: AlertChange, settings: MessageSettings, now: datetime) -> Row:
    """``change`` as a row; ``now`` is the time an open alert has lasted to."""
    is_open = change.change is not Turn.RESOLVED
    message = compose(change, settings)
    return Row(
        message=message,
        is_open=is_open,
        sign=SIGNS[change.severity] if is_open else "✓",
        began=moments.shown(change.started_at, moments.zone(settings.time_zone)),
        lasted=moments.lasted(change.started_at, now.isoformat() if is_open else change.at),
        observed=message.observed,
        expected=figures.figure(change, change.expected, settings.locale),
        at_risk=message.cost or DASH,
        muted_by=change.muted_by,
    )


def step(change: AlertChange, settings: MessageSettings) -> dict[str, str]:
    """One change in the course of an alert."""
    message = compose(change, settings)
    muted = "" if change.muted_by is None else f" Muted: {change.muted_by}."
    return {"at": change.at, "clock": message.decided, "what": change.change.value, "words": message.sentence + muted}


def line(change: AlertChange, settings: MessageSettings) -> str:
    """An alert on one line of a terminal; signs that could steer it are shown as ``?``."""
    message = compose(change, settings)
    muted = "" if change.muted_by is None else f" (muted: {change.muted_by})"
    figures_said = f"{message.observed}, expected {message.expected}"
    text = f"{message.decided}  {message.status}: {message.subject}  {figures_said}{muted}"
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def summary(rows: Sequence[Row]) -> str:
    """One line for the page's head and the browser's tab."""
    loud = sum(one.is_open and one.muted_by is None for one in rows)
    muted = sum(one.is_open and one.muted_by is not None for one in rows)
    text = "All quiet" if loud == 0 else f"{loud} open"
    return f"{text}, {muted} muted" if muted else text
