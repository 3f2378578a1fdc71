"""What every channel holds to, one scenario through each, on real parts: a fake Slack over HTTP, a real SMTP server."""

from __future__ import annotations

import email
import email.policy
import io
import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from alerts.change import AlertChange
from notifiers.channel import Channel, Delivery
from notifiers.console import ConsoleChannel
from notifiers.email import EmailChannel, SmtpSettings
from notifiers.fake_slack import Running
from notifiers.fake_slack_faults import FaultRule
from notifiers.message import MessageSettings, compose
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.slack_webhook import SlackWebhookChannel
from notifiers.tables import State

Make = Callable[..., AlertChange]
GOES_AWAY = "goes away"
SLACK_SECRET, WEBHOOK_SECRET, MAIL_SECRET = "xoxb-planted-secret-1", "secretsecretsecret", "planted-secret-4"


@dataclass
class Stand:
    """One channel and the world behind it.

    ``heard``: every message a person can see, in order.  ``refuse``: the other side never takes the next message;
    ``fail``: it does not for now; ``lose``: it takes it and the answer is lost.  ``named``: what a refusal names.
    """

    channel: Channel
    heard: Callable[[], list[str]]
    refuse: Callable[[], None]
    fail: Callable[[], None]
    lose: Callable[[], None]
    named: str
    secrets: tuple[str, ...] = ()
    ids: Callable[[], list[str]] = list
    settings: list[Any] = field(default_factory=list)


class Paper(io.StringIO):
    """A terminal that may be out of reach for a while."""

    trouble: OSError | None = None

    def write(self, words: str) -> int:
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        return super().write(words)


def console_stand() -> Stand:
    paper = Paper()
    channel = ConsoleChannel(paper)

    def fail() -> None:
        paper.trouble = BrokenPipeError(32, "Broken pipe")

    def heard() -> list[str]:
        return re.split(r"\n(?! )", paper.getvalue())[:-1]

    return Stand(channel, heard, fail, fail, fail, "console")


def slack_stand(slack: Running, clock: Callable[[], float]) -> Stand:
    settings = SlackSettings.model_validate(
        {"base_url": slack.api, "token": SLACK_SECRET, "channel": "alerts", "chart": False}
    )

    def messages() -> list[dict[str, Any]]:
        return slack.fake.workspace.channels["alerts"].messages

    def play(**rule: Any) -> None:
        slack.fake.script.play([FaultRule(times=1, **rule)], clock())

    return Stand(
        SlackChannel(settings, sleep=lambda _: None),
        lambda: [m["text"] for m in messages()],
        lambda: play(kind="not_ok", error="channel_not_found"),
        lambda: play(kind="rate_limit", retry_after=3),
        lambda: play(kind="reset", accept=True, methods=("chat.postMessage",)),
        "channel alerts: channel_not_found (no such channel, or a private one without the bot; check slack.channel)",
        (SLACK_SECRET,),
        lambda: [m["metadata"]["event_payload"]["delivery_id"] for m in messages()],
        [settings],
    )


def webhook_stand(slack: Running, clock: Callable[[], float]) -> Stand:
    settings = SlackSettings.model_validate({"webhook_url": slack.webhook})
    whole = slack_stand(slack, clock)

    def play(**rule: Any) -> None:
        slack.fake.script.play([FaultRule(times=1, methods=("webhook",), **rule)], clock())

    channel = SlackWebhookChannel(settings)
    gone = "the webhook: no_service (the webhook is gone; make a new slack.webhook_url)"
    return Stand(
        channel,
        whole.heard,
        lambda: play(kind="text", status=404, error="no_service"),
        lambda: play(kind="rate_limit", retry_after=3),
        lambda: play(kind="reset", accept=True),
        gone,
        (WEBHOOK_SECRET,),
        settings=[settings],
    )


