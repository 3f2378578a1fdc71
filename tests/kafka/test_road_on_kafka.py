"""The road on a real broker: whatever is killed, shared or cut differently, it tells what a replay tells."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka_parts import Part, changes, drained, dying_as_another_joins, everything, expected, length, running, until
from plain_pipelines import lines_of

from streams import topics
from streams.kafka_settings import KafkaSettings
from streams.produce import Produced, produce

pytestmark = pytest.mark.kafka


def _spread(lines: list[bytes], seconds: float) -> Callable[[int], None]:
    """A pace for ``produce`` at which ``lines`` take about so long."""
    pause_s, due = seconds / len(lines), [time.monotonic()]

    def pace(_: int) -> None:
        due[0] += pause_s
        if due[0] > time.monotonic() + 0.02:
            time.sleep(due[0] - time.monotonic())

    return pace


def _in_background(work: Callable[[], Produced]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def _pauses(seed: int, shortest_s: float, longest_s: float) -> Iterator[float]:
    draw = random.Random(seed)
    while True:
        yield draw.uniform(shortest_s, longest_s)


def test_a_history_through_the_facts_topic_tells_what_its_replay_tells(kafka: KafkaSettings) -> None:
    lines = lines_of(4_000, seed=1)
    done = produce(lines, kafka, ticks=True)
    drained(kafka, "worker")
    assert done.facts == 4_000
    assert done.ticks > 300
    assert changes(kafka) == expected(lines)
    assert set(topics.lag(kafka, kafka.facts_topic, kafka.worker_id).values()) == {0}


def test_a_history_through_the_raw_topic_tells_what_its_replay_tells(kafka: KafkaSettings) -> None:
    lines = lines_of(4_000, seed=2)
    produce(lines, kafka, raw=True, ticks=True)
    drained(kafka, "intake")
    drained(kafka, "worker")
    assert changes(kafka) == expected(lines)
    assert set(topics.lag(kafka, kafka.raw_topic, kafka.intake_group).values()) == {0}
    assert length(kafka, kafka.facts_topic) < 1_000
    assert not list(everything(kafka, kafka.dlq_topic))


@pytest.mark.parametrize("fold_facts", [1, 7, 10_000])
def test_the_size_of_a_fold_changes_nothing(
    kafka: KafkaSettings, world: list[bytes], told: list[bytes], fold_facts: int
) -> None:
    produce(world, kafka, ticks=True)
    drained(kafka.model_copy(update={"fold_facts": fold_facts}), "worker", "Both")
    assert changes(kafka) == told


def test_a_worker_stopped_and_started_again_goes_on_where_it_was(kafka: KafkaSettings) -> None:
    lines = lines_of(3_000, seed=4)
    half = len(lines) // 2
    produce(lines[:half], kafka, ticks=True)
    with running(kafka, "worker"):
        until(lambda: sum(topics.lag(kafka, kafka.facts_topic, kafka.worker_id).values()) == 0)
    told = length(kafka, kafka.alerts_topic)
    produce(lines[half:], kafka, ticks=True)
    drained(kafka, "worker")
    assert 0 < told < length(kafka, kafka.alerts_topic)
    assert length(kafka, kafka.alerts_topic) == len(changes(kafka))
    assert changes(kafka)[-1] == expected(lines)[-1]


def test_ten_kills_of_the_worker_lose_nothing_and_count_nothing_twice(
    kafka: KafkaSettings, world: list[bytes], told: list[bytes]
) -> None:
    pauses = _pauses(51, 0.1, 1.6)
    topics.make_topics(kafka)
    feeding = _in_background(lambda: produce(world, kafka, ticks=True, pace=_spread(world, 30)))
    for _ in range(10):
        worker = Part(kafka, "worker", pipeline="Both")
        worker.until_ready()
        time.sleep(next(pauses))
        worker.kill()
    feeding.join()
    drained(kafka, "worker", "Both")
    assert changes(kafka) == told


def test_ten_kills_of_the_intake_lose_nothing_and_count_nothing_twice(
    kafka: KafkaSettings, world: list[bytes], told: list[bytes]
) -> None:
    pauses = _pauses(61, 0.7, 2.0)
    topics.make_topics(kafka)
    feeding = _in_background(lambda: produce(world, kafka, raw=True, ticks=True, pace=_spread(world, 14)))
    for _ in range(10):
        intake = Part(kafka, "intake")
        time.sleep(next(pauses))
        intake.kill()
    feeding.join()
    drained(kafka, "intake")
    drained(kafka, "worker", "Both")
    assert changes(kafka) == told


def test_two_workers_of_which_one_comes_late_and_one_is_killed_tell_what_one_tells(
    kafka: KafkaSettings, world: list[bytes], told: list[bytes]
) -> None:
    topics.make_topics(kafka)
    feeding = _in_background(lambda: produce(world, kafka, ticks=True, pace=_spread(world, 16)))
    first = Part(kafka, "worker", pipeline="Both")
    first.until_ready()
    time.sleep(1)
    with running(kafka, "worker", "Both") as second:
        second.until_ready()
        time.sleep(2)
        first.kill()
        third = Part(kafka, "worker", pipeline="Both")
        third.until_ready()
        time.sleep(2)
        third.stop()
        feeding.join()
    drained(kafka, "worker", "Both")
    assert changes(kafka) == told


def test_two_workers_that_drain_share_the_work_and_both_end(kafka: KafkaSettings) -> None:
    lines = lines_of(4_000, seed=8)
    produce(lines, kafka, ticks=True)
    both = [Part(kafka, "worker", drain=True) for _ in range(2)]
    for worker in both:
        worker.done()
    assert changes(kafka) == expected(lines)


def test_a_worker_that_drains_ends_where_only_a_transactions_marks_are_left_to_read(kafka: KafkaSettings) -> None:
    lines = lines_of(4_000, seed=1)
    produce(lines, kafka, ticks=True)
    _writes_in_a_transaction(kafka, repeats_of=everything(kafka, kafka.facts_topic))
    drained(kafka, "worker")
    assert changes(kafka) == expected(lines)
    assert set(topics.lag(kafka, kafka.facts_topic, kafka.worker_id).values()) == {0}


def _writes_in_a_transaction(kafka: KafkaSettings, repeats_of: Iterator[Any]) -> None:
    """Ends every partition with what no consumer is ever handed: the mark that a transaction is complete."""
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=kafka.topic_prefix)
    producer.init_transactions()
    producer.begin_transaction()
    for record in list(repeats_of):
        producer.send(record.topic, record.value, record.key, record.headers, record.partition)
    producer.commit_transaction()
    producer.close()


def test_two_intakes_of_which_one_is_killed_lose_nothing_and_count_nothing_twice(kafka: KafkaSettings) -> None:
    lines = lines_of(6_000, seed=9)
    topics.make_topics(kafka)
    feeding = _in_background(lambda: produce(lines, kafka, raw=True, ticks=True, pace=_spread(lines, 8)))
    first = Part(kafka, "intake")
    with running(kafka, "intake"):
        time.sleep(4)
        first.kill()
        feeding.join()
        until(lambda: sum(topics.lag(kafka, kafka.raw_topic, kafka.intake_group).values()) == 0)
    drained(kafka, "worker")
    assert changes(kafka) == expected(lines)


def test_an_intake_that_drains_waits_for_what_a_dead_member_of_its_group_holds(kafka: KafkaSettings) -> None:
    lines = lines_of(4_000, seed=10)
    produce(lines, kafka, raw=True, ticks=True)
    with dying_as_another_joins(kafka, kafka.raw_topic, kafka.intake_group):
        drained(kafka, "intake")
    assert set(topics.lag(kafka, kafka.raw_topic, kafka.intake_group).values()) == {0}
    drained(kafka, "worker")
    assert changes(kafka) == expected(lines)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_two_workers_and_two_intakes_killed_forty_times_tell_what_a_replay_tells(
    kafka: KafkaSettings, world: list[bytes], told: list[bytes], seed: int
) -> None:
    draw = random.Random(seed)
    topics.make_topics(kafka)
    feeding = _in_background(lambda: produce(world, kafka, raw=True, ticks=True, pace=_spread(world, 120)))
    parts = [(name, Part(kafka, name, pipeline="Both")) for name in ("worker", "worker", "intake", "intake")]
    for _ in range(40):
        time.sleep(draw.uniform(0.2, 6.0))
        name, part = parts.pop(draw.randrange(len(parts)))
        part.kill()
        parts.append((name, Part(kafka, name, pipeline="Both")))
    feeding.join()
    for _, part in parts:
        part.kill()
    drained(kafka, "intake")
    drained(kafka, "worker", "Both")
    assert changes(kafka) == told
