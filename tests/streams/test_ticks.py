from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Batch, Key, Keys, Kind
from events.columns import blank
from streams.ticks import DAY_MS, MINUTE_MS, NO_LINE, ItemTicker, Ticker, TickMaker, with_ticks

START_MS = 1_767_225_600_000


def batch_of(known_at_ms: list[int], ticks: frozenset[int] = frozenset(), keys: Keys | None = None) -> Batch:
    keys = keys or Keys()
    rows = len(known_at_ms)
    batch = blank(np.empty(0, np.uint8), keys)
    for name in ("id_hash", "cost_micros", "impressions", "clicks", "conversions", "value_micros"):
        setattr(batch, name, np.arange(1, rows + 1).astype(getattr(batch, name).dtype))
    batch.kind = np.array([Kind.TICK if row in ticks else Kind.STATE for row in range(rows)], np.uint8)
    batch.at_ms = batch.known_at_ms = np.array(known_at_ms, np.int64)
    batch.key = np.full(rows, keys.code(Key("acme")), np.int32)
    batch.lag_ms = np.full(rows, -1)
    batch.rare = {row: f"fact {row}" for row in range(rows) if row % 3 == 0}
    return batch


def ticked(known_at_ms: list[int], ticks: frozenset[int] = frozenset()) -> list[tuple[str, int]]:
    out = with_ticks(batch_of(known_at_ms, ticks))
    return [(Kind(kind).name, int(at)) for kind, at in zip(out.kind, out.known_at_ms, strict=True)]


def made(known_at_ms: list[int], ticks: frozenset[int] = frozenset()) -> int:
    return sum(kind == "TICK" for kind, _ in ticked(known_at_ms, ticks)) - len(ticks)


def test_a_tick_stands_before_the_first_fact_that_reaches_its_minute() -> None:
    assert ticked([START_MS + 5, START_MS + MINUTE_MS, START_MS + MINUTE_MS + 1]) == [
        ("TICK", START_MS),
        ("STATE", START_MS + 5),
        ("TICK", START_MS + MINUTE_MS),
        ("STATE", START_MS + MINUTE_MS),
        ("STATE", START_MS + MINUTE_MS + 1),
        ("TICK", START_MS + 2 * MINUTE_MS),
    ]


def test_a_late_fact_does_not_move_the_clock_back() -> None:
    assert made([START_MS, START_MS + 10 * MINUTE_MS, START_MS, START_MS + 10 * MINUTE_MS + 1]) == 12


def test_a_day_of_silence_has_a_tick_for_each_of_its_minutes() -> None:
    assert made([START_MS, START_MS + DAY_MS]) == 1 + 1440 + 1


def test_days_of_silence_that_later_facts_vouch_for_have_all_their_ticks() -> None:
    assert made([START_MS] + [START_MS + 3 * DAY_MS] * 2) == 1 + 3 * 1440 + 1


def test_one_fact_from_the_far_future_makes_no_ticks() -> None:
    assert made([START_MS, START_MS + 1000 * DAY_MS, START_MS + 1, START_MS + MINUTE_MS]) == 3


def test_a_lone_last_fact_beyond_the_gap_is_not_believed() -> None:
    assert made([START_MS, START_MS + 2 * DAY_MS]) == 2


def test_a_first_fact_from_the_far_future_does_not_start_the_clock() -> None:
    assert made([START_MS + 1000 * DAY_MS, START_MS, START_MS + MINUTE_MS]) == 3


def test_a_first_fact_from_1970_does_not_make_ticks_for_half_a_century() -> None:
    out = ticked([0, START_MS, START_MS + 1, START_MS + MINUTE_MS])
    assert [at for kind, at in out if kind == "TICK"] == [0, START_MS, START_MS + MINUTE_MS, START_MS + 2 * MINUTE_MS]


def test_a_history_with_ticks_of_its_own_is_left_alone() -> None:
    known = [START_MS + 5, START_MS + MINUTE_MS + 3, START_MS + MINUTE_MS, START_MS + 90 * MINUTE_MS]
    assert made(known, frozenset({2})) == 0


def test_from_the_first_tick_of_its_own_a_history_is_left_alone() -> None:
    known = [START_MS, START_MS + 5 * MINUTE_MS, START_MS + 6 * MINUTE_MS, START_MS + 90 * MINUTE_MS]
    assert made(known, frozenset({2})) == 6


def test_an_empty_history_has_no_ticks() -> None:
    assert ticked([]) == []


def test_what_has_been_ticked_is_not_ticked_again() -> None:
    once = with_ticks(batch_of([START_MS, START_MS + 1, START_MS + 3 * DAY_MS, START_MS + 3 * DAY_MS]))
    twice = with_ticks(once)
    assert twice.known_at_ms.tolist() == once.known_at_ms.tolist()


