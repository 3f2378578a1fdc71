from __future__ import annotations

import gzip
import io
import json
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from alerts.change import AlertChange, rfc3339
from events.simulator import World, write_world
from replay.history import HistoryError
from replay.labels import LabelError
from replay.run import Outlets, Progress, replay
from replay.show import show
from replay.summary import Summary
from streams.settings import DetectionSettings

START_MS = 1_767_225_600_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
WORLD = World(days=10, accounts=1, campaigns=3, scale=0.3)


def delivery(number: int, at_ms: int, **more: Any) -> bytes:
    said = {"fact": "delivery", "id": f"d{number}", "at": at_ms, "source": "meta", "account": "acme", "campaign": "b"}
    said |= {"currency": "EUR", "cost_micros": 1_000_000, "impressions": 10, "clicks": 1}
    return json.dumps(said | more).encode() + b"\n"


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("world")
    facts, labels = folder / "facts.ndjson", folder / "labels.ndjson"
    with facts.open("wb") as facts_out, labels.open("wb") as labels_out:
        write_world(WORLD, facts_out, labels_out)
    return facts, labels


def changes_of(*paths: Path) -> bytes:
    out = io.BytesIO()
    replay(paths, DetectionSettings(), outlets=Outlets(alerts=out))
    return out.getvalue()


@pytest.fixture(scope="session")
def changes(world: tuple[Path, Path]) -> bytes:
    return changes_of(world[0])


def test_alert_changes_are_written_as_the_contract_says(changes: bytes) -> None:
    told = [AlertChange.from_line(line) for line in changes.splitlines()]
    assert told
    assert b"".join(change.to_line() for change in told) == changes


def test_how_the_history_is_packed_and_cut_changes_nothing(
    world: tuple[Path, Path], changes: bytes, tmp_path: Path
) -> None:
    lines = world[0].read_bytes().splitlines(keepends=True)
    parts = [tmp_path / "1.gz", tmp_path / "2.ndjson"]
    parts[0].write_bytes(gzip.compress(b"".join(lines[:7001])))
    parts[1].write_bytes(b"".join(lines[7001:]))
    assert changes_of(*parts) == changes


def test_ticks_made_are_the_ticks_a_history_would_have_held(changes: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ticked.ndjson"
    with path.open("wb") as out:
        write_world(changed(WORLD, ticks=True), out, io.BytesIO())
    summary = replay([path], DetectionSettings())
    assert summary.ticks_made == 0
    assert changes_of(path) == changes


def test_the_summary_counts_what_was_read_and_said(world: tuple[Path, Path], changes: bytes) -> None:
    facts, labels = world
    steps: list[Progress] = []
    summary = replay([facts], DetectionSettings(), labels=labels, outlets=Outlets(progress=steps.append))
    kinds = [json.loads(line)["fact"] for line in facts.read_bytes().splitlines()]
    assert summary.facts == {kind: kinds.count(kind) for kind in sorted(set(kinds), key=list(summary.facts).index)}
    assert (summary.accounts, summary.series) == (1, 3)
    assert summary.became["duplicate"] > 0
    assert sum(summary.became.values()) == len(kinds)
    told = [AlertChange.from_line(line) for line in changes.splitlines()]
    opened = [change for change in told if change.change == "opened" and change.muted_by is None]
    assert summary.alerts.opened == sum(summary.alerts.by_signal.values()) == len(opened)
    assert summary.score is not None
    assert summary.score.overall.incidents == len(labels.read_bytes().splitlines())
    assert summary.score.account_weeks == pytest.approx(10 / 7, rel=1e-3)
    assert steps[-1].bytes_read == steps[-1].bytes_total == facts.stat().st_size
    assert steps[-1].facts == len(kinds)
    assert [one.money_at_risk_micros for one in summary.alerts.dearest] == sorted(
        (one.money_at_risk_micros for one in summary.alerts.dearest), reverse=True
    )


def test_the_summary_has_a_form_for_programs_and_one_for_people(world: tuple[Path, Path]) -> None:
    summary = replay([world[0]], DetectionSettings(), labels=world[1])
    assert Summary.model_validate_json(summary.model_dump_json(by_alias=True)) == summary
    said = shown(summary)
    for words in ("1 accounts", "3 series", "Against the labels", "Nothing was rejected", "2026-01-05T00:00 to"):
        assert words in said


def shown(summary: Summary) -> str:
    out = io.StringIO()
    Console(file=out, width=160).print(show(summary))
    return out.getvalue()


def test_lines_and_facts_that_are_refused_are_written_with_file_line_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    lines = [delivery(0, START_MS), b"nonsense\n"]
    lines += [delivery(n, START_MS + n * MINUTE_MS) for n in range(1, 5)]
    lines += [delivery(99, START_MS + 900 * DAY_MS)]
    lines += [delivery(n, START_MS + n * MINUTE_MS) for n in range(5, 40)]
    path.write_bytes(b"".join(lines))
    out = io.BytesIO()
    summary = replay([path], DetectionSettings(), outlets=Outlets(rejects=out))
    rejects = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(one["file"], one["line"], one["reason"]) for one in rejects] == [
        (str(path), 2, "broken_json"),
        (str(path), 7, "future"),
    ]
    assert json.loads(rejects[1]["raw"])["id"] == "d99"
    assert all(one["detail"] for one in rejects)
    assert {reason: (group.count, group.line) for reason, group in summary.rejects.items()} == {
        "broken_json": (1, 2),
        "future": (1, 7),
    }
    assert summary.ticks_made == 41
    assert f"{path.name}:7" in shown(summary)


def test_a_name_from_outside_cannot_colour_or_move_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(delivery(0, START_MS) + delivery(1, START_MS, fact="[bold]\x1b[31mevil\x07"))
    said = shown(replay([path], DetectionSettings()))
    assert "\x1b" not in said
    assert "\x07" not in said


def test_labels_are_read_before_the_history(tmp_path: Path) -> None:
    labels = tmp_path / "labels.ndjson"
    labels.write_text('{"incident_id": "i"}\n')
    with pytest.raises(LabelError, match=r"labels\.ndjson:1: signal"):
        replay([tmp_path / "none"], DetectionSettings(), labels=labels)


def test_an_incident_nobody_caught_is_missed(tmp_path: Path) -> None:
    path, labels = tmp_path / "a.ndjson", tmp_path / "labels.ndjson"
    path.write_bytes(delivery(0, START_MS))
    label = {"incident_id": "i", "signal": "cpa_spike", "account": "acme", "from": rfc3339(START_MS)}
    labels.write_text(json.dumps(label | {"to": rfc3339(START_MS + DAY_MS)}))
    summary = replay([path], DetectionSettings(), labels=labels)
    assert summary.score is not None
    assert (summary.score.missed, summary.score.overall.recall) == (["i"], 0.0)


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "none"):
        with pytest.raises(HistoryError, match=name):
            replay([tmp_path / name], DetectionSettings())
