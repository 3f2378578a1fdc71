"""Which series there are: campaigns under sources under accounts, each with a row in the columns of state."""

from __future__ import annotations

from bisect import insort
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors import basket, cohort, deficit, drift, lag, level, outage, ripening, roas, season
from events.batch import Key
from streams import hours, limits
from streams.columns import Columns, Spec
from streams.panes import MEASURES, NONE, WINDOWS_MIN
from streams.parts import PartTable

LEAF, SOURCE, ACCOUNT = range(3)


class Scope(NamedTuple):
    """What an alert speaks of; ``None`` where it is wider."""

    account: str
    source: str | None = None
    campaign: str | None = None


SERIES: Spec = {
    "parent": (np.int64, (), NONE),
    "source": (np.int64, (), NONE),
    "account": (np.int64, (), NONE),
    "level": (np.int64, (), LEAF),
    "unassigned": (np.int64, (), 0),
    "step": (np.int64, (MEASURES,), 0),
    "total": (np.int64, (MEASURES,), 0),
    "waits": (np.int64, (), NONE),
    "latest": (np.int64, (), NONE),
    "learned": (np.float64, (level.COLUMNS,), 0.0),
    "deficit": (np.float64, (deficit.COLUMNS,), 0.0),
    "cohort": (np.float64, (cohort.COLUMNS,), 0.0),
    "since_hour": (np.int64, (), 0),
    "timer": (np.float64, (outage.COLUMNS,), 0.0),
    "basket": (np.float64, (basket.COLUMNS,), 0.0),
    "roas": (np.float64, (roas.COLUMNS,), 0.0),
    "mode": (np.int64, (), 0),
    "hot": (np.int64, (), 0),
    "ratio": (np.float64, (), 2.0),
    "suspected": (np.int64, (), 0),
    "share": (np.float64, (), 0.0),
    "good_ratio": (np.float64, (), 0.5),
    "basket_ratio": (np.float64, (), 1.6),
    "recovered": (np.float64, (), 0.0),
    "restless": (np.float64, (), 0.0),
    "pooled": (np.float64, (), 0.0),
    "target_cpa": (np.float64, (), 0.0),
    "target_roas": (np.float64, (), 0.0),
    "day": (np.float64, (drift.DAY_COLUMNS,), 0.0),
    "phi": (np.float64, (), 1.5),
    "doubt": (np.float64, (), 0.02),
    "mood": (np.float64, (), drift.MOOD_PRIOR),
    "slopes": (np.float64, (deficit.GRID_SIZE, 2), 0.0),
    "alive": (np.int64, (), 0),
    "quiet_days": (np.float64, (), np.inf),
    "limits": (np.float64, (limits.COLUMNS,), 0.0),
    "suspicious": (np.float64, (limits.TESTS,), np.inf),
    "rate_a_day": (np.float64, (), 0.0),
    "history": (np.float64, (hours.HOURS, hours.COLUMNS), 0.0),
    "history_hour": (np.int64, (), NONE),
    "usual": (np.float64, (3,), 0.0),
    "exposure": (np.float64, (), 0.0),
    "paid_ms": (np.int64, (), NONE),
    "gap_ms": (np.float64, (), 0.0),
    "apart": (np.float64, (), 0.0),
    "owed": (np.float64, (), 0.0),
    "pace": (np.float64, (), 0.0),
    "count": (np.float64, (), 0.0),
    "expected": (np.float64, (), 0.0),
    "baskets": (np.float64, (), 0.0),
    "basket_off": (np.float64, (), 0.0),
}
"""``paid_ms``: end of the last step with spend; ``gap_ms``: time between two of them; ``apart``: share of conversions
that came in steps without spend; ``owed``: spend that was told and has not worked yet, ``pace``: of it, per ms."""
SOURCES: Spec = {
    "series": (np.int64, (), NONE),
    "account": (np.int64, (), NONE),
    "newest_ms": (np.int64, (), NONE),
    "declared_ms": (np.int64, (), NONE),
    "watermark_ms": (np.int64, (), NONE),
    "judged_ms": (np.int64, (), NONE),
    "first_ms": (np.int64, (), NONE),
    "entire_ms": (np.int64, (), NONE),
    "learned_ms": (np.int64, (), NONE),
    "spending_ms": (np.int64, (), NONE),
    "dt_ms": (np.float64, (), 0.0),
    "arrived": (np.float64, (), 0.0),
    "known": (np.float64, (), 0.0),
    "fresh": (np.float64, (lag.COLUMNS,), 0.0),
    "delays": (np.float64, (lag.COLUMNS,), 0.0),
    "ripened": (np.float64, (ripening.GROUPS,), 0.0),
    "ripe": (np.float64, (ripening.COLUMNS,), 0.0),
    "lag": (np.float64, (lag.STAGES,), 0.0),
    "below": (np.float64, (lag.BINS,), 1.0),
    "settled": (np.float64, (lag.BINS,), 1.0),
    "head": (np.int64, (), NONE),
    "tail": (np.int64, (), NONE),
    "first": (np.int64, (len(WINDOWS_MIN),), NONE),
    "whole": (np.int64, (), NONE),
    "named": (np.int64, (), 0),
    "struck": (np.int64, (), 0),
    "sound": (np.int64, (), 0),
    "taken": (np.float64, (), 0.0),
    "stages": (np.float64, (lag.STAGES,), 0.0),
}
"""``entire_ms``: since when all that its clicks bring is counted: it was first seen, or its last alert ended, then;
``spending_ms``: when its first campaign began to spend;
``fresh``: delays that wait to be learned; ``ripened``: what arrived in the running hour, by age of the clicks;
``below``: shares arrived, by age; ``settled``: the same as remembered, whatever the last days say: an incident says
something, too; ``whole``: the part in which all legs are counted once, from when there are two;
``named``: whether names are counted; ``struck`` and ``sound``: modes of its campaigns, and whether one of them is out
of alert, at the last judging; ``taken``: share of its conversions that open alerts of its parts take away;
``stages``: spend of the step as every stage of a lag would bring it, where names are counted."""
ACCOUNTS: Spec = {
    "series": (np.int64, (), NONE),
    "offset_ms": (np.int64, (2,), 0),
    "turn_ms": (np.int64, (), NONE),
    "season": (np.float64, (season.COLUMNS,), 0.0),
    "factor": (np.float64, (season.HOURS,), 1.0),
    "drift": (np.float64, (drift.COLUMNS,), 0.0),
    "delays": (np.float64, (lag.COLUMNS,), 0.0),
    "lag": (np.float64, (lag.STAGES,), 0.0),
    "below": (np.float64, (lag.BINS,), 1.0),
    "watermark_ms": (np.int64, (), NONE),
    "first_ms": (np.int64, (), NONE),
    "learned_ms": (np.int64, (), NONE),
    "judged_ms": (np.int64, (), NONE),
    "dt_ms": (np.float64, (), 0.0),
    "parts": (np.float64, (), 0.0),
    "named": (np.int64, (), 0),
    "stages": (np.float64, (lag.STAGES,), 0.0),
}


