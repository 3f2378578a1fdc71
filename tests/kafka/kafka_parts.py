"""What the Kafka tests start and read: processes of the road, and topics read to their end."""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from events.codec import Decoder
from streams.kafka_settings import KafkaSettings
from streams.settings import DetectionSettings
from streams.ticks import with_ticks

# Children are forked from a process that has imported everything: they start in a blink, and are real processes.
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["streams.on_kafka", "streams.intake", "plain_pipelines"])


def _pipeline(name: str) -> Any:
    return getattr(importlib.import_module("streams.pipeline" if name == "Pipeline" else "plain_pipelines"), name)


def _run(settings: KafkaSettings, part: str, drain: bool, pipeline: str, said: str) -> None:
    out = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr, force=True)
    if part == "intake":
        from streams.intake import run_intake

        sys.exit(run_intake(settings, drain=drain))
    from streams.on_kafka import run_worker

    sys.exit(run_worker(settings, DetectionSettings(), drain=drain, pipeline=_pipeline(pipeline)))


class Part:
    """A process of the road: a worker or an intake."""

    def __init__(self, settings: KafkaSettings, part: str, *, drain: bool = False, pipeline: str = "Summing") -> None:
        handle, self._said = tempfile.mkstemp(prefix="adwatch-part-")
        os.close(handle)
        self.process = _PROCESSES.Process(target=_run, args=(settings, part, drain, pipeline, self._said))
        self.process.start()

    @property
    def said(self) -> str:
        """What the process has written so far."""
        with open(self._said, encoding="utf-8", errors="replace") as log:
            return log.read()

    def until_ready(self) -> None:
        """Wait until a worker has its partitions."""
        until(lambda: "Worker ready" in self.said or not self.process.is_alive())

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.join()
        os.unlink(self._said)

    def stop(self, timeout_s: float = 90.0) -> None:
        """As an operator does: SIGTERM; it must end with status 0."""
        if self.process.is_alive():
            os.kill(self.process.pid or 0, signal.SIGTERM)
        self.done(timeout_s)

    def done(self, timeout_s: float = 90.0) -> None:
        """Wait for the end; the status must be 0."""
        self.process.join(timeout_s)
        said, status = self.said, self.process.exitcode
        if status is None:
            self.process.kill()
        os.unlink(self._said)
        assert status == 0, f"status {status}; it said: {said[-6000:]}"


@contextlib.contextmanager
def running(settings: KafkaSettings, part: str, pipeline: str = "Summing") -> Iterator[Part]:
    """A part that runs during the context and is then stopped as an operator does."""
    process = Part(settings, part, pipeline=pipeline)
    try:
        yield process
        process.stop()
    finally:
        if process.process.is_alive():
            process.kill()


@contextlib.contextmanager
def dying_as_another_joins(settings: KafkaSettings, topic: str, group: str) -> Iterator[None]:
    """A member of ``group`` that holds all of ``topic``, and dies as soon as it has given half of it to another."""
    process = _PROCESSES.Process(target=_hold_and_die, args=(settings, topic, group, holds := _PROCESSES.Event()))
    process.start()
    assert holds.wait(60)
    yield
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def _hold_and_die(settings: KafkaSettings, topic: str, group: str, holds: Any) -> None:
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=settings.bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        session_timeout_ms=int(settings.session_timeout_s * 1000),
        heartbeat_interval_ms=200,
        partition_assignment_strategy=[RoundRobinPartitionAssignor],
    )
    while len(consumer.assignment()) < settings.partitions:
        consumer.poll(timeout_ms=50)
    holds.set()
    while len(consumer.assignment()) == settings.partitions:
        consumer.poll(timeout_ms=50)
    os.kill(os.getpid(), signal.SIGKILL)


def drained(settings: KafkaSettings, part: str, pipeline: str = "Summing") -> None:
    """Run a part until it has nothing left to do."""
    Part(settings, part, drain=True, pipeline=pipeline).done()


def everything(settings: KafkaSettings, topic: str) -> Iterator[Any]:
    """All records of a topic, partition by partition."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False)
    try:
        parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends = consumer.end_offsets(parts)
        for part in parts:
            consumer.assign([part])
            consumer.seek_to_beginning(part)
            while consumer.position(part) < ends[part]:
                yield from consumer.poll(timeout_ms=1_000).get(part, ())
    finally:
        consumer.close()


def changes(settings: KafkaSettings) -> list[bytes]:
    """The alert changes on the topic in order, by account, exact repeats dropped."""
    return by_account((record.key, record.value) for record in everything(settings, settings.alerts_topic))


def expected(lines: Iterable[bytes], pipeline: str = "Summing", ticks: bool = True) -> list[bytes]:
    """The alert changes that a replay of ``lines`` gives, in order, by account."""
    decoded = Decoder().decode(list(lines))
    batch = with_ticks(decoded.batch) if ticks else decoded.batch
    found = _pipeline(pipeline)(DetectionSettings()).feed(batch).changes
    return by_account((change.account.encode(), change.to_line()) for change in found)


def by_account(told: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """By account, the sums after the real changes (two pipelines side by side), otherwise as they came."""
    lines: dict[tuple[bytes, bool], dict[bytes, None]] = {}
    for account, line in told:
        lines.setdefault((account, b'"signal":"sum"' in line), {})[line] = None
    return [line for place in sorted(lines) for line in lines[place]]


def length(settings: KafkaSettings, topic: str) -> int:
    """How many messages were ever written to a topic."""
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap_servers, enable_auto_commit=False)
    try:
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        return sum(consumer.end_offsets(parts).values())
    finally:
        consumer.close()


def until(true: Callable[[], bool], timeout_s: float = 120.0, every_s: float = 0.05) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not so within {timeout_s} s"
        time.sleep(every_s)
