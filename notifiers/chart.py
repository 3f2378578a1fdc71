"""One chart of an alert's history, for the page, the e-mail and Slack: observed, expected, usual range, onset.

Colour is not the only sign: the expected line is dashed, the observed one has dots, the onset is a rule with a word.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from alerts.change import AlertChange, Point
from notifiers import moments
from notifiers.figures import MONEY
from notifiers.names import plain

RED, INK, BAND = "#b3261e", "#46586a", "#9db8d2"
WIDTH, HEIGHT = 430, 230
"""Pixels of the plot at scale 1; text is 16 pixels high, so that it is legible on a phone that shrinks it."""
_GAPS = "break-paths-show-domains"
_HOURS = "utchours(datum.value) === 0 ? utcFormat(datum.value, '%a %d %b') : utcFormat(datum.value, '%H:%M')"
"""Midnight is shown as its day."""


def spec(change: AlertChange, time_zone: str = "UTC") -> dict[str, Any]:
    """The Vega-Lite spec, with clock times of ``time_zone``; the history may be empty, have one point or gaps."""
    import altair as alt

    where = moments.zone(time_zone)
    points = [_finite(point) for point in change.history if moments.is_moment(point.at)]
    points = [point for point in points if _known(point)]
    layers = [_band(points, change, where), *_lines(points, change, where)] if points else [_nothing()]
    if points and moments.is_moment(change.started_at):
        layers += _onset(change, points, where)
    chart: Any = alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, background="white", padding=8)
    chart = chart.configure(font="Helvetica, Arial, Liberation Sans, sans-serif")
    chart = chart.configure_axis(
        labelFontSize=16,
        titleFontSize=16,
        labelColor=INK,
        titleColor=INK,
        titleFontWeight="normal",
        gridColor="#e4e9ee",
    )
    chart = chart.configure_legend(
        labelFontSize=16, symbolSize=500, symbolStrokeWidth=3, orient="top", title=None, symbolType="stroke"
    )
    return dict(chart.configure_view(stroke=None).to_dict())


def svg(change: AlertChange, time_zone: str = "UTC") -> str:
    """The chart as SVG."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec(change, time_zone)))


def png(change: AlertChange, time_zone: str = "UTC", scale: float = 2.0) -> bytes:
    """The chart as PNG; ``scale`` 2 is sharp on a phone."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(spec(change, time_zone), scale=scale))


@cache
def browser_bundle() -> str:
    """One script without network that sets ``window.vegaEmbed``; takes some seconds the first time, so it is kept."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _known(point: Point) -> bool:
    return any(value is not None for value in (point.observed, point.expected, point.low, point.high))


def _finite(point: Point) -> Point:
    """What is no number cannot be drawn: it is unknown."""
    names = ("observed", "expected", "low", "high")
    odd = [name for name in names if (value := getattr(point, name)) is not None and not math.isfinite(value)]
    return point.model_copy(update=dict.fromkeys(odd)) if odd else point


def _x(points: list[Point], where: ZoneInfo) -> Any:
    """Clock times; the zone is said, and what the shade means, which has no place in the legend."""
    import altair as alt

    zone = moments.moment(points[-1].at).astimezone(where).tzname()
    has_band = any(point.low is not None and point.high is not None for point in points)
    title = f"{zone} · shaded: usual range" if has_band else zone
    axis = alt.Axis(title=title, labelExpr=_HOURS, tickCount=5, labelOverlap=True)
    return alt.X("at:T", axis=axis, scale=alt.Scale(type="utc"))


def _y(change: AlertChange, field: str) -> Any:
    import altair as alt

    unit = f" ({plain(change.currency, 8)})" if change.measure in MONEY and change.currency else ""
    words = plain(change.measure.replace("_", " "), 40)
    shown = words.upper() if change.measure in ("cpa", "roas", "cpc", "cpm", "ctr") else words
    return alt.Y(f"{field}:Q", title=f"{shown}{unit}", axis=alt.Axis(tickCount=5))


def _of(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=rows))


def _band(points: list[Point], change: AlertChange, where: ZoneInfo) -> Any:
    rows = [
        {"at": moments.wall_ms(point.at, where), "low": point.low, "high": point.high}
        for point in points
        if point.low is not None and point.high is not None
    ]
    return _of(rows).mark_area(opacity=0.45, color=BAND).encode(x=_x(points, where), y=_y(change, "low"), y2="high:Q")


def _lines(points: list[Point], change: AlertChange, where: ZoneInfo) -> list[Any]:
    import altair as alt

    names = ("observed", "expected")
    rows = [
        {
            "at": moments.wall_ms(point.at, where),
            "when": moments.shown(point.at, where),
            "series": name,
            "value": getattr(point, name),
        }
        for point in points
        for name in names
    ]
    colour = alt.Color("series:N", scale=alt.Scale(domain=names, range=[RED, INK]))
    dashes = alt.StrokeDash("series:N", scale=alt.Scale(domain=names, range=[[1, 0], [6, 4]]))
    lines = _of(rows).mark_line(strokeWidth=2.5, invalid=_GAPS)
    seen = [row for row in rows if row["series"] == "observed" and row["value"] is not None]
    dots = _of(seen).mark_point(color=RED, size=36, filled=True, opacity=1)
    tip = [alt.Tooltip("when:N", title="at"), alt.Tooltip("value:Q", format=",.2f")]
    return [
        lines.encode(x=_x(points, where), y=_y(change, "value"), color=colour, strokeDash=dashes),
        dots.encode(x=_x(points, where), y=_y(change, "value"), tooltip=tip),
    ]


def _onset(change: AlertChange, points: list[Point], where: ZoneInfo) -> list[Any]:
    """Where it began; the word stands on the side that has room."""
    began_ms = moments.wall_ms(change.started_at, where)
    is_late = began_ms > moments.wall_ms(points[len(points) // 2].at, where)
    side, dx = ("right", -6) if is_late else ("left", 6)
    at = [{"at": began_ms, "words": "began"}]
    rule = _of(at).mark_rule(color=INK, strokeWidth=2, strokeDash=[2, 3])
    words = _of(at).mark_text(align=side, dx=dx, y=10, fontSize=16, fontWeight="bold", color=INK)
    return [rule.encode(x=_x(points, where)), words.encode(x=_x(points, where), text="words:N")]


def _nothing() -> Any:
    return _of([{"words": "no history to draw yet"}]).mark_text(fontSize=18, color=INK).encode(text="words:N")
