"""The laws of the pipeline: a function of the log alone, however the log is cut, split or interrupted."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, batch_of, cut, delivery, history, line, purchase, run

from streams.pipeline import Pipeline
from streams.settings import DetectionSettings
from streams.state import UnknownState, pack, unpack

TWO = {("meta", "brand"): 300.0, ("google_ads", "generic"): 120.0}
INCIDENTS = [(3.0, 3.4, 0.0, 1.0, None), (4.5, 5.2, 0.45, 1.0, "brand"), (6.2, 6.9, 1.0, 0.5, "brand")]


@pytest.fixture(scope="module")
def log() -> list[bytes]:
    """Eight days with an outage, a CPA spike and a drop of basket values, late, doubled and restated facts."""
    lines = history(8, a_day=TWO, incidents=INCIDENTS)
    rng = random.Random(5)
    for place in rng.sample(range(0, len(lines) - 400), 60):
        lines.insert(place + rng.randrange(10, 300), lines[place])  # said twice
    for place in rng.sample(range(0, len(lines) - 400), 60):
        lines.insert(place + rng.randrange(50, 300), lines.pop(place))  # late
    for hour in range(0, 180, 3):
        for revision, cost in ((1, 5), (2, 7)):
            lines.insert((hour + 6) * len(lines) // 200, _snapshot(hour, revision, cost))
    return lines


def _snapshot(hour: int, revision: int, cost: float) -> bytes:
    return line(
        fact="snapshot",
        at=START_MS + hour * HOUR_MS,
        bucket="hour",
        source="bing",
        account="acme",
        campaign="slow",
        currency="EUR",
        revision=revision,
        cost_micros=round(cost * 1e6),
        conversions=2,
        value_micros=90_000_000,
    )


def _told(changes: list[bytes]) -> list[tuple[str, str]]:
    return [(change["change"], change["signal"]) for change in map(json.loads, changes)]


def test_each_kind_of_incident_is_opened_once_and_resolved(log: list[bytes]) -> None:
    """The outage, the dear conversions and the small baskets each give one alert that ends."""
    _, changes = run(batch_of(log))
    told = [turn for turn in _told(changes) if turn[0] != "worsened"]
    assert told == [(t, s) for s in ("tracking_outage", "cpa_spike", "roas_drop") for t in ("opened", "resolved")]


def test_the_outage_opens_although_no_conversion_arrives_and_dates_its_onset(log: list[bytes]) -> None:
    """It opens by a tick within three hours of the start, and the estimated onset is within half an hour of it."""
    _, changes = run(batch_of(log))
    opened = next(c for c in map(json.loads, changes) if c["signal"] == "tracking_outage")
    start = DAY_MS * 3 + START_MS
    assert start < _ms(opened["at"]) < start + 3 * HOUR_MS
    assert abs(_ms(opened["started_at"]) - start) < 30 * MINUTE_MS


def _ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_batches_of_any_size_give_the_same_bytes(log: list[bytes], size: int) -> None:
    """One fact at a time or ten thousand: the same alert changes, the same counts, the same sums."""
    batch = batch_of(log[:4000] if size == 1 else log)
    whole, expected = run(batch)
    parts, changes = run(batch, range(size, len(batch), size))
    assert changes == expected
    assert (parts.counts, parts.totals()) == (whole.counts, whole.totals())


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_restart_at_any_point_changes_nothing(log: list[bytes], data: Any) -> None:
    """State that went through its bytes continues as if nothing had happened."""
    batch = batch_of(log)
    cuts = data.draw(st.lists(st.integers(1, len(batch) - 1), max_size=5, unique=True))
    assert run(batch, cuts, restart=True)[1] == run(batch)[1]


def test_state_of_another_layout_is_refused_with_what_to_do(log: list[bytes]) -> None:
    """Not read into the wrong columns."""
    pipeline = Pipeline(DetectionSettings())
    pipeline.feed(cut(batch_of(log), 0, 2000))
    arrays, plain = unpack(pipeline.snapshot())
    for layout in ("0123456789ab", None):
        with pytest.raises(UnknownState, match=r"another version of adwatch.*made anew from the log"):
            Pipeline.restore(DetectionSettings(), pack(arrays, {**plain, "layout": layout}))


def test_facts_between_two_ticks_commute(log: list[bytes]) -> None:
    """Shuffling what stands between two ticks changes no alert."""
    batch = batch_of(log)
    rng, order = random.Random(3), list(range(len(batch)))
    ticks = [row for row in order if batch.kind[row] == 8]
    for low, high in itertools.pairwise(ticks):
        inner = order[low + 1 : high]
        rng.shuffle(inner)
        order[low + 1 : high] = inner
    shuffled = cut(batch, 0, len(batch))
    for name in (
        "kind",
        "at_ms",
        "known_at_ms",
        "key",
        "id_hash",
        "cost_micros",
        "impressions",
        "clicks",
        "conversions",
        "value_micros",
        "lag_ms",
    ):
        setattr(shuffled, name, getattr(batch, name)[order])
    shuffled.rare = {order.index(row): fact for row, fact in batch.rare.items()}
    assert sorted(run(shuffled)[1]) == sorted(run(batch)[1])


def test_accounts_do_not_know_of_one_another(log: list[bytes]) -> None:
    """An account's alerts are the same alone and beside another that has an incident of its own."""
    other = history(8, seed=9, account="bolt", a_day={("meta", "brand"): 500.0}, incidents=[(5.0, 5.5, 0.3, 1.0, None)])
    both = sorted([*log, *other], key=lambda raw: json.loads(raw)["at"])
    alone = sorted(log, key=lambda raw: json.loads(raw)["at"])
    ticks = [line(fact="tick", at=START_MS + minute * MINUTE_MS) for minute in range(8 * 1440 + 1)]

    def with_all_ticks(lines: list[bytes]) -> list[bytes]:
        return sorted([*lines, *ticks], key=lambda raw: (json.loads(raw)["at"], json.loads(raw)["fact"] != "tick"))

    _, together = run(batch_of(with_all_ticks(both), ticks=False))
    _, apart = run(batch_of(with_all_ticks(alone), ticks=False))
    assert [c for c in together if json.loads(c)["account"] == "acme"] == apart
    assert any(json.loads(c)["account"] == "bolt" for c in together)


