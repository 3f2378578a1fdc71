"""The scorecard: alerts held against labelled incidents.

An alert counts where it *opened* and somebody was told: a change ``opened`` with ``muted_by`` null.  Muted alerts reach
nobody, so they neither catch an incident nor disturb anyone.  What is counted:

* An alert **hits** an incident if it opened inside ``from … to`` (both included), account and signal agree, the source
  is the label's where the label names one, and campaigns agree where both have one.
* One alert hits one incident: among several, one nobody has caught yet, then the one that agrees in campaign, then in
  source, then the one that began first.  Alerts are assigned in the order in which they opened.
* **False** is a second opening of the same signal and scope inside one incident, and an alert that hits none, unless
  it is **forgiven**: it would hit an incident but for its signal, and another alert said the right one.  Forgiven
  alerts are neither right nor false.
* Several alerts of other scopes on one incident are all right; the incident is caught once, by the first of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from statistics import quantiles

from pydantic import BaseModel, ConfigDict

from alerts.change import AlertChange, Turn
from replay.labels import Label, moment_ms

WEEK_MS = 7 * 86_400_000
Scope = tuple[str, str, str | None, str | None]


class Tally(BaseModel):
    """What came of some incidents and alerts. ``None`` where nothing stands below the line of a ratio.

    ``precision`` is right / (right + false), ``recall`` is caught / incidents; delays run from the start of an incident
    to the opening of the first alert that hit it, in milliseconds, over the caught ones.
    """

    model_config = ConfigDict(frozen=True)
    incidents: int
    caught: int
    missed: int
    alerts: int
    right: int
    forgiven: int
    false: int
    precision: float | None
    recall: float | None
    f1: float | None
    delay_p50_ms: int | None
    delay_p90_ms: int | None


class Score(BaseModel):
    """The scorecard of a run, overall and by signal, with the names of what was missed and what was false."""

    model_config = ConfigDict(frozen=True)
    overall: Tally
    signals: dict[str, Tally]
    account_weeks: float
    false_per_account_week: float | None
    missed: list[str]
    false_alerts: list[str]


class Match(BaseModel):
    """Which alert fell to which incident (the label's ``incident_id``), in the order in which they opened."""

    model_config = ConfigDict(frozen=True)
    right: dict[str, str]
    forgiven: dict[str, str]
    false: list[str]
    first_ms: dict[str, int]


def score(changes: Iterable[AlertChange], labels: Sequence[Label], account_weeks: float) -> Score:
    """Hold alert changes against labels. ``account_weeks``: accounts times weeks that were watched (0: not known)."""
    told = openings(changes)
    match = match_alerts(told, labels)
    signals = sorted({label.signal for label in labels} | {alert.signal for alert in told})
    return Score(
        overall=_tally(told, labels, match),
        signals={
            name: _tally(_named(told, name), [lb for lb in labels if lb.signal == name], match) for name in signals
        },
        account_weeks=account_weeks,
        false_per_account_week=_ratio(len(match.false), account_weeks),
        missed=[label.incident_id for label in labels if label.incident_id not in match.first_ms],
        false_alerts=match.false,
    )


def openings(changes: Iterable[AlertChange]) -> list[AlertChange]:
    """The openings that somebody was told of, in the order in which they opened; exact repeats count once."""
    told: dict[str, AlertChange] = {}
    for change in changes:
        if change.change is Turn.OPENED and change.muted_by is None:
            told.setdefault(change.alert_id, change)
    return sorted(told.values(), key=lambda alert: moment_ms(alert.at))


def match_alerts(told: Sequence[AlertChange], labels: Sequence[Label]) -> Match:
    """Assign each opening to an incident, to forgiveness or to falsehood."""
    near = _near(labels)
    right: dict[str, str] = {}
    forgiven: dict[str, str] = {}
    first_ms: dict[str, int] = {}
    seen: set[tuple[str, Scope]] = set()
    strays: list[AlertChange] = []
    for alert in told:
        label = _hit(alert, near[alert.account], first_ms)
        if label is None:
            strays.append(alert)
            continue
        first_ms.setdefault(label.incident_id, moment_ms(alert.at) - label.from_ms)
        if not _again(alert, label, seen):
            right[alert.alert_id] = label.incident_id
    for alert in strays:
        label = _excuse(alert, near[alert.account], first_ms)
        if label is not None and not _again(alert, label, seen):
            forgiven[alert.alert_id] = label.incident_id
    false = [alert.alert_id for alert in told if alert.alert_id not in right and alert.alert_id not in forgiven]
    return Match(right=right, forgiven=forgiven, false=false, first_ms=first_ms)


def _hit(alert: AlertChange, near: Sequence[Label], caught: Container[str]) -> Label | None:
    """The incident that an alert falls to, those that nobody has caught first."""
    hits = (label for label in near if label.signal == alert.signal and _inside(alert, label))
    return min(hits, key=lambda label: (label.incident_id in caught, *_nearness(alert, label)), default=None)


def _excuse(alert: AlertChange, near: Sequence[Label], caught: Container[str]) -> Label | None:
    """The incident for which a wrong name is forgiven: one that was caught under its right one."""
    known = (label for label in near if label.incident_id in caught and _inside(alert, label))
    return min(known, key=lambda label: _nearness(alert, label), default=None)


def _near(labels: Sequence[Label]) -> defaultdict[str, list[Label]]:
    near: defaultdict[str, list[Label]] = defaultdict(list)
    for label in labels:
        near[label.account].append(label)
    return near


def _inside(alert: AlertChange, label: Label) -> bool:
    """Whether time, source and campaign agree; the account is taken as agreed."""
    return (
        label.from_ms <= moment_ms(alert.at) <= label.to_ms
        and (label.source is None or label.source == alert.source)
        and (label.campaign is None or alert.campaign is None or label.campaign == alert.campaign)
    )


def _nearness(alert: AlertChange, label: Label) -> tuple[bool, bool, int, str]:
    """Smaller is nearer."""
    return (label.campaign != alert.campaign, label.source != alert.source, label.from_ms, label.incident_id)


def _again(alert: AlertChange, label: Label, seen: set[tuple[str, Scope]]) -> bool:
    """Whether this signal and scope have opened inside this incident before; remembers that they have now."""
    opening = (label.incident_id, (alert.signal, alert.account, alert.source, alert.campaign))
    if opening in seen:
        return True
    seen.add(opening)
    return False


def _named(told: Sequence[AlertChange], signal: str) -> list[AlertChange]:
    return [alert for alert in told if alert.signal == signal]


def _tally(told: Sequence[AlertChange], labels: Sequence[Label], match: Match) -> Tally:
    delays = [match.first_ms[label.incident_id] for label in labels if label.incident_id in match.first_ms]
    right = sum(alert.alert_id in match.right for alert in told)
    forgiven = sum(alert.alert_id in match.forgiven for alert in told)
    false = len(told) - right - forgiven
    precision, recall = _ratio(right, right + false), _ratio(len(delays), len(labels))
    return Tally(
        incidents=len(labels),
        caught=len(delays),
        missed=len(labels) - len(delays),
        alerts=len(told),
        right=right,
        forgiven=forgiven,
        false=false,
        precision=precision,
        recall=recall,
        f1=_f1(precision, recall),
        delay_p50_ms=quantile(delays, 50),
        delay_p90_ms=quantile(delays, 90),
    )


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _f1(precision: float | None, recall: float | None) -> float | None:
    if precision is None or recall is None:
        return None
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def quantile(values: Sequence[int], percent: int) -> int | None:
    """The percentile of ``values``, interpolated between neighbours; ``None`` of nothing.

    >>> quantile([10, 20], 50), quantile([7], 90), quantile([], 50)
    (15, 7, None)
    """
    if len(values) < 2:
        return values[0] if values else None
    return round(quantiles(values, n=100, method="inclusive")[percent - 1])