class Registry:
    """The tables of series, sources and accounts, and the way from a key to its series."""

    def __init__(self) -> None:
        self.series = Columns(SERIES)
        self.sources = Columns(SOURCES)
        self.accounts = Columns(ACCOUNTS)
        self.parts = PartTable()
        self.windows = np.zeros((len(WINDOWS_MIN), 64, MEASURES), np.int64)
        self.order = np.empty(0, np.int64)
        self.spans = np.empty((0, 3), np.int64)
        self.scopes: list[tuple[str, str | None, str | None]] = []
        self._ranked: list[tuple[tuple[str, bool, str, int, str], int]] = []
        self.currencies: list[str | None] = []
        self.zones: list[str | None] = []
        """Time zone of each account, where settings or snapshots name one."""
        self._leaves: dict[tuple[str, str, str | None], int] = {}
        self._sources: dict[tuple[str, str], int] = {}
        self._accounts: dict[str, int] = {}

    def account(self, name: str) -> int:
        """The account's number, new or known."""
        found = self._accounts.get(name)
        if found is None:
            found = self._accounts[name] = self.accounts.add()
            self.currencies.append(None)
            self.zones.append(None)
            self.accounts["series"][found] = self._series(Scope(name), ACCOUNT, NONE, NONE, found)
        return found

    def source(self, account: str, name: str) -> int:
        """The source's number, new or known."""
        found = self._sources.get((account, name))
        if found is None:
            owner = self.account(account)
            found = self._sources[account, name] = self.sources.add()
            self.sources["account"][found] = owner
            self.sources["lag"][found] = np.eye(lag.STAGES)[0]
            parent = int(self.accounts["series"][owner])
            self.sources["series"][found] = self._series(Scope(account, name), SOURCE, parent, found, owner)
        return found

    def leaf(self, key: Key) -> int:
        """The series that facts of ``key`` are summed in."""
        assert key.source is not None
        found = self._leaves.get((key.account, key.source, key.campaign))
        if found is None:
            source = self.source(key.account, key.source)
            owner = int(self.sources["account"][source])
            parent = int(self.sources["series"][source])
            found = self._series(Scope(key.account, key.source, key.campaign), LEAF, parent, source, owner)
            self.series["unassigned"][found] = key.campaign is None
            self._leaves[key.account, key.source, key.campaign] = found
        return found

    def in_order(self) -> NDArray[np.int64]:
        """The series by account, source and campaign; wider scopes after what is in them."""
        if len(self.order) != len(self.scopes):
            for row in range(len(self.order), len(self.scopes)):
                insort(self._ranked, (self._rank(row), row))
            self.order = np.fromiter((row for _, row in self._ranked), np.int64, len(self._ranked))
            owner = self.series["account"][self.order]
            edges = np.flatnonzero(np.diff(owner, prepend=-1, append=-1))
            self.spans = np.stack([owner[edges[:-1]], edges[:-1], edges[1:]], axis=1)
        return self.order

    def _rank(self, row: int) -> tuple[str, bool, str, int, str]:
        account, source, campaign = self.scopes[row]
        return account, source is None, source or "", int(self.series["level"][row]), campaign or ""

    def scope(self, series: int) -> Scope:
        """What the series speaks of."""
        return Scope(*self.scopes[series])

    def _series(self, scope: Scope, kind: int, parent: int, source: int, account: int) -> int:
        row = self.series.add()
        for name, number in (("parent", parent), ("source", source), ("account", account), ("level", kind)):
            self.series[name][row] = number
        self.scopes.append((scope.account, scope.source, scope.campaign))
        if row >= self.windows.shape[1]:
            self.windows = np.concatenate([self.windows, np.zeros_like(self.windows)], axis=1)
        return row

    def index(self) -> None:
        """Rebuild the ways from keys to rows after the columns were restored."""
        self.parts.index()
        for row, (account, source, campaign) in enumerate(self.scopes):
            kind = self.series["level"][row]
            if kind == ACCOUNT:
                self._accounts[account] = int(self.series["account"][row])
            elif kind == SOURCE and source is not None:
                self._sources[account, source] = int(self.series["source"][row])
            elif source is not None:
                self._leaves[account, source, campaign] = row
