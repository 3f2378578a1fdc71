"""What the benchmarks count: incidents caught and alerts that were false, by any kind, and the tables they print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scipy import stats

from alerts.change import AlertChange
from replay.labels import Label
from replay.score import Match, quantile

MONTH_DAYS, WEEK_DAYS = 30.0, 7.0
HEADS = ("incidents", "all", "caught", "alerts", "false", "precision", "recall", "F1", "delay p50 h", "p90 h")


@dataclass
class Tally:
    """Incidents and alerts of one kind."""

    incidents: int = 0
    caught: int = 0
    alerts: int = 0
    right: int = 0
    false: int = 0
    delays_ms: list[int] = field(default_factory=list)

    def meet(self, delay_ms: int | None) -> None:
        """Count an incident, caught after ``delay_ms`` or (``None``) missed."""
        self.incidents += 1
        if delay_ms is not None:
            self.caught += 1
            self.delays_ms.append(delay_ms)

    def hear(self, alert_id: str, match: Match) -> None:
        """Count an alert."""
        self.alerts += 1
        self.right += alert_id in match.right
        self.false += alert_id in match.false

    def add(self, other: Tally) -> None:
        """Count what ``other`` has counted, too."""
        for name in ("incidents", "caught", "alerts", "right", "false"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.delays_ms += other.delays_ms

    def figures(self) -> dict[str, Any]:
        """Precision, recall, F1 and delays in hours; ``None`` where nothing stands below the line of a ratio.

        >>> Tally(incidents=4, caught=3, alerts=5, right=3, false=1, delays_ms=[3_600_000] * 3).figures()["f1"]
        0.75
        """
        precision = self.right / (self.right + self.false) if self.right + self.false else None
        recall = self.caught / self.incidents if self.incidents else None
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else None
        if f1 is None and self.incidents and self.alerts:
            f1 = 0.0
        counts = {name: getattr(self, name) for name in ("incidents", "caught", "alerts", "false")}
        delays = {f"delay_p{p}_h": _hours(quantile(self.delays_ms, p)) for p in (50, 90)}
        return {**counts, "precision": _round(precision), "recall": _round(recall), "f1": _round(f1), **delays}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _hours(ms: int | None) -> float | None:
    return None if ms is None else round(ms / 3.6e6, 2)


@dataclass
class Tallies:
    """Tallies by kind; what belongs to several kinds counts in each."""

    kinds: dict[str, Tally] = field(default_factory=dict)

    def of(self, kind: str) -> Tally:
        """The tally of ``kind``, new or known."""
        return self.kinds.setdefault(kind, Tally())

    def count(
        self,
        labels: Iterable[Label],
        kinds_of_label: Callable[[Label], Iterable[str]],
        alerts: Iterable[AlertChange],
        kinds_of_alert: Callable[[AlertChange], Iterable[str]],
        match: Match,
    ) -> None:
        """Count incidents and alerts, each in all of its kinds."""
        for label in labels:
            for kind in kinds_of_label(label):
                self.of(kind).meet(match.first_ms.get(label.incident_id))
        for alert in alerts:
            for kind in kinds_of_alert(alert):
                self.of(kind).hear(alert.alert_id, match)

    def add(self, other: Tallies) -> None:
        """Count what ``other`` has counted, too."""
        for kind, tally in other.kinds.items():
            self.of(kind).add(tally)

    def figures(self) -> dict[str, dict[str, Any]]:
        """:meth:`Tally.figures` by kind."""
        return {kind: tally.figures() for kind, tally in self.kinds.items()}


@dataclass
class Clean:
    """Alerts where there is nothing to tell of: every one is false."""

    account_days: float = 0.0
    by_kind: Counter[str] = field(default_factory=Counter)

    def add(self, other: Clean) -> None:
        """Count what ``other`` has counted, too."""
        self.account_days += other.account_days
        self.by_kind.update(other.by_kind)

    def figures(self) -> dict[str, Any]:
        """False alarms per account-week and -month, with the upper 95 % bound of a Poisson count."""
        false, months = self.by_kind["all"], self.account_days / MONTH_DAYS
        return {
            "false": false,
            "account_months": round(months, 2),
            "false_per_account_week": round(false / self.account_days * WEEK_DAYS, 3),
            "false_per_account_month": round(false / months, 3),
            "upper_95_per_account_month": round(upper_95(false) / months, 3),
            "by_kind": dict(sorted(self.by_kind.items())),
        }


def upper_95(count: int) -> float:
    """The largest mean for which a Poisson count of ``count`` or fewer has a chance of 5 %.

    >>> round(upper_95(0), 2)
    3.0
    """
    return float(stats.chi2.ppf(0.95, 2 * (count + 1)) / 2.0)


def table(heads: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Markdown; ``None`` is an empty cell.

    >>> print(table(("a", "b"), [(1, None)]))
    | a | b |
    | --- | --- |
    | 1 |  |
    """
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *(["" if cell is None else str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def scorecard(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    """The table of incidents, one row per kind."""
    keys = ("incidents", "caught", "alerts", "false", "precision", "recall", "f1", "delay_p50_h", "delay_p90_h")
    return table(HEADS, ([kind, *(row[key] for key in keys)] for kind, row in kinds.items()))


def clean_words(clean: Mapping[str, Any]) -> str:
    """How often an account without incidents was disturbed, in one sentence."""
    return (
        f"{clean['false']} alerts in {clean['account_months']:g} account-months without incidents: "
        f"{clean['false_per_account_week']:g} a week and {clean['false_per_account_month']:g} a month "
        f"(at most {clean['upper_95_per_account_month']:g} a month with 95 % confidence)."
    )


def clean_table(clean: Mapping[str, Mapping[str, Any]]) -> str:
    """How often accounts without incidents were disturbed, one row per kind."""
    keys = (
        "account_months",
        "false",
        "false_per_account_week",
        "false_per_account_month",
        "upper_95_per_account_month",
    )
    heads = ("without incidents", "account-months", "false alerts", "a week", "a month", "at most (95 %)")
    return table(heads, ([kind, *(row[key] for key in keys)] for kind, row in clean.items()))
