"""Slack by an incoming webhook, the poor man's way: each state is a message of its own.

A webhook tells nothing back: no change in place, no thread, no picture, and no look whether it was said.  What may
have been said is said again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from slack_sdk.webhook import WebhookClient

from notifiers import slack_words
from notifiers.channel import Delivery, Receipt
from notifiers.message import message_of
from notifiers.slack import SlackSettings
from notifiers.slack_errors import Failure, answered, unanswered

_log = logging.getLogger(__name__)


class WebhookChannel:
    """Says deliveries through one incoming webhook."""

    def __init__(self, settings: SlackSettings, link: Callable[[str], str | None], *, time_zone: str = "UTC") -> None:
        if settings.webhook_url is None:
            raise ValueError("slack: webhook_url is needed")
        self._link, self._time_zone = link, time_zone
        url = settings.webhook_url.get_secret_value()
        self._client = WebhookClient(url, timeout=settings.timeout_s, retry_handlers=[], logger=_log)

    @property
    def name(self) -> str:
        """``slack_webhook``."""
        return "slack_webhook"

    @property
    def pace_s(self) -> float:
        """Slack takes one message a second from one webhook."""
        return 1.0

    def send(self, delivery: Delivery) -> Receipt:
        """Post this state as a message."""
        change = delivery.change
        link = self._link(change.alert_id)
        message = message_of(change, link=link, time_zone=self._time_zone, skipped=delivery.skipped)
        try:
            answer = self._client.send(
                text=slack_words.fallback(message),
                blocks=slack_words.headline(message),
                attachments=slack_words.card(message, None),
                unfurl_links=False,
                unfurl_media=False,
            )
        except Failure as error:
            raise unanswered(error) from None
        if answer.status_code != 200 or answer.body != "ok":
            raise answered(answer.status_code, answer.body, answer.headers)
        return delivery.said or Receipt("webhook", delivery.delivery_id)

    def find(self, delivery: Delivery, since_ms: int) -> Receipt | None:
        """Always ``None``: a webhook cannot be asked."""
        return None