def test_sums_equal_an_offline_recomputation_to_the_micro(log: list[bytes]) -> None:
    """Every accepted id counts once and the highest revision stands."""
    pipeline, _ = run(batch_of(log))
    expected: dict[tuple[str, str], int] = {}
    seen, revisions = set(), {}
    for fact in map(json.loads, log):
        if fact["fact"] == "delivery" and fact["id"] not in seen:
            seen.add(fact["id"])
            key = (fact["source"], fact["campaign"])
            expected[key] = expected.get(key, 0) + fact["cost_micros"]
        if fact["fact"] == "snapshot":
            known = revisions.get(fact["at"], (0, 0))
            revisions[fact["at"]] = max(known, (fact["revision"], fact["cost_micros"]))
    expected["bing", "slow"] = sum(cost for _, cost in revisions.values())
    assert {(s.source, s.campaign): sums[0] for s, sums in pipeline.totals().items()} == expected


def test_a_doubled_tick_changes_nothing(log: list[bytes]) -> None:
    """Two tickers at once are as good as one."""
    batch = batch_of(log)
    doubled = [row for row in range(len(batch)) for _ in range(2 if batch.kind[row] == 8 else 1)]
    twice = cut(batch, 0, len(batch))
    for name in (
        "kind",
        "at_ms",
        "known_at_ms",
        "key",
        "id_hash",
        "cost_micros",
        "impressions",
        "clicks",
        "conversions",
        "value_micros",
        "lag_ms",
    ):
        setattr(twice, name, getattr(batch, name)[doubled])
    twice.rare = {doubled.index(row): fact for row, fact in batch.rare.items()}
    assert run(twice)[1] == run(batch)[1]


