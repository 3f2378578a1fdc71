"""The compose file against the command line and the settings: nothing in it is unknown to the service."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import cli, settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one.get("image") == "adwatch"}


def test_the_parts_of_the_cluster_are_all_there() -> None:
    assert set(OURS) == {"intake", "worker", "notify", "web"}
    assert {"kafka", "postgres", "mail", "prometheus", "grafana"} <= set(COMPOSE["services"])


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_that_the_command_line_knows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = OURS[name]["command"]
    assert cli.status([command[0], "--help"]) == 0
    known = capsys.readouterr().out
    assert all(option in known for option in command if option.startswith("--"))


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_key_and_its_value_is_accepted(name: str) -> None:
    variables = {key: value for key, value in OURS[name]["environment"].items() if key.startswith(settings.PREFIX)}
    assert variables
    mounted = OURS[name]["volumes"][0].split(":")[0]
    settings.load(ROOT / mounted, variables)


def test_every_mounted_file_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert not source.startswith("./") or (ROOT / source).exists(), source


def test_docker_compose_itself_accepts_the_file() -> None:
    """Only where the client has the command; the checks above hold everywhere."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        assert COMPOSE["name"] == "adwatch"
        return
    done = subprocess.run([docker, "compose", "config", "-q"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
