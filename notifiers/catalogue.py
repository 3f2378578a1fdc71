"""The channels there are, built from their settings."""

from __future__ import annotations

from notifiers.channel import Channel
from notifiers.console import ConsoleChannel, ConsoleSettings
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.slack_webhook import SlackWebhookChannel


def build_channels(console: ConsoleSettings, slack: SlackSettings) -> list[Channel]:
    """One channel for every receiver the settings name."""
    channels: list[Channel] = []
    if slack.token is not None and slack.channel is not None:
        channels.append(SlackChannel(slack))
    elif slack.webhook_url is not None:
        channels.append(SlackWebhookChannel(slack))
    if console.enabled:
        channels.append(ConsoleChannel())
    return channels
