"""Commands to operate the service: settings, alerts, dead letters."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

ConfigPath = Annotated[Path, typer.Argument(metavar="F", help="Settings file (YAML).")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("check-config")(check_config)
    app.command("config-schema")(config_schema)


def check_config(config: ConfigPath) -> None:
    """Say what is wrong with a settings file, with the path of the key; exit 2 then."""
    from service import settings

    settings.load(config)
    print(f"{config}: in order", file=sys.stderr)


def config_schema() -> None:
    """Print the JSON Schema of the settings, for editors and checkers."""
    from service import settings

    print(json.dumps(settings.schema(), indent=2))
