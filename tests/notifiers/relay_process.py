"""A relay in a process of its own, to be killed: ``relay_process.py STORE_URL SLACK_API``."""

from __future__ import annotations

import random
import sys
import time

from notifiers.message import MessageSettings
from notifiers.observer import Silent
from notifiers.outbox import Outbox
from notifiers.relay import Relay
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.store import Store


def main(store_url: str, slack_api: str) -> None:
    """Say what waits, without an end."""
    settings = SlackSettings.model_validate(
        {"base_url": slack_api, "token": "xoxb-1", "channel": "alerts", "chart": False}
    )
    channel = SlackChannel(settings)
    channel.pace_s = 0.0
    outbox = Outbox(Store(store_url), "slack", "process")
    outbox.take_over()
    relay = Relay(outbox, channel, MessageSettings(), time.time, random.random, Silent())
    relay.run(lambda: False, time.sleep)


if __name__ == "__main__":
    main(*sys.argv[1:])
