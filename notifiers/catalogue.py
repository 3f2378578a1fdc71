"""The channels there are, built from their settings."""

from __future__ import annotations

from notifiers.channel import Channel
from notifiers.console import ConsoleChannel, ConsoleSettings


def build_channels(console: ConsoleSettings) -> list[Channel]:
    """One channel for every receiver the settings name."""
    channels: list[Channel] = []
    if console.enabled:
        channels.append(ConsoleChannel())
    return channels
