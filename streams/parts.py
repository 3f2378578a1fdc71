"""The parts of a source: its legs and its conversion names, counted beside the campaigns and never summed into them.

A leg (browser, server, backend, platform) counts every id that it reports, whatever the other legs said of it; a name
(purchase, add_to_cart) counts every id once, primary or not.  A part is counted from the first tick after its source
has shown a second of its kind: before, it would say what the source says.  Beside the legs stands the whole of them,
each id once, by which it is known how much a leg that dies takes away.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from detectors import deficit, lag, level, outage
from streams.columns import Columns, Spec
from streams.hours import HOURS
from streams.ids import seen
from streams.panes import NONE, PANE_MS

Ints = NDArray[np.int64]
Rows = NDArray[Any]

LEG, NAME, WHOLE = range(3)
FAMILY = (LEG, NAME, LEG)
"""With which kind each kind is judged together."""
KINDS = ("leg", "name")
LEGS = ("browser", "server", "backend", "platform")
MOST = 64
"""Parts of one kind that a source can have; names are any string, and what comes beyond is not watched."""
SEEN, EXPECTED = range(2)
"""Of an hour: conversions of the part, and those expected by its siblings."""
PARTS_WAITING = 3
"""Where, among the sizes of the panes, the number of waiting panes of parts stands."""

PARTS: Spec = {
    "source": (np.int64, (), NONE),
    "account": (np.int64, (), NONE),
    "kind": (np.int64, (), LEG),
    "leg": (np.int64, (), NONE),
    "primary": (np.int64, (), 0),
    "met": (np.int64, (), 0),
    "waits": (np.int64, (), NONE),
    "step": (np.int64, (3,), 0),
    "arrived": (np.float64, (2,), 0.0),
    "learned": (np.float64, (level.SPENT,), 0.0),
    "days": (np.float64, (), 0.0),
    "learned_ms": (np.int64, (), NONE),
    "count": (np.float64, (), 0.0),
    "expected": (np.float64, (), 0.0),
    "rate": (np.float64, (), 0.0),
    "sold_hour": (np.float64, (), 0.0),
    "fresh": (np.float64, (lag.COLUMNS,), 0.0),
    "delays": (np.float64, (lag.COLUMNS,), 0.0),
    "lag": (np.float64, (lag.STAGES,), 0.0),
    "exposed": (np.float64, (), 0.0),
    "sold": (np.float64, (), 0.0),
    "rate_a_day": (np.float64, (), 0.0),
    "beside": (np.float64, (), 0.0),
    "weight": (np.float64, (), 0.0),
    "phi": (np.float64, (), 1.5),
    "doubt": (np.float64, (), 0.02),
    "slopes": (np.float64, (deficit.GRID_SIZE, 2), 0.0),
    "deficit": (np.float64, (deficit.COLUMNS,), 0.0),
    "timer": (np.float64, (outage.COLUMNS,), 0.0),
    "mode": (np.int64, (), 0),
    "hot": (np.int64, (), 0),
    "ratio": (np.float64, (), 2.0),
    "taken": (np.float64, (), 0.0),
    "history": (np.float64, (HOURS, 2), 0.0),
    "history_hour": (np.int64, (), NONE),
}
"""``step`` and ``arrived``: conversions, those of them that came after their pane had closed, and (``step``, which is
in millionths) those of primary names; ``sold`` and ``sold_hour``: the latter, learned and of the running hour;
``delays`` and ``fresh``: of a name, from click to conversion, learned and waiting; ``exposed``: spend of the step as
the part sees it, delayed and seasonal; ``taken``: share of the source's conversions that the open alert of this part
takes away."""
PART_PANE: Spec = {"part": (np.int64, (), 0), "minute": (np.int64, (), 0), "count": (np.int64, (3,), 0)}


class Part(NamedTuple):
    """A part by its names; ``text`` is the leg or the conversion name, empty for the whole of the legs."""

    account: str
    source: str
    kind: int
    text: str


class PartTable:
    """The parts of all sources, and the families of those that can be held against each other.

    >>> parts = PartTable()
    >>> parts.part(Part("acme", "meta", LEG, "browser"), 0, 0), len(parts.families()[1])
    (0, 0)
    >>> parts.part(Part("acme", "meta", LEG, "server"), 0, 0), len(parts.families()[1])
    (1, 1)
    """

    def __init__(self) -> None:
        self.rows = Columns(PARTS)
        self.scopes: list[Part] = []
        self._found: dict[Part, int] = {}
        self._members: dict[tuple[int, int], list[int]] = {}
        self.legs = 0
        """How many sources have two legs or more."""
        self._told = 0
        self._order, self._spans = np.empty(0, np.int64), np.empty((0, 4), np.int64)

    def part(self, part: Part, source: int, account: int, primary: bool = False) -> int:
        """The row of a part, new or known; ``NONE`` where its source has too many."""
        found = self._found.get(part)
        if found is None:
            known = len(self._members.get((source, part.kind), []))
            if known >= MOST:
                return NONE
            found = self._add(part, source, account, primary)
            if part.kind == LEG and known == 1:
                self._add(part._replace(kind=WHOLE, text=""), source, account, False)
        return found

    def _add(self, part: Part, source: int, account: int, primary: bool) -> int:
        row = self.rows.add()
        leg = LEGS.index(part.text) if part.kind == LEG else NONE
        for name, number in (("source", source), ("account", account), ("kind", part.kind), ("leg", leg)):
            self.rows[name][row] = number
        self.rows["primary"][row] = primary
        self.scopes.append(part)
        self._learn(row)
        return row

    def _learn(self, row: int) -> None:
        self._found[self.scopes[row]] = row
        key = int(self.rows["source"][row]), int(self.rows["kind"][row])
        self.legs += key[1] == WHOLE
        self._members.setdefault(key, []).append(row)

    def index(self) -> None:
        """Rebuild the ways from parts to rows after the columns were restored."""
        for row in range(len(self.scopes)):
            self._learn(row)

    def whole(self, source: int) -> int:
        """The row of the whole of the legs of ``source``, or ``NONE``."""
        return self._members.get((source, WHOLE), [NONE])[0]

    def of_source(self, source: int) -> list[int]:
        """The legs and names of ``source``."""
        return [*self._members.get((source, LEG), []), *self._members.get((source, NAME), [])]

    def families(self) -> tuple[Ints, Ints]:
        """Rows by account, source, family and text; per family its source, kind, and where it begins and ends there.

        Only families with two members, legs before names; the whole stands behind its legs.
        """
        if self._told != len(self.scopes):
            self._told = len(self.scopes)
            of = {key: sorted(rows, key=self._rank) for key, rows in self._members.items() if key[1] != WHOLE}
            keys = sorted((key for key in of if len(of[key]) > 1), key=lambda key: self._rank(of[key][0]))
            groups = [of[key] + (self._members[key[0], WHOLE] if key[1] == LEG else []) for key in keys]
            ends = np.cumsum([len(group) for group in groups], dtype=np.int64)
            self._order = np.array([row for group in groups for row in group], np.int64)
            spans = [[*key, end - len(group), end] for key, group, end in zip(keys, groups, ends.tolist(), strict=True)]
            self._spans = np.array(spans, np.int64).reshape(len(spans), 4)
        return self._order, self._spans

    def _rank(self, row: int) -> Part:
        return self.scopes[row]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def count_parts(
    parts: Rows,
    waiting: Rows,
    sizes: Ints,
    sources: Rows,
    ids: Ints,
    used: Ints,
    leg: int,
    name: int,
    one: np.uint64,
    at_ms: int,
    oldest: int,
    amount: int,
    first: bool,
    primary: bool,
    lag_ms: int,
) -> None:
    """Count a conversion for its leg and its name; ``first``: no other leg has said its id ``one`` before.

    ``lag_ms``: since its click (-1: unknown).
    """
    sold = amount if primary else 0
    minute = at_ms // PANE_MS
    if leg >= 0:
        source = parts[leg].source
        if parts[leg].met == 0:
            parts[leg].met = 1
        whole = sources[source].whole
        if whole >= 0:
            late = (minute + 1) * PANE_MS <= sources[source].watermark_ms
            if not seen(ids, used, _of_leg(one, parts[leg].leg), at_ms // 3_600_000, oldest):
                _put(parts, waiting, sizes, leg, minute, amount, late, sold)
            if first:
                _put(parts, waiting, sizes, whole, minute, amount, late, sold)
    if name >= 0 and first:
        source = parts[name].source
        if parts[name].met == 0:
            parts[name].met = 1
        if sources[source].named:
            late = (minute + 1) * PANE_MS <= sources[source].watermark_ms
            _put(parts, waiting, sizes, name, minute, amount, late, sold)
            if lag_ms >= 0:
                parts[name].fresh[lag.delay_bin(lag_ms)] += 1.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _of_leg(one: np.uint64, leg: int) -> np.uint64:
    """The hash of an id as said by one leg; never 0, which stands for a free slot."""
    mixed = (one ^ (np.uint64(leg + 1) * np.uint64(0x9E37_79B9_7F4A_7C15))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed ^= mixed >> np.uint64(31)
    return mixed if mixed != 0 else np.uint64(1)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _put(parts: Rows, waiting: Rows, sizes: Ints, part: int, minute: int, amount: int, late: bool, sold: int) -> None:
    row = parts[part].waits
    if not (0 <= row < sizes[PARTS_WAITING] and waiting[row].part == part and waiting[row].minute == minute):
        row = sizes[PARTS_WAITING]
        sizes[PARTS_WAITING] = row + 1
        parts[part].waits = row
        waiting[row].part = part
        waiting[row].minute = minute
        waiting[row].count[:] = 0
    waiting[row].count[0] += amount
    if late:
        waiting[row].count[1] += amount
    waiting[row].count[2] += sold


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def close_parts(
    waiting: Rows, sizes: Ints, parts: Rows, sources: Rows, accounts: Rows, order: Ints, spans: Ints
) -> None:
    """Close every complete pane into its part's step; let sources that have shown a second part be counted by parts."""
    left = 0
    for i in range(sizes[PARTS_WAITING]):
        p = waiting[i].part
        if (waiting[i].minute + 1) * PANE_MS <= sources[parts[p].source].watermark_ms:
            for m in range(3):
                parts[p].step[m] += waiting[i].count[m]
            continue
        waiting[left].part = p
        waiting[left].minute = waiting[i].minute
        for m in range(3):
            waiting[left].count[m] = waiting[i].count[m]
        left += 1
    sizes[PARTS_WAITING] = left
    for span in spans:
        c = span[0]
        if sources[c].whole >= 0 if span[1] == LEG else sources[c].named:
            continue
        met = 0
        for p in order[span[2] : span[3]]:
            met += parts[p].met
        if met >= 2 and span[1] == LEG:
            sources[c].whole = order[span[3] - 1]
        elif met >= 2:
            sources[c].named = 1
            accounts[sources[c].account].named = 1
