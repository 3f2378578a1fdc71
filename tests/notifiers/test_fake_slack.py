"""The fake Slack itself: it keeps Slack's documented limits and fails when told to."""

from __future__ import annotations

import socket
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from notifiers.fake_slack import Running

SECTION = {"type": "section", "text": {"type": "plain_text", "text": "x"}}


def client(slack: Running, token: str = "xoxb-1") -> WebClient:
    return WebClient(token, base_url=slack.api, retry_handlers=[])


def refused(method: Any, **asked: Any) -> str:
    with pytest.raises(SlackApiError) as raised:
        method(**asked)
    return str(raised.value.response["error"])


def section(length: int) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": "x" * length}}


def fields(count: int, length: int) -> dict[str, Any]:
    return {"type": "section", "fields": [{"type": "mrkdwn", "text": "x" * length}] * count}


def header(length: int) -> dict[str, Any]:
    return {"type": "header", "text": {"type": "plain_text", "text": "x" * length}}


@pytest.mark.filterwarnings("ignore:The top-level:UserWarning")
@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"text": ""}, "no_text"),
        ({"text": "x" * 40_001}, "msg_too_long"),
        ({"text": "x", "channel": "nowhere"}, "channel_not_found"),
        ({"text": "x", "thread_ts": "1.000000"}, "thread_not_found"),
        ({"blocks": [SECTION] * 51, "text": "x"}, "invalid_blocks"),
        ({"blocks": [section(3_001)], "text": "x"}, "invalid_blocks"),
        ({"blocks": [fields(1, 2_001)], "text": "x"}, "invalid_blocks"),
        ({"blocks": [fields(11, 1)], "text": "x"}, "invalid_blocks"),
        ({"blocks": [header(151)], "text": "x"}, "invalid_blocks"),
        ({"blocks": [{"type": "image", "slack_file": {"id": "F1"}, "alt_text": "x"}], "text": "x"}, "invalid_blocks"),
        ({"blocks": [{"type": "unheard_of"}], "text": "x"}, "invalid_blocks"),
        ({"blocks": [{"type": "context", "elements": []}], "text": "x"}, "invalid_blocks"),
        ({"blocks": [section(3_000)] * 5, "text": "x"}, "msg_blocks_too_long"),
        ({"attachments": [{"blocks": [header(151)]}], "text": "x"}, "invalid_attachments"),
        ({"attachments": [{"text": "x"}] * 101, "text": "x"}, "too_many_attachments"),
    ],
)
def test_what_slack_does_not_take_is_refused_by_its_name(slack: Running, asked: dict[str, Any], error: str) -> None:
    assert refused(client(slack).chat_postMessage, **({"channel": "alerts"} | asked)) == error
    assert slack.fake.workspace.channels["alerts"].messages == []


def test_what_is_just_within_the_limits_is_taken(slack: Running) -> None:
    blocks = [header(150), section(3_000), fields(4, 2_000), *[SECTION] * 47]
    assert client(slack).chat_postMessage(channel="alerts", text="x" * 40_000, blocks=blocks)["ok"]


def test_more_than_one_a_second_is_429_until_the_time_it_says(slack: Running, clock: Any) -> None:
    for number in range(3):
        client(slack).chat_postMessage(channel="alerts", text=str(number))
    with pytest.raises(SlackApiError) as raised:
        client(slack).chat_postMessage(channel="alerts", text="too fast")
    assert raised.value.response.status_code == 429
    assert raised.value.response.headers["Retry-After"] == "1"
    client(slack).chat_postMessage(channel="general", text="another channel")
    clock.now += 1
    client(slack).chat_postMessage(channel="alerts", text="now")
    assert len(slack.fake.workspace.channels["alerts"].messages) == 4


@pytest.mark.parametrize(
    ("token", "error"), [("", "not_authed"), ("wrong", "invalid_auth"), ("xoxb-revoked", "token_revoked")]
)
def test_a_wrong_token_opens_nothing(slack: Running, token: str, error: str) -> None:
    answer = httpx.post(f"{slack.api}auth.test", headers={"Authorization": f"Bearer {token}".strip()})
    assert answer.json() == {"ok": False, "error": error}


def test_a_message_that_is_not_there_cannot_be_changed(slack: Running) -> None:
    assert refused(client(slack).chat_update, channel="C0000000001", ts="1.000000", text="x") == "message_not_found"


def test_a_change_keeps_what_it_leaves_out(slack: Running) -> None:
    posted = client(slack).chat_postMessage(
        channel="alerts",
        text="a",
        blocks=[SECTION],
        metadata={"event_type": "adwatch_alert", "event_payload": {"delivery_id": "1"}},
    )
    client(slack).chat_update(channel=posted["channel"], ts=posted["ts"], text="b")
    (found,) = client(slack).conversations_history(channel=posted["channel"], include_all_metadata=True)["messages"]
    assert (found["text"], found["blocks"]) == ("b", [SECTION])
    assert found["metadata"]["event_payload"] == {"delivery_id": "1"}
    assert "edited" in found


