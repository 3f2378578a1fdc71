"""The worlds benchmark: what it counts, what it knows of a world, and detectors that are given the true rates."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alerts.change import AlertChange
from benchmarks import worlds
from benchmarks.causes import Background
from benchmarks.scorecard import Clean, Tally, clean_words, table, upper_95
from benchmarks.true_rates import CERTAIN, know, told_knowing
from detectors import deficit, level
from events.business import make_business
from events.codec import Decoder
from events.incidents import Incident
from events.simulator import World, incidents, simulate
from events.world import DAY_MS, HOUR_MS, make_accounts
from replay.labels import Label, moment_ms, parse_labels
from replay.score import openings
from streams.pipeline import Pipeline
from streams.series import LEAF
from streams.settings import DetectionSettings

SMALL = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


@pytest.fixture(scope="module")
def alert() -> AlertChange:
    """Some alert, to be moved to where a test wants it."""
    return openings(worlds.told(SMALL))[0]


def _at(alert: AlertChange, at_ms: int, **changed: Any) -> AlertChange:
    moment = str(np.datetime64(at_ms, "ms")) + "Z"
    return alert.model_copy(update={"at": moment, "source": None, "campaign": None, **changed})


def test_figures_follow_the_rule() -> None:
    hour = 3_600_000
    tally = Tally(incidents=10, caught=6, alerts=9, right=6, false=2, delays_ms=[hour] * 5 + [3 * hour])
    figures = tally.figures()
    assert (figures["precision"], figures["recall"]) == (0.75, 0.6)
    assert figures["f1"] == pytest.approx(2 / 3, abs=1e-3)
    assert (figures["delay_p50_h"], figures["delay_p90_h"]) == (1.0, 2.0)


def test_nothing_caught_is_an_f1_of_0_and_nothing_to_catch_is_none() -> None:
    assert Tally(incidents=2, alerts=1, false=1).figures()["f1"] == 0.0
    assert Tally().figures()["f1"] is None


def test_rates_of_clean_worlds_are_per_week_and_month_with_a_poisson_bound() -> None:
    clean = Clean(account_days=60.0)
    clean.by_kind.update({"all": 4})
    figures = clean.figures()
    assert figures["false_per_account_month"] == 2.0
    assert figures["false_per_account_week"] == pytest.approx(4 * 7 / 60, abs=1e-3)
    assert figures["upper_95_per_account_month"] == pytest.approx(upper_95(4) / 2, abs=1e-3)
    # the bound's own meaning: so few or fewer come with a chance of 5 % (Poisson, 4 or fewer at 9.154)
    assert upper_95(4) == pytest.approx(9.154, abs=1e-3)
    assert clean_words(figures).startswith("4 alerts in 2 account-months")


def test_a_table_has_a_line_of_dashes_and_as_many_cells_in_every_row() -> None:
    lines = table(("a", "b"), [(1, None), ("x", 2)]).splitlines()
    assert lines[1] == "| --- | --- |"
    assert {line.count("|") for line in lines} == {3}


def test_a_scope_has_the_class_of_its_conversions_a_day() -> None:
    world = World(seed=1)
    [large, _, small] = make_accounts(world)
    behind = Background(world)
    assert behind.volume_class((large.name, None, None)) == "200 a day and more"
    assert behind.volume_class((small.name, None, None)) == "50 to 200 a day"
    assert behind.volume_class((small.name, "meta", small.campaigns[-1].name)) == "under 50 a day"


def test_a_false_alert_is_put_down_to_what_was_going_on(alert: AlertChange) -> None:
    world = next(
        w for seed in range(9) if make_business(w := World(seed=seed, accounts=1), make_accounts(w)[0]).promotions
    )
    [account] = make_accounts(world)
    one = make_business(world, account).promotions[0]
    behind, where = Background(world), {"account": account.name, "source": one.source}
    assert behind.circumstance(_at(alert, one.from_ms + HOUR_MS, **where), []) == "during a promotion"
    assert behind.circumstance(_at(alert, one.to_ms + HOUR_MS, **where), []) == "up to 3 days after a promotion"
    label = Label(
        incident_id="i", signal="roas_drop", account=account.name, **{"from": one.to_ms, "to": one.to_ms + DAY_MS}
    )
    during = _at(alert, one.to_ms + HOUR_MS, signal="cpa_spike", **where)
    assert behind.circumstance(during, [label]) == "during an incident, other name"
    after = _at(alert, one.to_ms + 30 * HOUR_MS, **where)
    assert behind.circumstance(after, [label]) == "up to a day after an incident"


def test_what_is_known_stays_known_however_much_is_learned() -> None:
    pipeline, decoder = Pipeline(DetectionSettings()), Decoder()
    world = replace(SMALL, days=3, cost_is_due=True, ticks=True, incidents=0)
    lines = list(simulate(world))
    pipeline.feed(decoder.decode(lines[: len(lines) // 2]).batch)
    know(pipeline.registry)
    pipeline.feed(decoder.decode(lines[len(lines) // 2 :]).batch)
    series = pipeline.registry.series.rows
    leaves = np.flatnonzero(series["level"] == LEAF)
    assert len(leaves) == 3
    for leaf in leaves:
        assert level.rate(series["learned"][leaf], 0.7) == pytest.approx(1.0, rel=1e-5)
        assert series["learned"][leaf, level.A] > CERTAIN / 2
    assert np.abs(pipeline.registry.accounts["factor"][:1] - 1.0).max() < 1e-5
    know(pipeline.registry)
    for row in series[: len(pipeline.registry.scopes)]:
        assert row["slopes"] == pytest.approx(deficit.sloped(row["phi"]))


def test_known_rates_expect_what_comes() -> None:
    """The expectation of a healthy world with true rates is its conversions, but for their noise."""
    world = World(seed=5, days=6, accounts=1, campaigns=2, incidents=0, snapshot_share=0, click_date_share=0)
    pipeline, decoder = Pipeline(DetectionSettings()), Decoder()
    pipeline.feed(decoder.decode(list(simulate(replace(world, cost_is_due=True, ticks=True)))).batch)
    know(pipeline.registry)
    [leaf, *_] = np.flatnonzero(pipeline.registry.series["level"] == LEAF)
    spent, bought = pipeline.registry.series["total"][leaf, [0, 3]] / 1e6
    assert bought == pytest.approx(spent * level.rate(pipeline.registry.series["learned"][leaf], 0.0), rel=0.06)


def test_detectors_that_know_find_a_full_outage_of_the_account() -> None:
    found = 0
    for seed in range(4):
        world = World(seed=seed, days=12, accounts=1, campaigns=2, clean_days=4.0, incidents=3)
        whole = [one for one in incidents(world) if one.signal == "tracking_outage" and one.kept == 0]
        alerts = openings(told_knowing(world, DetectionSettings())) if whole else []
        for one in whole:
            assert any(a.signal == "tracking_outage" and _inside(one, a) for a in alerts), one
            found += 1
    assert found


def _inside(incident: Incident, alert: AlertChange) -> bool:
    [label] = parse_labels([incident.label()], "label")
    return label.from_ms <= moment_ms(alert.at) <= label.to_ms


def test_the_command_prints_both_scorecards_the_seeds_and_what_was_false(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["days=9", "accounts=1", "campaigns=3", "incidents=2", "scale=0.5"]
    arguments = ["--seeds", "3", "4", *(word for one in small for word in ("--set", one))]
    assert worlds.main([*arguments, "--json", "--incidents"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["seeds"] == [3, 4]
    for kind in (worlds.LEARNED, worlds.KNOWN):
        kinds, clean = card[kind]["kinds"], card[kind]["clean"]
        assert kinds["all"]["incidents"] == 4
        assert (
            sum(kinds[name]["incidents"] for name in ("tracking_outage", "cpa_spike", "roas_drop") if name in kinds)
            == 4
        )
        assert sum(kinds[name]["incidents"] for name in worlds.ORDER[4:] if name in kinds) == 4
        assert clean["account_months"] == pytest.approx(2 * 9 / 30)
        false = sum(" false " in note for note in card["notes"][kind])
        assert false == kinds["all"]["false"] + clean["false"] == sum(card[kind]["false_by_circumstance"].values())
        missed = sum(" missed " in note for note in card["notes"][kind])
        assert missed == 4 - kinds["all"]["caught"]


def test_processes_side_by_side_give_what_one_gives() -> None:
    numbers = [3, 1, 2]
    assert list(worlds.side_by_side(abs, numbers, 2)) == list(worlds.side_by_side(abs, numbers, 1)) == numbers
