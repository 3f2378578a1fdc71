"""Settings for one test on the real broker, and the folder of helpers on the path."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from streams.kafka_settings import KafkaSettings

sys.path.insert(0, str(Path(__file__).parent))


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
