"""What a shortfall of conversions is called: lost conversions (an outage) or dear clicks (a CPA spike).

Two stories are told of the same stretch.  An outage loses a share of all conversions from its onset on, whenever
their ads were clicked, and mostly loses nearly all.  Dear clicks lose a share of the conversions of clicks since the
onset, while older clicks convert as before, and seldom lose more than two thirds.  Each story is averaged over how
much may be lost, and the likelier one is told (a Bayes factor; dispersion divides the evidence).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.signal import Name
from detectors import lag
from streams.history import HOUR_MS, SHORT_MS, History
from streams.hours import CLICKED, DUE, EXPECTED, HOURS, KNOWN, SEEN

_OUTAGE_KEEPS = np.array([0.005, 0.05, 0.1, 0.2, 0.3, 0.5])
_OUTAGE_ODDS = np.array([0.45, 0.1, 0.1, 0.12, 0.1, 0.13])
_DEAR_KEEPS = np.array([0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.7])
_DEAR_ODDS = np.array([0.05, 0.1, 0.2, 0.2, 0.2, 0.15, 0.1])


OVER = 1.0
"""Nats that a story pays for being over already."""
EARLIER_MS = 2 * HOUR_MS
"""How far before the estimated onset a story may begin."""

Floats = NDArray[np.float64]
Part = tuple[Floats, Floats]
"""Conversions seen and expected; one number for each moment that a story may begin at."""
_NONE: Part = (np.zeros(1), np.zeros(1))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Conversions after the hour of an onset: of clicks since then, of that hour's, of older and of unknown clicks."""

    fresh: Part
    onset: Part
    old: Part
    unknown: Part

    @property
    def most(self) -> float:
        """Conversions expected in all after the earliest moment."""
        return float((self.fresh[1] + self.onset[1] + self.old[1] + self.unknown[1]).max())

    def over(self, phi: float) -> Stretch:
        """The same with its evidence divided by ``phi``."""
        return Stretch(*((part[0] / phi, part[1] / phi) for part in self._parts()))

    def ended(self) -> tuple[Stretch, Stretch] | None:
        """What dear clicks, and what lost conversions, have struck if they lasted from one moment to a later one.

        A row for every pair of moments; ``None`` where there is one moment only.
        """
        i, j = np.triu_indices(len(self.fresh[0]), 1)
        if len(i) == 0:
            return None
        none = (np.zeros(len(i)), np.zeros(len(i)))
        begun = [(part[0][i], part[1][i]) for part in self._parts()]
        later = [(part[0][j], part[1][j]) for part in self._parts()]
        fresh, onset, old, unknown = begun
        dear = Stretch(_less(fresh, later[0]), onset, old, _less(unknown, later[3]))
        return dear, Stretch(_less(_sum(begun), _sum(later)), none, none, none)

    @property
    def total(self) -> Part:
        """All conversions, whatever their clicks."""
        return _sum(self._parts())

    def at(self, i: int) -> Stretch:
        """The same from one moment on only, the one numbered ``i``."""
        return Stretch(*((seen[i : i + 1], expected[i : i + 1]) for seen, expected in self._parts()))

    def __add__(self, other: Stretch) -> Stretch:
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Stretch(*((mine[0] + its[0], mine[1] + its[1]) for mine, its in pairs))

    def _parts(self) -> tuple[Part, Part, Part, Part]:
        return self.fresh, self.onset, self.old, self.unknown


def _less(part: Part, other: Part) -> Part:
    return np.maximum(part[0] - other[0], 0.0), np.maximum(part[1] - other[1], 0.0)


def _sum(parts: Sequence[Part]) -> Part:
    return np.sum([seen for seen, _ in parts], axis=0), np.sum([expected for _, expected in parts], axis=0)


def name(history: History, s: int, onset_ms: int) -> Name:
    """The likelier story of the shortfall of ``s`` since ``onset_ms``."""
    return Name.CPA_SPIKE if dear_odds(history, s, onset_ms) > 0.0 else Name.TRACKING_OUTAGE


def stories(told: Stretch, fresh: float | None = None) -> dict[Name, float]:
    """Nats by which each story beats "nothing is lost"; each may begin when it fits best (``fresh``: see ``odds``)."""
    return _stories(_dear_nats(told, fresh), _lost_nats(told))


