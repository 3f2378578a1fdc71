from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.change import AlertChange, Severity, Turn, Window, rfc3339
from replay.labels import Label, LabelError, moment_ms, parse_labels, read_labels
from replay.score import match_alerts, openings, score

HOUR_MS = 3_600_000


def alert(
    alert_id: str,
    at_h: float,
    *,
    signal: str = "cpa_spike",
    account: str = "acme",
    source: str | None = "meta",
    campaign: str | None = "brand",
    change: Turn = Turn.OPENED,
    muted_by: str | None = None,
) -> AlertChange:
    at = rfc3339(int(at_h * HOUR_MS))
    return AlertChange(
        alert_id=alert_id, change=change, version=1, signal=signal, severity=Severity.WARNING, account=account,
        source=source, campaign=campaign, at=at, started_at=at, measure="cpa",
        window=Window.model_validate({"from": at, "to": at}),
        observed=1.0, expected=1.0, low=1.0, high=1.0, evidence=3.0, money_at_risk_micros=None, currency=None,
        cause=None, action="look", muted_by=muted_by,
    )  # fmt: skip


def label(
    incident_id: str,
    from_h: float,
    to_h: float,
    *,
    signal: str = "cpa_spike",
    account: str = "acme",
    source: str | None = "meta",
    campaign: str | None = "brand",
) -> Label:
    from_ms, to_ms = int(from_h * HOUR_MS), int(to_h * HOUR_MS)
    return Label.model_validate(
        {"incident_id": incident_id, "signal": signal, "account": account, "source": source, "campaign": campaign}
        | {"from": from_ms, "to": to_ms}
    )


IN = label("i", 10, 20)
TABLE = [
    ("inside", [alert("a", 12)], [IN], "right"),
    ("at the first moment", [alert("a", 10)], [IN], "right"),
    ("at the last moment", [alert("a", 20)], [IN], "right"),
    ("too early", [alert("a", 9.99)], [IN], "false"),
    ("too late", [alert("a", 20.01)], [IN], "false"),
    ("of another account", [alert("a", 12, account="other")], [IN], "false"),
    ("of another source", [alert("a", 12, source="google")], [IN], "false"),
    ("of no source where the label names one", [alert("a", 12, source=None)], [IN], "false"),
    ("of any source where the label names none", [alert("a", 12)], [label("i", 10, 20, source=None)], "right"),
    ("of another campaign", [alert("a", 12, campaign="generic")], [IN], "false"),
    ("of the whole source", [alert("a", 12, campaign=None)], [IN], "right"),
    ("of a campaign where the label names none", [alert("a", 12)], [label("i", 10, 20, campaign=None)], "right"),
    ("under a wrong name alone", [alert("a", 12, signal="roas_drop")], [IN], "false"),
    ("under a wrong name beside the right", [alert("a", 12, signal="roas_drop"), alert("b", 15)], [IN], "forgiven"),
    ("under a wrong name elsewhere", [alert("a", 12, signal="x", campaign="y"), alert("b", 15)], [IN], "false"),
    ("again of the same scope", [alert("b", 11), alert("a", 12)], [IN], "false"),
    ("again of another scope", [alert("b", 11), alert("a", 12, campaign=None)], [IN], "right"),
    ("wrongly named a second time", [alert("b", 11), alert("c", 12, signal="x"), alert("a", 13, signal="x")], [IN],
     "false"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "told", "labels", "verdict"), TABLE, ids=[row[0] for row in TABLE])
def test_an_alert_is_judged_as_the_contract_says(
    case: str, told: list[AlertChange], labels: list[Label], verdict: str
) -> None:
    match = match_alerts(openings(told), labels)
    found = "right" if "a" in match.right else "forgiven" if "a" in match.forgiven else "false"
    assert found == verdict, case
    assert (found == "false") == ("a" in match.false)


def test_an_alert_of_two_incidents_goes_to_the_one_that_nobody_has_caught() -> None:
    labels = [label("early", 0, 20, campaign=None), label("late", 10, 20, campaign=None)]
    match = match_alerts([alert("a", 12), alert("b", 13)], labels)
    assert match.right == {"a": "early", "b": "late"}
    assert match.false == []


def test_an_alert_of_two_incidents_goes_to_the_one_of_its_own_campaign() -> None:
    match = match_alerts([alert("a", 12)], [label("wide", 0, 20, campaign=None), label("own", 10, 20)])
    assert match.right == {"a": "own"}


def test_only_openings_that_somebody_was_told_of_count() -> None:
    changes = [alert("a", 12, muted_by="outage"), alert("b", 13, change=Turn.WORSENED), alert("c", 99), alert("c", 99)]
    result = score(changes, [IN], account_weeks=2.0)
    assert (result.overall.alerts, result.overall.false, result.overall.missed) == (1, 1, 1)
    assert result.false_per_account_week == 0.5


def test_the_figures_are_those_of_a_count_by_hand() -> None:
    labels = [IN, label("j", 30, 40), label("k", 50, 60), label("o", 10, 20, signal="outage", campaign=None)]
    changes = [alert("a", 12), alert("b", 34), alert("c", 45), alert("d", 13, signal="outage", campaign=None)]
    result = score(changes, labels, account_weeks=1.5)
    assert result.missed == ["k"]
    assert result.false_alerts == ["c"]
    assert (result.overall.precision, result.overall.recall, result.overall.f1) == (0.75, 0.75, 0.75)
    assert (result.overall.delay_p50_ms, result.overall.delay_p90_ms) == (3 * HOUR_MS, int(3.8 * HOUR_MS))
    assert result.signals["outage"].recall == 1.0
    assert result.signals["cpa_spike"].precision == pytest.approx(2 / 3)


