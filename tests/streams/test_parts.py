"""A leg or a conversion name that dies while the rest of its source goes on is one alert, and nothing else is."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import fields
from datetime import datetime

import numpy as np
import pytest
from small_worlds import (
    DAY_MS,
    HOUR_MS,
    START_MS,
    batch_of,
    cut,
    history,
    run,
    told_by_parts,
)

from streams.parts import LEG, NAME, NONE, Part, PartTable

PLATFORM = [("platform", 1.0)]
FUNNEL = [("purchase", 1.0), ("add_to_cart", 4.0), ("begin_checkout", 1.8)]
LEADS = [("purchase", 1.0), ("lead", 0.4), ("add_to_cart", 2.0)]
Told = tuple[str, str, str | None, str | None, dict[str, str] | None]


def _told(lines: list[bytes]) -> list[Told]:
    _, changes = run(batch_of(lines))
    return [(c["change"], c["signal"], c["source"], c["campaign"], c["part"]) for c in map(json.loads, changes)]


def _one(part: dict[str, str] | None, campaign: str | None = None) -> list[Told]:
    return [(turn, "tracking_outage", "meta", campaign, part) for turn in ("opened", "resolved")]


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    """Seven days of two legs and three names; the browser leg dies, then add_to_cart; late and doubled facts."""
    lost = [(4.0, 4.4, 0.0, "browser", None), (5.5, 5.8, 0.0, None, "add_to_cart")]
    lines = told_by_parts(7, a_day=120.0, campaigns=("brand", "generic"), names=FUNNEL, lost=lost)
    rng = random.Random(5)
    for place in rng.sample(range(len(lines) - 900), 200):
        lines.insert(place + rng.randrange(10, 800), lines[place])  # said twice
    for place in rng.sample(range(len(lines) - 900), 200):
        lines.insert(place + rng.randrange(50, 800), lines.pop(place))  # late
    return lines


@pytest.mark.parametrize("leg", ["browser", "server"])
def test_a_leg_that_dies_while_the_other_tells_the_same_ids_is_one_alert_that_ends(leg: str) -> None:
    """Nothing is missing from the campaign, and yet it is told; it costs no sales, so nobody is woken."""
    lines = told_by_parts(7, lost=[(5.0, 5.4, 0.0, leg, None)])
    _, changes = run(batch_of(lines))
    assert _told(lines) == _one({"leg": leg})
    opened, resolved = map(json.loads, changes)
    start_ms = START_MS + 5 * DAY_MS
    assert start_ms < _ms(opened["at"]) < start_ms + 3 * HOUR_MS
    assert abs(_ms(opened["started_at"]) - start_ms) < HOUR_MS
    assert _ms(resolved["at"]) < START_MS + 5.4 * DAY_MS + 4 * HOUR_MS
    assert (opened["severity"], opened["money_at_risk_micros"], opened["observed"]) == ("warning", None, 0.0)


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def test_a_leg_that_loses_part_of_its_conversions_is_told() -> None:
    """Sixty per cent are gone; the other leg still has them all."""
    assert _told(told_by_parts(8, lost=[(5.0, 6.0, 0.4, "browser", None)])) == _one({"leg": "browser"})


def test_where_all_legs_die_the_source_says_it_and_no_leg_does() -> None:
    """Parts are held against their siblings, which are silent too."""
    told = _told(told_by_parts(7, campaigns=("brand", "generic"), lost=[(5.0, 5.4, 0.0, None, None)]))
    assert [t for t in told if t[4] is not None] == []
    assert [t[:2] for t in told] == [("opened", "tracking_outage"), ("resolved", "tracking_outage")]


def test_a_name_that_no_ratio_is_made_of_is_told_when_it_dies() -> None:
    """add_to_cart counts for no campaign."""
    lines = told_by_parts(7, legs=PLATFORM, names=FUNNEL, lost=[(5.0, 5.4, 0.0, None, "add_to_cart")])
    assert _told(lines) == _one({"name": "add_to_cart"})


def test_where_the_only_name_that_counts_dies_its_source_says_it() -> None:
    """Not its part as well."""
    lines = told_by_parts(7, legs=PLATFORM, names=FUNNEL, lost=[(5.0, 5.4, 0.0, None, "purchase")])
    assert [turn[:2] + turn[4:] for turn in _told(lines)] == [turn[:2] + turn[4:] for turn in _one(None)]


@pytest.mark.parametrize("campaigns", [("brand",), ("brand", "generic")])
def test_a_name_that_counts_with_others_is_told_once_and_its_campaigns_expect_no_more_of_it(
    campaigns: tuple[str, ...],
) -> None:
    """Leads are missing from every campaign's total; their own alert says so, with the money that runs blind."""
    lost = [(5.0, 5.8, 0.0, None, "lead")]
    lines = told_by_parts(8, legs=PLATFORM, names=LEADS, campaigns=campaigns, lost=lost)
    assert _told(lines) == _one({"name": "lead"})
    opened = json.loads(run(batch_of(lines))[1][0])
    spent_an_hour = 240 * 20 / 24 * 1e6 * len(campaigns)
    assert opened["money_at_risk_micros"] == pytest.approx(spent_an_hour * 0.4 / 1.4, rel=0.25)


