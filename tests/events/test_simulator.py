"""The seeded world: the same every time, within the contract, and with the incidents it says it has."""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest

from events.batch import Kind
from events.codec import Decoded, Decoder
from events.incidents import Incident
from events.simulator import World, WorldError, arrivals, incidents, simulate, write_world
from events.world import DAY_MS, make_accounts

DIGEST_OF = """
import hashlib
from events.simulator import World, simulate
print(hashlib.sha256(b"".join(simulate(World(seed=9, days=2, accounts=2, campaigns=4)))).hexdigest())
"""


@pytest.fixture(scope="module")
def world() -> World:
    return World(seed=5, days=30)


@pytest.fixture(scope="module")
def history(world: World) -> list[tuple[int, bytes]]:
    return list(arrivals(world))


@pytest.fixture(scope="module")
def decoded(history: list[tuple[int, bytes]]) -> Decoded:
    return Decoder().decode([line for _, line in history])


def _purchases(decoded: Decoded, account: str | None = None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Moment, value and campaign of every distinct purchase."""
    b = decoded.batch
    named = np.array([key.name == "purchase" and account in (None, key.account) for key in b.keys.rows])
    rows = np.flatnonzero((b.kind == Kind.CONVERSION) & named[np.maximum(b.key, 0)])
    rows = rows[np.unique(b.id_hash[rows], return_index=True)[1]]
    return b.at_ms[rows], b.value_micros[rows], [b.keys.rows[key].campaign or "" for key in b.key[rows].tolist()]


def test_the_same_seed_gives_the_same_bytes_in_any_process() -> None:
    printed = [
        subprocess.run(
            [sys.executable, "-c", DIGEST_OF], capture_output=True, check=True, text=True, env={"PYTHONHASHSEED": seed}
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    here = hashlib.sha256(b"".join(simulate(World(seed=9, days=2, accounts=2, campaigns=4)))).hexdigest()
    assert printed == [here, here]


def test_another_seed_gives_another_world() -> None:
    one, other = (list(simulate(World(seed=seed, days=1, accounts=1, campaigns=2))) for seed in (1, 2))
    assert one != other


def test_every_line_is_a_fact_of_the_contract(decoded: Decoded, history: list[tuple[int, bytes]]) -> None:
    assert decoded.rejects == []
    assert len(decoded.batch) == len(history) > 100_000
    said = set(decoded.batch.kind.tolist())
    assert {Kind.DELIVERY, Kind.CONVERSION, Kind.STATE, Kind.CHANGE} <= said


def test_facts_stand_in_the_order_of_their_arrival_and_inside_the_world(
    world: World, history: list[tuple[int, bytes]], decoded: Decoded
) -> None:
    arrival = np.array([at for at, _ in history])
    assert (np.diff(arrival) >= 0).all()
    assert world.start_ms <= arrival[0] <= arrival[-1] < world.end_ms
    assert (decoded.batch.known_at_ms <= arrival).all()
    assert (decoded.batch.at_ms <= decoded.batch.known_at_ms).all()


def test_facts_are_late_and_repeated_as_often_as_asked(decoded: Decoded) -> None:
    b = decoded.batch
    spend = b.kind == Kind.DELIVERY
    delay_min = (b.known_at_ms - b.at_ms)[spend] / 60_000
    assert 0.01 < (delay_min > 3).mean() < 0.03
    assert delay_min.max() < 62
    repeated = 1 - len(np.unique(b.id_hash[spend])) / spend.sum()
    assert 0.007 < repeated < 0.013


def test_nothing_is_late_or_repeated_where_nothing_is_asked_for() -> None:
    calm = World(seed=3, days=2, accounts=1, campaigns=3, late_share=0, duplicate_share=0, snapshot_share=0)
    b = Decoder().decode(list(simulate(calm))).batch
    spend = b.kind == Kind.DELIVERY
    assert (b.known_at_ms - b.at_ms)[spend].max() < 10 * 60_000
    assert len(np.unique(b.id_hash[spend])) == spend.sum()
    assert not (b.kind == Kind.SNAPSHOT).any()


def test_campaigns_span_a_few_to_hundreds_of_conversions_a_day(world: World, decoded: Decoded) -> None:
    counts: dict[str, int] = defaultdict(int)
    for campaign in _purchases(decoded)[2]:
        counts[campaign] += 1
    a_day = sorted(count / world.days for count in counts.values())
    assert a_day[0] < 8
    # half of an account's conversions, or twice that where its budget was doubled
    assert 250 < a_day[-1] < 1000


def test_a_full_outage_leaves_no_conversion_and_an_incident_halves_what_it_says(world: World, decoded: Decoded) -> None:
    checked: set[str] = set()
    for incident in incidents(world):
        account = next(a for a in make_accounts(world) if a.name == incident.account)
        names = {c.name for c in account.campaigns if incident.covers(c)}
        at, value, campaign = _purchases(decoded, incident.account)
        hit = (at >= incident.from_ms) & (at < incident.to_ms) & np.isin(np.array(campaign), list(names))
        if incident.signal == "tracking_outage" and incident.kept == 0:
            assert hit.sum() == 0, incident
            checked.add("full outage")
        if incident.signal == "roas_drop" and incident.campaign is not None:
            usual = np.median(value[np.array(campaign) == incident.campaign])
            assert np.median(value[hit]) < 0.75 * usual, incident
            checked.add("roas_drop")
    assert checked == {"full outage", "roas_drop"}


def test_incidents_of_an_account_leave_the_first_days_clean_and_never_overlap(world: World) -> None:
    planned = incidents(world)
    assert len(planned) == 30
    assert min(incident.from_ms for incident in planned) >= world.start_ms + 5 * DAY_MS
    assert max(incident.to_ms for incident in planned) <= world.end_ms
    by_account: dict[str, list[Incident]] = defaultdict(list)
    for incident in planned:
        by_account[incident.account].append(incident)
        assert 2 <= (incident.to_ms - incident.from_ms) / 3_600_000 <= 40
    for mine in by_account.values():
        assert all(a.to_ms < b.from_ms for a, b in itertools.pairwise(mine))


def test_over_seeds_there_are_all_signals_on_all_scopes() -> None:
    seen = {
        (i.signal, "campaign" if i.campaign else "source" if i.source else "account")
        for seed in range(12)
        for i in incidents(World(seed=seed))
    }
    assert len(seen) == 9


def test_labels_speak_the_contract() -> None:
    world = World(seed=2, days=12, accounts=2, campaigns=5, incidents=6)
    facts, labels = io.BytesIO(), io.BytesIO()
    count = write_world(world, facts, labels)
    assert count == len(facts.getvalue().splitlines())
    parsed = [json.loads(line) for line in labels.getvalue().splitlines()]
    assert len(parsed) == 6
    for label in parsed:
        assert label.keys() <= {"incident_id", "signal", "account", "from", "to", "source", "campaign"}
        assert datetime.fromisoformat(label["from"]) < datetime.fromisoformat(label["to"])


def test_ticks_stand_once_a_minute_before_the_facts_of_their_moment() -> None:
    world = World(seed=2, days=1, accounts=1, campaigns=2, ticks=True)
    lines = list(arrivals(world))
    ticks = [at for at, line in lines if line.startswith(b'{"fact":"tick"')]
    assert ticks == list(range(world.start_ms, world.end_ms, 60_000))
    assert lines[0][1].startswith(b'{"fact":"tick"')


def test_conversion_counts_are_as_overdispersed_as_asked_and_noise_that_an_hour_shares_grows_with_the_mean() -> None:
    def spread(phi: float, growth: float = 0.0, scale: float = 0.1) -> float:
        """Variance over mean of hourly counts, from neighbours, so that seasons do not count."""
        world = World(seed=4, days=30, accounts=1, campaigns=1, incidents=0, phi=phi, phi_growth=growth, scale=scale,
                      promotions=0, budget_changes=0, capped_share=0)  # fmt: skip
        at = _purchases(Decoder().decode(list(simulate(world))))[0]
        counts = np.bincount((at - world.start_ms) // 3_600_000, minlength=world.days * 24)
        return float((np.diff(counts) ** 2).sum() / (counts[1:] + counts[:-1]).sum())

    assert spread(1.0) < 1.3
    # less than 3, for the lag tears clusters apart
    assert spread(3.0) > spread(1.0) + 0.5
    assert spread(1.0, growth=0.2) < 1.6
    assert spread(1.0, growth=0.2, scale=1.0) > spread(1.0, growth=0.0, scale=1.0) + 1.0


def test_a_snapshot_source_corrects_itself_with_rising_revisions() -> None:
    world = World(seed=1, days=2, accounts=3, snapshot_share=0.67)
    batch = Decoder().decode(list(simulate(world))).batch
    totals: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for fact in batch.rare.values():
        if hasattr(fact, "revision"):
            totals[fact.campaign, fact.at].append((fact.revision, fact.cost_micros))
    assert len(totals) > 50
    for said in totals.values():
        assert [number for number, _ in said] == sorted({number for number, _ in said})
        assert [cost for _, cost in said] == sorted(cost for _, cost in said)
    assert (batch.kind == Kind.WATERMARK).any()


@pytest.mark.parametrize(
    ("bad", "key"),
    [
        ({"days": 0}, "days"),
        ({"late_share": 1.5}, "late_share"),
        ({"phi": 0.5}, "phi"),
        ({"phi_growth": -1}, "phi_growth"),
        ({"promotions": 31}, "promotions"),
        ({"budget_changes": -1}, "budget_changes"),
        ({"capped_share": 1.1}, "capped_share"),
        ({"click_date_share": -0.1}, "click_date_share"),
        ({"start": datetime(2026, 1, 5)}, "start"),  # noqa: DTZ001 - the missing offset is the point
        ({"start": datetime(1999, 1, 5, tzinfo=UTC)}, "start"),
        ({"scale": float("nan")}, "scale"),
    ],
)
def test_settings_that_make_no_world_are_refused_by_name(bad: dict[str, object], key: str) -> None:
    with pytest.raises(WorldError, match=f"^{key}: "):
        World(**bad)  # type: ignore[arg-type]
