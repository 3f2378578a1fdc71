"""Commands that stay: the service in one process, and the delivery and the page beside Kafka."""

from __future__ import annotations

from typing import Annotated

import typer

from service.options import Config, loaded


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("run")(run)
    app.command("web")(web)


def run(
    config: Config = None,
    demo: Annotated[bool, typer.Option("--demo", help="Play a made-up agency into it, in a store of its own.")] = False,
) -> None:
    """The whole service in one process, no broker: HTTP ingest, page, Slack, e-mail."""
    found = loaded(config)
    from service.running import run

    run(found, demo)


def web(config: Config = None) -> None:
    """The page alone, from the store that notify fills."""
    found = loaded(config)
    from service.beside import run_web

    run_web(found)
