"""What a person reads: every signal, turn and unit in plain words, and names that cannot do anything."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from alerts.change import AlertChange, Severity, Turn
from notifiers import slack_blocks
from notifiers.channel import Delivery
from notifiers.console import lines
from notifiers.fake_slack_page import page, seen
from notifiers.fake_slack_workspace import Workspace
from notifiers.mail import html, mail
from notifiers.message import Message, MessageSettings, compose

Make = Callable[..., AlertChange]
BERLIN = MessageSettings(time_zone="Europe/Berlin", locale="de_DE", link="https://adwatch.example.com/x/")
OUTAGE: dict[str, Any] = {
    "signal": "tracking_outage",
    "measure": "conversions",
    "campaign": None,
    "observed": 0.0,
    "expected": 13.4,
    "low": 6.0,
    "high": 20.0,
}
ROAS: dict[str, Any] = {
    "signal": "roas_drop",
    "measure": "roas",
    "observed": 2.214,
    "expected": 4.3,
    "low": 3.4,
    "high": 5.3,
}
BOUNCES: dict[str, Any] = {
    "signal": "metric_anomaly",
    "measure": "bounce_rate",
    "source": None,
    "campaign": None,
    "observed": 0.71,
    "expected": 0.43,
    "low": None,
    "high": None,
}
BASKETS: dict[str, Any] = {"signal": "roas_drop", "measure": "value_per_conversion"}
UNUSUAL: dict[str, Any] = {"signal": "account_anomaly", "measure": "cost", "source": None, "campaign": None}
CAMPAIGN = "Campaign “Brand | Search | DE” on meta (acme)"


@pytest.mark.parametrize(
    ("fields", "title", "sentence"),
    [
        ({}, "CPA spike", f"{CAMPAIGN} pays €24.37 per conversion, where €9.80 was expected."),
        (
            {"observed": None},
            "CPA spike",
            f"{CAMPAIGN} spends without a conversion, where one usually costs €9.80.",
        ),
        (ROAS, "ROAS drop", f"{CAMPAIGN} has a ROAS of 2.21, where 4.30 was expected."),
        (BASKETS, "ROAS drop", f"{CAMPAIGN} sells for €24.37 per conversion, where €9.80 was expected."),
        (OUTAGE, "Tracking outage", "acme on meta has had no conversions in 2 h, where about 13 were expected."),
        (
            OUTAGE | {"observed": 3.0, "expected": None},
            "Tracking outage",
            "acme on meta has had 3 conversions in 2 h.",
        ),
        (
            OUTAGE | {"part": {"leg": "browser"}},
            "Tracking outage",
            "The browser leg of meta (acme) has had no conversions in 2 h, where about 13 were expected.",
        ),
        (
            OUTAGE | {"part": {"name": "add_to_cart"}},
            "Tracking outage",
            "The add_to_cart events of meta (acme) have not come once in 2 h, where about 13 were expected.",
        ),
        (BOUNCES, "Unusual bounce rate", "acme has bounce rate at 0.71, where 0.43 was expected."),
        (UNUSUAL, "Unusual account", "acme has cost at 24.37, where 9.8 was expected."),
        ({"signal": "brand_new_signal", "measure": "x_y"}, "Brand new signal", f"{CAMPAIGN} has x y at 24.37"),
    ],
)
@pytest.mark.parametrize("severity", list(Severity))
def test_each_signal_is_told_in_one_sentence(
    severity: Severity, fields: dict[str, Any], title: str, sentence: str, change: Make
) -> None:
    message = compose(change(severity=severity, **fields), MessageSettings())
    assert message.title == title
    assert message.sentence.startswith(sentence)
    assert message.headline.endswith(f"{severity.capitalize()}: {message.subject}")


def test_worse_says_so_and_over_says_how_long_and_why(change: Make) -> None:
    worse = compose(change(2, severity="critical"), MessageSettings())
    assert (worse.status, worse.sign, worse.colour) == ("Critical, worse", "🔴", "#d32f2f")
    over = compose(change(3, change="resolved", action="Back to what is expected."), MessageSettings())
    assert (over.status, over.sign, over.colour) == ("Resolved", "✅", "#2eb67d")
    assert over.sentence == f"{CAMPAIGN}: over after 2 h 30 min. Back to what is expected."
    assert dict(over.facts)["Lasted"] == "Fri 2 Jan, 06:00 UTC until Fri 2 Jan, 08:30 UTC (2 h 30 min)"
    assert (over.cost, over.sure, over.action) == (None, None, None)


def test_the_subject_stays_the_same_over_the_life_of_an_alert(change: Make) -> None:
    states = [change(1), change(2, severity="critical", observed=99.0), change(3, change="resolved")]
    assert len({compose(one, MessageSettings()).subject for one in states}) == 1


def test_figures_and_times_are_those_of_the_readers_place(change: Make) -> None:
    message = compose(change(money_at_risk_micros=1_234_560_000), BERLIN)
    facts = {label: words.replace("\xa0", " ") for label, words in message.facts}
    assert facts["Costs"] == "1.235 € an hour"
    assert facts["Observed"] == "24,37 €"
    assert facts["Expected"] == "9,80 € (usually 7,10 € to 13,20 €)"
    assert facts["Since"] == "Fri 2 Jan, 07:00 CET (for 2 h 10 min)"
    assert message.decided == "Fri 2 Jan, 09:10 CET"
    assert message.link == "https://adwatch.example.com/x/alerts/cpa_spike-00000000000000a1"


def test_a_time_in_the_advice_is_told_as_all_other_times(change: Make) -> None:
    advice = "Look first at the deploy of 2026-01-02T05:50:00.000Z. Compare landing pages."
    message = compose(change(action=advice), BERLIN)
    assert message.action == "Look first at the deploy of Fri 2 Jan, 06:50 CET. Compare landing pages."


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (0.3, "weak: this may well be chance"),
        (1.0, "likely real: chance alone does this about once in 10 times"),
        (3.0, "very likely real: chance alone does this about once in 1,000 times"),
        (400.0, "as good as certain: chance alone does this less than once in a million times"),
        (float("nan"), "weak: this may well be chance"),
    ],
)
def test_how_sure_it_is_stands_in_words(evidence: float, words: str, change: Make) -> None:
    assert compose(change(evidence=evidence), MessageSettings()).sure == words


@pytest.mark.parametrize(
    ("currency", "micros", "words"),
    [
        ("JPY", 1_234_500_000, "¥1,234 an hour"),
        ("EUR", 12_345_678, "€12.35 an hour"),
        ("XTS", 200_000_000, "XTS"),
        ("EUR", 0, None),
        ("EUR", None, None),
        (None, 5_000_000, None),
    ],
)
def test_the_cost_is_in_the_alerts_currency(currency: str, micros: int, words: str | None, change: Make) -> None:
    cost = compose(change(currency=currency, money_at_risk_micros=micros), MessageSettings()).cost
    assert cost is None if words is None else cost is not None and words in cost


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"time_zone": "Mars/Olympus"}, "is no time zone"),
        ({"locale": "klingon"}, "is no locale"),
        ({"link": "javascript:alert(1)"}, "must begin with http"),
        ({"link": "https://x/ y"}, "must begin with http"),
        ({"link": "https://x/" + "y" * 2000}, "must begin with http"),
    ],
)
def test_settings_that_cannot_work_are_said(fields: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MessageSettings.model_validate(fields)


NASTY = [
    "<!channel>", "<!here|x>", "<@U1>", "<#C1>", "<https://evil.example|Open the alert>", "&lt;!channel&gt;", "&<>",
    "@channel", "@here", "https://evil.example", "*bold* _it_ ~s~ `c`", ":rotating_light:", "\r\nBcc: evil@example.org",
    "\n\n<script>alert(1)</script>", "=?utf-8?q?=0ABcc=3A_evil@example.org?=", "=?=?utf-8?b?Cg==?=", "\u202egnp.exe",
    "\u2066\u2067\u2028\u2029", "שלום עולם", "\x00\x1b[31m\x07\x9b",
    "😀👩‍👩‍👧", "N" * 10_000, "&" * 10_000, "<" * 10_000,
    "@" * 10_000, "://" * 5_000, "{{ 7*7 }}", "' onmouseover='alert(1)", "%0d%0aBcc:x", "\ufeff", "\ud83d"[:0],
]  # fmt: skip
names = st.one_of(
    st.sampled_from(NASTY), st.text(max_size=300), st.lists(st.sampled_from(NASTY), max_size=4).map("".join)
)
numbers = st.none() | st.floats(allow_nan=True, allow_infinity=True)
LIMITED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def hostile(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of an alert as bad as others may make them."""
    return {
        "change": draw(st.sampled_from(Turn)),
        "severity": draw(st.sampled_from(Severity)),
        "signal": draw(st.sampled_from(["cpa_spike", "tracking_outage", "metric_anomaly"]) | names),
        "account": draw(names),
        "source": draw(st.none() | names),
        "campaign": draw(st.none() | names),
        "part": draw(st.none() | st.dictionaries(names, names, max_size=2)),
        "measure": draw(st.sampled_from(["cpa", "roas", "conversions", "value_per_conversion"]) | names),
        "observed": draw(numbers),
        "expected": draw(numbers),
        "low": draw(numbers),
        "high": draw(numbers),
        "evidence": draw(st.floats()),
        "money_at_risk_micros": draw(st.none() | st.integers(-(10**400), 10**400)),
        "currency": draw(st.none() | st.sampled_from(["EUR", "JPY", "KWD"]) | names),
        "cause": draw(st.none() | st.fixed_dictionaries({"kind": names, "what": names, "at": names})),
        "action": draw(names),
        "at": draw(st.sampled_from(["2026-01-02T08:10:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]) | names),
        "started_at": draw(st.sampled_from(["2026-01-02T06:00:00Z", "9999-12-31T23:59:59-12:00"]) | names),
        "history": (),
    }


def deliver(message: Message, change: AlertChange) -> Delivery:
    return Delivery("0123456789ab", message, change, accepted_ms=1_767_340_800_000)


@LIMITED
@given(fields=hostile())
def test_slack_takes_whatever_an_alert_holds_and_nobody_is_called(fields: dict[str, Any], change: Make) -> None:
    message = compose(change(**fields), BERLIN, ["Not said before: opened.", "late"])
    workspace = Workspace(lambda: 0.0, per_s=float("inf"))
    body: dict[str, Any] = {
        "channel": "alerts",
        "text": slack_blocks.notification(message),
        "blocks": slack_blocks.header(message),
        "attachments": slack_blocks.card(message),
    }
    root = workspace.post(body)
    workspace.post({"channel": "alerts", "text": "x", "thread_ts": root["ts"], "blocks": slack_blocks.reply(message)})
    (shown,) = seen(workspace)["alerts"]
    for one in (shown, *shown["thread"]):
        assert one["mentions"] == []
        assert one["links"] == []
    assert len(body["text"]) <= 4_000
    assert not re.search(r"@(channel|here|everyone)|://\S", str(body["text"]))
    assert "<script" not in page(workspace).replace("&lt;script", "")


def test_a_mail_goes_out_without_a_chart_that_cannot_be_drawn(change: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Drawn in a zone that no longer exists on this machine; the log says what is missing."""
    alert = change()
    assert alert.history
    message = replace(compose(alert, BERLIN), zone="Mars/Olympus")
    sent = mail(deliver(message, alert), "adwatch@example.com", ("a@example.com",), with_chart=True)
    assert [part.get_content_type() for part in sent.walk() if part.get_content_maintype() == "image"] == []
    assert message.title in sent.as_string()
    assert "a chart could not be drawn" in caplog.text


@LIMITED
@given(fields=hostile())
def test_a_mail_has_the_headers_it_is_meant_to_have_and_no_other(fields: dict[str, Any], change: Make) -> None:
    alert = change(**fields)
    message = compose(alert, BERLIN)
    whole = mail(deliver(message, alert), "adwatch@example.com", ("a@example.com",), with_chart=False).as_bytes()
    read: Any = email.message_from_bytes(whole, policy=email.policy.default)
    expected = [
        "Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "List-Id", "MIME-Version", "Content-Type",
    ]  # fmt: skip
    importance = ["Importance"] if fields["severity"] is Severity.CRITICAL else []
    assert sorted(read.keys()) == sorted(expected + importance)
    assert read["To"] == "a@example.com"
    assert "\n" not in read["Subject"]
    assert b"\x00" not in whole
    assert max(map(len, whole.splitlines())) <= 998
    assert len(whole.replace(b"\r\n", b"")) + 2 * whole.count(b"\r\n") == len(whole)
    assert [part.get_content_type() for part in read.walk()] == ["multipart/alternative", "text/plain", "text/html"]
    tags = set(re.findall(r"<([a-z]+)", html(message, None)))
    assert tags <= {"html", "head", "meta", "title", "body", "div", "table", "tr", "td", "span", "bdi", "a"}


@LIMITED
@given(fields=hostile())
def test_a_terminal_gets_lines_and_no_commands(fields: dict[str, Any], change: Make) -> None:
    words = lines(compose(change(**fields), MessageSettings())).plain
    assert len(words) < 4_000
    assert words.count("\n") <= 2
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066\u2067\u2028\u2029]", words)