def test_facts_keep_every_column_and_their_rare_objects() -> None:
    out = with_ticks(batch_of([START_MS + minute * 100 * MINUTE_MS for minute in range(5)]))
    facts = np.flatnonzero(out.kind != Kind.TICK)
    assert out.cost_micros[facts].tolist() == out.id_hash[facts].tolist() == [1, 2, 3, 4, 5]
    assert {row: int(out.cost_micros[row]) for row in out.rare} == {int(facts[0]): 1, int(facts[3]): 4}
    assert out.rare[int(facts[3])] == "fact 3"
    ticks = out.kind == Kind.TICK
    assert set(out.key[ticks]) == {-1}
    assert set(out.lag_ms[ticks]) == {-1}
    assert set(out.id_hash[ticks]) == {0}


def test_a_long_silence_comes_in_pieces_that_fit_into_memory() -> None:
    batch = batch_of([START_MS, START_MS + 300 * DAY_MS, START_MS + 300 * DAY_MS])
    ticker: Ticker[str] = Ticker()
    pieces = [*ticker.push(batch, np.array([1, 2, 3]), "a.ndjson"), *ticker.finish()]
    assert max(len(piece.batch) for piece in pieces) == 262_144
    assert sum(len(piece.batch) for piece in pieces) == 3 + 300 * 1440 + 2
    assert [line for piece in pieces for line in piece.line_of.tolist() if line != NO_LINE] == [1, 2, 3]


def test_origins_stay_with_their_facts() -> None:
    batch = batch_of([START_MS, START_MS + MINUTE_MS])
    batch.origin, batch.origin_offset, batch.origins = np.array([0, 0], np.int32), np.array([7, 8]), ["raw/0"]
    ticker: Ticker[None] = Ticker()
    pieces = [*ticker.push(batch, np.array([1, 2])), *ticker.finish()]
    assert pieces[0].batch.origin is not None
    assert pieces[0].batch.origin.tolist() == [-1, 0, -1, 0]
    assert pieces[0].batch.origin_offset is not None
    assert pieces[0].batch.origin_offset.tolist() == [-1, 7, -1, 8]


steps = st.one_of(
    st.integers(-5 * MINUTE_MS, 5 * MINUTE_MS),
    st.sampled_from([DAY_MS, DAY_MS + 1, 2 * DAY_MS, -2 * DAY_MS, 400 * DAY_MS, -400 * DAY_MS]),
)


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], frozenset[int]]:
    known, now = [], START_MS
    for step in draw(st.lists(steps, max_size=40)):
        now = max(0, now + step)
        known.append(now)
    rows = st.integers(0, max(0, len(known) - 1))
    ticks = draw(st.one_of(st.just(frozenset[int]()), st.frozensets(rows, max_size=2)))
    return known, ticks if known else frozenset()


@given(histories(), st.lists(st.integers(0, 40), max_size=10), st.integers(1, 25))
@settings(max_examples=150, deadline=None)
def test_the_cut_into_blocks_changes_nothing(
    history: tuple[list[int], frozenset[int]], cuts: list[int], look_ahead: int
) -> None:
    known, ticks = history
    whole = with_ticks(batch_of(known, ticks), TickMaker(look_ahead=look_ahead, period_ms=10 * MINUTE_MS))
    ticker: Ticker[int] = Ticker(TickMaker(look_ahead=look_ahead, period_ms=10 * MINUTE_MS))
    edges = sorted({0, len(known), *(cut for cut in cuts if cut < len(known))})
    pieces = []
    for start, end in itertools.pairwise(edges):
        inside = frozenset(row - start for row in ticks if start <= row < end)
        pieces += list(ticker.push(batch_of(known[start:end], inside), np.arange(start + 1, end + 1), start))
    pieces += list(ticker.finish())
    assert [at for piece in pieces for at in piece.batch.known_at_ms.tolist()] == whole.known_at_ms.tolist()
    assert [kind for piece in pieces for kind in piece.batch.kind.tolist()] == whole.kind.tolist()
    lines = [line for piece in pieces for line in piece.line_of.tolist() if line != NO_LINE]
    assert lines == list(range(1, len(known) + 1))


@given(histories(), st.integers(1, 7))
@settings(max_examples=100, deadline=None)
def test_lines_and_batches_get_the_same_ticks(history: tuple[list[int], frozenset[int]], size: int) -> None:
    known, ticks = history
    batch = batch_of(known, ticks)
    whole = with_ticks(batch, TickMaker(period_ms=10 * MINUTE_MS))
    ticker = ItemTicker[str](TickMaker(period_ms=10 * MINUTE_MS))
    out: list[str | int] = []
    for start in range(0, len(known), size):
        rows = slice(start, start + size)
        out += ticker.push([f"{at}" for at in known[rows]], batch.known_at_ms[rows], batch.kind[rows] == Kind.TICK)
    out += ticker.finish()
    assert [int(item) for item in out] == whole.known_at_ms.tolist()


@given(histories())
@settings(max_examples=100, deadline=None)
def test_made_ticks_rise_and_never_outrun_the_facts_by_more_than_a_minute(
    history: tuple[list[int], frozenset[int]],
) -> None:
    known, _ = history
    out = with_ticks(batch_of(known), TickMaker(period_ms=10 * MINUTE_MS))
    ticks = out.known_at_ms[out.kind == Kind.TICK]
    assert (np.diff(ticks) > 0).all()
    assert not len(ticks) or int(ticks[-1]) <= max(known) + 10 * MINUTE_MS
