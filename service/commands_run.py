"""Commands that stay: the service in one process, and the parts of it beside Kafka."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
