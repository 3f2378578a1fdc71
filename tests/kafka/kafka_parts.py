"""What the Kafka tests start and read: processes of the road, and topics read to their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from streams.kafka_settings import KafkaSettings

ROOT = Path(__file__).parents[2]
_RUN = """
import importlib.util, json, logging, sys
import plain_pipelines
from streams.kafka_settings import KafkaSettings
from streams.settings import DetectionSettings
from streams.topics import BrokerError
given = json.loads(sys.argv[1])
logging.basicConfig(level=logging.WARNING)
settings = KafkaSettings.model_validate(given["kafka"])
try:
    if given["part"] == "intake":
        from streams.intake import run_intake
        sys.exit(run_intake(settings, drain=given["drain"]))
    from streams.on_kafka import run_worker
    pipeline = getattr(plain_pipelines, given["pipeline"])
    sys.exit(run_worker(settings, DetectionSettings(), drain=given["drain"], pipeline=pipeline))
except BrokerError as error:
    print(error, file=sys.stderr)
    sys.exit(1)
"""


class Part:
    """A process of the road: a worker or an intake."""

    def __init__(self, settings: KafkaSettings, part: str, *, drain: bool = False, pipeline: str = "Summing") -> None:
        given = {"kafka": settings.model_dump(), "part": part, "drain": drain, "pipeline": pipeline}
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'kafka'}"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, json.dumps(given)],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.communicate()

    def stop(self, timeout_s: float = 30.0) -> int:
        """As an operator does: SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit status; kept to say what the process wrote if it failed."""
        try:
            self.said = self.process.communicate(timeout=timeout_s)[1].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.said = self.process.communicate()[1].decode("utf-8", "replace")
            raise AssertionError(f"still running after {timeout_s} s; it said: {self.said[-3000:]}") from None
        return self.process.returncode


def drained(settings: KafkaSettings, part: str, pipeline: str = "Summing", timeout_s: float = 90.0) -> None:
    """Run a part until it has nothing left to do."""
    process = Part(settings, part, drain=True, pipeline=pipeline)
    status = process.wait(timeout_s)
    assert status == 0, process.said[-3000:]


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


def until(true: Callable[[], bool], timeout_s: float = 30.0, every_s: float = 0.1) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, f"not so within {timeout_s} s"
        time.sleep(every_s)
