"""Bad input through the doors a user has, the command line and HTTP: named, counted, kept out, and no traceback."""

from __future__ import annotations

import json
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from adwatch_process import ROOT, Process, running

from alerts.change import AlertChange
from events.simulator import World, arrivals
from service.demo import steps
from service.embedded import Embedded
from service.journal import Journal
from service.metrics import Metrics
from streams.settings import DetectionSettings

GOOD = (
    '{"fact":"delivery","id":"d1","at":"2026-01-05T10:00:00Z","source":"meta","account":"acme","campaign":"c",'
    '"currency":"EUR","cost_micros":1000000,"impressions":10,"clicks":1}'
)
TICK = '{"fact":"tick","at":"2026-01-05T10:01:00Z"}'
BAD_LINES = {
    "broken JSON": ('{"fact":', "broken_json"),
    "a wrong type": (GOOD.replace("1000000", '"much"'), "wrong_type"),
    "an unknown key": (GOOD.replace('"clicks"', '"klicks":1,"clicks"'), "unknown_key"),
    "negative money": (GOOD.replace("1000000", "-1"), "out_of_range"),
    "not a number": (GOOD.replace("1000000", "NaN"), "broken_json"),
    "an unknown currency": (GOOD.replace("EUR", "EUX"), "unknown_currency"),
    "the far future": (GOOD.replace("d1", "far").replace("2026", "2031"), "future"),
    "ten megabytes": (GOOD.replace('"c"', '"' + "c" * 10_000_000 + '"'), "too_long"),
}
every_bad_line = pytest.mark.parametrize("name", BAD_LINES)
STORY = World(seed=3, days=9, accounts=1, campaigns=3, clean_days=5.0, incidents=2, scale=0.5)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Process]]:
    """One embedded service for every bad line: none of them may spoil it for the next."""
    with running(tmp_path_factory.mktemp("service"), "run") as process:
        url = process.url()
        assert httpx.post(f"{url}/facts", content=TICK).json()["accepted"] == 1
        yield url, process
        assert process.end() == 0
        assert b"Traceback" not in process.err


