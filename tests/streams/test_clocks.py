"""Local hours: where an account lives, on days when clocks change, and when its zone becomes known late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detectors import season
from streams.clocks import HOUR_MS, Clocks, hour_of_week
from streams.series import Registry

SPRING, AUTUMN, PLAIN = (
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 6, 1, tzinfo=UTC),
)


def clocks_of(zone: str) -> tuple[Registry, Clocks]:
    registry = Registry()
    registry.account("acme")
    return registry, Clocks(registry, zone, {})


@pytest.mark.parametrize("day", [SPRING, AUTUMN, PLAIN])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
def test_every_hour_of_a_day_is_the_one_a_clock_on_the_wall_shows(day: datetime, zone: str) -> None:
    """Also on the days of 23 and 25 hours."""
    registry, clocks = clocks_of(zone)
    clocks.turn(int(day.timestamp()) * 1000)
    for hour in range(24):
        at = day + timedelta(hours=hour, minutes=10)
        local = at.astimezone(ZoneInfo(zone))
        found = hour_of_week(registry.accounts.rows, 0, int(at.timestamp()) * 1000)
        assert found == 24 * local.weekday() + local.hour


def test_settings_go_before_snapshots_and_those_before_the_default() -> None:
    """The account's own line in the settings is the last word."""
    registry, clocks = clocks_of("UTC")
    named = Clocks(registry, "UTC", {"acme": "Asia/Kolkata"})
    clocks.name(0, "Europe/Berlin")
    clocks.turn(int(PLAIN.timestamp()) * 1000)
    assert registry.accounts["offset_ms"][0, 0] == 2 * HOUR_MS
    named.turn(int(PLAIN.timestamp()) * 1000)
    assert registry.accounts["offset_ms"][0, 0] == 5.5 * HOUR_MS


def test_two_zones_named_between_two_ticks_are_taken_in_any_order() -> None:
    """Facts commute: the first in the alphabet counts."""
    for order in (("Europe/Berlin", "America/New_York"), ("America/New_York", "Europe/Berlin")):
        registry, clocks = clocks_of("UTC")
        for zone in order:
            clocks.name(0, zone)
        assert registry.zones == ["America/New_York"]


def test_what_was_learned_moves_with_a_zone_that_becomes_known_and_stays_when_clocks_change() -> None:
    """Another zone shifts the hours learned so far; summer time does not."""
    registry, clocks = clocks_of("UTC")
    clocks.turn(int(PLAIN.timestamp()) * 1000)
    registry.accounts["season"][0, season.SEEN + 10] = 7.0
    clocks.name(0, "Asia/Tokyo")
    clocks.turn(int(PLAIN.timestamp()) * 1000 + 24 * HOUR_MS)
    assert np.flatnonzero(registry.accounts["season"][0]).tolist() == [19]

    registry, clocks = clocks_of("Europe/Berlin")
    clocks.turn(int(SPRING.timestamp()) * 1000 - 24 * HOUR_MS)
    registry.accounts["season"][0, season.SEEN + 10] = 7.0
    clocks.turn(int(SPRING.timestamp()) * 1000)
    clocks.turn(int(SPRING.timestamp()) * 1000 + 24 * HOUR_MS)
    assert np.flatnonzero(registry.accounts["season"][0]).tolist() == [10]
