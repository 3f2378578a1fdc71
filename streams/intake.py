"""The intake: any topic of single facts in, packs for the workers out; what is no fact goes to the dead letters.

The writer is idempotent, not transactional, since Faust reads what transactions abort.  A crash or a rebalance
therefore repeats facts; they carry the raw partition and offset they came from, rising, and workers skip repeats.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError

from events.batch import Batch, Ints, Keys
from events.codec import Decoder
from streams import topics
from streams.dead_letters import headers_of
from streams.draining import Draining
from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings
from streams.packs import Lines, Pack, numbered, offset_of, packs, partition_of
from streams.shard import Dead
from streams.watching import RoadObserver, Unwatched

_MOST_RECORDS = 20_000
_MOST_KEYS = 200_000
_POLL_MS = 200


def run_intake(settings: KafkaSettings, *, drain: bool = False, observer: RoadObserver | None = None) -> int:
    """Take in until SIGTERM or SIGINT, or with ``drain`` until all there is has been taken. Returns the exit status.

    Raises :class:`streams.topics.BrokerError`.
    """
    topics.make_topics(settings)
    intake = Intake(settings, topics.partitions_of(settings, settings.facts_topic), observer or Unwatched())
    try:
        asyncio.run(intake.run(drain))
    except KafkaError as error:
        raise topics.BrokerError(f"Kafka at {settings.bootstrap_servers}: {type(error).__name__}: {error}") from None
    return 0


class Sorter:
    """Raw records to packs and dead letters; knows no broker."""

    def __init__(self, partitions: int, pack_facts: int) -> None:
        self.partitions, self.pack_facts = partitions, pack_facts
        self._decoder = Decoder()
        self._partition: Ints = np.empty(0, np.int64)

    def sort(self, records: Mapping[TopicPartition, Sequence[Any]]) -> tuple[list[Pack], list[Dead], int]:
        """Packs in the order in which they must be sent, what is no fact, and how many facts there are."""
        if len(self._decoder.keys) > _MOST_KEYS:
            self._decoder, self._partition = Decoder(), np.empty(0, np.int64)
        found, home, dead = _lines(records)
        decoded = self._decoder.decode(found.lines)
        for reject in decoded.rejects:
            dead.append(_refused(found, reject.line, reject.reason, reject.detail))
        rows, batch = decoded.line_of, decoded.batch
        facts = Lines(
            [found.lines[line] for line in rows.tolist()], found.origins, found.origin[rows], found.number[rows]
        )
        out = list(packs(facts, self._homes(batch, home[rows]), _accounts(batch), self.pack_facts))
        return out, dead, len(batch)

    def _homes(self, batch: Batch, raw_partition: Ints) -> Ints:
        """The facts partition of each row: its account's, and for a tick the one with its raw partition's number."""
        known = len(self._partition)
        new = [partition_of(key.account, self.partitions) for key in batch.keys.rows[known:]]
        self._partition = np.concatenate((self._partition, np.array(new, np.int64)))
        if not len(self._partition):
            return raw_partition % self.partitions
        return np.where(batch.key < 0, raw_partition % self.partitions, self._partition[batch.key])


def _accounts(batch: Batch) -> Callable[[int], str | None]:
    keys: Keys = batch.keys
    codes = batch.key
    return lambda row: None if codes[row] < 0 else keys.rows[codes[row]].account


def _lines(records: Mapping[TopicPartition, Sequence[Any]]) -> tuple[Lines, Ints, list[Dead]]:
    """All lines with their origin, the raw partition of each, and the messages that hold nothing."""
    lines: list[bytes] = []
    numbers: list[int] = []
    counts: list[int] = []
    dead: list[Dead] = []
    parts = list(records)
    for part in parts:
        before = len(lines)
        for record in records[part]:
            value = (record.value or b"").strip(b"\r\n")
            if not value:
                dead.append(
                    Dead(
                        record.value or b"",
                        "empty",
                        "nothing in it",
                        part.topic,
                        part.partition,
                        record.offset,
                        record.key,
                    )
                )
            elif b"\n" in value:
                pieces = value.split(b"\n")
                lines += pieces
                numbers += [numbered(record.offset, line) for line in range(len(pieces))]
            else:
                lines.append(value)
                numbers.append(numbered(record.offset, 0))
        counts.append(len(lines) - before)
    names = [f"{part.topic}/{part.partition}" for part in parts]
    origin = np.repeat(np.arange(len(parts), dtype=np.int32), counts)
    home = np.repeat(np.array([part.partition for part in parts], np.int64), counts)
    return Lines(lines, names, origin, np.array(numbers, np.int64)), home, dead


def _refused(found: Lines, line: int, reason: str, detail: str) -> Dead:
    topic, _, partition = found.origins[int(found.origin[line])].rpartition("/")
    return Dead(found.lines[line], reason, detail, topic, int(partition), offset_of(int(found.number[line])))


class Intake:
    """The loop around :class:`Sorter`: read, write, have it confirmed, commit."""

    def __init__(self, settings: KafkaSettings, partitions: int, observer: RoadObserver) -> None:
        self.settings, self.observer = settings, observer
        self.sorter = Sorter(partitions, settings.pack_facts)
        self.stopping = asyncio.Event()
        self.draining = Draining(settings.session_timeout_s, time.monotonic)

    async def run(self, drain: bool) -> None:
        """Until stopped or drained. Raises aiokafka's errors."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        servers = self.settings.bootstrap_servers
        producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            enable_idempotence=True,
            acks="all",
            linger_ms=5,
            max_batch_size=1 << 20,
            max_request_size=MESSAGE_LIMIT,
            compression_type=self.settings.compression,
        )
        consumer = AIOKafkaConsumer(
            *self.settings.intake_topics,
            bootstrap_servers=servers,
            group_id=self.settings.intake_group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=4 << 20,
            session_timeout_ms=int(self.settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(self.settings.session_timeout_s * 1000) // 3,
        )
        await producer.start()
        try:
            await consumer.start()
            try:
                await self._loop(consumer, producer, drain)
            finally:
                await consumer.stop()
        finally:
            await producer.stop()

    async def _loop(self, consumer: Any, producer: Any, drain: bool) -> None:
        while not self.stopping.is_set():
            records = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_MOST_RECORDS)
            if records:
                self.draining.again()
                await self._pass_on(records, producer)
                await _commit(consumer, {part: found[-1].offset + 1 for part, found in records.items()})
            elif drain and await self._drained(consumer):
                return

    async def _pass_on(self, records: Mapping[TopicPartition, Sequence[Any]], producer: Any) -> None:
        out, dead, facts = self.sorter.sort(records)
        sent: list[Awaitable[Any]] = []
        for pack in out:
            sent.append(
                await producer.send(
                    self.settings.facts_topic, pack.value, key=pack.key, partition=pack.partition, headers=pack.headers
                )
            )
        for letter in dead:
            self.observer.refused(letter.reason)
            sent.append(
                await producer.send(self.settings.dlq_topic, letter.value, key=letter.key, headers=headers_of(letter))
            )
        await asyncio.gather(*sent)
        self.observer.packed(facts, len(out))

    async def _drained(self, consumer: Any) -> bool:
        parts = consumer.assignment()
        if not parts:
            return False
        ends = await consumer.end_offsets(parts)
        for part in parts:
            if await consumer.position(part) < ends[part]:
                return False
        known = [consumer.partitions_for_topic(topic) or () for topic in self.settings.intake_topics]
        return self.draining.may_end(parts, sum(map(len, known)))


async def _commit(consumer: Any, offsets: dict[TopicPartition, int]) -> None:
    """Commit; where a rebalance has taken a partition away, its new owner repeats what was sent, without effect."""
    held = {part: offset for part, offset in offsets.items() if part in consumer.assignment()}
    if not held:
        return
    try:
        await consumer.commit(held)
    except CommitFailedError:
        return
