"""The ticker: once a minute, the time of day as a fact, into every partition that this process holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

PERIOD_MS = 60_000


class WallTicker:
    """Says which partitions are due a tick. A partition gets each minute once from one ticker, and never an older one.

    Two tickers on one partition do no harm: a tick that is not newer than the last changes nothing.

    >>> ticker = WallTicker(lambda: 125_000)
    >>> list(ticker.due([0, 1])), list(ticker.due([0, 1, 2]))
    ([(0, 120000), (1, 120000)], [(2, 120000)])
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._last_ms: dict[int, int] = {}

    def due(self, partitions: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Partition and epoch milliseconds of each tick to write now."""
        at_ms = self._clock_ms() // PERIOD_MS * PERIOD_MS
        for partition in partitions:
            if at_ms > self._last_ms.get(partition, -1):
                self._last_ms[partition] = at_ms
                yield partition, at_ms


def tick_line(at_ms: int) -> bytes:
    """The tick fact for ``at_ms``, with its newline.

    >>> tick_line(120000)
    b'{"fact":"tick","at":120000}\\n'
    """
    return b'{"fact":"tick","at":%d}\n' % at_ms
