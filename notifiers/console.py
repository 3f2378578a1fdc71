"""Readable lines on a terminal, for a demo and for whoever runs the service by hand."""

from __future__ import annotations

import io
import sys
from typing import IO

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.text import Text

from notifiers.channel import Delivery, Receipt
from notifiers.errors import Unreachable
from notifiers.message import Message

_STYLES = {"Critical": "bold red", "Warning": "yellow", "Info": "blue", "Resolved": "green"}
_SHOWN = ("Costs", "Since", "Lasted", "Possible cause")


class ConsoleSettings(BaseModel):
    """Alerts as lines on standard output."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    enabled: bool = Field(default=True, description="Whether alerts are printed.")


class ConsoleChannel:
    """Prints every message in one to three lines. Names cannot command the terminal."""

    name = "console"
    pace_s = 0.0
    promise = "at least once: a line printed just before a crash may be printed again"

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file or sys.stdout

    def send(self, delivery: Delivery) -> Receipt:
        """Print it. Raises :class:`~notifiers.errors.Unreachable` where nobody takes the output."""
        try:
            self._print(lines(delivery.message))
        except (OSError, ValueError) as error:
            raise Unreachable(f"console: {error}") from None
        return Receipt()

    def _print(self, text: Text) -> None:
        """A terminal that lacks a sign gets a question mark in its place, not silence.

        Rich only makes the words: writing to an output that nobody reads any more, it would end the thread.
        """
        words = io.StringIO()
        Console(
            file=words,
            force_terminal=self._file.isatty(),
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
        ).print(text)
        encoding = getattr(self._file, "encoding", None) or "utf-8"
        self._file.write(words.getvalue().encode(encoding, "replace").decode(encoding))
        self._file.flush()

    def find(self, delivery: Delivery) -> Receipt | None:
        """Nobody can read what a terminal showed."""
        return None

    def close(self) -> None:
        """Nothing to let go of."""


def lines(message: Message) -> Text:
    """The message for a terminal."""
    style = _STYLES.get(message.status.partition(",")[0], "bold")
    text = Text.assemble((message.decided, "dim"), "  ", (message.status.upper(), style), "  ")
    text.append(message.title, "bold")
    text.append(f"  {' / '.join(message.where)}\n")
    text.append(f"    {message.sentence}")
    for word, value in message.facts:
        if word in _SHOWN:
            text.append(f" {word}: {value}.")
    if message.action is not None:
        text.append(f"\n    → {message.action}")
    for note in message.notes:
        text.append(f"\n    ({note})")
    return text
