"""The chart of an alert: what was observed, what was expected, and where it began. One spec for page, mail and Slack."""

from __future__ import annotations

from typing import Any

import altair as alt
import vl_convert

from alerts.change import AlertChange, Point
from notifiers.message import measure_name

WIDTH, HEIGHT = 560, 260
"""Pixels of the plot at scale 1; text is 14 pixels high, so that it can be read on a phone."""

OBSERVED, EXPECTED = "observed", "expected"
_INK, _SOFT, _BAND, _RED = "#1f2933", "#52667a", "#9db8d2", "#b3261e"
_TIME = alt.X("at:T", title="UTC", scale=alt.Scale(type="utc"), axis=alt.Axis(labelOverlap=True, tickCount=6))


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
    words = alt.Data(values=[{"words": "No history to draw yet"}])
    return alt.Chart(words).mark_text(fontSize=18, color=_SOFT).encode(text="words:N")


def _drawn(change: AlertChange, points: list[Point]) -> alt.LayerChart:
    amount = alt.Y("value:Q", title=_axis(change))
    lines = alt.Data(values=[row for point in points for row in _rows(point)])
    series = alt.Scale(domain=[OBSERVED, EXPECTED], range=[_RED, _SOFT])
    dashes = alt.Scale(domain=[OBSERVED, EXPECTED], range=[[1, 0], [6, 4]])
    legend = alt.Legend(title=None, orient="top", symbolStrokeWidth=3, symbolSize=500)
    colour = alt.Color("series:N", scale=series, legend=legend)
    paths = alt.Chart(lines).encode(
        x=_TIME, y=amount, color=colour, strokeDash=alt.StrokeDash("series:N", scale=dashes, legend=legend)
    )
    dots = alt.Chart(lines).transform_filter(alt.datum.series == OBSERVED).encode(x=_TIME, y=amount, color=colour)
    return alt.layer(
        _band(points, amount),
        paths.mark_line(strokeWidth=2.5, invalid="break-paths-show-domains"),
        dots.mark_point(filled=True, size=36, invalid="filter"),
        *_onset(change),
    )


def _rows(point: Point) -> list[dict[str, Any]]:
    """Both lines' values; a line breaks where nothing is known, instead of falling to zero."""
    return [
        {"at": point.at, "series": OBSERVED, "value": point.observed},
        {"at": point.at, "series": EXPECTED, "value": point.expected},
    ]


def _band(points: list[Point], amount: alt.Y) -> alt.Chart:
    rows = [{"at": point.at, "value": point.low, "high": point.high} for point in points if _has_band(point)]
    area = alt.Chart(alt.Data(values=rows)).mark_area(color=_BAND, opacity=0.45)
    return area.encode(x=_TIME, y=amount, y2="high:Q")


def _has_band(point: Point) -> bool:
    return point.low is not None and point.high is not None


def _onset(change: AlertChange) -> tuple[alt.Chart, alt.Chart]:
    began = alt.Data(values=[{"at": change.started_at, "words": "began"}])
    base = alt.Chart(began).encode(x=_TIME)
    words = base.mark_text(align="right", dx=-5, y=10, fontSize=14, fontWeight="bold", color=_INK)
    return base.mark_rule(color=_INK, strokeWidth=2, strokeDash=[2, 3]), words.encode(text="words:N")


def _axis(change: AlertChange) -> str:
    money = change.measure in ("cpa", "value_per_conversion") and change.currency is not None
    return f"{measure_name(change)} ({change.currency})" if money else measure_name(change)


def _styled(chart: Any) -> Any:
    return (
        chart.configure_axis(labelFontSize=14, titleFontSize=14, labelColor=_INK, titleColor=_INK, gridColor="#e4e9ee")
        .configure_legend(labelFontSize=14, labelColor=_INK)
        .configure_view(stroke=None)
    )
