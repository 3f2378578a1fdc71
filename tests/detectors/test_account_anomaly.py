"""Google's rule, with the pitfalls that belong to it."""

from __future__ import annotations

from detectors.account_anomaly import AccountAnomaly

HOUR_MS = 3_600_000
DAY = 24


def fed(rule: AccountAnomaly, hours: range, value: float = 10.0) -> list[int]:
    """The hours in which the rule alarmed."""
    alarms = []
    for hour in hours:
        x = {"at_ms": hour * HOUR_MS}
        if rule.score_one(x, value) == 1.0:
            alarms.append(hour)
        rule.learn_one(x, value)
    return alarms


def test_half_a_day_of_nothing_alarms_once_and_the_latch_opens_the_next_day() -> None:
    rule = AccountAnomaly(weeks=4)
    fed(rule, range(28 * DAY))
    first = fed(rule, range(28 * DAY, 29 * DAY), 0.0)
    second = fed(rule, range(29 * DAY, 30 * DAY), 0.0)
    # one complete hour of the day is known at 01:00, and the rule looks three hours back
    assert first == [28 * DAY + 4]
    assert second == [29 * DAY + 4]


def test_it_compares_with_the_same_weekday_only() -> None:
    rule = AccountAnomaly(weeks=2)
    for day in range(14):
        fed(rule, range(day * DAY, (day + 1) * DAY), 10.0 if day % 7 == 0 else 1_000.0)
    assert rule.baseline({"at_ms": (14 * DAY + 13) * HOUR_MS}) == 100.0


def test_an_outage_after_half_of_the_days_volume_is_invisible_that_day() -> None:
    rule = AccountAnomaly(weeks=4)
    fed(rule, range(28 * DAY))
    assert fed(rule, range(28 * DAY, 28 * DAY + 14)) == []
    assert fed(rule, range(28 * DAY + 14, 29 * DAY), 0.0) == []


def test_a_young_account_is_compared_with_too_little() -> None:
    rule = AccountAnomaly(weeks=26)
    fed(rule, range(28 * DAY))
    assert rule.baseline({"at_ms": (28 * DAY + 13) * HOUR_MS}) == 10 * 10.0 * 4 / 26
    assert fed(rule, range(28 * DAY, 29 * DAY), 4.0) == []


def test_cost_alarms_upwards_and_never_downwards() -> None:
    rule = AccountAnomaly(factor=2.0, weeks=4, above=True)
    fed(rule, range(28 * DAY))
    assert fed(rule, range(28 * DAY, 29 * DAY), 0.0) == []
    assert fed(rule, range(29 * DAY, 30 * DAY), 30.0) == [29 * DAY + 4]


def test_the_hours_after_midnight_still_belong_to_the_day_before() -> None:
    rule = AccountAnomaly(weeks=1)
    fed(rule, range(7 * DAY))
    assert rule.baseline({"at_ms": (8 * DAY + 2) * HOUR_MS}) == 230.0
    assert rule.baseline({"at_ms": (8 * DAY + 3) * HOUR_MS}) == 0.0


def test_what_is_older_than_the_comparison_is_forgotten() -> None:
    rule = AccountAnomaly(weeks=2)
    fed(rule, range(200 * DAY))
    assert len(rule._days) <= 2 * 7 + 2