def test_a_history_comes_in_pages_newest_first_without_threads_and_wants_an_id(slack: Running, clock: Any) -> None:
    root = client(slack).chat_postMessage(channel="alerts", text="root")
    client(slack).chat_postMessage(channel="alerts", text="reply", thread_ts=root["ts"])
    client(slack).chat_postMessage(channel="alerts", text="loud", thread_ts=root["ts"], reply_broadcast=True)
    assert refused(client(slack).conversations_history, channel="alerts") == "channel_not_found"
    texts, cursor = [], None
    while cursor != "":
        page = client(slack).conversations_history(channel=root["channel"], limit=1, cursor=cursor)
        texts += [one["text"] for one in page["messages"]]
        cursor = page["response_metadata"]["next_cursor"]
    assert texts == ["loud", "root"]
    replies = client(slack).conversations_replies(channel=root["channel"], ts=root["ts"])["messages"]
    assert [one["text"] for one in replies] == ["root", "reply", "loud"]
    clock.now += 60
    assert client(slack).conversations_history(channel=root["channel"], oldest=f"{clock.now:.6f}")["messages"] == []


def test_a_file_is_there_once_it_was_sent_and_completed(slack: Running) -> None:
    asked = client(slack).files_getUploadURLExternal(filename="a.png", length=3)
    file_id = str(asked["file_id"])
    assert refused(client(slack).files_completeUploadExternal, files=[{"id": file_id}]) == "file_not_found"
    httpx.post(str(asked["upload_url"]), content=b"png")
    client(slack).files_completeUploadExternal(files=[{"id": file_id, "title": "a"}])
    assert httpx.get(f"{slack.url}/files/{file_id}").content == b"png"
    assert httpx.get(f"{slack.url}/files/F999").status_code == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'{"channel": 7, "blocks": "x"}'])
def test_a_call_without_sense_is_answered_and_not_a_crash(slack: Running, body: bytes) -> None:
    headers = {"Authorization": "Bearer xoxb-1", "Content-Type": "application/json"}
    answer = httpx.post(f"{slack.api}chat.postMessage", content=body, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["ok"] is False


def faults(slack: Running, *rules: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{slack.url}/_fake/faults", json=list(rules))


def post(slack: Running) -> httpx.Response:
    asked = {"channel": "alerts", "text": "x"}
    return httpx.post(f"{slack.api}chat.postMessage", json=asked, headers={"Authorization": "Bearer xoxb-1"})


def test_429_for_a_minute_ends_after_a_minute(slack: Running, clock: Any) -> None:
    faults(slack, {"kind": "rate_limit", "seconds": 60, "retry_after": 30})
    assert (post(slack).status_code, post(slack).headers["retry-after"]) == (429, "30")
    clock.now += 60
    assert post(slack).json()["ok"] is True


def test_one_in_five_is_taken_and_then_the_connection_breaks(slack: Running) -> None:
    slack.fake.workspace._per_s = float("inf")
    faults(slack, {"kind": "reset", "every": 5, "accept": True})
    broken = 0
    for _ in range(10):
        try:
            post(slack)
        except httpx.TransportError:
            broken += 1
    assert broken == 2
    assert len(slack.fake.workspace.channels["alerts"].messages) == 10


def test_a_hang_gives_no_answer(slack: Running) -> None:
    faults(slack, {"kind": "hang", "hold_s": 1.0})
    host, port = slack.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=0.3) as sock:
        sock.sendall(b"POST /api/chat.postMessage HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert slack.fake.workspace.channels["alerts"].messages == []


def test_an_error_of_its_own_is_a_page_and_not_json(slack: Running) -> None:
    faults(slack, {"kind": "http", "status": 503})
    answer = post(slack)
    assert answer.status_code == 503
    assert "<html>" in answer.text


def test_faults_can_be_read_ended_and_must_make_sense(slack: Running) -> None:
    assert faults(slack, {"kind": "http"}).json()["faults"][0]["status"] == 500
    assert faults(slack, {"kind": "earthquake"}).status_code == 400
    assert len(httpx.get(f"{slack.url}/_fake/faults").json()["faults"]) == 1
    assert httpx.delete(f"{slack.url}/_fake/faults").json()["faults"] == []
    assert post(slack).json()["ok"] is True


def test_the_page_shows_what_was_said_and_marks_what_slack_would_act_on(slack: Running) -> None:
    client(slack).chat_postMessage(channel="alerts", text="<!channel> <b>bold</b>")
    page = httpx.get(slack.url).text
    assert "<mark>!channel</mark>" in page
    assert "<b>bold</b>" not in page
    (shown,) = httpx.get(f"{slack.url}/_fake/messages").json()["channels"]["alerts"]
    assert shown["mentions"] == ["!channel"]


@pytest.mark.parametrize(("path", "status"), [("T1/B1", 404), ("T1/B1/x", 200)])
def test_a_webhook_has_an_address_of_three_parts(slack: Running, path: str, status: int) -> None:
    assert httpx.post(f"{slack.url}/services/{path}", json={"text": "x"}).status_code == status