def test_a_leg_with_sales_of_its_own_takes_them_along_and_is_told_once() -> None:
    """The legs tell different ids, so the campaigns lack what the dead leg told."""
    legs = [("browser", 0.6), ("server", 0.5)]
    lines = told_by_parts(7, a_day=480.0, legs=legs, lost=[(5.0, 5.4, 0.0, "browser", None)])
    assert _told(lines) == _one({"leg": "browser"})


def test_a_browser_leg_that_carried_a_name_alone_is_told_as_the_leg() -> None:
    """add_to_cart and begin_checkout go with it; that is one incident, not three."""
    browser = told_by_parts(7, legs=[("browser", 1.0)], names=FUNNEL, lost=[(5.0, 5.4, 0.0, "browser", None)])
    server = told_by_parts(7, legs=[("server", 1.0)], names=FUNNEL[:1])
    both = sorted(set(browser + server), key=lambda raw: (json.loads(raw)["at"], raw))
    assert _told(both) == _one({"leg": "browser"})


def test_a_campaign_that_has_become_dear_strikes_no_part() -> None:
    """Half of all conversions, on every leg and of every name: how they are shared out has not changed."""
    lost = [(5.0, 6.5, 0.5, None, None)]
    told = _told(told_by_parts(8, names=FUNNEL, lost=lost))
    assert told
    assert all(part is None for *_, part in told)


def test_a_campaign_that_pauses_and_had_all_of_a_name_is_no_outage_of_it() -> None:
    """Only one campaign has carts and checkouts; the other goes on selling when it is paused."""
    shop = told_by_parts(8, campaigns=("shop",), legs=PLATFORM, names=FUNNEL)
    plain = told_by_parts(8, seed=2, campaigns=("plain",), legs=PLATFORM)
    plain = [raw.replace(b'"id": "d', b'"id": "plain') for raw in plain]
    going = [raw for raw in shop if json.loads(raw)["at"] < START_MS + 5 * DAY_MS]
    both = sorted([*going, *plain], key=lambda raw: json.loads(raw)["at"])
    assert [turn for turn in _told(both) if turn[4] is not None] == []


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_told_where_nothing_happens(seed: int) -> None:
    """Two legs and three names for two weeks."""
    assert _told(told_by_parts(14, seed=seed, legs=[("browser", 0.9), ("server", 0.8)], names=FUNNEL)) == []


def test_a_sibling_that_grows_is_no_loss_of_the_others() -> None:
    """Three times as many carts, by a new button: purchases and checkouts are a smaller share and as many as ever."""
    before = told_by_parts(9, legs=PLATFORM, names=FUNNEL)
    more = told_by_parts(9, seed=7, legs=PLATFORM, names=[("add_to_cart", 8.0)])
    more = [raw.replace(b"brand-add", b"more-add") for raw in more if b"add_to_cart" in raw]
    more = [raw for raw in more if json.loads(raw)["at"] >= START_MS + 5 * DAY_MS]
    both = sorted([*before, *more], key=lambda raw: json.loads(raw)["at"])
    assert [turn for turn in _told(both) if turn[4] is not None] == []


def test_a_leg_whose_facts_come_a_day_late_is_never_called_silent() -> None:
    """Missing is not zero: its silence says nothing."""
    lines = told_by_parts(8, legs=[("browser", 1.0), ("backend", 1.0)])
    days: dict[int, list[bytes]] = {}
    for raw in lines:
        fact = json.loads(raw)
        day = (fact["at"] - START_MS) // DAY_MS
        slow = fact.get("leg") == "backend"
        days.setdefault((day + 1) * DAY_MS if slow else fact["at"] - START_MS, []).append(raw)
    late = [raw for at in sorted(days) for raw in days[at]]
    assert [turn for turn in _told(late) if turn[4] is not None] == []


