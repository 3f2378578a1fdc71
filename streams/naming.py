"""What a shortfall of conversions is called: lost conversions (an outage) or dear clicks (a CPA spike).

Two stories are told of the same stretch.  An outage loses a share of all conversions from its onset on, whenever
their ads were clicked, and mostly loses nearly all.  Dear clicks lose a share of the conversions of clicks since the
onset, while older clicks convert as before, and seldom lose more than two thirds.  Each story is averaged over how
much may be lost, and the likelier one is told (a Bayes factor; dispersion divides the evidence).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.signal import Name
from detectors import cohort
from streams.history import HOUR_MS, History
from streams.hours import CLICKED, DUE, EXPECTED, HOURS, KNOWN, SEEN

_OUTAGE_KEEPS = np.array([0.005, 0.05, 0.1, 0.2, 0.3, 0.5])
_OUTAGE_ODDS = np.array([0.5, 0.12, 0.12, 0.12, 0.08, 0.06])
_DEAR_KEEPS = np.array([0.2, 0.25, 0.33, 0.4, 0.5, 0.6, 0.7])
_DEAR_ODDS = np.array([0.05, 0.1, 0.2, 0.2, 0.2, 0.15, 0.1])


SHORT_MS = 3 * HOUR_MS
"""Younger shortfalls are told by the minute, as their hours are half healthy; older ones by click cohorts."""
EARLIER_MS = 2 * HOUR_MS
"""How far before the estimated onset a story may begin."""

Part = tuple[float, float]
"""Conversions seen and expected."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Conversions after the hour of an onset: of clicks since then, of that hour's, of older and of unknown clicks."""

    fresh: Part
    onset: Part
    old: Part
    unknown: Part


def name(history: History, s: int, onset_ms: int) -> Name:
    """The likelier story of the shortfall of ``s`` since ``onset_ms``."""
    return Name.CPA_SPIKE if dear_odds(history, s, onset_ms) > 0.0 else Name.TRACKING_OUTAGE


def dear_odds(history: History, s: int, onset_ms: int) -> float:
    """Log odds of dear clicks against lost conversions; each story may begin when it fits best."""
    end_ms = history.end_ms(s)
    if end_ms - onset_ms < SHORT_MS:
        return _short_odds(history, s, onset_ms)
    told = [stretch(history, s, begin_ms) for begin_ms in range(onset_ms - EARLIER_MS, end_ms, HOUR_MS)]
    phi = history.phi(s, max(one.fresh[1] + one.old[1] for one in told))
    return max(_dear(one, phi) for one in told) - max(_outage(one, phi) for one in told)


def _short_odds(history: History, s: int, onset_ms: int) -> float:
    """The odds from how many arrive at all, to the minute: dear clicks cannot stop what was clicked before."""
    seen, expected, from_ms = history.run(s, onset_ms)
    delays = history.registry.accounts["delays"][int(history.registry.series["account"][s])]
    told = Stretch((0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (seen, expected))
    fresh = float(cohort.matured(delays, 0.0, max(history.end_ms(s) - from_ms, 1)))
    phi = history.phi(s, expected)
    return odds(told, phi, fresh)


def odds(told: Stretch, phi: float, fresh: float | None = None) -> float:
    """Log odds of dear clicks against lost conversions in one stretch; ``fresh``: see :func:`_dear`.

    >>> round(odds(Stretch((2, 20), (0, 0), (9, 10), (0, 0)), 1.0), 1)
    5.1
    >>> round(odds(Stretch((0, 20), (0, 0), (0, 10), (0, 0)), 1.0), 1)
    -15.5
    """
    return _dear(told, phi, fresh) - _outage(told, phi)


def stretch(history: History, s: int, onset_ms: int) -> Stretch:
    """The kinds of conversions of ``s`` after the hour of the onset, or in it where no other is over."""
    end_ms = history.end_ms(s)
    delays = history.registry.accounts["delays"][int(history.registry.series["account"][s])]
    newest, first = (end_ms - 1) // HOUR_MS, onset_ms // HOUR_MS + 1
    if first * HOUR_MS + HOUR_MS > end_ms:
        first -= 1
    hours = range(max(first, newest - HOURS + 1), newest + 1)
    cells = np.array([history.hour(s, hour) for hour in hours])
    share = np.array([_share(delays, hour, end_ms) for hour in hours])
    sums: NDArray[np.float64] = cells.sum(axis=0)
    fresh = (float(sums[CLICKED]) / 1e6, float((cells[:, DUE] * share).sum()))
    if fresh[1] <= 0.0:
        return Stretch((float(sums[SEEN]), float(sums[EXPECTED])), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0))
    onset = _onset(history.hour(s, hours[0] - 1), delays, hours[0] - 1, end_ms)
    known = _known_share(history, s)
    unknown = (max(float(sums[SEEN] - sums[KNOWN]), 0.0), float(sums[EXPECTED]) * (1.0 - known))
    seen = float(sums[KNOWN]) - fresh[0] - onset[0]
    return Stretch(fresh, onset, (max(seen, 0.0), max(sums[EXPECTED] * known - fresh[1] - onset[1], 0.0)), unknown)


