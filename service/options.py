"""Options that several commands share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from service.errors import CallerError

if TYPE_CHECKING:
    from service.settings import Settings

Config = Annotated[Path | None, typer.Option("--config", metavar="F", help="Settings file (YAML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object to standard output.")]
Drain = Annotated[bool, typer.Option("--drain", help="End, exit 0, once everything that is there has been done.")]


def loaded(config: Path | None) -> Settings:
    """The settings, with logs set up by them."""
    from service import logs, settings

    found = settings.load(config)
    logs.set_up(found.log.level, found.log.format, logs.secrets_in(found))
    return found


@contextmanager
def output(path: str | None) -> Iterator[BinaryIO | None]:
    """A file to write to; ``-`` is standard output, ``None`` is nothing. An unwritable place is the caller's fault."""
    if path is None or path == "-":
        with nullcontext(None if path is None else sys.stdout.buffer) as stream:
            yield stream
            if stream is not None:
                stream.flush()
        return
    try:
        file = open(path, "wb")  # noqa: SIM115  # closed below; opening alone is to be blamed on the caller
    except OSError as error:
        raise CallerError(f"{path}: cannot be written: {error.strerror}") from None
    with file:
        yield file


def progress() -> Any:
    """A progress bar on standard error, silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