def stories_of(history: History, s: int, told: Stretch, onset_ms: int, newest: int) -> dict[Name, float]:
    """:func:`stories` of a scope; where its own tests hold it to be struck for some hours only, to the minute, too.

    ``told``: :func:`stretches` from ``onset_ms`` to ``newest``, its evidence divided.  What came between the minute of
    the onset and the end of its hour is told by how many arrive at all, what came later by its clicks.
    """
    hourly = stories(told)
    seen, expected, from_ms = history.run(s, onset_ms)
    hour = from_ms // HOUR_MS
    i = hour - _first(onset_ms, newest)
    if i < 0 or not history.holds(s) or history.end_ms(s) - from_ms >= SHORT_MS:
        return hourly
    phi = history.phi(s, expected)
    later = told.at(i) if i < len(told.fresh[0]) else Stretch(_NONE, _NONE, _NONE, _NONE)
    rest = Stretch(_NONE, _NONE, _NONE, _less(_part(seen / phi, expected / phi), later.total))
    rest_ms = max(min(history.end_ms(s), (hour + 1) * HOUR_MS) - from_ms, 1)
    fresh = lag.matured(_delays(history, s), 0.0, rest_ms)
    sudden = _stories(_dear_nats(later, None) + _dear_nats(rest, fresh), _lost_nats(later) + _lost_nats(rest))
    return {name: max(hourly[name], sudden[name]) for name in hourly}


def _stories(dear: Floats, lost: Floats) -> dict[Name, float]:
    return {
        Name.CPA_SPIKE: float(_average(dear, _DEAR_ODDS).max()),
        Name.TRACKING_OUTAGE: float(_average(lost, _OUTAGE_ODDS).max()),
    }


