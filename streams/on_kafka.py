"""The worker on Kafka, through Faust: packs of facts in, alert changes out, state in a Table with a changelog.

Faust reads, balances partitions between workers and recovers the Table.  The rest is here, because what Faust does by
itself loses or doubles facts: messages are buffered per partition and folded by our own loop; alert changes and dead
letters are confirmed first, then the state row with the offset it stands for, and only then are messages
acknowledged.  On start a partition is read from the offset of its row, whatever the group has committed.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Iterable, Mapping
from tempfile import TemporaryDirectory
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError as SettleError
from kafka.structs import OffsetAndMetadata

from streams import topics
from streams.dead_letters import headers_of
from streams.draining import Draining
from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings
from streams.shard import Dead, Message, PipelineLike, Shard, next_offset_of
from streams.ticker import WallTicker, tick_line
from streams.watchdog import Watchdog
from streams.watching import RoadObserver, Unwatched

log = logging.getLogger(__name__)

_HELD_FACTS_MESSAGES = 20_000
"""Messages read but not yet folded, over all partitions; beyond it reading waits."""


_LEAVE_S = 30.0
"""How long leaving may take before the watchdog ends the process."""
_MOST_READ_AGAIN = 100_000
"""A longer gap is not read within the process; started again, it reads from its state row."""
_LOOK_S = 2.0
"""How often lag is looked at."""
_STILL_S = 3.0
"""A partition that is behind, but has read to its end and had no message for this long, has been passed over."""


class WorkerError(RuntimeError):
    """The worker cannot go on; started again it resumes from its state rows."""


def run_worker(
    settings: KafkaSettings,
    detection: DetectionSettings,
    *,
    drain: bool = False,
    observer: RoadObserver | None = None,
    pipeline: type[PipelineLike] = Pipeline,
) -> int:
    """Work until SIGTERM or SIGINT, or with ``drain`` until all there is has been applied. Returns the exit status.

    Raises :class:`streams.topics.BrokerError` if the broker is not there at the start, :class:`WorkerError` and
    :class:`streams.shard.RowError` if it cannot go on.
    """
    topics.make_topics(settings)
    partitions = topics.partitions_of(settings, settings.facts_topic)
    worker = Worker(settings, detection, partitions, observer or Unwatched(), pipeline)
    asyncio.run(worker.run(drain))
    if worker.positions:
        _settle(settings, worker.positions)
    return 0


class Rows:
    """The newest state row of each partition, as far as this process has seen."""

    def __init__(self) -> None:
        self._rows: dict[int, bytes] = {}

    def see(self, partition: int, row: bytes) -> None:
        """Keep ``row`` unless one that stands for a later offset is known: a worker that was cut off may write late."""
        known = self._rows.get(partition)
        if known is None or next_offset_of(row) >= next_offset_of(known):
            self._rows[partition] = row

    def get(self, partition: int) -> bytes | None:
        """The newest row, if any."""
        return self._rows.get(partition)

    def next_offset(self, partition: int) -> int:
        """The offset from which facts are needed."""
        row = self._rows.get(partition)
        return 0 if row is None else next_offset_of(row)


class FencedConsumer(Consumer):
    """Faust's consumer, made to start at the state row's offset where the group has committed further than that."""

    rows: Rows
    facts_topic: str

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek every partition to where reading must begin."""
        offsets = dict(await super().seek_to_committed())
        for tp, committed in offsets.items():
            if tp.topic == self.facts_topic and committed is not None:
                wanted = self.rows.next_offset(tp.partition)
                if wanted < committed:
                    log.warning(
                        "partition %d: state stands at %d, committed %d; reading again", tp.partition, wanted, committed
                    )
                    self._thread.seek(tp, wanted)
                    offsets[tp] = wanted
        return offsets


