"""Slack by an incoming webhook, the poor man's way: each state is a message of its own.

A webhook tells nothing back: no change in place, no thread, no picture, and no look whether it was said.  What may
have been said is said again.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from slack_sdk.webhook import WebhookClient

from alerts.change import Turn
from notifiers import slack_blocks
from notifiers.channel import Delivery, Receipt
from notifiers.errors import Fault
from notifiers.message import Message
from notifiers.slack import SlackSettings
from notifiers.slack_errors import Failure, answered, unanswered


class SlackWebhookChannel:
    """Says deliveries through one incoming webhook."""

    name = "slack_webhook"
    pace_s = 1.2
    promise = "at least once: a webhook cannot be asked what it has said"

    def __init__(self, settings: SlackSettings) -> None:
        """``settings`` has a webhook_url."""
        assert settings.webhook_url is not None
        quiet = logging.getLogger("adwatch.slack_sdk")
        quiet.setLevel(logging.CRITICAL)
        url = settings.webhook_url.get_secret_value()
        self._client = WebhookClient(url, timeout=settings.timeout_s, retry_handlers=[], logger=quiet)

    def send(self, delivery: Delivery) -> Receipt:
        """Post this state as a message."""
        message = _worded(delivery.message)
        fault: Fault
        try:
            answer = self._client.send(
                text=slack_blocks.notification(message),
                blocks=slack_blocks.header(message),
                attachments=slack_blocks.card(message),
                unfurl_links=False,
                unfurl_media=False,
            )
        except Failure as error:
            fault = unanswered(error)
        else:
            if answer.status_code == 200 and answer.body == "ok":
                return Receipt()
            fault = answered(answer.status_code, answer.body, answer.headers, "the webhook")
        raise fault

    def find(self, delivery: Delivery) -> Receipt | None:
        """A webhook cannot be asked."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""


def _worded(message: Message) -> Message:
    """Whoever reads an older message above is told which one holds."""
    if message.turn is Turn.OPENED:
        return message
    note = "Earlier messages about this alert stay as they were: a webhook cannot change them. This one holds."
    return replace(message, notes=(*message.notes, note))