def email_stand(box: Any) -> Stand:
    settings = SmtpSettings.model_validate(box.settings())

    def mails() -> list[Any]:
        return [email.message_from_bytes(one, policy=email.policy.default) for one in box.mails]

    def heard() -> list[str]:
        return [f"{one['Subject']}\n{one.get_body(('plain',)).get_content()}".replace("\r\n", "\n") for one in mails()]

    return Stand(
        EmailChannel(settings),
        heard,
        lambda: box.answers.append("554 5.7.1 we never take this"),
        lambda: box.answers.append("451 4.7.1 come back later"),
        lambda: box.answers.append(GOES_AWAY),
        "mail server 127.0.0.1 refuses: 554 5.7.1 we never take this",
        (MAIL_SECRET,),
        lambda: [one["Message-ID"] for one in mails()],
        [settings],
    )


@pytest.fixture(params=["console", "slack", "slack_webhook", "email"])
def stand(request: pytest.FixtureRequest, slack: Running, clock: Any) -> Stand:
    """Each channel in turn."""
    if request.param == "console":
        return console_stand()
    if request.param == "email":
        return email_stand(request.getfixturevalue("new_postbox")())
    return slack_stand(slack, clock) if request.param == "slack" else webhook_stand(slack, clock)


@dataclass
class Heard:
    """Writes down what was given up."""

    given_up: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def attempted(self, receiver: str, outcome: str, reason: str) -> None:
        self.outcomes[outcome] += 1

    def said(self, receiver: str, latency_s: float) -> None:
        self.outcomes["said"] += 1

    def dead(self, receiver: str, words: str) -> None:
        self.given_up.append(words)

    def failed(self, receiver: str, words: str) -> None:
        self.outcomes["failed"] += 1

    def store_failed(self, receiver: str, words: str) -> None:
        self.outcomes["store_failed"] += 1


def tell(stand: Stand, new_desk: Any, *changes: AlertChange, heard: Heard | None = None) -> Any:
    """A desk whose relay has told ``changes``, one after the other."""
    desk = new_desk(stand.channel.name)
    relay = desk.relay(stand.channel, heard or Heard())
    for one in changes:
        desk.ledger.accept(one)
        desk.drain(relay)
    return desk


def test_each_turn_is_said_once_in_order(stand: Stand, new_desk: Any, change: Make) -> None:
    desk = new_desk(stand.channel.name)
    relay = desk.relay(stand.channel)
    turns = [
        (change(1), "WARNING"),
        (change(2, severity="critical"), "CRITICAL, WORSE"),
        (change(3, change="resolved", action="Back to what is expected."), "RESOLVED"),
    ]
    for count, (one, status) in enumerate(turns, 1):
        desk.ledger.accept(one)
        desk.drain(relay)
        assert len(stand.heard()) == count
        newest = stand.heard()[-1]
        assert status in newest.upper()
        assert "Brand | Search | DE" in newest
        assert "CPA spike" in newest
        assert ("€118 an hour" in newest) == (status != "RESOLVED")
    assert "Back to what is expected." in stand.heard()[-1]
    assert desk.ledger.counts() == {(stand.channel.name, State.DELIVERED): 3}


def test_a_repeat_says_nothing(stand: Stand, new_desk: Any, change: Make) -> None:
    tell(stand, new_desk, change(), change(), change())
    assert len(stand.heard()) == 1


def test_what_is_muted_is_not_said(stand: Stand, new_desk: Any, change: Make) -> None:
    muted = {"muted_by": "tracking_outage x"}
    tell(stand, new_desk, change(1, **muted), change(2, **muted), change(3, change="resolved", **muted))
    assert stand.heard() == []


def test_the_end_of_what_was_said_is_said_although_it_is_muted_by_then(
    stand: Stand, new_desk: Any, change: Make
) -> None:
    muted = {"muted_by": "tracking_outage x"}
    tell(stand, new_desk, change(1), change(2, **muted), change(3, change="resolved", **muted))
    assert len(stand.heard()) == 2
    assert "RESOLVED" in stand.heard()[-1].upper()


