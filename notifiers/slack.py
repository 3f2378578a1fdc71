"""Slack with a bot token: one message per alert that stays true, and its course in the thread.

The first state is posted; later ones change that message in place (red, orange, green) and are told in its thread.
Every post carries its delivery's id, so that after a broken connection the channel is read before anything is said
again.  Scopes: ``chat:write``; ``channels:history`` or ``groups:history`` to be said exactly once; ``files:write``
for the chart; ``channels:read`` where the channel is set by name.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web import SlackResponse

from alerts.change import AlertChange, Severity, Turn
from notifiers import chart, slack_words
from notifiers.channel import Ambiguous, Delivery, NotSaid, Receipt, Refused, Unreachable
from notifiers.message import Message, message_of
from notifiers.slack_errors import GONE, PICTURE, Failure, Said, answered, unanswered

EVENT = "adwatch_alert"
LOOK_BACK_S = 5.0
"""Our clock and Slack's may differ by so much."""

_PAGES, _PAGE = 50, 200
_PICTURE_WAIT_S = 1.5
_ID = re.compile(r"[CDG][A-Z0-9]{7,}")
_log = logging.getLogger(__name__)


class SlackSettings(BaseModel):
    """Where alerts go in Slack: by a bot token into a channel, or by an incoming webhook."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    base_url: str = Field(default="https://slack.com/api/", description="The Web API; another one for a fake.")
    token: SecretStr | None = Field(default=None, description="Bot token, xoxb-…")
    channel: str | None = Field(default=None, description="Id (C…) or name of the channel.")
    webhook_url: SecretStr | None = Field(default=None, description="An incoming webhook, where there is no token.")
    chart: bool = Field(default=True, description="Whether the chart is uploaded beside the words.")
    timeout_s: int = Field(default=10, ge=1, le=120, description="Seconds to wait for an answer.")

    @field_validator("base_url")
    @classmethod
    def _address(cls, value: str) -> str:
        if not value.startswith(("https://", "http://")):
            raise ValueError("must begin with https:// or http://")
        return value.rstrip("/") + "/"


class SlackChannel:
    """Says deliveries into one Slack channel. ``link`` gives the page of an alert by its id."""

    def __init__(
        self,
        settings: SlackSettings,
        link: Callable[[str], str | None],
        *,
        time_zone: str = "UTC",
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        if settings.token is None or settings.channel is None:
            raise ValueError("slack: token and channel are both needed")
        self._settings, self._link, self._time_zone, self._wait = settings, link, time_zone, wait
        self._channel = settings.channel
        self._channel_id = settings.channel if _ID.fullmatch(settings.channel) else None
        self._picture: tuple[str, str] | None = None
        self._client = WebClient(
            token=settings.token.get_secret_value(),
            base_url=settings.base_url,
            timeout=settings.timeout_s,
            retry_handlers=[],
            logger=_log,
        )

    @property
    def name(self) -> str:
        """``slack``."""
        return "slack"

    @property
    def pace_s(self) -> float:
        """Slack takes one message a second into one channel."""
        return 1.0

    def send(self, delivery: Delivery) -> Receipt:
        """Post, or change the post and reply in its thread."""
        message = self._message(delivery)
        if delivery.said is None:
            return self._post(delivery, message)
        try:
            self._update(delivery, delivery.said, message)
            self._reply(delivery, delivery.said, message)
        except Said as refusal:
            if refusal.code not in GONE:
                raise
            return self._post(delivery, message)
        return delivery.said

    def find(self, delivery: Delivery, since_ms: int) -> Receipt | None:
        """The post or the thread's reply that carries the delivery's id.

        ``None`` also where the history may not be read. Raises :class:`Unreachable` when Slack gives no answer now.
        """
        oldest = f"{since_ms / 1000 - LOOK_BACK_S:.6f}"
        try:
            return self._in_thread(delivery, oldest) or self._in_channel(delivery, oldest)
        except Ambiguous as error:
            raise Unreachable(str(error)) from None
        except Refused as refusal:
            _log.warning("Slack's history cannot be read, so a message may be said twice: %s", refusal)
            return None

    def _message(self, delivery: Delivery) -> Message:
        change = delivery.change
        link = self._link(change.alert_id)
        return message_of(change, link=link, time_zone=self._time_zone, skipped=delivery.skipped)

    def _post(self, delivery: Delivery, message: Message) -> Receipt:
        def post(file_id: str | None) -> SlackResponse:
            return self._call(
                self._client.chat_postMessage,
                channel=self._channel_id or self._channel,
                metadata=_metadata(delivery),
                unfurl_links=False,
                unfurl_media=False,
                **_body(message, file_id),
            )

        answer = self._with_chart(delivery, post)
        self._channel_id = str(answer["channel"])
        return Receipt(self._channel_id, str(answer["ts"]))

    def _update(self, delivery: Delivery, said: Receipt, message: Message) -> None:
        def update(file_id: str | None) -> SlackResponse:
            return self._call(self._client.chat_update, channel=said.place, ts=said.message, **_body(message, file_id))

        self._with_chart(delivery, update)

    def _reply(self, delivery: Delivery, said: Receipt, message: Message) -> None:
        self._call(
            self._client.chat_postMessage,
            channel=said.place,
            thread_ts=said.message,
            text=slack_words.fallback(message),
            blocks=slack_words.reply(message),
            reply_broadcast=_must_be_seen(delivery.change),
            metadata=_metadata(delivery),
            unfurl_links=False,
            unfurl_media=False,
        )

    def _with_chart(self, delivery: Delivery, say: Callable[[str | None], SlackResponse]) -> SlackResponse:
        """Say it with the chart; a picture that Slack does not take yet, or at all, never holds an alert up."""
        file_id = self._uploaded(delivery)
        if file_id is None:
            return say(None)
        try:
            return say(file_id)
        except Said as refusal:
            if refusal.code not in PICTURE:
                raise
        self._wait(_PICTURE_WAIT_S)
        try:
            return say(file_id)
        except Said as refusal:
            if refusal.code not in PICTURE:
                raise
        return say(None)

    def _uploaded(self, delivery: Delivery) -> str | None:
        """The file id of the delivery's chart, uploaded once; ``None`` whatever goes wrong."""
        if not self._settings.chart or not delivery.change.history:
            return None
        if self._picture is not None and self._picture[0] == delivery.delivery_id:
            return self._picture[1]
        try:
            answer = self._call(
                self._client.files_upload_v2, filename="chart.png", title="Chart", content=chart.png(delivery.change)
            )
            file_id = str(answer["files"][0]["id"])
        except Exception as error:
            # a picture is worth less than the alert, so nothing that goes wrong with it may stop the alert
            _log.warning("chart not uploaded, the alert is said without it: %s", type(error).__name__)
            return None
        self._picture = (delivery.delivery_id, file_id)
        return file_id

    def _in_channel(self, delivery: Delivery, oldest: str) -> Receipt | None:
        place = delivery.said.place if delivery.said is not None else self._id()
        pages = self._pages(self._client.conversations_history, channel=place, oldest=oldest)
        for found in pages:
            if _delivery_id(found) == delivery.delivery_id:
                return Receipt(place, str(found.get("thread_ts", found["ts"])))
        return None

    def _in_thread(self, delivery: Delivery, oldest: str) -> Receipt | None:
        said = delivery.said
        if said is None:
            return None
        pages = self._pages(self._client.conversations_replies, channel=said.place, ts=said.message, oldest=oldest)
        try:
            return said if any(_delivery_id(found) == delivery.delivery_id for found in pages) else None
        except Said as refusal:
            if refusal.code not in GONE:
                raise
            return None

    def _id(self) -> str:
        """The channel's id, which history wants; a name is looked up once."""
        if self._channel_id is None:
            wanted = self._channel.removeprefix("#")
            pages = self._pages(self._client.conversations_list, "channels", types="public_channel,private_channel")
            self._channel_id = next((str(one["id"]) for one in pages if one.get("name") == wanted), None)
        if self._channel_id is None:
            raise Said("channel_not_found")
        return self._channel_id

    def _pages(self, method: Callable[..., SlackResponse], key: str = "messages", **asked: Any) -> Iterator[Any]:
        cursor: str | None = None
        for _ in range(_PAGES):
            if key == "messages":
                asked["include_all_metadata"] = True
            answer = self._call(method, limit=_PAGE, cursor=cursor, **asked)
            yield from answer.get(key) or []
            cursor = (answer.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return

    def _call(self, method: Callable[..., SlackResponse], **asked: Any) -> SlackResponse:
        """One call of the Web API; raises :class:`NotSaid` only."""
        failure: NotSaid
        try:
            return method(**asked)
        except SlackApiError as error:
            failure = _answered(error)
        except SlackClientError as error:
            failure = Refused(f"Slack's SDK refuses: {type(error).__name__}")
        except Failure as error:
            failure = unanswered(error)
        raise failure


def _answered(error: SlackApiError) -> NotSaid:
    response = error.response
    word = response.get("error") if isinstance(response.data, dict) else None
    return answered(response.status_code, word, response.headers)


def _body(message: Message, file_id: str | None) -> dict[str, Any]:
    return {
        "text": slack_words.fallback(message),
        "blocks": slack_words.headline(message),
        "attachments": slack_words.card(message, file_id),
    }


def _metadata(delivery: Delivery) -> dict[str, Any]:
    """Everybody in the workspace can read it: ids only."""
    ids = {"delivery_id": delivery.delivery_id, "alert_id": delivery.change.alert_id}
    return {"event_type": EVENT, "event_payload": ids}


def _delivery_id(message: dict[str, Any]) -> str | None:
    payload = (message.get("metadata") or {}).get("event_payload") or {}
    found = payload.get("delivery_id")
    return found if isinstance(found, str) else None


def _must_be_seen(change: AlertChange) -> bool:
    """A thread is quiet; that an alert got critical is said aloud."""
    return change.change is Turn.WORSENED and change.severity is Severity.CRITICAL