def test_nothing_to_divide_by_gives_nothing() -> None:
    result = score([], [], account_weeks=0)
    assert (result.overall.precision, result.overall.recall, result.false_per_account_week) == (None, None, None)


hours = st.integers(0, 30)
scopes = st.sampled_from([("meta", "brand"), ("meta", None), ("google", "brand"), (None, None)])
signals = st.sampled_from(["cpa_spike", "roas_drop"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[AlertChange], list[Label]]:
    told = [
        alert(f"a{number}", draw(hours), signal=draw(signals), source=source, campaign=campaign)
        for number, (source, campaign) in enumerate(draw(st.lists(scopes, max_size=8)))
    ]
    labels = []
    for number, (source, campaign) in enumerate(draw(st.lists(scopes, max_size=5))):
        start = draw(hours)
        end = start + draw(hours)
        labels.append(label(f"i{number}", start, end, signal=draw(signals), source=source, campaign=campaign))
    return told, labels


@given(cases())
def test_every_alert_has_one_verdict_and_every_incident_one(case: tuple[list[AlertChange], list[Label]]) -> None:
    told, labels = case
    match = match_alerts(openings(told), labels)
    verdicts = [*match.right, *match.forgiven, *match.false]
    assert sorted(verdicts) == sorted(one.alert_id for one in told)
    assert set(match.right.values()) == set(match.first_ms)
    assert set(match.forgiven.values()) <= set(match.first_ms)
    assert all(delay >= 0 for delay in match.first_ms.values())


@given(cases())
def test_right_alerts_of_one_incident_differ_in_scope(case: tuple[list[AlertChange], list[Label]]) -> None:
    told, labels = case
    match = match_alerts(openings(told), labels)
    by_id = {one.alert_id: (one.signal, one.source, one.campaign) for one in told}
    hits = [(incident, by_id[alert_id]) for alert_id, incident in match.right.items()]
    assert len(hits) == len(set(hits))


@given(cases())
def test_the_signals_add_up_to_the_whole(case: tuple[list[AlertChange], list[Label]]) -> None:
    result = score(*case, account_weeks=1.0)
    for figure in ("incidents", "caught", "missed", "alerts", "right", "forgiven", "false"):
        parts = sum(getattr(tally, figure) for tally in result.signals.values())
        assert parts == getattr(result.overall, figure)


@given(cases())
def test_alerts_and_labels_may_come_in_any_order(case: tuple[list[AlertChange], list[Label]]) -> None:
    told, labels = case
    moments = [one.at for one in told]
    if len(set(moments)) == len(moments):
        forward = score(told, labels, 1.0)
        backward = score(told[::-1], labels[::-1], 1.0)
        assert forward.overall == backward.overall


GOOD = {"incident_id": "i", "signal": "cpa_spike", "account": "acme", "from": 0, "to": "1970-01-01T02:00:00+01:00"}
BAD = [
    ({"account": None}, "account"),
    ({"from": "yesterday"}, "from"),
    ({"to": "2026-01-01T00:00:00"}, "to"),
    ({"to": True}, "to"),
    ({"from": 9_999_999_999_999}, "to: lies before from"),
]


@pytest.mark.parametrize(("wrong", "said"), BAD)
def test_a_bad_label_is_named_by_file_line_and_key(wrong: dict[str, object], said: str) -> None:
    lines = [json.dumps(GOOD).encode(), b"", json.dumps(GOOD | {"incident_id": "j"} | wrong).encode()]
    with pytest.raises(LabelError, match=rf"^labels.ndjson:3: {said}"):
        parse_labels(lines, "labels.ndjson")


def test_a_missing_key_broken_json_and_a_repeated_incident_are_named() -> None:
    for line, said in [(b"{}", "incident_id"), (b"{", "line"), (json.dumps(GOOD).encode(), "incident_id.*twice")]:
        with pytest.raises(LabelError, match=f"^l:2: {said}"):
            parse_labels([json.dumps(GOOD).encode(), line], "l")


def test_a_labels_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.ndjson", tmp_path):
        with pytest.raises(LabelError, match=str(path)):
            read_labels(path)


def test_labels_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.ndjson"
    path.write_text("\n".join(json.dumps(GOOD | {"incident_id": name}) for name in "ab") + "\n")
    assert [one.incident_id for one in read_labels(path)] == ["a", "b"]
    assert {(one.from_ms, one.to_ms) for one in read_labels(path)} == {(0, HOUR_MS)}


@given(st.integers(0, 4_000_000_000_000))
def test_a_moment_written_and_read_is_the_same(at_ms: int) -> None:
    assert moment_ms(rfc3339(at_ms)) == at_ms


def test_scopes_of_one_incident_are_all_right() -> None:
    told = [alert(f"{n}", 12 + n / 10, source="meta", campaign=c) for n, c in enumerate(["brand", None])]
    for order in itertools.permutations(told):
        assert len(match_alerts(openings(order), [IN]).right) == 2
