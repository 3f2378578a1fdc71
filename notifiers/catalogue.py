"""The channels there are, built from their settings."""

from __future__ import annotations

from notifiers.channel import Channel
from notifiers.console import ConsoleChannel, ConsoleSettings
from notifiers.email import EmailChannel, SmtpSettings
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.slack_webhook import SlackWebhookChannel


def build_channels(
    console: ConsoleSettings,
    slack: SlackSettings | None = None,
    smtp: SmtpSettings | None = None,
) -> list[Channel]:
    """One channel for every receiver the settings name; a Slack token with a channel goes before a webhook."""
    channels: list[Channel] = []
    if slack is not None and slack.token is not None and slack.channel is not None:
        channels.append(SlackChannel(slack))
    elif slack is not None and slack.webhook_url is not None:
        channels.append(SlackWebhookChannel(slack))
    if smtp is not None and smtp.host is not None:
        channels.append(EmailChannel(smtp))
    if console.enabled:
        channels.append(ConsoleChannel())
    return channels
