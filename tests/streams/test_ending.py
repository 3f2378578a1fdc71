"""When an alert ends: once its incident is over, and not by chance while it goes on, however busy the campaign."""

from __future__ import annotations

import json

import pytest
from small_worlds import DAY_MS, HOUR_MS, START_MS, batch_of, history, run

from replay.labels import moment_ms
from streams.weigh import calm

BEGINS, ENDS = 3.0, 4.0
"""Days between which half of all conversions are missing."""


def turns(a_day: float, seed: int) -> list[tuple[str, int]]:
    """What was told, and when (ms)."""
    lost = [(BEGINS, ENDS, 0.5, 1.0, None)]
    lines = history(5, seed=seed, a_day={("meta", "brand"): a_day}, incidents=lost)
    return [(c["change"], moment_ms(c["at"])) for c in map(json.loads, run(batch_of(lines))[1])]


@pytest.mark.parametrize("seed", range(1, 5))
def test_the_alert_of_a_busy_campaign_lasts_as_long_as_its_incident(seed: int) -> None:
    """Ten thousand chances a day to look well again are none to say so."""
    told = turns(4800.0, seed)
    opened = {at_ms for change, at_ms in told if change == "opened"}
    # what is said again by its right name opens as it ends
    ended = [at_ms for change, at_ms in told if change == "resolved" and at_ms not in opened]
    assert len(ended) == 1
    assert 0 < ended[0] - (START_MS + int(ENDS * DAY_MS)) < 3 * HOUR_MS


def test_the_busier_the_more_evidence_ends_an_alert() -> None:
    """As many times more chances, as many times more evidence."""
    assert calm(10.0) == calm(100.0)
    assert calm(2000.0) - calm(200.0) == pytest.approx(2.302585, abs=1e-6)
