"""When a process that drains may end, though others of its group hold partitions."""

from __future__ import annotations

from collections.abc import Callable, Collection

SESSIONS = 2.0
"""Sessions that pass before partitions of others are left to them: one for a dead member to lose its own, and one for
the group to deal them out anew."""


class Draining:
    """Judges what one process holds; a member that was killed holds its partitions until its session has ended.

    >>> now_s = 0.0
    >>> draining = Draining(6.0, lambda: now_s)
    >>> draining.may_end({0, 1}, of=2)
    True
    >>> draining.may_end({0}, of=2)
    False
    >>> now_s = 12.0
    >>> draining.may_end({0}, of=2)
    True
    """

    def __init__(self, session_timeout_s: float, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._wait_s = SESSIONS * session_timeout_s
        self._held: Collection[object] = ()
        self.again()

    def again(self) -> None:
        """Something was left to do, or partitions are being dealt out: wait anew."""
        self._since_s = self._clock_s()

    def may_end(self, held: Collection[object], of: int) -> bool:
        """Whether to end, all that is ``held`` (of so many partitions) being done."""
        if held != self._held:
            self._held = held
            self.again()
        return len(held) == of or self._clock_s() - self._since_s >= self._wait_s