def test_a_repeat_of_an_id_by_the_same_leg_counts_once() -> None:
    """Every fact of the dead leg's last day is said again while it is dead: nothing is hidden by that."""
    lines = told_by_parts(7, lost=[(5.0, 5.4, 0.0, "browser", None)])
    again = [raw for raw in lines if b'"browser"' in raw and 4.7 < (json.loads(raw)["at"] - START_MS) / DAY_MS < 5.0]
    assert again
    place = next(i for i, raw in enumerate(lines) if json.loads(raw)["at"] > START_MS + 5.01 * DAY_MS)
    assert _told([*lines[:place], *again, *lines[place:]]) == _one({"leg": "browser"})


def test_both_kinds_of_parts_are_told_in_a_world_with_late_and_doubled_facts(log: list[bytes]) -> None:
    """What the laws below are tested on does open and end alerts of both kinds."""
    assert _told(log) == _one({"leg": "browser"}) + _one({"name": "add_to_cart"})


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_batches_of_any_size_give_the_same_bytes(log: list[bytes], size: int) -> None:
    """One fact at a time or ten thousand."""
    batch = batch_of(log[:3000] if size == 1 else log)
    whole, expected = run(batch)
    parts, changes = run(batch, range(size, len(batch), size))
    assert changes == expected
    assert (parts.counts, parts.totals()) == (whole.counts, whole.totals())


@pytest.mark.parametrize("seed", range(4))
def test_a_restart_at_any_point_changes_nothing(log: list[bytes], seed: int) -> None:
    """State that went through its bytes continues as if nothing had happened, also with an alert of a part open."""
    batch = batch_of(log)
    cuts = sorted(random.Random(seed).sample(range(1, len(batch)), 6))
    assert run(batch, cuts, restart=True)[1] == run(batch)[1]


def test_facts_between_two_ticks_commute(log: list[bytes]) -> None:
    """Shuffling what stands between two ticks changes no alert: neither which leg said an id first."""
    batch = batch_of(log)
    rng, order = random.Random(3), list(range(len(batch)))
    ticks = [row for row in order if batch.kind[row] == 8]
    for low, high in itertools.pairwise(ticks):
        inner = order[low + 1 : high]
        rng.shuffle(inner)
        order[low + 1 : high] = inner
    shuffled = cut(batch, 0, len(batch))
    for name in (field.name for field in fields(batch)):
        if isinstance(getattr(batch, name), np.ndarray):
            setattr(shuffled, name, getattr(batch, name)[order])
    assert run(shuffled)[1] == run(batch)[1]


def test_one_leg_and_one_name_cost_no_pane_and_no_id() -> None:
    """Sources that have nothing to hold against each other carry nothing for it."""
    pipeline, _ = run(batch_of(history(2)))
    assert pipeline._parts_waiting.size == 0
    assert int(pipeline._ids.used[0]) == sum(1 for _ in history(2))


def test_a_source_has_so_many_names_at_most() -> None:
    """A producer that makes a name of every order fills no memory."""
    table = PartTable()
    rows = [table.part(Part("acme", "shop", NAME, f"order {number}"), 0, 0) for number in range(200)]
    assert (len(table.scopes), rows[-1]) == (64, NONE)
    assert table.part(Part("acme", "shop", LEG, "browser"), 0, 0) != NONE


def test_a_second_leg_of_a_running_source_is_learned_before_it_is_judged() -> None:
    """It joins on day four; a day later it is known, and its death is told."""
    lines = told_by_parts(8, lost=[(6.0, 6.4, 0.0, "server", None)])
    joined = [raw for raw in lines if b'"server"' not in raw or json.loads(raw)["at"] >= START_MS + 4 * DAY_MS]
    assert _told(joined) == _one({"leg": "server"})


def test_an_account_without_spend_is_not_judged_by_parts() -> None:
    """Its parts have no rate, as its campaigns have none."""
    lines = [raw for raw in told_by_parts(6, lost=[(4.0, 5.0, 0.0, "browser", None)]) if b'"delivery"' not in raw]
    assert _told(lines) == []
