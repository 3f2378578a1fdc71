"""What is believed and what is not: cold campaigns, bid targets, good news, click-date totals, shares of a promise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from small_worlds import DAY_MS, HOUR_MS, MINUTE_MS, START_MS, batch_of, delivery, history, line, run

from detectors import deficit, lag, level, season
from streams import ending
from streams.allowance import speaks
from streams.history import History
from streams.hours import EXPECTED
from streams.limits import (
    BASKETS,
    COHORT,
    COUNT,
    LOOSE_BASKETS,
    LOOSE_COHORT,
    PER_BASKETS,
    PER_COHORT,
    PER_COUNT,
    PER_ROAS,
    ROAS,
    SILENCE,
    busy,
)
from streams.progress import YOUNG_DAYS
from streams.series import ACCOUNT, LEAF
from streams.settings import DetectionSettings

HISTORY_DAYS = 6
THREE = {("meta", "brand"): 240.0, ("meta", "video"): 60.0, ("google_ads", "generic"): 120.0}


def opened(changes: list[bytes]) -> list[dict[str, Any]]:
    return [change for change in map(json.loads, changes) if change["change"] == "opened"]


def test_twice_the_conversions_is_shown_to_nobody_and_not_learned() -> None:
    """A tag that fires twice for a day and a half: one muted alert, the level stays, the way back is no incident."""
    log = batch_of(history(14, incidents=[(9.0, 10.5, 2.0, 1.0, None)]))
    pipeline, changes = run(log)
    assert [(a["signal"], a["severity"], a["muted_by"] is not None) for a in opened(changes)] == [
        ("implausibly_good", "info", True)
    ]
    assert [json.loads(c)["change"] for c in changes] == ["opened", "resolved"]
    learned = pipeline.registry.series["learned"][pipeline.registry.series["level"] == 0][0]
    assert learned[level.A] / learned[level.B] == pytest.approx(1 / 20, rel=0.08)


def test_good_news_is_told_where_the_settings_say_so() -> None:
    """``implausibly_good: told`` takes the muting away."""
    log = batch_of(history(11, incidents=[(9.0, 10.5, 2.0, 1.0, None)]))
    _, changes = run(log, settings=DetectionSettings(implausibly_good="told"))
    assert [(a["signal"], a["muted_by"]) for a in opened(changes)] == [("implausibly_good", None)]


def test_hours_under_suspicion_are_learned_each_as_its_own_hour_of_the_week() -> None:
    """A bad afternoon that passes without an alert leaves no hour of the week with the conversions of several."""
    log = batch_of(history(9, incidents=[(7.5, 7.7, 0.72, 1.0, None)]))
    pipeline, changes = run(log)
    assert opened(changes) == []
    expected = pipeline.registry.accounts["season"][0][season.EXPECTED :]
    once = expected[2 * 24 : 7 * 24]
    assert once.min() > 0.0
    assert once.max() < 2.0 * np.median(once)


def cold(cost_per_order: float, *, more: list[bytes] = ()) -> list[bytes]:
    """Ten days of an account at 20 EUR an order; on day 6 a big campaign begins at another price, told by the day."""
    facts = [(START_MS + i, fact) for i, fact in enumerate(more)]
    facts += [(json.loads(fact)["at"], fact) for fact in history(10)]
    for day in range(6, 10):
        end_ms = START_MS + (day + 1) * DAY_MS
        facts.append((end_ms - 1, line(
            fact="snapshot", at=end_ms - DAY_MS, bucket="day", source="google_ads", account="acme", campaign="new",
            currency="EUR", revision=1, cost_micros=10_000_000_000, conversions=round(10_000 / cost_per_order),
            value_micros=50_000_000 * round(10_000 / cost_per_order), known_at=end_ms - 1,
        )))  # fmt: skip
    return [fact for _, fact in sorted(facts, key=lambda fact: fact[0])]


def test_a_new_campaign_at_twice_the_accounts_price_is_no_incident_of_the_account() -> None:
    """What it will cost is not known yet, so nothing wider expects anything of it."""
    _, changes = run(batch_of(cold(40.0)))
    assert [a for a in opened(changes) if a["campaign"] is None] == []


def test_a_bid_target_is_believed_before_anything_else_is_known() -> None:
    """A campaign that has not spent yet expects what its target says; without one, what its account shows."""
    lines = history(3)
    state = {"fact": "state", "source": "meta", "account": "acme", "campaign": "fresh", "status": "active"}
    at_ms = START_MS + 2 * DAY_MS + HOUR_MS
    lines += [line(**state, at=at_ms, target_cpa_micros=80_000_000)]
    lines += [delivery(10**6, at_ms + MINUTE_MS, 1.0, campaign="fresh")]
    lines.sort(key=lambda fact: json.loads(fact)["at"])
    pipeline, _ = run(batch_of(lines))
    registry = pipeline.registry
    pooled = {scope[2]: registry.series["pooled"][s] for s, scope in enumerate(registry.scopes)}
    assert pooled["fresh"] == pytest.approx(1 / 80)
    assert pooled["brand"] == pytest.approx(1 / 20, rel=0.15)


def by_click_date(days: int, lost_from: int | None = None) -> list[bytes]:
    """Hourly totals by click date: 60 % of the conversions in the first report, the rest over the next six hours."""
    rng, facts = np.random.default_rng(8), []
    for hour in range(days * 24):
        start = START_MS + hour * HOUR_MS
        usual = 10.0 if lost_from is None or hour < lost_from * 24 else 4.0
        total = 0
        for revision, (delay_h, share) in enumerate(((0, 0.6), (2, 0.25), (6, 0.15)), 1):
            total += int(rng.poisson(usual * share))
            known = start + HOUR_MS + delay_h * HOUR_MS
            facts.append((known, line(
                fact="snapshot", at=start, bucket="hour", source="google_ads", account="acme", campaign="brand",
                currency="EUR", revision=revision, basis="click", cost_micros=200_000_000, conversions=total,
                value_micros=50_000_000 * total, known_at=known,
            )))  # fmt: skip
        facts.append(
            (start + HOUR_MS + 1, line(fact="watermark", at=start + HOUR_MS, source="google_ads", account="acme"))
        )
    return [fact for _, fact in sorted(facts, key=lambda fact: fact[0])]


def test_totals_by_click_date_are_cohorts_that_mature() -> None:
    """Healthy totals that grow for hours give no alert, and how late they grow is learned."""
    pipeline, changes = run(batch_of(by_click_date(14)))
    assert opened(changes) == []
    delays = pipeline.registry.sources["delays"][0][: lag.BINS]
    assert delays.sum() > 1000
    assert delays[0] / delays.sum() == pytest.approx(0.6, abs=0.05)


def test_dear_clicks_in_totals_by_click_date_are_found() -> None:
    """Clicks that cost 2.5 times as much from day 10 on are told within a day."""
    _, changes = run(batch_of(by_click_date(13, lost_from=10)))
    told = opened(changes)
    assert [a["signal"] for a in told][:1] == ["cpa_spike"]
    assert told[0]["at"] < "2026-01-12T00:00"


def test_the_hour_in_which_judging_begins_spoils_no_season() -> None:
    """Only some minutes of it have an expectation: held against all that it brought it would look twice as good."""
    pipeline, _ = run(batch_of(history(1.95, a_day={("meta", "brand"): 2400.0})))
    factors = pipeline.registry.accounts["factor"][0]
    assert 0.8 < factors.min() <= factors.max() < 1.3


def test_a_sale_taken_for_the_usual_level_is_told_and_then_believed() -> None:
    """An account begins with a sale of three days: its end is told, under two names at most, and not again."""
    first_days = [(0.0, 3.0, 1.8, 1.0, None)]
    pipeline, changes = run(batch_of(history(30, a_day={("meta", "brand"): 60.0}, incidents=first_days)))
    told = [a for a in opened(changes) if a["muted_by"] is None]
    assert 1 <= len(told) <= 2
    assert len({a["started_at"] for a in told}) == 1
    learned = pipeline.registry.series["learned"][pipeline.registry.series["level"] == 0][0]
    assert learned[level.A] / learned[level.B] == pytest.approx(1 / 20, rel=0.15)


def test_when_an_alert_ends_what_came_since_it_was_over_is_learned() -> None:
    """Ten hours since the incident: their conversions and their exposure are added; of a young account two fifths
    of what was known before go."""
    pipeline, _ = run(batch_of(history(7)))
    registry, past = pipeline.registry, History(pipeline.registry)
    leaf = int(np.flatnonzero(registry.series["level"] == LEAF)[0])
    since_ms = past.end_ms(leaf) // HOUR_MS * HOUR_MS - 10 * HOUR_MS
    registry.series["deficit"][leaf, deficit.RECOVERING_MS] = since_ms
    came, before = past.since(leaf, since_ms), registry.series["learned"][leaf].copy()
    ending.trust_recovery(past, leaf, since_ms)
    after = registry.series["learned"][leaf]
    assert came.seen < after[level.A] < before[level.A] * 0.6 + came.seen
    exposure = came.expected / level.rate(before, float(registry.series["pooled"][leaf]))
    rate = (after[level.A] - came.seen) / (after[level.B] - exposure)
    assert rate == pytest.approx(before[level.A] / before[level.B])


def test_a_return_that_falls_by_a_little_of_each_is_one_drop_of_roas() -> None:
    """Conversions and baskets times 0.7 for two days: neither says so first, the return on ad spend does."""
    _, changes = run(batch_of(history(12, seed=4, incidents=[(10.0, 12.0, 0.7, 0.7, None)])))
    first = opened(changes)[0]
    assert (first["signal"], first["measure"], first["campaign"]) == ("roas_drop", "roas", "brand")
    assert first["at"] < "2026-01-11T12:00"
    assert first["expected"] == pytest.approx(2.8, rel=0.1)
    assert first["observed"] < 0.7 * first["expected"]


@pytest.mark.parametrize(("others", "weight"), [(0.0, 0.0), (1.0, 0.5), (3.0, 0.75)])
def test_alerts_that_come_and_go_teach_the_noise_of_their_scope(others: float, weight: float) -> None:
    """Of the hours of an alert counts with the weight of those that ended before, of those after it with all."""
    pipeline, _ = run(batch_of(history(7)))
    registry, past = pipeline.registry, History(pipeline.registry)
    series, leaf = registry.series, int(np.flatnonzero(registry.series["level"] == LEAF)[0])
    over = past.end_ms(leaf) // HOUR_MS - 10
    series["deficit"][leaf, deficit.RECOVERING_MS] = over * HOUR_MS
    series["restless"][leaf] = others
    before = series["learned"][leaf].copy()
    ending.trust_recovery(past, leaf, (over - 20) * HOUR_MS)
    due = past.hours(leaf, over - 20, over + 9)[:, EXPECTED]
    gained = series["learned"][leaf] - before
    assert gained[level.PEARSON_WEIGHT] == pytest.approx(weight * due[:20].sum() + due[20:].sum())
    assert gained[level.PEARSON] > 0.0
    assert series["restless"][leaf] == others + 1.0


@pytest.mark.parametrize("words", ["1 per month", "2 per week"])
def test_the_shares_of_all_tests_add_up_to_the_promise(words: str) -> None:
    """Each test's false alarms a day, summed over every series, are those that settings and the account's age allow."""
    settings = DetectionSettings(false_alarms=words)
    pipeline, _ = run(batch_of(history(HISTORY_DAYS, a_day=THREE)), settings=settings)
    series = pipeline.registry.series.rows
    total, age_days = 0.0, (HISTORY_DAYS * DAY_MS - HOUR_MS) / DAY_MS
    for s in range(len(series)):
        if speaks(series, s):
            a_day = max(series["rate_a_day"][s], 1.0)
            limits = series["limits"][s]
            oftener = busy(a_day) if series["level"][s] == LEAF else 1.0
            total += a_day * limits[PER_COUNT] / oftener
            total += a_day * (limits[PER_BASKETS] + limits[PER_ROAS]) / (LOOSE_BASKETS * oftener)
            total += SILENCE / series["quiet_days"][s]
            cohorts = a_day * limits[PER_COHORT] / (LOOSE_COHORT * oftener)
            assert cohorts == pytest.approx(COHORT / series["quiet_days"][s])
    due = 1.0 / (settings.quiet_days * (1.0 + YOUNG_DAYS / age_days))
    assert 0.9 * due <= total <= 1.1 * due
    assert pytest.approx(1.0) == COUNT + COHORT + SILENCE + BASKETS + ROAS


def test_a_scope_that_says_what_its_only_part_says_takes_no_share() -> None:
    """One campaign in one account: its source and its account are not tested again."""
    pipeline, _ = run(batch_of(history(4)))
    series = pipeline.registry.series.rows
    assert [bool(speaks(series, s)) for s in range(len(series)) if series["level"][s] > 0] == [False, False]


def test_the_account_keeps_its_share_however_many_campaigns_it_has() -> None:
    """Campaigns share what is theirs; what the whole account shows is not drowned by their number."""
    few, _ = run(batch_of(history(4, a_day=THREE)))
    many, _ = run(batch_of(history(4, a_day=THREE | {("meta", f"more {n}"): 30.0 for n in range(9)})))
    shares = []
    for pipeline in (few, many):
        series = pipeline.registry.series.rows
        whole = next(s for s in range(len(series)) if series["level"][s] == ACCOUNT)
        shares.append(float(series["quiet_days"][whole]))
    assert shares[1] == pytest.approx(shares[0])


def test_a_promise_per_campaign_does_not_shrink_with_their_number() -> None:
    """Every campaign has the whole promise, less what tests that cannot be made do not use."""
    alone, _ = run(batch_of(history(4)), settings=DetectionSettings(false_alarms="1 per month per campaign"))
    many, _ = run(
        batch_of(history(4, a_day=THREE)), settings=DetectionSettings(false_alarms="1 per month per campaign")
    )

    def quiet(pipeline: Any) -> float:
        found = pipeline.registry
        brand = next(s for s, scope in enumerate(found.scopes) if scope[2] == "brand")
        return float(found.series["quiet_days"][brand])

    assert quiet(alone) == quiet(many)
