"""The command line: exit status, and that every message names file, line or key."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from events.simulator import World, simulate
from service import cli

GOOD = (
    '{"fact":"delivery","id":"d1","at":"2026-01-05T10:00:00Z","source":"meta","account":"acme","campaign":"c",'
    '"currency":"EUR","cost_micros":1000000,"impressions":10,"clicks":1}'
)
ROOT = Path(__file__).parents[2]


def status(*arguments: object) -> int:
    return cli.status([str(argument) for argument in arguments])


@pytest.fixture
def history(tmp_path: Path) -> Path:
    path = tmp_path / "facts.ndjson"
    path.write_text(GOOD + "\n")
    return path


def test_help_loads_nothing_that_makes_the_reader_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "service.cli", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == 0
    assert "replay" in done.stdout
    assert "typer" in loaded
    assert not loaded & {
        "numpy",
        "numba",
        "scipy",
        "river",
        "pandas",
        "pydantic",
        "sqlalchemy",
        "faust",
        "kafka",
        "altair",
    }


def test_an_unknown_command_is_the_callers_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("replai") == 2
    assert "replai" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("broken JSON", '{"fact":', "broken_json"),
        ("a wrong type", GOOD.replace("1000000", '"much"'), "wrong_type"),
        ("an unknown key", GOOD.replace('"clicks"', '"klicks":1,"clicks"'), "unknown_key"),
        ("negative money", GOOD.replace("1000000", "-1"), "out_of_range"),
        ("not a number", GOOD.replace("1000000", "NaN"), "broken_json"),
        ("an unknown currency", GOOD.replace("EUR", "EUX"), "unknown_currency"),
        ("ten megabytes", GOOD.replace('"c"', '"' + "c" * 10_000_000 + '"'), "too_long"),
    ],
)
def test_a_bad_line_is_counted_with_its_reason_and_stops_nothing(
    name: str, line: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, rejects = tmp_path / "facts.ndjson", tmp_path / "rejects.ndjson"
    path.write_text(f"{GOOD}\n{line}\n{GOOD.replace('d1', 'd2')}\n")
    assert status("replay", path, "--json", "--rejects", rejects) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["facts"]["delivery"] == 2
    assert {found: group["count"] for found, group in summary["rejects"].items()} == {reason: 1}
    rejected = json.loads(rejects.read_text())
    assert (rejected["file"], rejected["line"], rejected["reason"]) == (str(path), 2, reason)


def test_a_fact_from_the_far_future_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "facts.ndjson"
    lines = [GOOD.replace("d1", f"d{minute}").replace("10:00", f"10:{minute:02d}") for minute in range(40)]
    lines.insert(20, GOOD.replace("d1", "far").replace("2026", "2031"))
    path.write_text("\n".join(lines))
    assert status("replay", path, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["rejects"]["future"]["line"] == 21


def test_an_empty_history_is_the_callers_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.touch()
    assert status("replay", empty) == 2
    assert capsys.readouterr().err == f"adwatch: {empty}: is empty\n"


def test_a_history_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("replay", tmp_path / "none") == 2
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_only_one_thing_can_go_to_standard_output(history: Path) -> None:
    assert status("replay", history, "--json", "--alerts", "-") == 2


def test_an_unwritable_output_is_the_callers_fault(
    history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("replay", history, "--alerts", tmp_path / "no" / "such" / "folder") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_replay_prints_one_object_with_json_and_a_summary_without(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("replay", history, "--json") == 0
    assert json.loads(capsys.readouterr().out)["accounts"] == 1
    assert status("replay", history) == 0
    assert "watched" in capsys.readouterr().out


def test_a_mapping_with_a_missing_column_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, mapping = tmp_path / "export.csv", tmp_path / "mapping.yml"
    export.write_text("date,geo,cost\n2026-01-05,1,2.50\n")
    mapping.write_text((ROOT / "examples" / "geox.yml").read_text())
    assert status("import", "csv", export, "--map", mapping, "--out", tmp_path / "facts") == 2
    said = capsys.readouterr().err
    assert "export.csv" in said
    assert "sales" in said


def test_import_without_a_mapping_proposes_one_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = tmp_path / "export.csv"
    export.write_text("date,campaign,cost,conversions\n2026-01-05,brand,2.50,1\n2026-01-06,brand,3.50,2\n")
    assert status("import", "csv", export) == 0
    said = capsys.readouterr()
    assert "campaign: campaign" in said.out
    assert "unsure: " in said.err
    assert status("import", "csv", export, "--out", tmp_path / "facts") == 2
    assert not (tmp_path / "facts").exists()


def test_settings_with_a_wrong_key_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "adwatch.yml"
    path.write_text("detection: {false_alarm: 1 per week}\n")
    for command in (("check-config", path), ("replay", "x", "--config", path), ("worker", "--config", path)):
        assert status(*command) == 2
        assert "detection.false_alarm: unknown key; did you mean detection.false_alarms?" in capsys.readouterr().err


def test_settings_in_order_are_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "adwatch.yml"
    path.write_text("detection: {false_alarms: 2 per week}\n")
    assert status("check-config", path) == 0


@pytest.mark.parametrize("command", ["worker", "intake", "notify"])
def test_a_broker_that_is_not_there_fails_the_run_and_names_its_address(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADWATCH_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("ADWATCH_KAFKA__CONNECT_TIMEOUT_S", "1")
    monkeypatch.setenv("ADWATCH_STORE__URL", f"sqlite:///{tmp_path}/x.sqlite")
    assert status(command) == 1
    assert "127.0.0.1:1" in capsys.readouterr().err


def test_the_same_seed_simulates_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        arguments = ("--seed", 3, "--days", 1, "--accounts", 1, "--campaigns", 2)
        assert status("simulate", "--out", tmp_path / name, "--labels", tmp_path / f"{name}.labels", *arguments) == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_simulate_makes_the_world_of_its_defaults_and_switches_off_what_it_is_told_to(tmp_path: Path) -> None:
    still = ("promotions", "budget-changes", "capped-share", "click-date-share", "phi-growth")
    arguments = ("--seed", 3, "--days", 8, "--accounts", 1, "--campaigns", 2, "--scale", 0.1)
    for name, more in (("a", ()), ("b", tuple(word for key in still for word in (f"--{key}", 0)))):
        assert status("simulate", "--out", tmp_path / name, "--labels", tmp_path / "labels", *arguments, *more) == 0
    world = World(seed=3, days=8, accounts=1, campaigns=2, scale=0.1)
    assert (tmp_path / "a").read_bytes() == b"".join(simulate(world))
    off = replace(world, **{key.replace("-", "_"): 0.0 for key in still})  # type: ignore[arg-type]
    assert (tmp_path / "b").read_bytes() == b"".join(simulate(off)) != (tmp_path / "a").read_bytes()


def test_a_world_that_cannot_be_is_the_callers_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("simulate", "--out", tmp_path / "a", "--labels", tmp_path / "b", "--days", 0) == 2
    assert "days" in capsys.readouterr().err
