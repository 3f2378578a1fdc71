"""The dead-letter topic: what could not be used, why, and where it came from; and what an operator does with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings
from streams.packs import Headers
from streams.shard import Dead
from streams.topics import BrokerError, broker_errors, connection

_MOST_MARK_BYTES = 4_000
_NAMES = ("reason", "detail", "topic", "partition", "offset")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message of the dead-letter topic: its place there, and what it holds."""

    partition: int
    offset: int
    dead: Dead

    @property
    def place(self) -> str:
        """Its name for an operator: ``partition:offset``."""
        return f"{self.partition}:{self.offset}"

    def summary(self) -> dict[str, object]:
        """Everything but the bytes, for JSON."""
        dead = self.dead
        origin = {"topic": dead.topic, "partition": dead.partition, "offset": dead.offset}
        return {"place": self.place, "reason": dead.reason, "detail": dead.detail, **origin, "bytes": len(dead.value)}


def headers_of(dead: Dead) -> Headers:
    """The headers under which ``dead`` stands on the dead-letter topic."""
    values = (dead.reason, dead.detail, dead.topic, str(dead.partition), str(dead.offset))
    return [(name, value.encode("utf-8", "replace")) for name, value in zip(_NAMES, values, strict=True)]


def letters(settings: KafkaSettings) -> Iterator[Letter]:
    """All dead letters that are neither replayed nor dropped, oldest first per partition. Raises `BrokerError`."""
    with broker_errors(settings):
        consumer = _consumer(settings)
        try:
            for part in _parts(settings, consumer):
                yield from _read(consumer, part)
        finally:
            consumer.close()


def drop(settings: KafkaSettings, wanted: Callable[[Letter], bool] = lambda _: True) -> int:
    """Mark the letters that ``wanted`` picks as done with; how many. Raises :class:`BrokerError`."""
    return _close(settings, wanted, lambda _: None)


def replay(settings: KafkaSettings, wanted: Callable[[Letter], bool] = lambda _: True) -> int:
    """Put the letters that ``wanted`` picks back onto the raw topic and mark them; how many.

    The mark is set after the broker has confirmed the last of them: a crash in between puts them there twice, and
    the second copy of a fact with an id changes nothing.  Raises :class:`BrokerError`.
    """
    with broker_errors(settings):
        producer = KafkaProducer(
            **connection(settings), acks="all", enable_idempotence=True, max_request_size=MESSAGE_LIMIT
        )
        sent: list[Any] = []
        try:
            return _close(
                settings,
                wanted,
                lambda letter: sent.append(_put_back(producer, settings, letter)),
                lambda: [future.get(timeout=60) for future in sent],
            )
        finally:
            producer.close()


def _put_back(producer: KafkaProducer, settings: KafkaSettings, letter: Letter) -> Any:
    return producer.send(settings.raw_topic, value=letter.dead.value, key=letter.dead.key)


def _close(
    settings: KafkaSettings,
    wanted: Callable[[Letter], bool],
    act: Callable[[Letter], None],
    confirm: Callable[[], object] = lambda: None,
) -> int:
    """Do ``act`` with the letters picked, then mark them: the group's offset, and in its metadata what lies beyond."""
    with broker_errors(settings):
        consumer = _consumer(settings)
        try:
            closed = 0
            marks = {}
            for part in _parts(settings, consumer):
                start, done = _mark(consumer, part)
                for letter in _read(consumer, part):
                    if wanted(letter):
                        act(letter)
                        done.add(letter.offset)
                        closed += 1
                marks[part] = _as_mark(start, done, consumer.end_offsets([part])[part])
            confirm()
            if closed:
                consumer.commit(marks)
            return closed
        finally:
            consumer.close()


def _as_mark(start: int, done: set[int], end: int) -> OffsetAndMetadata:
    """The first letter still open, and the runs of closed ones after it. Raises :class:`BrokerError` if too many."""
    while start < end and start in done:
        start += 1
    runs: list[list[int]] = []
    for offset in sorted(offset for offset in done if offset > start):
        if runs and runs[-1][1] == offset:
            runs[-1][1] = offset + 1
        else:
            runs.append([offset, offset + 1])
    text = json.dumps(runs, separators=(",", ":")) if runs else ""
    if len(text) > _MOST_MARK_BYTES:
        raise BrokerError("too many scattered dead letters would be marked at once; replay or drop the oldest first")
    return OffsetAndMetadata(start, text, -1)


def _mark(consumer: KafkaConsumer, part: TopicPartition) -> tuple[int, set[int]]:
    first = consumer.beginning_offsets([part])[part]
    found = consumer.committed(part, metadata=True)
    if found is None or found.offset < 0:
        return first, set()
    runs = json.loads(found.metadata) if found.metadata else ()
    return max(first, found.offset), {offset for start, end in runs for offset in range(start, end)}


def _read(consumer: KafkaConsumer, part: TopicPartition) -> Iterator[Letter]:
    start, done = _mark(consumer, part)
    end = consumer.end_offsets([part])[part]
    consumer.assign([part])
    consumer.seek(part, start)
    while consumer.position(part) < end:
        for record in consumer.poll(timeout_ms=1_000, max_records=500).get(part, ()):
            if record.offset < end and record.offset not in done:
                yield Letter(part.partition, record.offset, _dead(record.value, record.key, dict(record.headers)))


def _dead(value: bytes | None, key: bytes | None, headers: Mapping[str, bytes]) -> Dead:
    """What stands on the topic; whoever wrote it, nothing here raises."""
    text = {name: (headers.get(name) or b"").decode("utf-8", "replace") for name in _NAMES}
    place = [int(text[name]) if text[name].isdecimal() else -1 for name in ("partition", "offset")]
    return Dead(value or b"", text["reason"] or "unknown", text["detail"], text["topic"], place[0], place[1], key)


def _consumer(settings: KafkaSettings) -> KafkaConsumer:
    return KafkaConsumer(
        **connection(settings),
        group_id=settings.topic_prefix + "dlq",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )


def _parts(settings: KafkaSettings, consumer: KafkaConsumer) -> list[TopicPartition]:
    return [
        TopicPartition(settings.dlq_topic, n) for n in sorted(consumer.partitions_for_topic(settings.dlq_topic) or ())
    ]
