"""A metric's hours are those of its account's zone, also after the night on which clocks change."""

from __future__ import annotations

from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np

from streams.metrics import Metrics, local_ms
from streams.settings import DetectionSettings

HOUR_MS = 3_600_000
SPRING_MS = 1_774_742_400_000
"""2026-03-29 00:00 UTC, the day on which Berlin's clocks go forward."""
BERLIN = ZoneInfo("Europe/Berlin")


class Silence:
    """A life cycle that opens nothing and remembers what it was asked to open."""

    def __init__(self) -> None:
        self.opened: list[int] = []

    def opened_ms(self, *_: object) -> None:
        return None

    def open(self, signal: SimpleNamespace) -> None:
        self.opened.append(signal.onset_ms)


def alarms(settings: DetectionSettings) -> list[int]:
    """Six weeks of a shop that opens at nine in Berlin, the last two after the change of clocks."""
    metrics, life, draw = Metrics(settings), Silence(), np.random.default_rng(1)
    for at_ms in range(SPRING_MS - 28 * 24 * HOUR_MS, SPRING_MS + 14 * 24 * HOUR_MS, HOUR_MS):
        is_open = 9 <= local_ms(at_ms, BERLIN) // HOUR_MS % 24 < 21
        value = (100.0 if is_open else 20.0) + float(draw.standard_normal())
        metrics.take(SimpleNamespace(account="acme", source=None, series="visitors", at=at_ms, value=value))
        metrics.tick(at_ms, life)  # type: ignore[arg-type]
    return [at_ms for at_ms in life.opened if at_ms >= SPRING_MS]


def test_a_shop_that_opens_by_the_local_clock_is_no_surprise_when_clocks_change() -> None:
    assert alarms(DetectionSettings(time_zones={"acme": "Europe/Berlin"})) == []
    assert alarms(DetectionSettings(time_zone="Europe/Berlin")) == []


def test_by_another_clock_it_would_be() -> None:
    assert alarms(DetectionSettings(time_zones={"acme": "UTC"})) != []
