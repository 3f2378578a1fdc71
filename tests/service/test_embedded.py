"""The embedded service without its shell: what is taken, what is refused, and what a crash leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alerts.change import AlertChange
from events.simulator import World, arrivals
from service.demo import DAY_MS, Step, steps
from service.embedded import Embedded
from service.errors import StoreError
from service.journal import Journal
from service.metrics import Metrics
from streams.settings import DetectionSettings

WORLD = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


def embedded(directory: Path, delivered: list[AlertChange]) -> Embedded:
    return Embedded(DetectionSettings(), Journal(directory), delivered.append, Metrics())


@pytest.fixture(scope="module")
def story() -> list[Step]:
    return list(steps(arrivals(WORLD), WORLD, WORLD.start_ms + 5 * DAY_MS))


@pytest.fixture(scope="module")
def told(story: list[Step], tmp_path_factory: pytest.TempPathFactory) -> list[AlertChange]:
    """The changes of an undisturbed run."""
    delivered: list[AlertChange] = []
    whole = embedded(tmp_path_factory.mktemp("whole"), delivered)
    for step in story:
        whole.take(step.lines)
    assert delivered != []
    return delivered


@pytest.mark.parametrize("every", [11, 60])
def test_a_restart_anywhere_decides_the_same_changes(
    every: int, story: list[Step], told: list[AlertChange], tmp_path: Path
) -> None:
    """Every few steps the process is gone, sometimes after a snapshot; what it decides twice is the same twice."""
    delivered: list[AlertChange] = []
    running = embedded(tmp_path, delivered)
    for number, step in enumerate(story):
        running.take(step.lines)
        if number % every == 0:
            if number % (3 * every) == 0:
                running.snapshot()
            running.journal.close()
            running = embedded(tmp_path, delivered)
            running.recover()
    unique = list(dict.fromkeys(change.to_line() for change in delivered))
    assert unique == [change.to_line() for change in told]


def test_bad_lines_are_named_and_do_not_stop_the_good_ones(tmp_path: Path) -> None:
    good = b'{"fact":"watermark","at":"2026-01-05T10:00:00Z","source":"meta","account":"acme"}'
    lines = [good, b"{broken", b"", good[:-1] + b',"sauce":1}', good, b'{"fact":"tick"}']
    running = embedded(tmp_path, [])
    taken = running.take(b"\n".join(lines))
    assert (taken.accepted, taken.rejected) == (2, 3)
    assert [(one.line, one.reason) for one in taken.rejects] == [
        (2, "broken_json"),
        (4, "unknown_key"),
        (6, "missing_key"),
    ]
    kept = b"".join(running.journal.read_from(0)).splitlines()
    assert kept == [good, good]


def test_a_fact_from_the_far_future_is_refused_with_its_line(tmp_path: Path) -> None:
    running = embedded(tmp_path, [])
    running.tick(1_767_607_200_000)
    fact = {"fact": "watermark", "at": "2027-06-01T00:00:00Z", "source": "meta", "account": "acme"}
    taken = running.take(b"\n" + json.dumps(fact).encode())
    assert taken.accepted == 0
    assert [(one.line, one.reason) for one in taken.rejects] == [(2, "future")]


def test_a_store_that_fails_loses_nothing(story: list[Step], told: list[AlertChange], tmp_path: Path) -> None:
    """While the ledger refuses, changes wait and no snapshot overtakes them; then they come in order."""
    delivered: list[AlertChange] = []
    refuse = True

    def deliver(change: AlertChange) -> None:
        if refuse:
            raise StoreError("disk full")
        delivered.append(change)

    running = Embedded(DetectionSettings(), Journal(tmp_path), deliver, Metrics())
    iterator = iter(story)
    while not running.undelivered:
        running.take(next(iterator).lines)
    running.snapshot()
    assert running.journal.load_snapshot() is None
    with pytest.raises(StoreError):
        running.take(b"")
    refuse = False
    for step in iterator:
        running.take(step.lines)
    assert [change.to_line() for change in delivered] == [change.to_line() for change in told]


def test_an_empty_post_is_nothing(tmp_path: Path) -> None:
    taken = embedded(tmp_path, []).take(b"")
    assert (taken.accepted, taken.rejected) == (0, 0)
