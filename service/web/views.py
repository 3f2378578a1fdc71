"""What the pages show, in words: an alert's latest change turned into short texts, and nothing computed anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from babel.dates import format_timedelta
from babel.numbers import format_currency, format_decimal

from alerts.change import AlertChange, Severity, Turn

SIGNS = {Severity.CRITICAL: "▲▲", Severity.WARNING: "▲", Severity.INFO: "●"}
RANK = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}
MICROS = 1_000_000
RATIOS = frozenset({"roas", "ctr", "cvr"})
MONEY_MEASURES = frozenset({"cpa", "value_per_conversion"})


@dataclass(frozen=True, slots=True)
class Row:
    """One alert as the list shows it. All texts are plain; the template escapes them."""

    alert_id: str
    is_open: bool
    severity: str
    sign: str
    title: str
    scope: tuple[str, ...]
    since: str
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


def row(change: AlertChange, now: datetime | None = None) -> Row:
    """``change`` as a row; ``now`` is the time an open alert has lasted to."""
    is_open = change.change is not Turn.RESOLVED
    end = now if is_open and now is not None else moment(change.at)
    return Row(
        alert_id=change.alert_id,
        is_open=is_open,
        severity=change.severity.value,
        sign=SIGNS[change.severity],
        title=title(change.signal),
        scope=scope(change),
        since=clock(change.started_at),
        lasted=format_timedelta(max(end, moment(change.started_at)) - moment(change.started_at), locale="en"),
        observed=figure(change, change.observed),
        expected=figure(change, change.expected),
        at_risk=money_per_hour(change),
        muted_by=change.muted_by,
    )


def title(signal: str) -> str:
    """A signal's name for people.

    >>> title("cpa_spike"), title("tracking_outage")
    ('CPA spike', 'Tracking outage')
    """
    words = signal.replace("_", " ").split()
    shown = [word.upper() if word in {"cpa", "roas", "cpc", "cpm", "ctr", "cvr"} else word for word in words]
    return " ".join([shown[0][:1].upper() + shown[0][1:], *shown[1:]]) if shown else signal


def scope(change: AlertChange) -> tuple[str, ...]:
    """Account, source, campaign: as many as the alert has."""
    return tuple(part for part in (change.account, change.source, change.campaign) if part is not None)


def figure(change: AlertChange, value: float | None) -> str:
    """``value`` in the unit of the alert's measure; a dash where it is unknown."""
    if value is None:
        return "–"
    if change.measure in MONEY_MEASURES and change.currency is not None:
        return format_currency(value, change.currency, locale="en")
    return format_decimal(value, format=_pattern(change.measure, value), locale="en")


def _pattern(measure: str, value: float) -> str:
    """Ratios keep two digits so that rows compare; counts and big numbers keep none they do not need."""
    if measure in RATIOS:
        return "#,##0.00"
    return "#,##0.##" if abs(value) < 100 else "#,##0"


def band(change: AlertChange) -> str:
    """The interval the observed value was expected in."""
    return f"{figure(change, change.low)} to {figure(change, change.high)}"


def money_per_hour(change: AlertChange) -> str:
    """Money at risk in words; a dash where nobody can say."""
    if change.money_at_risk_micros is None or change.currency is None:
        return "–"
    amount = change.money_at_risk_micros / MICROS
    digits = "¤#,##0" if amount >= 100 else None
    return format_currency(amount, change.currency, format=digits, currency_digits=digits is None, locale="en") + " / h"


def evidence(change: AlertChange) -> str:
    """log10 odds in words a tired person can weigh.

    The odds are against chance: 3 means that chance alone would do this about once in a thousand such looks.
    """
    if change.evidence >= 9:
        return f"Chance alone does this less than once in a thousand million looks (evidence {change.evidence:.1f})."
    once_in = format_decimal(float(f"{10 ** max(change.evidence, 0):.0e}"), locale="en")
    return f"Chance alone does this about once in {once_in} looks (evidence {change.evidence:.1f})."


def moment(at: str) -> datetime:
    """RFC 3339 as a datetime with zone."""
    return datetime.fromisoformat(at).astimezone(UTC)


def clock(at: str) -> str:
    """A time for people, in UTC and saying so.

    >>> clock("2026-01-05T14:03:00.000Z")
    'Mon 5 Jan 2026, 14:03 UTC'
    """
    when = moment(at)
    return f"{when:%a} {when.day} {when:%b %Y, %H:%M} UTC"


def line(change: AlertChange) -> str:
    """An alert change on one line of a console; characters that could steer a terminal are escaped."""
    where = " › ".join(scope(change))
    figures = f"{figure(change, change.observed)}, expected {figure(change, change.expected)}"
    muted = f" (muted: {change.muted_by})" if change.muted_by is not None else ""
    head = f"{clock(change.at)}  {change.change.value} {change.severity.value}: {title(change.signal)}"
    risk = "" if change.change is Turn.RESOLVED else f"  {money_per_hour(change)} at risk"
    return "".join(
        sign if sign.isprintable() else repr(sign)[1:-1] for sign in f"{head}  {where}  {figures}{risk}{muted}"
    )


def summary(rows: Sequence[Row]) -> str:
    """One line for the page's head and the browser's tab."""
    loud = sum(one.is_open and one.muted_by is None for one in rows)
    muted = sum(one.is_open and one.muted_by is not None for one in rows)
    text = "All quiet" if loud == 0 else f"{loud} open"
    return f"{text}, {muted} muted" if muted else text
