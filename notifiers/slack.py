"""Slack with a bot token: one message per alert that stays true, and its course in the thread.

The first state is posted; a later one changes that message in place (red, orange, green) and is told in its thread.
Every post carries its delivery's id, so that after a broken connection the channel is read before anything is said
again.  Scopes: ``chat:write``; ``channels:history`` or ``groups:history`` to be said exactly once; ``files:write``
for the chart; ``channels:read`` where the channel is set by name.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from notifiers import chart, slack_blocks
from notifiers.channel import Delivery, Receipt
from notifiers.errors import Fault, Refused
from notifiers.message import Message
from notifiers.names import plain
from notifiers.slack_errors import BLIND, GONE, PICTURE, Failure, Said, answered, unanswered

EVENT = "adwatch_alert"
LOOK_BACK_S = 300.0
"""Our clock and Slack's may differ by so much."""

_MOST_PAGES, _PAGE = 50, 200
_PICTURE_WAIT_S = 1.5
_ID = re.compile(r"[CDG][A-Z0-9]{7,}")


class SlackSettings(BaseModel):
    """Where alerts go in Slack: with a bot token into a channel, or through an incoming webhook."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base_url: str = Field(default="https://slack.com/api/", description="The Web API; another one for a fake.")
    token: SecretStr | None = Field(default=None, description="Bot token, xoxb-…")
    channel: str | None = Field(default=None, description="Id (C…) or name of the channel.")
    webhook_url: SecretStr | None = Field(default=None, description="Incoming webhook, where there is no token.")
    chart: bool = Field(default=True, description="Whether the chart is uploaded beside the words.")
    timeout_s: int = Field(default=10, ge=1, le=60, description="Seconds to wait for an answer.")

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
            raise ValueError("must be an address that begins with https:// or http://")
        return value.rstrip("/") + "/"

    @field_validator("webhook_url")
    @classmethod
    def _secret_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"https?://[^\s/]+/\S*", value.get_secret_value()):
            raise ValueError("must be an address that begins with https:// or http://")
        return value


class SlackChannel:
    """Says deliveries into one Slack channel. Not shared between threads."""

    name = "slack"
    pace_s = 1.2

    def __init__(self, settings: SlackSettings, sleep: Callable[[float], object] = time.sleep) -> None:
        """``settings`` has token and channel."""
        assert settings.token is not None
        assert settings.channel is not None
        self._settings = settings
        self._sleep = sleep
        self._channel = settings.channel
        self._named = f"channel {plain(settings.channel, 80)}"
        self._channel_id = settings.channel if _ID.fullmatch(settings.channel) else None
        self._is_blind = False
        self._draws = settings.chart
        quiet = logging.getLogger("adwatch.slack_sdk")
        quiet.setLevel(logging.CRITICAL)
        self._client = WebClient(
            token=settings.token.get_secret_value(),
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            retry_handlers=[],
            logger=quiet,
        )

    @property
    def promise(self) -> str:
        """What is promised about repeats."""
        if self._is_blind:
            return "at least once: the channel's history cannot be read (scope channels:history or groups:history)"
        return "once, as seen in the channel"

    def send(self, delivery: Delivery) -> Receipt:
        """Post; or change the post in place and tell its thread."""
        place = delivery.place or None
        try:
            place = self._post(delivery) if place is None else self._follow_up(delivery, place)
        except Said as refusal:
            if place is None or refusal.code not in GONE:
                raise
            place = self._post(delivery)
        self._illustrate(delivery, place)
        return Receipt(place)

    def find(self, delivery: Delivery) -> Receipt | None:
        """The post or the reply in the thread that carries the delivery's id."""
        oldest = f"{max(0.0, delivery.tried_ms / 1000 - LOOK_BACK_S):.6f}"
        try:
            found = self._in_thread(delivery, oldest) or self._in_channel(delivery, oldest)
        except Said as refusal:
            if refusal.code not in BLIND:
                raise
            self._is_blind = True
            return None
        self._is_blind = False
        return None if found is None else Receipt(found, "found in the channel after a lost answer")

    def close(self) -> None:
        """Every call has its own connection: nothing to let go of."""

    def _post(self, delivery: Delivery) -> dict[str, str]:
        answer = self._call(
            self._client.chat_postMessage,
            channel=self._channel_id or self._channel,
            metadata=_metadata(delivery),
            **_QUIET,
            **_body(delivery.message),
        )
        self._channel_id = str(answer["channel"])
        return {"channel": self._channel_id, "ts": str(answer["ts"])}

    def _follow_up(self, delivery: Delivery, place: Mapping[str, str]) -> dict[str, str]:
        """First the change in place, which may be repeated, then the reply, which is looked for."""
        self._update(delivery.message, place)
        self._call(
            self._client.chat_postMessage,
            channel=place["channel"],
            thread_ts=place["ts"],
            text=slack_blocks.notification(delivery.message),
            blocks=slack_blocks.reply(delivery.message),
            reply_broadcast=delivery.escalated,
            metadata=_metadata(delivery),
            **_QUIET,
        )
        return dict(place)

    def _update(self, message: Message, place: Mapping[str, str], file_id: str | None = None) -> None:
        body = _body(message, file_id)
        self._call(self._client.chat_update, channel=place["channel"], ts=place["ts"], **body)

    def _illustrate(self, delivery: Delivery, place: Mapping[str, str]) -> None:
        """The chart comes after the words, and whatever goes wrong with it, the words stand."""
        if not self._draws or not delivery.change.history:
            return
        try:
            file_id = self._uploaded(delivery)
            try:
                self._update(delivery.message, place, file_id)
            except Said as refusal:
                if refusal.code not in PICTURE:
                    raise
                self._sleep(_PICTURE_WAIT_S)
                self._update(delivery.message, place, file_id)
        except Said as refusal:
            self._draws = refusal.code not in BLIND
        except Exception:
            logging.getLogger(__name__).warning("a chart could not be shown in Slack; its alert stands without it")

    def _uploaded(self, delivery: Delivery) -> str:
        picture = chart.png(delivery.change, delivery.message.zone)
        answer = self._call(self._client.files_upload_v2, filename="chart.png", title="chart", content=picture)
        return str(answer["files"][0]["id"])

    def _in_channel(self, delivery: Delivery, oldest: str) -> dict[str, str] | None:
        channel = delivery.place.get("channel") or self._id()
        for found in self._messages(self._client.conversations_history, channel=channel, oldest=oldest):
            if _delivery_id(found) == delivery.delivery_id:
                return {"channel": channel, "ts": str(found.get("thread_ts") or found["ts"])}
        return None

    def _in_thread(self, delivery: Delivery, oldest: str) -> dict[str, str] | None:
        if not delivery.place:
            return None
        asked = {"channel": delivery.place["channel"], "ts": delivery.place["ts"], "oldest": oldest}
        try:
            replies = self._messages(self._client.conversations_replies, **asked)
            said = any(_delivery_id(found) == delivery.delivery_id for found in replies)
        except Said as refusal:
            if refusal.code not in GONE:
                raise
            return None
        return dict(delivery.place) if said else None

    def _id(self) -> str:
        """The channel's id, which the history wants; a name is looked up once."""
        if self._channel_id is None:
            wanted = self._channel.removeprefix("#")
            kinds = "public_channel,private_channel"
            for one in self._pages(self._client.conversations_list, "channels", types=kinds):
                if one.get("name") == wanted:
                    self._channel_id = str(one["id"])
                    return self._channel_id
            raise Said("channel_not_found", self._named)
        return self._channel_id

    def _messages(self, method: Callable[..., SlackResponse], **asked: Any) -> Iterator[dict[str, Any]]:
        return self._pages(method, "messages", include_all_metadata=True, **asked)

    def _pages(self, method: Callable[..., SlackResponse], key: str, **asked: Any) -> Iterator[dict[str, Any]]:
        for _ in range(_MOST_PAGES):
            answer = self._call(method, limit=_PAGE, **asked)
            yield from answer.get(key) or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return
            asked["cursor"] = cursor

    def _call(self, method: Callable[..., SlackResponse], **asked: Any) -> SlackResponse:
        """One call of the Web API; raises faults only."""
        fault: Fault
        try:
            return method(**asked)
        except SlackApiError as error:
            fault = _answered(error, self._named)
        except SlackClientError as error:
            fault = Refused(f"Slack's SDK refuses: {type(error).__name__}", "client")
        except Failure as error:
            fault = unanswered(error)
        raise fault from None


_QUIET: dict[str, Any] = {"unfurl_links": False, "unfurl_media": False, "link_names": False, "parse": "none"}


def _answered(error: SlackApiError, receiver: str) -> Fault:
    response: Any = error.response
    data = getattr(response, "data", None)
    word = data.get("error") if isinstance(data, dict) else None
    return answered(getattr(response, "status_code", 200), word, getattr(response, "headers", {}), receiver)


def _body(message: Message, file_id: str | None = None) -> dict[str, Any]:
    return {
        "text": slack_blocks.notification(message),
        "blocks": slack_blocks.header(message),
        "attachments": slack_blocks.card(message, file_id),
    }


def _metadata(delivery: Delivery) -> dict[str, Any]:
    """Everybody in the workspace can read it: an opaque id only."""
    return {"event_type": EVENT, "event_payload": {"delivery_id": delivery.delivery_id}}


def _delivery_id(message: Mapping[str, Any]) -> str | None:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    found = payload.get("delivery_id")
    return found if isinstance(found, str) else None
