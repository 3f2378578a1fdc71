"""The least chance of a wrong name, against counting."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import naming_limit
from benchmarks.naming_limit import error, errors
from events.simulator import World


@pytest.mark.parametrize(("older", "kept"), [(60.0, 0.5), (200.0, 0.7), (30.0, 0.3)])
def test_the_error_is_that_of_the_best_limit_between_two_counts(older: float, kept: float) -> None:
    rng = np.random.default_rng(3)
    whole, part = rng.poisson(older, 200_000), rng.poisson(older * kept, 200_000)
    best = min(((whole < limit).mean() + (part >= limit).mean()) / 2 for limit in range(int(older * 1.5)))
    assert error(older, kept, 1.0) == pytest.approx(best, abs=0.02)


def test_nothing_to_go_by_is_a_coin_and_more_is_better() -> None:
    assert error(0.0, 0.5, 1.3) == 0.5
    assert error(10.0, 0.5, 1.3) > error(20.0, 0.5, 1.3) > error(20.0, 0.2, 1.3)


def test_only_incidents_that_take_some_are_asked_about() -> None:
    found = list(errors(World(seed=1, days=15, accounts=2, campaigns=3, scale=0.3)))
    assert found
    for incident, least in found:
        assert incident.signal in ("cpa_spike", "tracking_outage")
        assert 0.0 < incident.kept < 1.0
        assert 0.0 <= least <= 0.5


def test_the_command_prints_its_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert naming_limit.main(["--seeds", "2", "2", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["seeds"] == [2]
    count, least = card["kinds"]["all"]
    assert 0 < count < card["incidents"] == 30
    assert 0.0 < least < 0.5
