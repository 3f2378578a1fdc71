"""What the fake Slack can be told to do wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class FaultRule(BaseModel):
    """One way to fail.

    ``kind``: ``rate_limit`` (429 with ``retry_after``), ``http`` (``status`` with an HTML page), ``text`` (``status``
    with ``error`` as bare words, as webhooks answer), ``not_ok`` (200 with ``error``), ``reset`` (the connection
    breaks), ``hang`` (no answer for ``hold_s``, then it breaks).
    ``accept``: the message is taken first.  ``every``: every k-th call of ``methods``.  ``seconds``: how long from
    now on; ``times``: how often.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Literal["rate_limit", "http", "text", "not_ok", "reset", "hang"]
    methods: tuple[str, ...] = ("chat.postMessage", "chat.update", "webhook")
    accept: bool = False
    every: int = Field(default=1, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    times: int | None = Field(default=None, ge=1)
    retry_after: int = Field(default=1, ge=0)
    status: int = Field(default=500, ge=200, le=599)
    error: str = "internal_error"
    hold_s: float = Field(default=30.0, ge=0, le=3600)


@dataclass(slots=True)
class _Running:
    rule: FaultRule
    since: float
    calls: int = 0
    done: int = 0


class FaultScript:
    """The rules in force, tried in the order in which they were given."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def play(self, rules: Sequence[FaultRule], now: float) -> None:
        """Replace what was in force; ``now`` in seconds."""
        self._running = [_Running(rule, now) for rule in rules]

    def rules(self) -> list[FaultRule]:
        """The rules in force."""
        return [one.rule for one in self._running]

    def next(self, method: str, now: float) -> FaultRule | None:
        """How this call fails; ``None``: it does not.

        >>> script = FaultScript()
        >>> script.play([FaultRule(kind="reset", every=2)], now=0)
        >>> [script.next("chat.update", now=1) is not None for _ in range(4)]
        [False, True, False, True]
        """
        for one in self._running:
            rule = one.rule
            is_over = rule.seconds is not None and now - one.since >= rule.seconds
            if method not in rule.methods or is_over or (rule.times is not None and one.done >= rule.times):
                continue
            one.calls += 1
            if one.calls % rule.every == 0:
                one.done += 1
                return rule
        return None
