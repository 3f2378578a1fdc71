"""``adwatch notify``: alert changes from Kafka into the ledger, and the relays that tell them beside it.

A message is acknowledged after the ledger has it.  What is read again after a crash is an exact repeat, which the
ledger drops; so nothing is lost between topic and ledger, and nothing is said twice for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from kafka import KafkaConsumer
from kafka.errors import CommitFailedError
from pydantic import ValidationError

from alerts.change import AlertChange
from service.desk import Desk
from service.errors import StoreError
from service.kafka_metrics import RoadMetrics
from service.logs import event
from service.settings import Settings
from service.wiring import telling_desk
from streams import topics

log = logging.getLogger(__name__)
POLL_MS = 500
STORE_WAIT_S = 1.0


def run_notify(settings: Settings, metrics: RoadMetrics) -> None:
    """Take and tell until SIGINT or SIGTERM. Raises :class:`streams.topics.BrokerError` and ``ServiceError``."""
    topics.make_topics(settings.kafka)
    with topics.broker_errors(settings.kafka), telling_desk(settings, metrics, alone=False) as desk:
        consumer = KafkaConsumer(
            settings.kafka.alerts_topic,
            group_id=f"{settings.kafka.topic_prefix}notify",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **topics.connection(settings.kafka),
        )
        try:
            while True:
                _round(consumer, desk, metrics)
        finally:
            consumer.close()


def _round(consumer: KafkaConsumer, desk: Desk, metrics: RoadMetrics) -> None:
    """Take what has come and acknowledge it."""
    found = consumer.poll(timeout_ms=POLL_MS)
    metrics.assigned([part.partition for part in consumer.assignment()])
    values = (record.value for records in found.values() for record in records)
    for change in read(values, metrics.reject):
        _accept(desk, change)
        metrics.changed([change])
    if not found:
        return
    try:
        consumer.commit()
    except CommitFailedError:
        log.warning(event("partitions_moved", reason="what was just read is read again elsewhere"))


def _accept(desk: Desk, change: AlertChange) -> None:
    """Hand over, as often as the store needs; said in the log once."""
    troubled = False
    while True:
        try:
            desk.accept(change)
            return
        except StoreError as error:
            if not troubled:
                log.error(event("store_refuses", reason=str(error)))
            troubled = True
            time.sleep(STORE_WAIT_S)


def read(values: Iterable[bytes | None], refuse: Callable[[str], None]) -> Iterable[AlertChange]:
    """The alert changes in ``values``; whatever else stands on the topic is refused and passed over.

    >>> refused: list[str] = []
    >>> list(read([b"{}", None], refused.append)), refused
    ([], ['no_alert_change', 'no_alert_change'])
    """
    for value in values:
        try:
            yield AlertChange.from_line(value or b"")
        except ValidationError:
            refuse("no_alert_change")
            log.error(event("no_alert_change", beginning=(value or b"")[:200]))
