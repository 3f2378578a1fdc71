"""The life of an alert: one id, rising versions, opened once, worsened when it matters, resolved once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts.cause import Happening
from alerts.change import AlertChange, Severity, Turn
from alerts.life import Life
from alerts.signal import Name, Signal, covers

HOUR_MS = 3_600_000
SIGNAL = Signal(
    name=Name.CPA_SPIKE,
    account="acme",
    source="meta",
    campaign="brand",
    at_ms=10 * HOUR_MS,
    onset_ms=7 * HOUR_MS,
    until_ms=10 * HOUR_MS,
    measure="cpa",
    observed=40.0,
    expected=20.0,
    low=15.0,
    high=26.0,
    evidence=6.0,
    ratio=2.0,
    loss_micros=50_000_000,
    share=0.4,
    currency="EUR",
)


def test_versions_rise_and_the_id_stays() -> None:
    """Opened 1, worsened 2, resolved 3, all of one id."""
    life = Life()
    opened = life.open(SIGNAL)
    worse = life.review(replace(SIGNAL, at_ms=11 * HOUR_MS, ratio=3.0))
    assert worse is not None
    ended = life.resolve(replace(SIGNAL, at_ms=12 * HOUR_MS), "back")
    assert [(c.change, c.version) for c in (opened, worse, ended)] == [
        (Turn.OPENED, 1),
        (Turn.WORSENED, 2),
        (Turn.RESOLVED, 3),
    ]
    assert len({c.alert_id for c in (opened, worse, ended)}) == 1


def test_a_new_episode_has_a_new_id() -> None:
    """The same scope opening again later is another alert."""
    life = Life()
    first = life.open(SIGNAL)
    life.resolve(SIGNAL, "back")
    assert life.open(replace(SIGNAL, at_ms=20 * HOUR_MS)).alert_id != first.alert_id


def test_an_alert_worsens_by_severity_or_by_half_as_much_money_again_and_at_most_hourly() -> None:
    """Nothing is said about a change that no human would act on."""
    life = Life()
    life.open(SIGNAL)
    later = replace(SIGNAL, at_ms=12 * HOUR_MS)
    assert life.review(replace(later, loss_micros=70_000_000)) is None
    assert life.review(replace(SIGNAL, loss_micros=99_000_000)) is None
    dearer = life.review(replace(later, loss_micros=80_000_000))
    assert dearer is not None
    assert dearer.severity is Severity.WARNING
    assert life.review(replace(SIGNAL, at_ms=14 * HOUR_MS, loss_micros=80_000_001)) is None
    grave = life.review(replace(SIGNAL, at_ms=15 * HOUR_MS, ratio=2.6))
    assert grave is not None
    assert grave.severity is Severity.CRITICAL


def test_severity_never_falls_while_the_alert_is_open() -> None:
    """A critical alert that gets dearer stays critical even if its ratio has eased."""
    life = Life()
    life.open(replace(SIGNAL, ratio=3.0))
    change = life.review(replace(SIGNAL, at_ms=12 * HOUR_MS, ratio=1.5, loss_micros=90_000_000))
    assert change is not None
    assert change.severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("outage", "muted"),
    [
        (("acme", None, None), True),
        (("acme", "meta", None), True),
        (("acme", "google", None), False),
        (("bolt", None, None), False),
    ],
)
def test_an_open_outage_mutes_what_lies_in_its_scope(outage: tuple[str, str | None, str | None], muted: bool) -> None:
    """The reason names the outage; an outage elsewhere mutes nothing."""
    life = Life()
    account, source, campaign = outage
    over = life.open(replace(SIGNAL, name=Name.TRACKING_OUTAGE, account=account, source=source, campaign=campaign))
    change = life.open(SIGNAL)
    assert change.muted_by == (f"tracking_outage {over.alert_id}" if muted else None)


def test_a_muted_alert_stays_muted_to_its_end() -> None:
    """Who was not told of the beginning is not told of the end."""
    life = Life()
    life.open(replace(SIGNAL, name=Name.TRACKING_OUTAGE, campaign=None))
    life.open(SIGNAL)
    life.resolve(replace(SIGNAL, name=Name.TRACKING_OUTAGE, campaign=None), "back")
    assert life.resolve(SIGNAL, "back").muted_by is not None


def test_the_nearest_change_before_the_onset_is_named_as_cause() -> None:
    """A deploy half an hour before beats one two hours before; one in another source is none."""
    life = Life()
    for at_ms, what, source in (
        (5 * HOUR_MS, "old", ""),
        (int(6.5 * HOUR_MS), "new", ""),
        (7 * HOUR_MS, "elsewhere", "google"),
    ):
        life.happen("acme", Happening(at_ms, "deploy", what, source, ""), 48 * HOUR_MS)
    change = life.open(SIGNAL)
    assert change.cause is not None
    assert change.cause["what"] == "new"
    assert change.action.startswith("Look first at the deploy")


def test_state_goes_through_plain_values() -> None:
    """Open alerts and happenings continue after a restart."""
    life = Life()
    life.happen("acme", Happening(6 * HOUR_MS, "deploy", "new", "", ""), 48 * HOUR_MS)
    opened = life.open(SIGNAL)
    again = Life.of_state(life.to_state())  # type: ignore[arg-type]
    ended = again.resolve(SIGNAL, "back")
    assert (ended.alert_id, ended.version, ended.cause) == (opened.alert_id, 2, opened.cause)


def test_a_line_is_the_same_bytes_after_a_round_trip() -> None:
    """What stands on the topic can be read and written again without a difference."""
    line = Life().open(SIGNAL).to_line()
    assert AlertChange.from_line(line).to_line() == line


def test_a_scope_covers_itself_and_what_is_narrower() -> None:
    """Account over source over campaign, never the other way."""
    scopes = [("acme", None, None), ("acme", "meta", None), ("acme", "meta", "brand")]
    for i, wide in enumerate(scopes):
        for j, narrow in enumerate(scopes):
            assert covers(wide, narrow) == (i <= j)


def test_a_part_of_a_source_is_an_alert_of_its_own_and_mutes_nothing_else() -> None:
    """Ids and lives differ by part; a dead leg keeps no CPA alert from people, and says what to look at."""
    life = Life()
    whole = replace(SIGNAL, name=Name.TRACKING_OUTAGE, campaign=None, measure="conversions", loss_micros=None)
    signals = [replace(whole, part=part) for part in (("leg", "browser"), ("leg", "server"), ("name", "lead"))]
    opened = [life.open(signal) for signal in signals]
    assert [change.part for change in opened] == [{"leg": "browser"}, {"leg": "server"}, {"name": "lead"}]
    assert len({change.alert_id for change in opened}) == len({change.action for change in opened}) == 3
    assert life.open(SIGNAL).muted_by is None
    again = Life.of_state(life.to_state())
    assert [again.is_open(signal.key, signal.scope) for signal in signals] == [True] * 3
    assert not again.is_open(whole.key, whole.scope)
    assert AlertChange.from_line(opened[0].to_line()) == opened[0]


def test_a_change_told_before_parts_were_known_is_read_as_one_without() -> None:
    """Alert changes of older releases lie on topics and in journals."""
    line = Life().open(SIGNAL).to_line()
    assert b'"part":null,' in line
    assert AlertChange.from_line(line.replace(b'"part":null,', b"")).part is None
