"""Settings for one test on the real broker, one world for every shell, and the folders of helpers on the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from events.simulator import World, simulate
from streams.kafka_settings import KafkaSettings

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "service")]


@pytest.fixture
def kafka(kafka_bootstrap: str, topic_prefix: str) -> KafkaSettings:
    """Settings for topics of the test's own; the log brings its ticks, and state is written often."""
    return KafkaSettings(
        bootstrap_servers=kafka_bootstrap,
        topic_prefix=topic_prefix,
        ticker="none",
        partitions=4,
        fold_every_s=0.1,
        snapshot_every_s=0.6,
        # a broker of others may not allow less than its default of six seconds
        session_timeout_s=6 if os.environ.get("KAFKA_BOOTSTRAP") else 2,
    )


@pytest.fixture(scope="session")
def world() -> list[bytes]:
    """Six days of six accounts with 30 incidents, facts late, repeated and restated."""
    made = World(seed=3, days=6, accounts=6, campaigns=5, incidents=30, clean_days=1.0, scale=0.3)
    return [line.rstrip(b"\n") for line in simulate(made)]


@pytest.fixture(scope="session")
def told(world: list[bytes]) -> list[bytes]:
    """What a replay of that world tells: the real pipeline's changes, and sums to the micro beside them."""
    from kafka_parts import expected

    lines = expected(world, "Both")
    assert sum(b'"change":"opened"' in line for line in lines) > 6
    assert sum(b'"signal":"sum"' in line for line in lines) > 500
    return lines