def ended(folder: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that ends by itself."""
    with running(folder, *arguments, **variables) as process:
        status = process.wait(120)
    assert b"Traceback" not in process.err
    return status, process.out.decode(), process.err.decode()


@every_bad_line
def test_a_bad_line_in_a_post_is_named_and_counted_and_the_others_are_taken(
    name: str, service: tuple[str, Process]
) -> None:
    line, reason = BAD_LINES[name]
    url, _ = service
    good = [GOOD.replace("d1", f"{name} {number}") for number in (1, 2)]
    before = _refused(url, reason)
    answer = httpx.post(f"{url}/facts", content="\n".join([good[0], line, good[1]]), timeout=60)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    assert (body["rejects"][0]["line"], body["rejects"][0]["reason"]) == (2, reason)
    assert _refused(url, reason) == before + 1


def _refused(url: str, reason: str) -> float:
    """What the metrics count for ``reason``."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    counts = [line.rpartition(" ")[2] for line in lines if line.startswith("adwatch") and f'reason="{reason}"' in line]
    return sum(map(float, counts))


def test_every_bad_line_of_a_history_is_kept_with_file_line_and_reason(tmp_path: Path) -> None:
    lines = [GOOD, TICK, *(line for line, _ in BAD_LINES.values()), GOOD.replace("d1", "d2")]
    (tmp_path / "facts.ndjson").write_text("\n".join(lines) + "\n")
    status, out, _ = ended(tmp_path, "replay", "facts.ndjson", "--json", "--rejects", "bad.ndjson")
    assert status == 0
    assert sum(group["count"] for group in json.loads(out)["rejects"].values()) == len(BAD_LINES)
    kept = [json.loads(line) for line in (tmp_path / "bad.ndjson").read_text().splitlines()]
    found = sorted((one["file"], one["line"], one["reason"]) for one in kept)
    reasons = [reason for _, reason in BAD_LINES.values()]
    assert found == [("facts.ndjson", number, reason) for number, reason in enumerate(reasons, 3)]


@pytest.mark.parametrize("command", [("replay", "empty"), ("produce", "empty"), ("import", "csv", "empty")])
def test_an_empty_file_is_the_callers_fault_and_named(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    status, _, err = ended(tmp_path, *command)
    assert status == 2
    assert err.startswith("adwatch: empty: ")
    assert "empty" in err.removeprefix("adwatch: empty: ")


def test_a_mapping_with_a_missing_column_names_file_and_column(tmp_path: Path) -> None:
    (tmp_path / "export.csv").write_text("date,geo,cost\n2026-01-05,1,2.50\n")
    mapping = str(ROOT / "examples" / "geox.yml")
    status, _, err = ended(tmp_path, "import", "csv", "export.csv", "--map", mapping, "--out", "facts.ndjson")
    assert status == 2
    assert "export.csv" in err
    assert "'sales'" in err
    assert len(err.splitlines()) <= 3


@pytest.mark.parametrize("command", ["run", "worker", "intake", "notify", "web", "check-config"])
def test_settings_with_a_wrong_key_stop_every_command_and_name_it(command: str, tmp_path: Path) -> None:
    (tmp_path / "adwatch.yml").write_text("slack: {chanel: alerts}\n")
    given = ("adwatch.yml",) if command == "check-config" else ("--config", "adwatch.yml")
    status, _, err = ended(tmp_path, command, *given)
    assert status == 2
    assert "adwatch.yml: slack.chanel: unknown key; did you mean slack.channel?" in err


@pytest.mark.parametrize("command", ["run", "web"])
def test_a_port_in_use_fails_and_says_the_way_out(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, err = ended(tmp_path, command, ADWATCH_HTTP__PORT=port)
    assert status == 1
    assert f"http.port {port}: Address already in use" in err
    assert "ADWATCH_HTTP__PORT" in err


@pytest.mark.parametrize("command", [("worker",), ("produce", "facts.ndjson")])
def test_a_broker_that_is_not_there_fails_in_one_line_that_names_it(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "facts.ndjson").write_text(GOOD + "\n")
    nowhere = {"ADWATCH_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1", "ADWATCH_KAFKA__CONNECT_TIMEOUT_S": "1"}
    status, _, err = ended(tmp_path, *command, **nowhere)
    assert status == 1
    assert "127.0.0.1:1" in err
    assert len(err.splitlines()) <= 2


def test_a_disk_that_is_full_for_sqlite_fails_the_start_and_nothing_is_lost(tmp_path: Path) -> None:
    """The limit on a file's size stands for the disk; the journal is there, the alerts in it are not told yet."""
    decided: list[AlertChange] = []
    embedded = Embedded(DetectionSettings(), Journal(tmp_path / "adwatch-store"), decided.append, Metrics())
    for step in steps(arrivals(STORY), STORY, STORY.end_ms):
        embedded.take(step.lines)
    embedded.journal.close()
    assert decided
    with running(tmp_path, "run") as process:
        resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        assert process.wait() == 1
    assert b"adwatch.sqlite" in process.err
    assert b"Traceback" not in process.err
    with running(tmp_path, "run") as process:
        page = httpx.get(process.url()).text
        assert page.count('<li class="alert ') == len({change.alert_id for change in decided})
        assert process.end() == 0


def test_a_disk_that_fills_up_is_a_503_and_what_is_sent_again_is_taken(tmp_path: Path) -> None:
    with running(tmp_path, "run") as process:
        url = process.url()
        resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (50, resource.RLIM_INFINITY))
        answer = httpx.post(f"{url}/facts", content=GOOD)
        assert answer.status_code == 503
        assert "adwatch-store: cannot write the journal" in answer.json()["error"]
        resource.prlimit(process.popen.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert httpx.post(f"{url}/facts", content=GOOD).json()["accepted"] == 1
        assert process.end() == 0
    assert b"Traceback" not in process.err
