"""Making topics and reading lag, with kafka-python. What is only sent to must exist before Faust starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings

_QUIET = ("kafka", "aiokafka")


class BrokerError(RuntimeError):
    """The broker is not there or refuses; the operator's matter. The message names the address."""


def make_topics(settings: KafkaSettings) -> None:
    """Make the topics that do not exist yet. Raises :class:`BrokerError`."""
    with admin(settings) as client:
        existing = set(client.list_topics())
        for topic in _wanted(settings):
            if topic.name not in existing:
                _make(client, topic, settings)
    for name in settings.intake_topics:
        if name not in existing and name != settings.raw_topic:
            raise BrokerError(f"topic {name} (kafka.raw_topics) does not exist on {settings.bootstrap_servers}")


def partitions_of(settings: KafkaSettings, topic: str) -> int:
    """How many partitions ``topic`` has. Raises :class:`BrokerError` if it does not exist."""
    with _consumer(settings, None) as consumer:
        found = consumer.partitions_for_topic(topic)
    if not found:
        raise BrokerError(f"topic {topic} does not exist on {settings.bootstrap_servers}")
    return len(found)


def lag(settings: KafkaSettings, topic: str, group: str) -> dict[int, int]:
    """Per partition of ``topic``, how many messages ``group`` has not yet acknowledged. Raises :class:`BrokerError`.

    What was never acknowledged counts from the oldest message kept.
    """
    with _consumer(settings, group) as consumer:
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends, starts = consumer.end_offsets(parts), consumer.beginning_offsets(parts)
        behind = {}
        for part in parts:
            committed = consumer.committed(part)
            behind[part.partition] = ends[part] - max(starts[part], committed if committed is not None else 0)
    return behind


def records(settings: KafkaSettings, topic: str, partition: int, start: int, end: int, most: int) -> list[Any]:
    """The messages of a partition from offset ``start`` up to ``end``. Raises :class:`BrokerError`, also if too many.

    What retention has removed is not there; what is gone for good is the caller's to report.
    """
    part = TopicPartition(topic, partition)
    found: list[Any] = []
    with _consumer(settings, None) as consumer:
        consumer.assign([part])
        start = max(start, consumer.beginning_offsets([part])[part])
        if end - start > most:
            raise BrokerError(f"{topic}/{partition}: messages {start} to {end - 1} are missing, too many to read again")
        consumer.seek(part, start)
        while consumer.position(part) < end:
            found += consumer.poll(timeout_ms=1_000).get(part, ())
    return [record for record in found if record.offset < end]


def connection(settings: KafkaSettings) -> dict[str, Any]:
    """What every kafka-python client is given."""
    return {
        "bootstrap_servers": settings.bootstrap_servers.split(","),
        "bootstrap_timeout_ms": int(settings.connect_timeout_s * 1000),
    }


@contextmanager
def admin(settings: KafkaSettings) -> Iterator[KafkaAdminClient]:
    """An admin client for the duration of the context. Raises :class:`BrokerError`."""
    with broker_errors(settings):
        client = KafkaAdminClient(**connection(settings))
        try:
            yield client
        finally:
            client.close()


@contextmanager
def broker_errors(settings: KafkaSettings) -> Iterator[None]:
    """Says in one sentence what went wrong with the broker, instead of a library's trace."""
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    except KafkaError as error:
        raise BrokerError(f"Kafka at {settings.bootstrap_servers}: {type(error).__name__}: {error}") from None


@contextmanager
def _consumer(settings: KafkaSettings, group: str | None) -> Iterator[KafkaConsumer]:
    with broker_errors(settings):
        consumer = KafkaConsumer(**connection(settings), group_id=group, enable_auto_commit=False)
        try:
            yield consumer
        finally:
            consumer.close()


def _wanted(settings: KafkaSettings) -> list[NewTopic]:
    size = {"max.message.bytes": str(MESSAGE_LIMIT)}
    state = {
        **size,
        "cleanup.policy": "compact",
        # Rows replace one another every few seconds: small segments keep what a restart must read small.
        "segment.bytes": str(MESSAGE_LIMIT),
        "segment.ms": "600000",
        "min.cleanable.dirty.ratio": "0.1",
    }
    plain = [settings.raw_topic, settings.facts_topic, settings.alerts_topic, settings.dlq_topic]
    return [
        *(NewTopic(name, settings.partitions, settings.replication, topic_configs=size) for name in plain),
        NewTopic(settings.state_topic, settings.partitions, settings.replication, topic_configs=state),
    ]


def _make(client: KafkaAdminClient, topic: NewTopic, settings: KafkaSettings) -> None:
    try:
        client.create_topics([topic])
    except TopicAlreadyExistsError:
        return
    except KafkaError as error:
        raise BrokerError(f"topic {topic.name} cannot be made on {settings.bootstrap_servers}: {error}") from None