class Worker:
    """One Faust app and the loop that folds what it reads."""

    def __init__(
        self,
        settings: KafkaSettings,
        detection: DetectionSettings,
        partitions: int,
        observer: RoadObserver,
        pipeline: type[PipelineLike],
    ) -> None:
        self.settings, self.detection, self.partitions = settings, detection, partitions
        self.observer, self.pipeline = observer, pipeline
        self.rows = Rows()
        self.shards: dict[int, Shard] = {}
        self.events: dict[int, list[Any]] = {}
        self.positions: dict[int, int] = {}
        self.buffered = 0
        self._row_due: dict[int, float] = {}
        self._still: dict[int, tuple[int, float]] = {}
        self.room = asyncio.Event()
        self.stopping = asyncio.Event()
        self.failure: BaseException | None = None
        self.ticker = WallTicker(lambda: time.time_ns() // 1_000_000)

    async def run(self, drain: bool) -> None:
        """Start Faust, fold until told to stop or drained, leave the group in order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        with TemporaryDirectory(prefix="adwatch-") as folder:
            self.app = self._make_app(folder)
            self._watch = Watchdog(self.settings.watchdog_s)
            starting = asyncio.ensure_future(self.app.start())
            try:
                await self._until_stopped(drain, starting)
            except Exception as error:
                self._fail(error)
            finally:
                self._watch.limit_s = _LEAVE_S
                self._watch.beat()
                await self._leave(starting)
                self._watch.end()
        if self.failure is not None:
            raise self.failure

    def _make_app(self, folder: str) -> Any:
        settings = self.settings
        app = faust.App(
            settings.worker_id,
            broker=[f"kafka://{server.strip()}" for server in settings.bootstrap_servers.split(",")],
            store="memory://",
            datadir=folder,
            web_enabled=False,
            topic_disable_leader=True,
            processing_guarantee="at_least_once",
            stream_wait_empty=False,
            table_standby_replicas=0,
            broker_commit_interval=1.0,
            broker_session_timeout=settings.session_timeout_s,
            broker_heartbeat_interval=settings.session_timeout_s / 3,
            consumer_max_fetch_size=4 << 20,
            producer_linger=0.005,
            producer_max_batch_size=1 << 20,
            producer_max_request_size=MESSAGE_LIMIT,
            producer_request_timeout=30.0,
            stream_recovery_delay=0.0,
        )
        fenced = type("Fenced", (FencedConsumer,), {"rows": self.rows, "facts_topic": settings.facts_topic})
        vars(app.transport)["Consumer"] = fenced
        facts = app.topic(
            settings.facts_topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        table: Any = app.Table(
            "state",
            partitions=self.partitions,
            key_type=bytes,
            value_type=bytes,
            on_changelog_event=self._on_row,
            recovery_buffer_size=16,
        )
        table.key_serializer = table.value_serializer = "raw"
        app.agent(facts)(self._read)
        app.on_partitions_revoked.connect(self._on_revoked)
        return app

    async def _read(self, stream: Any) -> None:
        """The agent: buffer, nothing else; it never raises."""
        async for event in stream.noack().events():
            while self.buffered >= _HELD_FACTS_MESSAGES:
                self.room.clear()
                await self.room.wait()
            try:
                await self._take(event)
            except Exception as error:  # an agent that raises would lose the message without a word
                self._fail(error)

    async def _take(self, event: Any) -> None:
        message = event.message
        if message.generation_id != self.app.consumer_generation_id:
            return
        shard = self._shard(message.partition)
        if message.offset > shard.read_up_to:
            await self._read_again(shard, message.offset)
            if self.shards.get(shard.partition) is not shard:
                return
        if shard.take(Message(message.offset, message.value or b"", _headers(message.headers))):
            self.buffered += 1
        # Kept until a state row covers it, but without its value, which is in the shard's buffer.
        event.value = message.value = None
        self.events.setdefault(message.partition, []).append(event)

    async def _read_again(self, shard: Shard, end: int) -> None:
        """Fetch what Faust has passed over: when flow resumes it empties its queues, which may hold messages already.

        Where the topic itself lacks the offsets (retention, a writer's transaction), there is nothing to fetch.
        """
        start = shard.read_up_to
        found = await asyncio.to_thread(
            topics.records, self.settings, shard.topic, shard.partition, start, end, _MOST_READ_AGAIN
        )
        log.warning("partition %d: messages %d to %d came late, %d found", shard.partition, start, end - 1, len(found))
        for record in found:
            shard.take(Message(record.offset, record.value or b"", _headers(record.headers)))

    async def _read_what_never_came(self, tp: TP, end: int) -> None:
        """The same where no later message shows the gap: Faust has read to the end and has had nothing for us since."""
        now, position = time.monotonic(), self._position(tp.partition)
        at, since = self._still.get(tp.partition, (-1, now))
        if at != position or self.buffered or position >= end or (await self.app.consumer.position(tp) or 0) < end:
            self._still[tp.partition] = position, now
        elif now - since > _STILL_S:
            shard = self._shard(tp.partition)
            upto = min(end, shard.read_up_to + _MOST_READ_AGAIN)
            await self._read_again(shard, upto)
            shard.pass_over(upto)

    def _shard(self, partition: int) -> Shard:
        shard = self.shards.get(partition)
        if shard is None:
            row = self.rows.get(partition)
            shard = Shard(self.settings.facts_topic, partition, self.detection, self.pipeline, row)
            self.shards[partition] = shard
        return shard

    def _fail(self, error: BaseException) -> None:
        self.failure = self.failure or error
        self.stopping.set()

    async def _on_row(self, event: Any) -> None:
        self.rows.see(event.message.partition, event.message.value)

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        """Drop what is read and what came of it; the rows stay, and what follows them is read again."""
        self.shards.clear()
        self.events.clear()
        self._still.clear()
        self.buffered = 0
        self.room.set()

    async def _until_stopped(self, drain: bool, starting: asyncio.Future[None]) -> None:
        stop = asyncio.ensure_future(self.stopping.wait())
        look_at, draining = 0.0, Draining(self.settings.session_timeout_s, time.monotonic)
        while not stop.done():
            await asyncio.wait({stop}, timeout=self.settings.fold_every_s)
            if starting.done():
                starting.result()
            if self.app.crashed:
                raise WorkerError(f"Faust has given up: {self.app.crash_reason!r}")
            await self._turn(drain)
            if time.monotonic() < look_at and not drain:
                continue
            look_at = time.monotonic() + _LOOK_S
            behind = await self._look()
            if behind != 0:
                draining.again()
            elif drain and draining.may_end(self._assigned(), self.partitions):
                break
        if self.failure is None and self._settled():
            await self._flush()

    async def _turn(self, drain: bool) -> None:
        """Fold what was read, write the state rows that are due, and the ticks."""
        for shard in list(self.shards.values()):
            if not await self._fold(shard):
                return
        for shard in list(self.shards.values()):
            due_at = self._row_due.setdefault(shard.partition, self._first_row_due(shard.partition))
            if shard.facts_since_row >= self.settings.snapshot_facts or time.monotonic() >= due_at:
                await self._write_row(shard)
        if self.settings.ticker == "wall" and not drain and self._settled():
            facts = self.settings.facts_topic
            due = self.ticker.due(self._assigned())
            await self._confirmed([await self._send(facts, None, tick_line(at), partition) for partition, at in due])

    def _first_row_due(self, partition: int) -> float:
        """Spread over the period, so that not all partitions write at the same moment."""
        return time.monotonic() + self.settings.snapshot_every_s * (partition + 1) / self.partitions

    async def _fold(self, shard: Shard) -> bool:
        """Fold what the shard has buffered; ``False`` if the shard was taken away meanwhile."""
        sent: list[Awaitable[Any]] = []
        before = shard.next_offset
        for batch, folded in shard.fold(self.settings.fold_facts):
            for change in folded.changes:
                sent.append(await self._send(self.settings.alerts_topic, change.account.encode(), change.to_line()))
            for dead in folded.dead:
                sent.append(await self._bury(dead))
            self.observer.folded(shard.partition, batch, folded.changes)
            await asyncio.sleep(0)
            if self.shards.get(shard.partition) is not shard:
                return False
        await self._confirmed(sent)
        if shard.next_offset != before:
            self.buffered = sum(s.buffered for s in self.shards.values())
            self.room.set()
            self._watch.beat()
        return self.shards.get(shard.partition) is shard

    async def _write_row(self, shard: Shard) -> None:
        """Write the state with its offset, and acknowledge what it covers once the broker has it."""
        partition = shard.partition
        self._row_due[partition] = time.monotonic() + self.settings.snapshot_every_s
        if shard.next_offset != shard.written:
            row, offset = shard.row(), shard.next_offset
            shard.facts_since_row = 0
            await (await self._send(self.settings.state_topic, b"%d" % partition, row, partition))
            self.rows.see(partition, row)
            shard.written = offset
            self.observer.state_written(partition, len(row))
        if self.shards.get(partition) is shard:
            events = self.events.get(partition, [])
            covered = [event for event in events if event.message.offset < shard.written]
            self.events[partition] = [event for event in events if event.message.offset >= shard.written]
            for event in covered:
                event.ack()

    async def _bury(self, dead: Dead) -> Awaitable[Any]:
        self.observer.refused(dead.reason)
        return await self._send(self.settings.dlq_topic, dead.key, dead.value, headers=headers_of(dead))

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None, headers: Any = None
    ) -> Awaitable[Any]:
        """Hand a message to Faust's producer; what comes back is done when the broker has confirmed it."""
        sent: Awaitable[Any] = await self.app.producer.send(topic, key, value, partition, None, headers)
        return sent

    async def _confirmed(self, sent: Iterable[Awaitable[Any]]) -> None:
        await asyncio.gather(*sent)

    def _settled(self) -> bool:
        """Whether partitions are assigned and their rows recovered."""
        return self.app.started and not self.app.rebalancing and self.app.tables.actives_ready

    def _assigned(self) -> list[int]:
        parts = self.app.consumer.assignment()
        return sorted(tp.partition for tp in parts if tp.topic == self.settings.facts_topic)

    def _position(self, partition: int) -> int:
        shard = self.shards.get(partition)
        return self.rows.next_offset(partition) if shard is None else shard.next_offset

    async def _look(self) -> int | None:
        """How many messages are not yet applied; ``None`` while partitions are being assigned."""
        if not self._settled():
            return None
        parts = self._assigned()
        tps = [TP(self.settings.facts_topic, partition) for partition in parts]
        try:
            ends, starts = await self.app.consumer.highwaters(*tps), await self.app.consumer.earliest_offsets(*tps)
        except KafkaError as error:
            log.info("lag cannot be read just now: %s", error)
            return None
        total = 0
        for tp in tps:
            behind = (ends[tp] or 0) - max(self._position(tp.partition), starts[tp] or 0)
            self.observer.behind(tp.partition, behind)
            await self._read_what_never_came(tp, ends[tp] or 0)
            total += behind
        self.observer.assigned(parts)
        if total == 0:
            self._watch.beat()
        return total

    async def _flush(self) -> None:
        for shard in list(self.shards.values()):
            if await self._fold(shard):
                await self._write_row(shard)
        await self.app.consumer.commit()
        self.positions = {p: s.written for p in self._assigned() if (s := self.shards.get(p)) is not None}

    async def _leave(self, starting: asyncio.Future[None]) -> None:
        """Stop Faust, which leaves the group; the watchdog bounds it."""
        if not starting.done():
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self.app.stop()


def _headers(found: Any) -> list[tuple[str, bytes]]:
    pairs = found.items() if isinstance(found, Mapping) else found or ()
    return [(name, value or b"") for name, value in pairs]


def _settle(settings: KafkaSettings, positions: Mapping[int, int]) -> None:
    """Commit what the rows stand for where Faust's own commit has stalled; refused while other workers are there."""
    try:
        consumer = KafkaConsumer(**topics.connection(settings), group_id=settings.worker_id, enable_auto_commit=False)
        parts = {TopicPartition(settings.facts_topic, p): OffsetAndMetadata(o, "", -1) for p, o in positions.items()}
        consumer.assign(list(parts))
        consumer.commit(parts)
        consumer.close()
    except SettleError as error:
        log.info("offsets are left to the other workers: %s", error)
