"""The one place where rooms meet: the store, the channels, the relays that speak through them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from notifiers import errors, moments
from notifiers.catalogue import build_channels
from notifiers.channel import Channel
from notifiers.ledger import Ledger
from notifiers.outbox import Outbox
from notifiers.relay import Relay
from notifiers.store import Store
from service.desk import Desk
from service.errors import StoreError
from service.metrics import Metrics
from service.settings import Settings
from service.telling import Telling

STOP_S = 10.0


def channels(settings: Settings) -> list[Channel]:
    """One channel for every receiver the settings name."""
    return build_channels(settings.console, settings.slack, settings.smtp)


@contextmanager
def open_desk(settings: Settings, receivers: Sequence[Channel] = ()) -> Iterator[Desk]:
    """The desk over ``store.url``; changes are told to ``receivers``. Raises :class:`StoreError`."""
    with _opened(settings) as store:
        yield _desk(settings, store, receivers)


@contextmanager
def telling_desk(settings: Settings, metrics: Metrics, alone: bool) -> Iterator[Desk]:
    """The desk, and a relay beside it for every channel while the block runs.

    ``alone``: no other process speaks from this store, so what a dead one had begun can be taken over at once.
    """
    with ExitStack() as stack:
        store = stack.enter_context(_opened(settings))
        receivers = channels(settings)
        desk = _desk(settings, store, receivers)
        metrics.watch_store(desk.waiting, desk.dead, desk.oldest_age_s)
        for channel in receivers:
            outbox = Outbox(store, channel.name, f"{os.uname().nodename}-{os.getpid()}-{channel.name}")
            if alone:
                outbox.take_over()
            relay = Relay(outbox, channel, settings.message, time.time, random.random, Telling(metrics))
            stack.enter_context(_in_a_thread(relay, channel.name))
        yield desk


def _desk(settings: Settings, store: Store, receivers: Sequence[Channel]) -> Desk:
    ledger = Ledger(store, [channel.name for channel in receivers], time.time)
    return Desk(ledger, moments.zone(settings.message.time_zone))


@contextmanager
def _opened(settings: Settings) -> Iterator[Store]:
    try:
        store = Store(settings.store_url)
    except errors.StoreError as error:
        raise StoreError(str(error)) from error
    try:
        yield store
    finally:
        store.close()


@contextmanager
def _in_a_thread(relay: Relay, name: str) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=relay.run, args=(stop.is_set, stop.wait), name=f"relay {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=STOP_S)