def test_old_news_is_not_said_after_new(stand: Stand, new_desk: Any, change: Make) -> None:
    tell(stand, new_desk, change(3, change="resolved"), change(1), change(2))
    assert len(stand.heard()) == 1
    assert "RESOLVED" in stand.heard()[0].upper()


def test_what_fails_for_now_is_said_once_later(stand: Stand, new_desk: Any, change: Make) -> None:
    stand.fail()
    desk = tell(stand, new_desk, change())
    assert len(stand.heard()) == 1
    outcomes = [one.outcome for one in desk.ledger.attempts(change().alert_id)]
    assert outcomes == ["unreachable", "delivered"]


def test_a_lost_answer_repeats_nothing_where_the_channel_can_be_asked(
    stand: Stand, new_desk: Any, change: Make
) -> None:
    stand.lose()
    heard = Heard()
    tell(stand, new_desk, change(), heard=heard)
    if stand.channel.promise.startswith("once"):
        assert len(stand.heard()) == 1
        assert heard.outcomes["found"] == 1
    elif stand.ids():
        assert len(set(stand.ids())) == 1 < len(stand.heard())
    else:
        assert len(stand.heard()) >= 1
    assert heard.outcomes["said"] == 1


@pytest.mark.parametrize("stand", ["slack", "slack_webhook", "email"], indirect=True)
def test_what_is_refused_for_good_is_a_dead_letter_that_names_its_receiver_and_holds_nothing_up(
    stand: Stand, new_desk: Any, change: Make
) -> None:
    stand.refuse()
    heard = Heard()
    desk = tell(stand, new_desk, change(alert_id="first"), change(alert_id="second"), heard=heard)
    (dead,) = desk.ledger.dead()
    assert (dead.alert_id, dead.receiver) == ("first", stand.channel.name)
    assert stand.named in dead.last
    assert heard.given_up == [dead.last]
    assert len(stand.heard()) == 1


def test_no_secret_is_in_any_word_about_it(
    stand: Stand, new_desk: Any, change: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = [repr(stand.channel), *map(repr, stand.settings), *map(str, stand.settings)]
    words += [one.model_dump_json() for one in stand.settings]
    heard = Heard()
    for number, trouble in enumerate((stand.fail, stand.lose, stand.refuse)):
        trouble()
        desk = tell(stand, new_desk, change(alert_id=f"a{number}"), heard=heard)
        words += [repr(one) for one in desk.ledger.attempts(f"a{number}")]
        words += [repr(one) for one in desk.ledger.entries(f"a{number}")]
    assert heard.outcomes["failed"] >= 2
    everything = "\n".join([*words, *heard.given_up, *stand.heard(), caplog.text])
    for secret in stand.secrets:
        assert secret not in everything


def test_names_that_command_the_output_are_only_shown(stand: Stand, new_desk: Any, change: Make) -> None:
    hostile = "<!channel> <@U1> \x1b[2J\r\nBcc: evil@example.org\r\n\r\n=?utf-8?q?=0ABcc=3A?= \u202e<script>\x00"
    desk = tell(stand, new_desk, change(account=hostile, campaign=hostile, source=hostile))
    assert desk.ledger.dead() == []
    (said,) = stand.heard()
    assert not {"\x1b", "\x00", "\u202e", "\r"} & set(said)
    assert not re.search(r"^Bcc:", said, re.MULTILINE)


def test_a_terminal_without_the_signs_is_told_all_the_same(new_desk: Any, change: Make) -> None:
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    desk = new_desk("console")
    relay = desk.relay(ConsoleChannel(narrow))
    desk.ledger.accept(change())
    desk.drain(relay)
    narrow.seek(0)
    assert "WARNING  CPA spike  acme / meta / Brand | Search | DE" in narrow.read()


def test_nothing_is_found_of_what_was_never_said(stand: Stand, change: Make) -> None:
    delivery = Delivery("never", compose(change(), MessageSettings()), change(), tried_ms=1_767_340_800_000)
    assert stand.channel.find(delivery) is None
    assert stand.channel.promise
    stand.channel.close()
