"""The demo: a seeded world of an agency, played faster than life into the embedded service.

First the quiet days, as fast as the machine can, so that every account has its habits; from shortly before the first
incident on, slowly enough to watch.  Everything is the real road; only time runs faster, because time is a fact.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from events.simulator import World, arrivals, incidents
from service.embedded import Embedded
from streams.ticker import tick_line

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WORLD = World(seed=7, days=21, accounts=3, campaigns=5, clean_days=9.0, incidents=18)
HEAD_START_MS = HOUR_MS
"""So long before the first incident the playing slows down."""
LEARN_STEP_MS = 6 * HOUR_MS
PLAY_STEP_MS = 10 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Step:
    """Facts and ticks of one stretch of the world, and its end."""

    lines: bytes
    end_ms: int


class Demo:
    """Plays a world; ``progress`` says in words how far it is."""

    def __init__(self, embedded: Embedded, world: World = WORLD, step_s: float = 0.2) -> None:
        self._embedded, self._world, self._step_s = embedded, world, step_s
        self._words = "making a world of an agency (a first start compiles for up to a minute)"

    def progress(self) -> str:
        """What is happening, for the progress line and the page."""
        return self._words

    def play(self, stop: threading.Event) -> None:
        """Play to the end, or until ``stop`` is set."""
        slow_ms = min(one.from_ms for one in incidents(self._world)) - HEAD_START_MS
        for step in steps(arrivals(self._world), self._world, slow_ms):
            if stop.is_set():
                return
            self._embedded.take(step.lines)
            self._words = self._said(step.end_ms, slow_ms)
            if step.end_ms > slow_ms:
                stop.wait(self._step_s)
        self._words = f"the {self._world.days} days are over; the page stays until Ctrl-C"

    def _said(self, at_ms: int, slow_ms: int) -> str:
        day, minutes = divmod((at_ms - self._world.start_ms) // MINUTE_MS, 1440)
        if at_ms <= slow_ms:
            last = -(-(slow_ms - self._world.start_ms) // DAY_MS)
            return f"learning the habits of {self._world.accounts} accounts: day {day + 1} of {last}"
        pace = PLAY_STEP_MS / MINUTE_MS / self._step_s if self._step_s else 0
        clock = f"{minutes // 60:02d}:{minutes % 60:02d} UTC"
        return f"day {day + 1} of {self._world.days}, {clock} ({pace:.0f} minutes a second)"


def steps(facts: Iterable[tuple[int, bytes]], world: World, slow_ms: int) -> Iterator[Step]:
    """The world in stretches, with a tick a minute: long ones up to ``slow_ms``, short ones after it."""
    lines: list[bytes] = []
    tick_ms, end_ms = world.start_ms, world.start_ms
    for arrived_ms, line in facts:
        while arrived_ms >= tick_ms:
            lines.append(tick_line(tick_ms))
            if tick_ms >= end_ms:
                yield Step(b"".join(lines), tick_ms)
                lines = []
                end_ms = tick_ms + (LEARN_STEP_MS if tick_ms + LEARN_STEP_MS <= slow_ms else PLAY_STEP_MS)
            tick_ms += MINUTE_MS
        lines.append(line)
    yield Step(b"".join([*lines, tick_line(tick_ms)]), tick_ms)
