"""A pipeline that sums: whatever the road loses, doubles or reorders across a tick shows in what it says.

Alone, and beside the real one, so that one run of the road holds both against their replay.
"""

from __future__ import annotations

import json
import struct
from typing import Self

import numpy as np

from alerts.change import AlertChange, Severity, Turn, Window, rfc3339
from events.batch import NO_ORIGIN, Batch, Kind
from streams.outcome import Outcome
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings


class Summing:
    """Says the sum of every account's cost at each tick at which it has changed. Ids are not looked at."""

    every_ms = 60_000

    def __init__(self, settings: DetectionSettings) -> None:
        self.settings = settings
        self.cost: dict[str, int] = {}
        self.said: dict[str, int] = {}
        self.version: dict[str, int] = {}
        self.fence: dict[str, int] = {}
        self.tick_ms = -1

    def feed(self, batch: Batch) -> Outcome:
        outcome = Outcome()
        for row in range(len(batch)):
            if self._repeated(batch, row):
                continue
            if batch.kind[row] == Kind.TICK:
                self._tick(int(batch.at_ms[row]), outcome)
            else:
                account = batch.keys.rows[batch.key[row]].account
                self.cost[account] = self.cost.get(account, 0) + int(batch.cost_micros[row])
        return outcome

    def _repeated(self, batch: Batch, row: int) -> bool:
        if batch.origin is None or batch.origin_offset is None or batch.origin[row] == NO_ORIGIN:
            return False
        name, number = batch.origins[batch.origin[row]], int(batch.origin_offset[row])
        if number <= self.fence.get(name, -1):
            return True
        self.fence[name] = number
        return False

    def _tick(self, at_ms: int, outcome: Outcome) -> None:
        if at_ms <= self.tick_ms:
            return
        self.tick_ms = at_ms
        if at_ms % self.every_ms:
            return
        for account in sorted(self.cost):
            if self.cost[account] != self.said.get(account):
                self.said[account] = self.cost[account]
                self.version[account] = self.version.get(account, 0) + 1
                outcome.changes.append(_change(account, at_ms, self.cost[account], self.version[account]))

    def snapshot(self) -> bytes:
        return json.dumps([self.cost, self.said, self.version, self.fence, self.tick_ms]).encode()

    @classmethod
    def restore(cls, settings: DetectionSettings, data: bytes) -> Self:
        pipeline = cls(settings)
        pipeline.cost, pipeline.said, pipeline.version, pipeline.fence, pipeline.tick_ms = json.loads(data)
        return pipeline


class Both:
    """The real pipeline, and beside it the sums of every account, told once an hour."""

    class _Hourly(Summing):
        every_ms = 3_600_000

    def __init__(self, settings: DetectionSettings) -> None:
        self.real = Pipeline(settings)
        self.sums = self._Hourly(settings)

    def feed(self, batch: Batch) -> Outcome:
        outcome = self.real.feed(batch)
        outcome.changes += self.sums.feed(batch).changes
        return outcome

    def snapshot(self) -> bytes:
        sums = self.sums.snapshot()
        return struct.pack(">q", len(sums)) + sums + self.real.snapshot()

    @classmethod
    def restore(cls, settings: DetectionSettings, data: bytes) -> Self:
        both, end = cls(settings), 8 + struct.unpack_from(">q", data)[0]
        both.sums = cls._Hourly.restore(settings, data[8:end])
        both.real = Pipeline.restore(settings, data[end:])
        return both


def _change(account: str, at_ms: int, cost: int, version: int) -> AlertChange:
    at = rfc3339(at_ms)
    return AlertChange(
        alert_id=f"sum-{account}",
        change=Turn.WORSENED,
        version=version,
        signal="sum",
        severity=Severity.INFO,
        account=account,
        source=None,
        campaign=None,
        at=at,
        started_at=at,
        window=Window(**{"from": at, "to": at}),
        measure="cost_micros",
        observed=float(cost),
        expected=None,
        low=None,
        high=None,
        evidence=0.0,
        money_at_risk_micros=None,
        currency=None,
        cause=None,
        action="",
        muted_by=None,
    )


def lines_of(batch_rows: int, seed: int, accounts: int = 9) -> list[bytes]:
    """A seeded history: ``batch_rows`` deliveries over some hours, with duplicates, in order of time."""
    draw = np.random.default_rng(seed)
    at = 1_767_225_600_000 + np.sort(draw.integers(0, 6 * 3_600_000, batch_rows))
    lines = []
    for row in range(batch_rows):
        fact = {
            "fact": "delivery",
            "id": f"d{row}",
            "at": int(at[row]),
            "source": "meta",
            "account": f"account-{int(draw.integers(accounts))}",
            "campaign": f"c{int(draw.integers(20))}",
            "currency": "EUR",
            "cost_micros": int(draw.integers(1_000_000)),
            "impressions": 100,
            "clicks": 3,
        }
        lines.append(json.dumps(fact).encode())
    return lines
