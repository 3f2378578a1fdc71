"""What cannot be used: from any raw topic to the dead letters, with its reason and origin, and what operators do."""

from __future__ import annotations

import json

import pytest
from kafka import KafkaProducer
from kafka_parts import changes, drained, everything, expected, length
from plain_pipelines import lines_of

from streams import dead_letters, topics
from streams.kafka_settings import MESSAGE_LIMIT, KafkaSettings
from streams.produce import produce

pytestmark = pytest.mark.kafka

GOOD = lines_of(3, seed=1)
BAD = {
    b"{broken": "broken_json",
    b"[1]": "not_an_object",
    b'{"fact":"delivery","id":"1"}': "missing_key",
    GOOD[0].replace(b'"meta"', b"7"): "wrong_type",
    GOOD[0].replace(b'"clicks"', b'"clickz":1,"clicks"'): "unknown_key",
    GOOD[0].replace(b'"cost_micros": ', b'"cost_micros": -'): "out_of_range",
    GOOD[0].replace(b"EUR", b"XXQ"): "unknown_currency",
}


def _write(kafka: KafkaSettings, values: list[bytes | None], key: bytes | None = b"someone") -> list[tuple[int, int]]:
    """Messages on the raw topic; partition and offset of each."""
    topics.make_topics(kafka)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap_servers, max_request_size=MESSAGE_LIMIT)
    sent = [producer.send(kafka.raw_topic, value=value, key=key) for value in values]
    places = [(done.partition, done.offset) for done in (one.get(30) for one in sent)]
    producer.close()
    return places


def test_every_bad_message_is_a_dead_letter_with_reason_and_origin_and_the_good_ones_pass(kafka: KafkaSettings) -> None:
    places = _write(kafka, [*BAD, *GOOD])
    drained(kafka, "intake")
    found = {(one.dead.partition, one.dead.offset): one.dead for one in dead_letters.letters(kafka)}
    assert [found[place].value for place in places[: len(BAD)]] == list(BAD)
    assert [found[place].reason for place in places[: len(BAD)]] == list(BAD.values())
    assert {dead.topic for dead in found.values()} == {kafka.raw_topic}
    assert all(dead.detail for dead in found.values())
    assert len(found) == len(BAD)
    assert sum(record.value.count(b"\n") for record in everything(kafka, kafka.facts_topic)) == len(GOOD)


def test_one_message_may_hold_several_facts_and_its_bad_lines_are_picked_out(kafka: KafkaSettings) -> None:
    lines = lines_of(300, seed=2)
    history = [*(b"\n".join(lines[start : start + 10]) for start in range(0, 300, 10)), b"%s\n{x\n" % lines[0], None]
    _write(kafka, history, key=b"one")
    drained(kafka, "intake")
    tick = json.dumps({"fact": "tick", "at": 1_767_312_000_000}).encode()
    produce([tick], kafka, raw=True)
    drained(kafka, "intake")
    drained(kafka, "worker")
    assert {one.dead.reason for one in dead_letters.letters(kafka)} == {"broken_json", "empty"}
    assert changes(kafka) == expected([*lines, lines[0], tick], ticks=False)


def test_a_message_of_ten_megabytes_is_a_dead_letter_in_full_and_stops_nothing(kafka: KafkaSettings) -> None:
    huge = b'{"fact":"delivery","id":"' + b"x" * 10_000_000 + b'"}'
    _write(kafka, [huge, GOOD[1]])
    drained(kafka, "intake")
    (letter,) = dead_letters.letters(kafka)
    assert letter.dead.reason == "too_long"
    assert letter.dead.value == huge
    assert sum(record.value.count(b"\n") for record in everything(kafka, kafka.facts_topic)) == 1


def test_what_the_worker_cannot_read_is_a_dead_letter_with_its_place_on_the_facts_topic(kafka: KafkaSettings) -> None:
    lines = lines_of(200, seed=3)
    produce([*lines[:100], b"nonsense", *lines[100:]], kafka, ticks=True)
    drained(kafka, "worker")
    (letter,) = dead_letters.letters(kafka)
    assert (letter.dead.value, letter.dead.reason, letter.dead.topic) == (b"nonsense", "broken_json", kafka.facts_topic)
    assert changes(kafka) == expected(lines)


def test_letters_are_replayed_onto_raw_or_dropped_one_by_one_or_all(kafka: KafkaSettings) -> None:
    _write(kafka, list(BAD))
    drained(kafka, "intake")
    first, second, *others = dead_letters.letters(kafka)
    before = length(kafka, kafka.raw_topic)
    assert dead_letters.replay(kafka, lambda letter: letter.place == second.place) == 1
    assert length(kafka, kafka.raw_topic) == before + 1
    assert [one.place for one in dead_letters.letters(kafka)] == [first.place, *(one.place for one in others)]
    assert dead_letters.drop(kafka) == len(BAD) - 1
    assert list(dead_letters.letters(kafka)) == []


def test_a_broker_that_is_not_there_is_named_in_one_sentence(topic_prefix: str) -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", topic_prefix=topic_prefix, connect_timeout_s=1)
    with pytest.raises(topics.BrokerError, match=r"^Kafka at 127\.0\.0\.1:1: "):
        topics.make_topics(nowhere)
    with pytest.raises(topics.BrokerError, match=r"^Kafka at 127\.0\.0\.1:1: "):
        list(dead_letters.letters(nowhere))


def test_a_raw_topic_of_others_that_does_not_exist_is_named(kafka: KafkaSettings) -> None:
    with pytest.raises(topics.BrokerError, match="topic elsewhere "):
        topics.make_topics(kafka.model_copy(update={"raw_topics": ("elsewhere",)}))
