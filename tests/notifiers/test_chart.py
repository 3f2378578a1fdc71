"""The chart: one spec for page, mail and Slack, whatever the history holds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from alerts.change import AlertChange, Point
from notifiers import chart

Make = Callable[..., AlertChange]
UNKNOWN: dict[str, Any] = {"observed": None, "expected": None, "low": None, "high": None}


def hour(number: int, **values: float | None) -> Point:
    return Point(at=f"2026-01-02T{number:02d}:00:00Z", **(UNKNOWN | values))


def rows(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    """The data that is drawn with ``mark``."""
    named = spec.get("datasets", {})
    found: list[dict[str, Any]] = []
    for layer in spec["layer"]:
        if layer["mark"]["type"] == mark:
            data = layer.get("data") or spec["data"]
            found += named[data["name"]] if "name" in data else data["values"]
    return found


def size(picture: bytes) -> tuple[int, int]:
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    wide, high = struct.unpack(">II", picture[16:24])
    return wide, high


def test_observed_is_drawn_against_expected_its_range_and_the_onset(change: Make) -> None:
    spec = chart.spec(change())
    drawn = rows(spec, "line")
    assert {row["series"] for row in drawn} == {"observed", "expected"}
    seen = [row["value"] for row in drawn if row["series"] == "observed"]
    assert seen == [point.observed for point in change().history]
    assert len(rows(spec, "area")) == len(change().history)
    assert [row["words"] for row in rows(spec, "text")] == ["began"]
    words = json.dumps(spec, ensure_ascii=False)
    assert "CPA (EUR)" in words
    assert "UTC · shaded: usual range" in words


def test_an_hour_that_is_unknown_is_a_gap_and_not_a_zero(change: Make) -> None:
    spec = chart.spec(change())
    gaps = [row for row in rows(spec, "line") if row["series"] == "observed" and row["value"] is None]
    assert len(gaps) == 1
    assert all(row["value"] is not None for row in rows(spec, "point"))
    assert "break-paths" in json.dumps(spec)


def test_the_clock_is_that_of_the_reader(change: Make) -> None:
    one = change(history=(hour(6, observed=1.0), hour(7, observed=2.0)), started_at="2026-01-02T06:30:00Z")
    there, here = chart.spec(one), chart.spec(one, "Europe/Berlin")
    shift = {h["at"] - t["at"] for h, t in zip(rows(here, "line"), rows(there, "line"), strict=True)}
    assert shift == {3_600_000}
    assert rows(here, "rule")[0]["at"] - rows(there, "rule")[0]["at"] == 3_600_000
    assert rows(here, "point")[0]["when"] == "Fri 2 Jan, 07:00 CET"
    assert '"CET"' in json.dumps(here)


@pytest.mark.parametrize(
    "history",
    [
        (),
        (hour(6, observed=3.0),),
        (hour(6), hour(7)),
        (hour(5, observed=1.0, expected=2.0, low=1.0, high=3.0), hour(6), hour(9, observed=0.0)),
        (hour(6, observed=float("nan"), expected=float("inf")), hour(7, observed=1.0)),
        (Point(at="no time at all", observed=1.0, expected=None, low=None, high=None),),
        (hour(6, observed=1e300, expected=-1e300),),
    ],
    ids=["empty", "one hour", "nothing known", "gaps", "not numbers", "no time", "huge"],
)
def test_any_history_can_be_drawn(history: tuple[Point, ...], change: Make) -> None:
    one = change(history=history)
    json.dumps(chart.spec(one), allow_nan=False)
    wide, high = size(chart.png(one, scale=1.0))
    assert 100 < wide < 700
    assert 40 < high < 500


def test_the_picture_is_sharp_on_a_phone_and_the_same_each_time(change: Make) -> None:
    once, twice = chart.png(change()), chart.png(change())
    assert once == twice
    assert size(once)[0] >= 2 * chart.WIDTH


def test_names_in_the_chart_are_text_and_nothing_else(change: Make) -> None:
    hostile = "<script>alert(1)</script>\x00\u202e'+datum.value+'"
    drawn = chart.svg(change(measure=hostile, currency=hostile))
    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "\u202e" not in drawn
