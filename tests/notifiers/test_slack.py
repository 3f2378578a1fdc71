"""Slack by bot token and by webhook, against the shipped fake over HTTP: posts, changes in place, threads, charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.change import AlertChange, Turn
from notifiers.channel import Delivery, Receipt
from notifiers.errors import Ambiguous, Fault, Refused, Unreachable
from notifiers.fake_slack import Running
from notifiers.fake_slack_faults import FaultRule
from notifiers.fake_slack_page import seen
from notifiers.message import MessageSettings, compose
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.slack_webhook import SlackWebhookChannel

Make = Callable[..., AlertChange]
RED, ORANGE, GREEN = "#d32f2f", "#e8830c", "#2eb67d"


def deliver(change: AlertChange, place: Any = None, **more: Any) -> Delivery:
    message = compose(change, MessageSettings(link="https://adwatch.example.com"))
    told = {"accepted_ms": 1_767_340_800_000, "tried_ms": 1_767_340_800_000}
    return Delivery(f"{change.alert_id}.{change.version}", message, change, place or {}, **(told | more))


def shown(slack: Running) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = seen(slack.fake.workspace)["alerts"]
    return found


def play(slack: Running, *rules: FaultRule) -> None:
    slack.fake.script.play(rules, slack.fake._clock())


def called(slack: Running) -> list[str]:
    return [method for _, method, _ in slack.fake.calls]


def test_a_post_is_orange_red_then_green_and_stays_one_message(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    channel = slack_channel()
    place = channel.send(deliver(change(1))).place
    assert [one["colour"] for one in shown(slack)] == [ORANGE]
    channel.send(deliver(change(2, severity="critical"), place, escalated=True))
    assert [one["colour"] for one in shown(slack)] == [RED]
    assert channel.send(deliver(change(3, change="resolved"), place)).place == place
    (root,) = shown(slack)
    assert (root["colour"], root["is_edited"]) == (GREEN, True)
    assert [one["is_broadcast"] for one in root["thread"]] == [True, False]
    assert "✅ Resolved" in root["thread"][1]["lines"][0]


def test_a_post_says_what_how_sure_since_when_the_cost_why_and_what_to_do(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    slack_channel().send(deliver(change()))
    (root,) = shown(slack)
    words = "\n".join(root["lines"])
    for part in (
        "🟠 Warning: CPA spike · acme / meta / Brand | Search | DE",
        "pays €24.37 per conversion, where €9.80 was expected.",
        "*Costs*\n€118 an hour",
        "*Since*\nFri 2 Jan, 06:00 UTC (for 2 h 10 min)",
        "*Expected*\n€9.80 (usually €7.10 to €13.20)",
        "*How sure*\nvery likely real: chance alone does this about once in 16,000 times",
        "Possible cause: deploy: checkout 2.14 at Fri 2 Jan, 05:50 UTC",
        "→ Compare landing page, bid and audience changes since the start.",
        "Open the alert",
    ):
        assert part in words
    assert (root["mentions"], root["links"]) == ([], [])


def test_the_metadata_holds_an_opaque_id_only(slack: Running, slack_channel: Any, change: Make) -> None:
    slack_channel().send(deliver(change()))
    assert shown(slack)[0]["metadata"] == {
        "event_type": "adwatch_alert",
        "event_payload": {"delivery_id": "cpa_spike-00000000000000a1.1"},
    }


def test_the_chart_is_uploaded_and_stands_in_the_same_message(slack: Running, slack_channel: Any, change: Make) -> None:
    slack_channel(chart=True).send(deliver(change()))
    (root,) = shown(slack)
    (file_id,) = root["images"]
    stored = slack.fake.workspace.files[file_id]
    assert stored.content is not None
    assert stored.content.startswith(b"\x89PNG")
    assert called(slack) == [
        "chat.postMessage",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "chat.update",
    ]


def test_a_chart_that_slack_has_not_looked_through_yet_is_shown_a_moment_later(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    play(slack, FaultRule(kind="not_ok", methods=("chat.update",), error="invalid_attachments", times=1))
    slack_channel(chart=True).send(deliver(change()))
    assert len(shown(slack)[0]["images"]) == 1


@pytest.mark.parametrize("kind", ["reset", "http", "rate_limit"])
@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal", "chat.update"])
def test_whatever_goes_wrong_with_the_chart_the_words_stand(
    kind: Any, method: str, slack: Running, slack_channel: Any, change: Make
) -> None:
    play(slack, FaultRule(kind=kind, methods=(method,)))
    assert slack_channel(chart=True).send(deliver(change())).place["ts"]
    (root,) = shown(slack)
    assert root["images"] == []
    assert root["colour"] == ORANGE


def test_without_the_scope_for_files_no_further_chart_is_tried(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    play(slack, FaultRule(kind="not_ok", methods=("files.getUploadURLExternal",), error="missing_scope"))
    channel = slack_channel(chart=True)
    for number in range(2):
        channel.send(deliver(change(alert_id=f"a{number}")))
    assert called(slack).count("files.getUploadURLExternal") == 1


@pytest.mark.parametrize(
    ("rule", "fault", "words", "reason"),
    [
        ({"kind": "not_ok", "error": "channel_not_found"}, Refused, "check slack.channel", "client"),
        ({"kind": "not_ok", "error": "not_in_channel"}, Refused, "invite the bot", "client"),
        ({"kind": "not_ok", "error": "is_archived"}, Refused, "the channel is archived", "client"),
        ({"kind": "not_ok", "error": "msg_too_long"}, Refused, "channel alerts: msg_too_long", "client"),
        ({"kind": "not_ok", "error": "invalid_blocks"}, Refused, "channel alerts: invalid_blocks", "client"),
        ({"kind": "not_ok", "error": "invalid_auth"}, Refused, "check slack.token", "auth"),
        ({"kind": "not_ok", "error": "token_revoked"}, Refused, "make a new slack.token", "auth"),
        ({"kind": "not_ok", "error": "missing_scope"}, Refused, "chat:write", "auth"),
        ({"kind": "not_ok", "error": "a_new_word"}, Refused, "channel alerts: a_new_word", "client"),
        ({"kind": "not_ok", "error": "ratelimited"}, Unreachable, "limits the rate", "rate_limited"),
        ({"kind": "rate_limit", "retry_after": 30}, Unreachable, "limits the rate, for 30 s", "rate_limited"),
        ({"kind": "not_ok", "error": "internal_error"}, Ambiguous, "internal_error", "server"),
        ({"kind": "not_ok", "error": "fatal_error"}, Ambiguous, "fatal_error", "server"),
        ({"kind": "http", "status": 500}, Ambiguous, "HTTP 500", "server"),
        ({"kind": "http", "status": 502}, Ambiguous, "HTTP 502", "server"),
        ({"kind": "http", "status": 503}, Ambiguous, "HTTP 503", "server"),
        ({"kind": "http", "status": 403}, Unreachable, "not Slack's answer: HTTP 403", "other"),
        ({"kind": "reset"}, Ambiguous, "no answer of Slack's", "network"),
        ({"kind": "hang", "hold_s": 1.3}, Ambiguous, "no answer of Slack's: TimeoutError", "timeout"),
    ],
)
def test_each_error_is_the_fault_of_the_right_side(
    rule: dict[str, Any],
    fault: type[Fault],
    words: str,
    reason: str,
    slack: Running,
    slack_channel: Any,
    change: Make,
) -> None:
    play(slack, FaultRule.model_validate(rule))
    with pytest.raises(fault, match=words.replace(".", r"\.")) as raised:
        slack_channel(timeout_s=1).send(deliver(change()))
    assert raised.value.reason == reason
    assert "xoxb" not in str(raised.value)


def test_a_slack_that_is_not_there_was_surely_not_told(slack_channel: Any, change: Make) -> None:
    with pytest.raises(Unreachable, match="cannot be reached: ConnectionRefusedError"):
        slack_channel(base_url="http://127.0.0.1:1/api/").send(deliver(change()))


def test_what_was_said_is_found_by_name_of_the_channel_in_a_new_process(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    place = slack_channel().send(deliver(change(1))).place
    assert slack_channel().find(deliver(change(1))) == Receipt(place, "found in the channel after a lost answer")
    slack_channel().send(deliver(change(2), place))
    found = slack_channel().find(deliver(change(2), place))
    assert found is not None
    assert found.place == place
    assert slack_channel().find(deliver(change(3), place)) is None


def test_what_was_said_among_hundreds_of_others_is_found(slack: Running, slack_channel: Any, change: Make) -> None:
    slack.fake.workspace._per_s = float("inf")
    place = slack_channel().send(deliver(change())).place
    for number in range(450):
        slack.fake.workspace.post({"channel": "alerts", "text": f"lunch {number}"})
    found = slack_channel().find(deliver(change()))
    assert found is not None
    assert found.place == place


def test_where_the_history_may_not_be_read_the_promise_says_so(
    slack: Running, slack_channel: Any, change: Make
) -> None:
    channel = slack_channel(channel="C0000000001")
    assert channel.promise == "once, as seen in the channel"
    play(slack, FaultRule(kind="not_ok", methods=("conversations.history",), error="missing_scope", times=1))
    assert channel.find(deliver(change())) is None
    assert channel.promise.startswith("at least once: the channel's history cannot be read")
    assert channel.find(deliver(change())) is None
    assert channel.promise == "once, as seen in the channel"


def test_a_lost_reply_after_the_change_in_place_is_said_once(slack: Running, slack_channel: Any, change: Make) -> None:
    channel = slack_channel()
    place = channel.send(deliver(change(1))).place
    play(slack, FaultRule(kind="reset", methods=("chat.update",), accept=True, times=1))
    with pytest.raises(Ambiguous):
        channel.send(deliver(change(2), place))
    assert channel.find(deliver(change(2), place)) is None
    channel.send(deliver(change(2), place))
    (root,) = shown(slack)
    assert len(root["thread"]) == 1


def test_a_webhook_says_each_state_and_what_it_cannot_change(slack: Running, change: Make) -> None:
    channel = SlackWebhookChannel(SlackSettings.model_validate({"webhook_url": slack.webhook}))
    for one in (change(1), change(2, severity="critical"), change(3, change="resolved")):
        assert channel.send(deliver(one)) == Receipt()
        assert channel.find(deliver(one)) is None
    first, second, third = shown(slack)
    assert [first["colour"], second["colour"], third["colour"]] == [ORANGE, RED, GREEN]
    holds = "Earlier messages about this alert stay as they were: a webhook cannot change them. This one holds."
    assert [holds in one["lines"] for one in (first, second, third)] == [False, True, True]
    assert channel.promise == "at least once: a webhook cannot be asked what it has said"


@pytest.mark.parametrize(
    ("rule", "fault", "words"),
    [
        ({"kind": "text", "status": 404, "error": "no_service"}, Refused, "the webhook: no_service"),
        ({"kind": "text", "status": 403, "error": "invalid_token"}, Refused, "make a new slack.webhook_url"),
        ({"kind": "text", "status": 400, "error": "invalid_payload"}, Refused, "the webhook: invalid_payload"),
        ({"kind": "rate_limit", "retry_after": 5}, Unreachable, "for 5 s"),
        ({"kind": "http", "status": 500}, Ambiguous, "HTTP 500"),
        ({"kind": "text", "status": 200, "error": "hello from a proxy"}, Ambiguous, "not Slack's answer"),
        ({"kind": "reset"}, Ambiguous, "no answer"),
    ],
)
def test_each_error_of_a_webhook_is_the_fault_of_the_right_side(
    rule: dict[str, Any], fault: type[Fault], words: str, slack: Running, change: Make
) -> None:
    channel = SlackWebhookChannel(SlackSettings.model_validate({"webhook_url": slack.webhook}))
    play(slack, FaultRule.model_validate(rule))
    with pytest.raises(fault, match=words.replace(".", r"\.")) as raised:
        channel.send(deliver(change()))
    assert "secretsecretsecret" not in str(raised.value)


@pytest.mark.parametrize("settings", [{"base_url": "slack.com"}, {"webhook_url": "ftp://x"}, {"chanel": "x"}])
def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SlackSettings.model_validate(settings)


@pytest.mark.parametrize("turn", list(Turn))
def test_every_turn_can_be_the_first_that_is_said(turn: Turn, slack: Running, slack_channel: Any, change: Make) -> None:
    slack_channel().send(deliver(change(2, change=turn)))
    assert len(shown(slack)) == 1
    assert isinstance(slack_channel(), SlackChannel)
