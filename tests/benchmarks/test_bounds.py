"""The limit's closed form against simulation, and what is drawn against what it is said to be."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.bounds import accounts, known, lag, learned, peers
from benchmarks.bounds.drawing import (
    COST_MICROS,
    FLAT,
    HOUR_MS,
    Effect,
    Fleet,
    Season,
    Source,
    chunks,
    draw_lags,
)
from benchmarks.bounds.namer import Arrived, Namer
from benchmarks.bounds.report import Bar, worst
from benchmarks.bounds.theory import OUTAGE, QUIET_H, converted, information, lagged, limit
from benchmarks.bounds.watch import Opening, Watch
from events.batch import Batch, Kind
from streams.hours import EXPECTED, HOURS
from streams.series import LEAF

HOURLY = HOUR_MS


def source(fleet: Fleet, seed: int = 5) -> Source:
    return Source(fleet, np.random.default_rng(seed))


def count(batch: Batch, kind: Kind) -> int:
    return int((batch.kind == kind).sum())


@pytest.mark.parametrize(("a_day", "r", "phi"), [(24.0, 2.0, 1.0), (48.0, 3.0, 1.0), (24.0, 3.0, 2.0)])
def test_the_limit_is_the_delay_of_the_cusum_that_knows_the_ratio(a_day: float, r: float, phi: float) -> None:
    simulated = known.cusum_delay(a_day / 24.0, r, phi, seed=3, runs=150)
    assert simulated == pytest.approx(limit(a_day / 24.0, r, phi), rel=0.06)


def test_a_dearer_conversion_a_busier_stream_and_calmer_counts_are_told_sooner() -> None:
    assert limit(1.0, 3.0) < limit(1.0, 2.0) < limit(1.0, 2.0, phi=2.0)
    assert limit(10.0, 2.0) < limit(1.0, 2.0) < limit(1.0, 2.0, quiet_h=12 * QUIET_H)


def test_information_tends_to_poissons_as_the_dispersion_tends_to_1() -> None:
    assert information(1.0, 2.0, 1.0 + 1e-6) == pytest.approx(information(1.0, 2.0), rel=1e-4)


def test_without_conversions_the_timer_waits_no_longer_than_its_limit() -> None:
    hours = known.timer_delay(1.0, 1.0, seed=1, runs=200)
    grain = known.Grain(1.0)
    assert hours.max() <= limit(1.0, OUTAGE) + 2 * grain.hours
    assert hours.min() < 0.8 * limit(1.0, OUTAGE)


@pytest.mark.parametrize("phi", [1.0, 1.5, 3.0])
def test_drawn_hours_have_variance_phi_times_their_mean(phi: float) -> None:
    fleet = Fleet.single(40, 240.0, phi, season=FLAT)
    one = source(fleet)
    due, _ = one.usual(12 * 24 * 20)
    hours = one.converting(due).reshape(-1, 12, 40).sum(axis=1)
    assert hours.mean() == pytest.approx(10.0, rel=0.02)
    assert hours.var() / hours.mean() == pytest.approx(phi, rel=0.05)


def test_what_strikes_thins_the_counts_and_leaves_their_noise() -> None:
    one = source(Fleet.single(40, 240.0, 3.0, season=FLAT))
    due, _ = one.usual(12 * 24 * 20)
    hours = one.converting(due, 0.5).reshape(-1, 12, 40).sum(axis=1)
    assert hours.mean() == pytest.approx(5.0, rel=0.02)
    assert hours.var() / hours.mean() == pytest.approx(2.0, rel=0.05)


def test_over_a_week_a_campaign_brings_its_conversions_whatever_the_season() -> None:
    due, spend = source(Fleet.single(1, 24.0, 1.0, every_ms=HOURLY)).usual(168)
    assert due.sum() == pytest.approx(7 * 24.0, rel=1e-6)
    assert due.max() > 2.0 * due.min()
    assert (due / spend).std() > 0.05


def test_drawn_lags_are_distributed_as_the_lag_says() -> None:
    hours = draw_lags(np.random.default_rng(1), 100_000) / HOUR_MS
    for at in (0.25, 1.0, 8.0, 24.0, 120.0, 480.0):
        assert np.mean(hours <= at) == pytest.approx(float(converted(at)), abs=0.006)
    assert np.mean(draw_lags(np.random.default_rng(2), 100_000, 2.0) / HOUR_MS <= 48.0) == pytest.approx(
        float(converted(24.0)), abs=0.006
    )


def test_lagged_conversions_come_when_they_come_and_none_is_lost() -> None:
    fleet = Fleet.single(3, 240.0, 1.0, season=FLAT, lag=True)
    one = source(fleet)
    batches = [one.chunk(12) for _ in range(48)]
    told = sum(count(batch, Kind.CONVERSION) for batch in batches)
    assert told + len(one.underway.at_ms) == pytest.approx(3 * 480, rel=0.15)
    for batch in batches:
        of = batch.kind == Kind.CONVERSION
        ticks = batch.at_ms[batch.kind == Kind.TICK]
        assert (batch.lag_ms[of] >= 0).all()
        assert batch.at_ms[of].min() >= ticks[0] - fleet.every_ms
        assert batch.at_ms[of].max() < ticks[-1]


def test_a_chunk_has_a_tick_behind_every_intervals_facts() -> None:
    batch = source(Fleet.single(2, 480.0, 2.0)).chunk(24)
    ticks = np.flatnonzero(batch.kind == Kind.TICK)
    assert len(ticks) == 24
    assert ticks[-1] == len(batch) - 1
    which = np.searchsorted(ticks, np.arange(len(batch)))
    assert (batch.at_ms <= batch.at_ms[ticks[which]]).all()
    assert count(batch, Kind.DELIVERY) == count(batch, Kind.WATERMARK) == 48


def test_an_effect_takes_what_it_says() -> None:
    fleet = Fleet.single(2, 2400.0, 1.0, season=FLAT)
    healthy = count(source(fleet).chunk(288), Kind.CONVERSION)
    dear = source(fleet).chunk(288, Effect(worth=0.5))
    half = source(fleet).chunk(288, Effect(lost=np.full((288, 1), 0.5)))
    assert count(dear, Kind.CONVERSION) == pytest.approx(0.5 * healthy, rel=0.06)
    assert count(half, Kind.CONVERSION) == pytest.approx(0.5 * healthy, rel=0.06)
    doubled = source(fleet).chunk(288, Effect(spend=2.0))
    assert doubled.cost_micros.sum() == pytest.approx(2 * 2 * 2400 * COST_MICROS, rel=1e-3)


def test_a_silent_source_sends_nothing_and_the_log_goes_on() -> None:
    silent = np.zeros((24, 2), bool)
    silent[:, 1] = True
    batch = source(Fleet.single(2, 480.0, 1.0)).chunk(24, Effect(silent=silent))
    assert set(batch.key[batch.kind != Kind.TICK].tolist()) <= {0, 1}
    assert count(batch, Kind.TICK) == 24


@pytest.mark.parametrize("campaigns", [1, 1000])
def test_chunks_are_whole_hours_and_sum_to_the_whole(campaigns: int) -> None:
    fleet = Fleet.single(campaigns, 24.0, 1.0)
    sizes = list(chunks(5000, fleet))
    assert sum(sizes) == 5000
    assert all(size % 12 == 0 for size in sizes[:-1])


def test_operational_time_is_the_clocks_where_there_is_no_season() -> None:
    fleet = replace(learned.Stratum(24.0, 1.0).fleet(1), season=FLAT)
    clock = learned.operational(fleet, 0, 288)
    assert clock[-1] == pytest.approx(24.0)
    assert clock[144] == pytest.approx(12.0)


def test_the_first_alert_after_the_onset_counts_and_one_before_it_leaves_the_account_out() -> None:
    told = [
        Opening(0, 0, "cpa_spike", 5_000_000),
        Opening(0, 0, "tracking_outage", 9_000_000),
        Opening(1, 0, "cpa_spike", 100),
        Opening(2, 0, "roas_drop", 5_000_000),
    ]
    found = learned.first_after(told, np.array([10, 10, 10]), 0, 300_000)
    assert found == {0: (5_000_000, False), 1: (None, True), 2: (None, False)}


def test_a_steady_streams_delay_is_the_clocks() -> None:
    hours = lag.steady_hours(np.ones(12 * 30), 300_000)
    assert hours == pytest.approx(30.0, rel=0.01)
    assert lagged(1e-3) > 1e-3


@pytest.mark.parametrize(("ratio", "lost"), [(2.0, 0.0), (1.0, 0.5)])
def test_who_knows_every_rate_names_what_is_clear_and_is_as_unsure_as_he_should_be(ratio: float, lost: float) -> None:
    """Ten an hour, struck for thirty hours: right nearly always; struck for two: about as often as its odds say."""
    draw, fleet = np.random.default_rng(9), Fleet.single(60, 240.0, 1.0, lag=True, season=FLAT)
    drawn = Source(fleet, draw)
    lag.live(drawn)
    from_ms, batches = drawn.now_ms, []
    for effect in (Effect(), Effect(worth=1.0 / ratio, lost=np.full((360, 60), lost))):
        batches.append(drawn.chunk(360, effect))
    onset_ms = from_ms + 30 * HOUR_MS
    namer = Namer(10.0, 1.0, (2.0,), (0.5,), np.arange(from_ms, drawn.now_ms, HOUR_MS))
    arrived, right = Arrived.of(batches), []
    for hours in (2, 30):
        until_ms = onset_ms + hours * HOUR_MS
        odds = np.array([namer.dear_odds(*arrived.until(a, until_ms), until_ms) for a in range(60)])
        right.append(float(np.mean((odds > 0.0) == (lost == 0.0))))
    assert right[0] < right[1]
    assert right[1] > 0.95


def test_a_peers_threshold_keeps_to_one_false_alarm_in_a_month() -> None:
    scores = np.random.default_rng(4).standard_normal((50, 1440))
    threshold, rate = peers.calibrated(scores)
    assert 0.8 < rate <= 1.0
    assert math.isfinite(threshold)


def test_a_saturated_score_is_taken_at_its_top_however_often_it_alarms() -> None:
    scores = np.tile([0.0, 1.0], (10, 360))
    assert peers.calibrated(scores) == (1.0, pytest.approx(30.0))


def test_a_launched_campaign_spends_nothing_before_and_a_doubled_one_twice_after() -> None:
    fleet = accounts.Task(10, 4, 30.0, 1).fleet
    life = accounts.Life(fleet, 1000.0, np.random.default_rng(1))
    before, after = life.effect(np.array([0.5])).spend[0], life.effect(np.array([999.5])).spend[0]
    launched = life.launched_h > 0.0
    assert launched.any()
    assert not launched[np.diff(fleet.account, prepend=-1) > 0].any()
    assert (before[launched] == 0.0).all()
    running = (life.resumed_h < 999.0) | np.isinf(life.paused_h)
    assert (after[running & np.isfinite(life.doubled_h)] == 2.0).all()


def test_a_bar_is_not_reached_by_measuring_nothing() -> None:
    assert not Bar("delay", 1.5, worst([])).reached
    assert not Bar("right", 0.95, math.nan, at_least=True).reached
    assert Bar("delay", 1.5, 1.5).reached


def test_the_product_tells_an_outage_of_a_busy_stream_and_a_copy_goes_its_own_way() -> None:
    fleet = Fleet.single(2, 480.0, 1.0, season=Season(0.3, 0.0, 0.0, 0.0))
    watch = Watch(fleet, [1])
    assert watch.run(5 * 288) == []
    saved = watch.save()
    struck = Watch.branch(fleet, saved, [2])
    told = struck.run(24, lambda first, size, opened: Effect(lost=np.ones((size, 1))))
    assert {one.account for one in told} == {0, 1}
    assert {one.signal for one in told} == {"tracking_outage"}
    assert Watch.branch(fleet, saved, [3]).run(24) == []


def test_where_rates_are_known_every_hour_is_expected_to_bring_what_it_is_due() -> None:
    fleet = Fleet.single(2, 480.0, 1.0, every_ms=900_000, cost_is_due=True)
    watch = Watch(fleet, [4])
    due = watch.source.usual(48 * 4)[0].reshape(48, 4, 2).sum(axis=1)
    began_h = watch.source.now_ms // HOUR_MS
    watch.run(48 * 4)
    series = watch.pipeline.registry.series.rows
    ring = series["history"][series["level"] == LEAF][:, :, EXPECTED]
    late = np.arange(36, 47)
    expected = ring[:, (began_h + late) % HOURS].T
    assert due[late].max() > 1.5 * due[late].min()
    assert expected == pytest.approx(due[late], rel=0.01)
