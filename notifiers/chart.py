"""The chart of an alert: what was observed, expected, and where it began. One spec for page, mail and Slack."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import vl_convert

from alerts.change import AlertChange, Point
from notifiers.message import measure_name

WIDTH, HEIGHT = 560, 260
"""Pixels of the plot at scale 1; text is 14 pixels high, so that it can be read on a phone."""

OBSERVED, EXPECTED = "observed", "expected"
_INK, _SOFT, _BAND, _RED = "#1f2933", "#52667a", "#9db8d2", "#b3261e"
_HOURS = "utchours(datum.value) === 0 ? utcFormat(datum.value, '%a %d %b') : utcFormat(datum.value, '%H:%M')"
_AXIS = alt.Axis(labelOverlap=True, tickCount=6, labelExpr=_HOURS, title="UTC")
_TIME = alt.X("at:T", scale=alt.Scale(type="utc"), axis=_AXIS)


def spec(change: AlertChange) -> dict[str, Any]:
    """The Vega-Lite spec; an alert without history gives a chart that says so."""
    points = [point for point in change.history if not _unknown(point)]
    chart = _drawn(change, points) if points else _nothing()
    sized = chart.properties(width=WIDTH, height=HEIGHT, background="white")
    return dict(_styled(sized).to_dict())


def svg(change: AlertChange) -> str:
    """The chart as a picture in SVG."""
    return str(vl_convert.vegalite_to_svg(spec(change)))


def png(change: AlertChange, scale: float = 2) -> bytes:
    """The chart as a picture; ``scale`` 2 is sharp on a phone."""
    return bytes(vl_convert.vegalite_to_png(spec(change), scale=scale))


def _unknown(point: Point) -> bool:
    return all(value is None for value in (point.observed, point.expected, point.low, point.high))


def _nothing() -> alt.Chart:
    words = _table([{"words": "No history to draw yet"}])
    return words.mark_text(fontSize=18, color=_SOFT).encode(text="words:N")


def _drawn(change: AlertChange, points: list[Point]) -> Any:
    amount = alt.Y("value:Q", title=_axis(change))
    lines = _table([row for point in points for row in _rows(point)])
    series = alt.Scale(domain=[OBSERVED, EXPECTED], range=[_RED, _SOFT])
    dashes = alt.Scale(domain=[OBSERVED, EXPECTED], range=[[1, 0], [6, 4]])
    legend = alt.Legend(title=None, orient="top", symbolType="stroke", symbolStrokeWidth=3, symbolSize=700)
    colour = alt.Color("series:N", scale=series, legend=legend)
    paths = lines.encode(
        x=_TIME, y=amount, color=colour, strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend)
    )
    dots = lines.transform_filter(alt.datum.series == OBSERVED).encode(x=_TIME, y=amount, color=colour)
    return alt.layer(
        _band(points, amount),
        paths.mark_line(strokeWidth=2.5, invalid="break-paths-show-domains"),
        dots.mark_point(filled=True, size=36, invalid="filter"),
        *_onset(change, points),
    )


def _rows(point: Point) -> list[dict[str, Any]]:
    """Both lines' values; a line breaks where nothing is known, instead of falling to zero."""
    return [
        {"at": point.at, "series": OBSERVED, "value": point.observed},
        {"at": point.at, "series": EXPECTED, "value": point.expected},
    ]


def _band(points: list[Point], amount: alt.Y) -> alt.Chart:
    rows = [{"at": point.at, "value": point.low, "high": point.high} for point in points if _has_band(point)]
    area = _table(rows).mark_area(color=_BAND, opacity=0.45)
    return area.encode(x=_TIME, y=amount, y2="high:Q")


def _has_band(point: Point) -> bool:
    return point.low is not None and point.high is not None


def _onset(change: AlertChange, points: list[Point]) -> tuple[alt.Chart, alt.Chart]:
    base = _table([{"at": change.started_at, "words": "began"}]).encode(x=_TIME)
    late = change.started_at > points[len(points) // 2].at
    align: Literal["left", "right"] = "right" if late else "left"
    words = base.mark_text(align=align, dx=-6 if late else 6, y=10, fontSize=14, fontWeight="bold", color=_INK)
    return base.mark_rule(color=_INK, strokeWidth=2, strokeDash=[2, 3]), words.encode(text="words:N")


def _table(rows: list[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]


def _axis(change: AlertChange) -> str:
    money = change.measure in ("cpa", "value_per_conversion") and change.currency is not None
    return f"{measure_name(change)} ({change.currency})" if money else measure_name(change)


def _styled(chart: Any) -> Any:
    return (
        chart.configure_axis(
            labelFontSize=14,
            titleFontSize=14,
            titleFontWeight="normal",
            labelColor=_INK,
            titleColor=_INK,
            gridColor="#e4e9ee",
        )
        .configure_legend(labelFontSize=14, labelColor=_INK)
        .configure_view(stroke=None)
    )
