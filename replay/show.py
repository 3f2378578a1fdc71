"""The summary of a replay for a terminal. Names come from outside: none of them can colour or move anything here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from replay.score import Score, Tally
from replay.summary import DearAlert, Summary

_LONGEST_PATH = 240
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000


def show(summary: Summary) -> RenderableType:
    """Everything in a summary, as something Rich can print."""
    parts: list[RenderableType] = [_facts(summary), _alerts(summary)]
    if summary.alerts.dearest:
        parts.append(_dearest(summary.alerts.dearest))
    parts.append(_rejects(summary))
    if summary.score is not None:
        parts += [_score(summary.score), _beside(summary.score)]
    return Group(*(Padding(part, (0, 0, 1, 0)) for part in parts))


def name(text: str | None, longest: int = 60) -> str:
    """A name from outside on one line: what cannot be printed shows as ``�``, what is long is cut.

    >>> name("a\\x1b[31mb\\n"), name(None)
    ('a�[31mb�', '–')
    """
    if text is None:
        return "–"
    plain = "".join(sign if sign.isprintable() else "\ufffd" for sign in text[: longest + 1])
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def money(micros: int, currency: str | None) -> str:
    """Micros in units of their currency.

    >>> money(1_234_560_000, "EUR")
    '1,234.56 EUR'
    """
    return f"{micros / 1_000_000:,.2f} {currency or ''}".rstrip()


def length(span_ms: int | None) -> str:
    """A stretch of time in the unit that suits it.

    >>> length(90_000), length(5_400_000), length(None)
    ('1.5 min', '1.5 h', '–')
    """
    if span_ms is None:
        return "–"
    if span_ms >= 2 * _DAY_MS:
        return f"{span_ms / _DAY_MS:.1f} d"
    return f"{span_ms / _HOUR_MS:.1f} h" if span_ms >= _HOUR_MS else f"{span_ms / _MINUTE_MS:.1f} min"


def _grid(title: str, columns: Sequence[str] = (), right: Iterable[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.show_header = bool(columns)
    right = set(right)
    for column in columns or ("", ""):
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(cell) for cell in cells))


def _facts(summary: Summary) -> Table:
    table = _grid("History")
    _row(table, "files", ", ".join(name(file, _LONGEST_PATH) for file in summary.files))
    period = summary.period
    _row(table, "period", f"{period.from_[:16]} to {period.to[:16]} UTC" if period else "none")
    _row(table, "watched", f"{summary.accounts} accounts, {len(summary.sources)} sources, {summary.series} series")
    _row(table, "facts", ", ".join(f"{count:,} {kind}" for kind, count in summary.facts.items()) or "none")
    _row(table, "of these", ", ".join(f"{count:,} {word}" for word, count in summary.became.items()) or "none")
    _row(table, "ticks made", f"{summary.ticks_made:,}")
    return table


def _alerts(summary: Summary) -> Table:
    alerts = summary.alerts
    table = _grid("Alerts")
    _row(table, "opened", f"{alerts.opened} ({alerts.still_open} still open), and {alerts.muted} muted")
    _row(table, "by signal", _counts(alerts.by_signal))
    _row(table, "by severity", _counts(alerts.by_severity))
    return table


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name(word)}" for word, count in counts.items()) or "none"


def _dearest(dearest: list[DearAlert]) -> Table:
    columns = ("opened", "signal", "severity", "where", "lasted", "money at risk")
    table = _grid("Dearest", columns, right=("lasted", "money at risk"))
    for one in dearest:
        part = None if one.part is None else " ".join(f"{kind} {text}" for kind, text in one.part.items())
        where = " › ".join(name(each) for each in (one.account, one.source, one.campaign, part) if each is not None)
        lasted = length(round(one.hours * _HOUR_MS)) + ("" if one.resolved_at else " (open)")
        at_risk = money(one.money_at_risk_micros, one.currency)
        _row(table, one.opened_at[:16], name(one.signal), one.severity, where, lasted, at_risk)
    return table


def _rejects(summary: Summary) -> RenderableType:
    if not summary.rejects:
        return Text("Nothing was rejected.")
    table = _grid("Rejected", ("reason", "count", "first"), right=("count",))
    for reason, group in summary.rejects.items():
        where = f"{name(group.file, _LONGEST_PATH)}:{group.line}"
        _row(table, reason, f"{group.count:,}", f"{where}: {name(group.detail, _LONGEST_PATH)}")
    return table


def _score(score: Score) -> Table:
    columns = ["signal", "incidents", "caught", "missed", "alerts", "false"]
    columns += ["precision", "recall", "F1", "delay p50", "delay p90"]
    table = _grid("Against the labels", columns, right=columns[1:])
    for signal, tally in [*score.signals.items(), ("all", score.overall)]:
        _row(table, name(signal), *_figures(tally))
    return table


def _figures(tally: Tally) -> list[str]:
    counts = (tally.incidents, tally.caught, tally.missed, tally.alerts, tally.false)
    ratios = (tally.precision, tally.recall, tally.f1)
    delays = (tally.delay_p50_ms, tally.delay_p90_ms)
    return [*map(str, counts), *("–" if r is None else f"{r:.3f}" for r in ratios), *map(length, delays)]


def _beside(score: Score) -> Text:
    rate = score.false_per_account_week
    said = "–" if rate is None else f"{rate:.3f}"
    return Text(f"False alarms per account and week: {said} (over {score.account_weeks:.1f} account-weeks)")
