"""The README word for word: every command of its five-minute path runs, in its order, on an export."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from adwatch_process import running

from service import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
EXPORT = "\n".join(
    ["Day;Account;Campaign;Currency code;Cost;Conversions;Conv. value"]
    + [
        f"{1 + day % 28:02d}.{1 + day // 28:02d}.2026;acme;{campaign};EUR;"
        f"1.{100 + day % 7},50;{50 + day % 3};4.{400 + day},25"
        for day in range(56)
        for campaign in ("Brand", "Generic")
    ]
)
"""An export as a German spreadsheet writes it: wide, daily, semicolons, decimal commas, points between thousands."""
GEOX = "\n".join(
    ["date,geo,sales,cost"]
    + [
        f"2015-{1 + day // 28:02d}-{1 + day % 28:02d},{geo},"
        f"{(30 + day % 5) * geo * 10.5:.2f},{(day % 3) * geo * 0.75:.2f}"
        for day in range(84)
        for geo in range(1, 11)
    ]
)
"""A file of the shape of the geox data: sales and cost of regions by day, no conversions."""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_the_five_minute_path_runs_as_it_stands(tmp_path: Path) -> None:
    """``export.csv`` is there, ``?`` is filled in as the README asks, the port is free, and ``run`` is stopped."""
    (tmp_path / "export.csv").write_text(EXPORT + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = blocks()
    first, rest = path[0].replace(". .venv/bin/activate\n", ""), "".join(path[1:])
    assert first != path[0]
    fill = "sed -i -e \"s/time_zone: '?'/time_zone: Europe\\/Berlin/\" -e \"s/'?'/google_ads/\" mapping.yml\n"
    script = f"set -e\n{first}{fill}{rest}\nkill -INT $!\nwait $!\n".replace("8080", str(port))
    script = script.replace("adwatch run", f'"{sys.executable}" -m service.cli run')
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-m", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 accounts" in done.stdout
    assert re.search(r'"accepted":\d+,"rejected":0', done.stdout)


def test_a_file_of_the_shape_of_geox_comes_through_its_example_mapping(tmp_path: Path) -> None:
    (tmp_path / "salesandcost.csv").write_text(GEOX + "\n")
    mapping = str(ROOT / "examples" / "geox.yml")
    with running(tmp_path, "import", "csv", "salesandcost.csv", "--map", mapping, "--out", "facts.ndjson") as process:
        assert process.wait() == 0
    assert b"840 rows read; 840 snapshot, 84 watermark written to facts.ndjson" in process.err
    with running(tmp_path, "replay", "facts.ndjson", "--json") as process:
        assert process.wait() == 0
    summary = json.loads(process.out)
    assert summary["facts"]["snapshot"] == 840
    assert summary["rejects"] == {}


def test_every_command_named_is_one_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = set(re.findall(r"adwatch ([a-z]+(?:-[a-z]+)*)", TEXT))
    assert {"import", "replay", "run", "worker"} <= named
    for command in sorted(named - {"is"}):
        assert cli.status([command, "--help"]) == 0, command


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target