def test_what_cannot_be_used_is_refused_with_a_reason_and_counted() -> None:
    """The far future, the far past and a second currency are told apart; the row in the batch is named."""
    tick = line(fact="tick", at=START_MS)
    lines = [
        tick,
        purchase(1, START_MS),
        purchase(2, START_MS + 3 * DAY_MS),
        purchase(3, START_MS - 3 * DAY_MS),
        purchase(4, START_MS).replace(b"EUR", b"USD"),
        purchase(1, START_MS),
    ]
    pipeline = Pipeline(DetectionSettings())
    outcome = pipeline.feed(batch_of(lines, ticks=False))
    assert [(r.row, r.reason) for r in outcome.refused] == [(2, "future"), (3, "too_old"), (4, "currency")]
    assert {k: v for k, v in pipeline.counts.items() if v} == {
        "accepted": 1,
        "duplicate": 1,
        "future": 1,
        "too_old": 1,
        "currency": 1,
        "other": 1,
    }


def test_a_source_that_fell_silent_gives_no_verdict() -> None:
    """Without a watermark zero is unknown: when spend stops as well, nobody is woken."""
    lines = history(4)
    silent = [raw for raw in lines if json.loads(raw)["at"] < START_MS + 3 * DAY_MS]
    ticks = [line(fact="tick", at=START_MS + 3 * DAY_MS + minute * MINUTE_MS) for minute in range(1440)]
    first = batch_of(silent)
    pipeline, changes = run(first)
    after = pipeline.feed(batch_of(ticks, ticks=False)).changes
    assert changes == []
    assert after == []


def test_declared_watermarks_are_the_only_ones_once_a_source_sends_them() -> None:
    """An outage behind a declared watermark is not judged until the watermark moves past it."""
    lines = history(4, incidents=[(3.0, 4.0, 0.0, 1.0, None)])
    declared = [_watermark(START_MS + hour * HOUR_MS) for hour in range(73)]
    merged = sorted([*lines, *declared], key=lambda raw: json.loads(raw)["at"])
    held, changes = run(batch_of(merged))
    assert changes == []
    ticks = [line(fact="tick", at=START_MS + 4 * DAY_MS + minute * MINUTE_MS) for minute in range(1, 5)]
    opened = held.feed(batch_of([_watermark(START_MS + 4 * DAY_MS), *ticks], ticks=False)).changes
    assert [c.signal for c in opened] == ["tracking_outage"]


def _watermark(at_ms: int) -> bytes:
    return line(fact="watermark", at=at_ms, source="meta", account="acme")


def test_repeats_of_the_intake_are_fenced_by_their_origin() -> None:
    """A fact whose raw position was applied before is skipped, even when its id was new then and has no id."""
    import numpy as np

    batch = batch_of([delivery(n, START_MS + n, 1.0) for n in range(4)], ticks=False)
    batch.id_hash = np.arange(1, 5, dtype=np.uint64)
    batch.origins, batch.origin = ["raw/0"], np.zeros(4, np.int32)
    batch.origin_offset = np.array([7, 8, 8, 9])
    pipeline = Pipeline(DetectionSettings())
    pipeline.feed(batch)
    again = cut(batch, 0, 4)
    again.id_hash = batch.id_hash + np.uint64(100)
    pipeline.feed(again)
    assert (pipeline.counts["accepted"], pipeline.counts["repeated"]) == (3, 5)


def test_an_outage_mutes_the_alerts_it_explains_and_says_why() -> None:
    """Baskets that shrink while the source is blind are kept from people."""
    lines = history(
        6, a_day={("meta", "brand"): 400.0}, incidents=[(4.0, 4.6, 0.0, 1.0, "brand"), (4.0, 5.0, 1.0, 0.3, "brand")]
    )
    _, changes = run(batch_of(lines))
    parsed = [json.loads(c) for c in changes]
    outage = next(c for c in parsed if c["signal"] == "tracking_outage")
    roas = [c for c in parsed if c["signal"] == "roas_drop" and c["change"] == "opened" and c["at"] < "2026-01-05T14"]
    assert all(c["muted_by"] == f"tracking_outage {outage['alert_id']}" for c in roas)
