"""How a part of the measurement is written down: tables, bars with their verdicts, and the same as JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is drawn: the seed, processes side by side, and whether it is to be over in a minute or two."""

    seed: int = 1
    jobs: int = 1
    quick: bool = False

    def of(self, full: int, quick: int) -> int:
        """One or the other."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a title."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def markdown(self) -> str:
        """As documents have it.

        >>> print(Table("Delays", ("a day", "h"), ((24, 1.234), (240, None))).markdown())
        Delays
        <BLANKLINE>
        | a day | h |
        | --- | --- |
        | 24 | 1.23 |
        | 240 |  |
        """
        lines = [self.title, "", *(_line(row) for row in (self.columns, ["---"] * len(self.columns), *self.rows))]
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Bar:
    """What must be reached (at most ``bar``, or at least with ``at_least``), and what was."""

    what: str
    bar: float
    got: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        """Whether it was; what is not a number was not."""
        return self.got >= self.bar if self.at_least else self.got <= self.bar

    def row(self) -> tuple[Any, ...]:
        """For the table of verdicts; ``got / bar - 1`` is by how much it is beyond or inside the bar."""
        by = self.got / self.bar - 1.0 if self.bar else self.got
        sign = "≥" if self.at_least else "≤"
        return (
            self.what,
            f"{sign} {_cell(self.bar)}",
            self.got,
            "reached" if self.reached else "not reached",
            f"{by:+.0%}",
        )


@dataclass(slots=True)
class Part:
    """What one part found."""

    name: str
    about: str
    tables: list[Table] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        """Text, tables and verdicts."""
        verdicts = Table("Bars", ("what", "bar", "got", "verdict", "by"), tuple(bar.row() for bar in self.bars))
        shown = [*self.tables, verdicts] if self.bars else self.tables
        return "\n\n".join([f"### {self.name}", self.about, *(table.markdown() for table in shown)])

    def json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        bars = [{"what": b.what, "bar": b.bar, "got": _plain(b.got), "reached": b.reached} for b in self.bars]
        return {"name": self.name, "bars": bars, **{key: _plain(value) for key, value in self.data.items()}}


def side_by_side(work: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> list[Result]:
    """``work`` of every task, in the order of the tasks, ``jobs`` at a time; each result is told on standard error."""
    if jobs <= 1:
        return [_told(work(task)) for task in tasks]
    with ProcessPoolExecutor(jobs) as pool:
        return [_told(result) for result in pool.map(work, tasks)]


def _told(result: Result) -> Result:
    print(result, file=sys.stderr, flush=True)
    return result


def worst(values: Iterable[float]) -> float:
    """The largest; not a number where there is none, so that no bar is reached by measuring nothing."""
    return max(values, default=math.nan)


def _line(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return "never" if math.isinf(value) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return str(value)


def _plain(value: Any) -> Any:
    """Without infinities and NaN, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value
