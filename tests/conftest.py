"""What every room's tests may use: one real broker per run, started when a test first asks for it."""

from __future__ import annotations

import importlib.util
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest


def _broker_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kafka_broker", Path(__file__).parent / "kafka" / "broker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes that run the tests, one has all that need the broker, so that it is started once."""
    for item in items:
        if "kafka_bootstrap" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("kafka"))


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    """The address of a real broker; the test is skipped with a reason where none can be had, but fails on CI."""
    broker = _broker_module()
    try:
        with broker.running_broker() as bootstrap:
            yield bootstrap
    except broker.BrokerMissing as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"no Kafka broker: {missing}")
        pytest.skip(f"no Kafka broker: {missing}")


@pytest.fixture
def topic_prefix() -> str:
    """A prefix of the test's own, so that tests share one broker."""
    return f"t{uuid.uuid4().hex[:10]}."
