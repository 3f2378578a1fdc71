"""Putting a history onto Kafka: in packs for the workers, or one fact a message for the intake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from kafka import KafkaProducer
from kafka.errors import KafkaError

from events.batch import Kind
from events.codec import Decoder
from streams import topics
from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings
from streams.packs import PACK_BYTES, partition_of
from streams.ticker import tick_line
from streams.ticks import ItemTicker

_LINES_AT_ONCE = 20_000
_PACE_MS = 1_000


@dataclass(slots=True)
class Produced:
    """How much was put onto the topic; all of it confirmed by the broker."""

    facts: int = 0
    ticks: int = 0
    bad: int = 0
    messages: int = 0


@dataclass(frozen=True, slots=True)
class _Item:
    """A line on its way; ``account`` is ``None`` for ticks and for lines that are no facts."""

    line: bytes
    account: str | None
    known_at_ms: int
    kind: int


_BAD = -1


def produce(
    lines: Iterable[bytes],
    settings: KafkaSettings,
    *,
    raw: bool = False,
    ticks: bool = False,
    pace: Callable[[int], None] | None = None,
    progress: Callable[[Produced], None] | None = None,
) -> Produced:
    """Write NDJSON ``lines`` in order onto the facts topic, or with ``raw`` one a message onto the raw topic.

    With ``ticks`` the ticks that a replay of the same lines would make stand between them, in every partition; ticks
    that stand in the lines go into every partition anyway.  Lines that are no facts are passed on as they are, for
    the reader to send to the dead letters.  ``pace`` is called once a second of the log's time, with the moment
    (epoch milliseconds) of the fact that comes next, and may wait.  Raises :class:`streams.topics.BrokerError`.
    """
    topics.make_topics(settings)
    topic = settings.raw_topic if raw else settings.facts_topic
    partitions = topics.partitions_of(settings, topic)
    with topics.broker_errors(settings):
        writer = _Writer(settings, topic, partitions, 1 if raw else settings.pack_facts)
        try:
            done = _write(_items(lines, ticks), writer, partitions, pace, progress)
        finally:
            writer.close()
    done.messages = writer.messages
    return done


def _write(
    items: Iterator[_Item | int],
    writer: _Writer,
    partitions: int,
    pace: Callable[[int], None] | None,
    progress: Callable[[Produced], None] | None,
) -> Produced:
    done, second = Produced(), -1
    for item in items:
        if isinstance(item, int) or item.kind == Kind.TICK:
            line = tick_line(item) if isinstance(item, int) else item.line + b"\n"
            for partition in range(partitions):
                writer.add(partition, None, line)
            done.ticks += 1
            continue
        if pace is not None and item.known_at_ms // _PACE_MS != second and item.kind != _BAD:
            second = item.known_at_ms // _PACE_MS
            writer.send_all()
            pace(item.known_at_ms)
        partition = 0 if item.account is None else partition_of(item.account, partitions)
        writer.add(partition, item.account, item.line + b"\n")
        done.facts += item.kind != _BAD
        done.bad += item.kind == _BAD
        if progress is not None and done.facts % _LINES_AT_ONCE == 0:
            progress(done)
    writer.finish()
    return done


def _items(lines: Iterable[bytes], ticks: bool) -> Iterator[_Item | int]:
    """The lines as items, with an integer (epoch milliseconds) wherever a tick stands."""
    decoder = Decoder()
    ticker = ItemTicker[_Item]() if ticks else None
    stream = iter(lines)
    while block := [line.rstrip(b"\r\n") for line in islice(stream, _LINES_AT_ONCE)]:
        decoded = decoder.decode(block)
        batch, rows = decoded.batch, decoded.line_of.tolist()
        names = [key.account for key in batch.keys.rows]
        columns = zip(rows, batch.key.tolist(), batch.known_at_ms.tolist(), batch.kind.tolist(), strict=True)
        facts = [_Item(block[row], None if key < 0 else names[key], known, kind) for row, key, known, kind in columns]
        yield from (_Item(block[reject.line], None, 0, _BAD) for reject in decoded.rejects)
        if ticker is None:
            yield from facts
        else:
            yield from ticker.push(facts, batch.known_at_ms, batch.kind == Kind.TICK)
    if ticker is not None:
        yield from ticker.finish()


class _Writer:
    """One open pack per partition; a pack is sent when it is full."""

    def __init__(self, settings: KafkaSettings, topic: str, partitions: int, most_facts: int) -> None:
        self.topic, self.most_facts, self.messages = topic, most_facts, 0
        self._lines: list[list[bytes]] = [[] for _ in range(partitions)]
        self._bytes = [0] * partitions
        self._key: list[bytes | None] = [None] * partitions
        self._failure: KafkaError | None = None
        self._producer = KafkaProducer(
            **topics.connection(settings),
            enable_idempotence=True,
            acks="all",
            linger_ms=20,
            batch_size=1 << 19,
            max_request_size=MESSAGE_LIMIT,
        )

    def add(self, partition: int, account: str | None, line: bytes) -> None:
        """Append a line, with its newline, to the open pack of ``partition``."""
        if self._key[partition] is None and account is not None:
            self._key[partition] = account.encode()
        self._lines[partition].append(line)
        self._bytes[partition] += len(line)
        if len(self._lines[partition]) >= self.most_facts or self._bytes[partition] >= PACK_BYTES:
            self._send(partition)

    def send_all(self) -> None:
        """Send what is open."""
        for partition, lines in enumerate(self._lines):
            if lines:
                self._send(partition)

    def finish(self) -> None:
        """Send what is open and wait until the broker has confirmed everything. Raises kafka-python's errors."""
        self.send_all()
        self._producer.flush()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Let go of the broker."""
        self._producer.close(timeout=5)

    def _send(self, partition: int) -> None:
        value = b"".join(self._lines[partition])
        future = self._producer.send(self.topic, value=value, key=self._key[partition], partition=partition)
        future.add_errback(self._failed)
        self.messages += 1
        self._lines[partition], self._bytes[partition], self._key[partition] = [], 0, None

    def _failed(self, error: KafkaError) -> None:
        self._failure = self._failure or error