def dear_odds(history: History, s: int, onset_ms: int) -> float:
    """Log odds of dear clicks against lost conversions; each story may begin when it fits best."""
    if history.end_ms(s) - onset_ms < SHORT_MS:
        return _short_odds(history, s, onset_ms)
    told = stretches(history, s, onset_ms, (history.end_ms(s) - 1) // HOUR_MS)
    return odds(told.over(history.phi(s, told.most)))


def settled_odds(history: History, s: int, onset_ms: int) -> float:
    """:func:`dear_odds` where either story may be over by now; 0.0 where that one is the likeliest of all.

    After an outage everything arrives, as it does of old clicks while clicks are dear; that must not speak for those.
    """
    if history.end_ms(s) - onset_ms < SHORT_MS:
        return _short_odds(history, s, onset_ms)
    told = stretches(history, s, onset_ms, (history.end_ms(s) - 1) // HOUR_MS)
    return odds_by_now(told.over(history.phi(s, told.most)))


def odds_by_now(told: Stretch) -> float:
    """Log odds of dear clicks against lost conversions, each going on or over; 0.0 where it is over.

    >>> none = (np.zeros(3), np.zeros(3))
    >>> lost_for_two_hours = (np.array([10.0, 10.0, 10.0]), np.array([30.0, 20.0, 10.0]))
    >>> odds_by_now(Stretch(none, none, lost_for_two_hours, none))
    0.0
    """
    going_on, over = stories(told), told.ended()
    dear, lost = going_on[Name.CPA_SPIKE], going_on[Name.TRACKING_OUTAGE]
    if over is None:
        return dear - lost
    dear_over = stories(over[0])[Name.CPA_SPIKE] - OVER
    lost_over = stories(over[1])[Name.TRACKING_OUTAGE] - OVER
    if max(dear_over, lost_over) > max(dear, lost):
        return 0.0
    return max(dear, dear_over) - max(lost, lost_over)


def _short_odds(history: History, s: int, onset_ms: int) -> float:
    """The odds from how many arrive at all, to the minute: dear clicks cannot stop what was clicked before."""
    seen, expected, from_ms = history.run(s, onset_ms)
    told = Stretch(_NONE, _NONE, _NONE, _part(seen, expected)).over(history.phi(s, expected))
    return odds(told, lag.matured(_delays(history, s), 0.0, max(history.end_ms(s) - from_ms, 1)))


def odds(told: Stretch, fresh: float | None = None) -> float:
    """Log odds of dear clicks against lost conversions; ``fresh``: share of unknown clicks that came after the onset.

    >>> none = (np.zeros(1), np.zeros(1))
    >>> part = lambda seen, expected: (np.array([float(seen)]), np.array([float(expected)]))
    >>> round(odds(Stretch(part(2, 20), none, part(9, 10), none)), 1)
    4.8
    >>> round(odds(Stretch(part(0, 20), none, part(0, 10), none)), 1)
    -15.5
    """
    found = stories(told, fresh)
    return found[Name.CPA_SPIKE] - found[Name.TRACKING_OUTAGE]


def stretches(history: History, s: int, onset_ms: int, newest: int) -> Stretch:
    """What came after the hour of the onset, were it ``EARLIER_MS`` before ``onset_ms`` or any hour to ``newest``."""
    end_ms = history.end_ms(s)
    first = _first(onset_ms, newest)
    cells = history.hours(s, first, newest)
    begins = np.minimum(np.arange(first, newest + 1) * HOUR_MS, end_ms)
    ends = np.minimum(begins + HOUR_MS, end_ms)
    delays = _delays(history, s)
    by_now = lag.shares(delays, (end_ms - ends).astype(float), (ends - begins).astype(float))
    at_once = float(lag.matured(delays, 0.0, float(HOUR_MS)))
    later = np.maximum(by_now - at_once, 0.0)
    clicked, due, known = cells[:, CLICKED] / 1e6, cells[:, DUE], _known_share(history, s)
    fresh = (_after(clicked), _after(due * by_now))
    onset = ((clicked * later / np.maximum(by_now, 1e-9))[:-1], (due * later)[:-1])
    arrived, expected = (_after(cells[:, SEEN]), _after(cells[:, EXPECTED]))
    told = _after(cells[:, KNOWN])
    if due.sum() <= 0.0:
        none = (np.zeros(len(arrived)), np.zeros(len(arrived)))
        return Stretch((arrived, expected), none, none, none)
    old = (np.maximum(told - fresh[0] - onset[0], 0.0), np.maximum(expected * known - fresh[1] - onset[1], 0.0))
    return Stretch(fresh, onset, old, (np.maximum(arrived - told, 0.0), expected * (1.0 - known)))


def _first(onset_ms: int, newest: int) -> int:
    """The first hour that a story may begin at the end of."""
    return min(max((onset_ms - EARLIER_MS) // HOUR_MS, newest - HOURS + 1), newest - 1)


def _after(column: Floats) -> Floats:
    """For every hour but the last, the sum of what lies after it."""
    return np.cumsum(column[::-1])[::-1][1:]


def _part(seen: float, expected: float) -> Part:
    return np.array([seen]), np.array([expected])


def _delays(history: History, s: int) -> Floats:
    registry = history.registry
    source = int(registry.series["source"][s])
    below: Floats = (
        registry.sources["settled"][source]
        if source >= 0
        else registry.accounts["below"][int(registry.series["account"][s])]
    )
    return below


def _known_share(history: History, s: int) -> float:
    """Share of conversions that usually say when their click was, of the source or of all in the account."""
    registry = history.registry
    source, account = int(registry.series["source"][s]), int(registry.series["account"][s])
    rows = registry.sources.rows[registry.sources["account"] == account if source < 0 else [source]]
    return float(rows["known"].sum() / max(rows["arrived"].sum(), 1e-9))


def _dear_nats(told: Stretch, fresh: float | None) -> Floats:
    """Log likelihood of dear clicks, by how dear."""
    share = told.fresh[1] / np.maximum(told.fresh[1] + told.old[1], 1e-9) if fresh is None else np.array([fresh])
    nats = _nats(told.fresh, _DEAR_KEEPS) + _nats(told.old, np.ones(1))
    nats = nats + _nats(told.onset, (1.0 + _DEAR_KEEPS) / 2.0)
    found: Floats = nats + _nats(told.unknown, 1.0 - share[:, None] * (1.0 - _DEAR_KEEPS))
    return found


def _lost_nats(told: Stretch) -> Floats:
    """Log likelihood of lost conversions, by how many are lost."""
    return _nats(told.total, _OUTAGE_KEEPS)


def _nats(part: Part, keeps: Floats) -> Floats:
    """Poisson log likelihood of what was seen with ``expected * keeps`` due, less that of nothing lost."""
    return part[0][:, None] * np.log(keeps) + part[1][:, None] * (1.0 - keeps)


def _average(nats: Floats, prior: Floats) -> Floats:
    most = nats.max(axis=1)
    found: Floats = most + np.log((np.exp(nats - most[:, None]) * prior).sum(axis=1))
    return found
