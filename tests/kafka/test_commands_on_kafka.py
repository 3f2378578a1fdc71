"""The road by the commands an operator types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kafka_parts import changes, expected

from events.simulator import World, simulate
from streams.kafka_settings import KafkaSettings

pytestmark = pytest.mark.kafka
ROOT = Path(__file__).parents[2]


def _adwatch(kafka: KafkaSettings, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    given = kafka.model_dump(include={"bootstrap_servers", "topic_prefix", "partitions", "ticker", "connect_timeout_s"})
    env = {f"ADWATCH_KAFKA__{key.upper()}": str(value) for key, value in given.items()}
    script = "from service.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=folder,
        env={**os.environ, **env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_produce_intake_and_worker_as_commands_tell_what_a_replay_tells(kafka: KafkaSettings, tmp_path: Path) -> None:
    lines = list(simulate(World(seed=4, days=3, accounts=3, campaigns=4, incidents=6, clean_days=1.0, scale=0.3)))
    (tmp_path / "facts.ndjson").write_bytes(b"".join(lines) + b"no fact\n")
    for words in (["produce", "facts.ndjson", "--raw", "--ticks"], ["intake", "--drain"], ["worker", "--drain"]):
        done = _adwatch(kafka, tmp_path, *words)
        assert done.returncode == 0, (words, done.stderr[-3000:])
    told = expected([line.rstrip(b"\n") for line in lines], "Pipeline")
    assert told
    assert changes(kafka) == told
    assert "1 dead letter" in _adwatch(kafka, tmp_path, "dlq", "list").stderr


def test_a_broker_that_is_not_there_ends_a_command_with_one_clear_line(kafka: KafkaSettings, tmp_path: Path) -> None:
    nowhere = kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1", "connect_timeout_s": 1})
    done = _adwatch(nowhere, tmp_path, "worker", "--drain")
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