def _onset(cell: NDArray[np.float64], delays: NDArray[np.float64], hour: int, end_ms: int) -> Part:
    """What the clicks of the onset's hour brought after it."""
    by_now, at_once = _share(delays, hour, end_ms), _share(delays, hour, (hour + 1) * HOUR_MS)
    later = (by_now - at_once) / by_now if by_now > 0.0 else 0.0
    return float(cell[CLICKED]) / 1e6 * later, float(cell[DUE]) * (by_now - at_once)


def _known_share(history: History, s: int) -> float:
    """Share of conversions that usually say when their click was, of the source or of all in the account."""
    registry = history.registry
    source, account = int(registry.series["source"][s]), int(registry.series["account"][s])
    rows = registry.sources.rows[registry.sources["account"] == account if source < 0 else [source]]
    return float(rows["known"].sum() / max(rows["arrived"].sum(), 1e-9))


def _share(delays: NDArray[np.float64], hour: int, end_ms: int) -> float:
    begins, ends = hour * HOUR_MS, min((hour + 1) * HOUR_MS, end_ms)
    return float(cohort.matured(delays, end_ms - ends, ends - begins))


def _dear(told: Stretch, phi: float, fresh: float | None = None) -> float:
    """Log likelihood of dear clicks, averaged over how dear; ``fresh``: share of unknown clicks since the onset."""
    fresh = told.fresh[1] / max(told.fresh[1] + told.old[1], 1e-9) if fresh is None else fresh
    nats = _nats(*told.fresh, _DEAR_KEEPS) + _nats(*told.old, np.ones(1))
    nats = nats + _nats(*told.onset, (1.0 + _DEAR_KEEPS) / 2.0)
    nats = nats + _nats(*told.unknown, 1.0 - fresh * (1.0 - _DEAR_KEEPS))
    return _average(nats / phi, _DEAR_ODDS)


def _outage(told: Stretch, phi: float) -> float:
    """Log likelihood of lost conversions, averaged over how many are lost."""
    nats = sum(_nats(*part, _OUTAGE_KEEPS) for part in (told.fresh, told.onset, told.old, told.unknown))
    return _average(np.asarray(nats) / phi, _OUTAGE_ODDS)


def _nats(seen: float, expected: float, keeps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poisson log likelihood of ``seen`` with ``expected * keeps`` due, less that of nothing lost."""
    told: NDArray[np.float64] = seen * np.log(keeps) + expected * (1.0 - keeps)
    return told


def _average(nats: NDArray[np.float64], odds: NDArray[np.float64]) -> float:
    most = float(nats.max())
    return most + math.log(float((np.exp(nats - most) * odds).sum()))
