"""The right name, as far as anybody can know it when an alert is told: a namer who knows every rate.

It is given the conversions of one account until the alert, with the times of their clicks, and knows how many are due,
how late they come, which cases there are and that the onset may lie in any interval of the day watched, all alike
beforehand.  It says the likelier name; over the cases together nobody errs less (Bayes).  Conversions are a Poisson
process over click and arrival: an outage that loses a share ``l`` from ``t`` on thins what arrives since ``t``, clicks
``r`` times as dear thin what was clicked since ``t``, so the log likelihood ratios against nothing are
``n ln(1 - l) + l due`` and ``n ln(1 / r) + (1 - 1 / r) due`` with what came and what was due of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.bounds.drawing import HOUR_MS, Ints
from benchmarks.bounds.theory import Floats, brought
from events.batch import Batch, Kind


@dataclass(frozen=True, slots=True)
class Arrived:
    """Conversions of all accounts: whose, when they arrived, when their clicks were."""

    account: Ints
    at_ms: Ints
    clicked_ms: Ints

    @classmethod
    def of(cls, batches: Sequence[Batch]) -> Arrived:
        """Those of batches that a fleet of one campaign an account drew."""
        told = [(b.key[i] // 2, b.at_ms[i], b.at_ms[i] - b.lag_ms[i]) for b in batches for i in [_conversions(b)]]
        return cls(*(np.concatenate([one[c] for one in told]).astype(np.int64) for c in range(3)))

    def until(self, account: int, at_ms: int) -> tuple[Ints, Ints]:
        """Arrivals and clicks of an account up to a moment."""
        mine = (self.account == account) & (self.at_ms < at_ms)
        return self.at_ms[mine], self.clicked_ms[mine]


def _conversions(batch: Batch) -> Ints:
    return np.flatnonzero(batch.kind == Kind.CONVERSION)


@dataclass(frozen=True, slots=True)
class Namer:
    """Knows the conversions an hour, the lag's ``stretch``, the ratios of dear clicks and the shares of outages.

    >>> namer = Namer(10.0, 0.2, (2.0,), (1.0,), np.arange(0, 8) * HOUR_MS)
    >>> nothing = np.empty(0, np.int64)
    >>> namer.dear_odds(nothing, nothing, 9 * HOUR_MS) < 0.0
    True
    """

    rate: float
    stretch: float
    ratios: tuple[float, ...]
    losses: tuple[float, ...]
    onsets_ms: Ints

    def dear_odds(self, at_ms: Ints, clicked_ms: Ints, until_ms: int) -> float:
        """Log odds of dear clicks against an outage, given what arrived ``until_ms``."""
        onsets = self.onsets_ms[self.onsets_ms < until_ms]
        hours = (until_ms - onsets) / HOUR_MS
        came, due = _since(at_ms, onsets), self.rate * hours
        clicked, matured = _since(clicked_ms, onsets), self.rate * brought(hours, self.stretch)
        lost = [_thinned(came, due, 1.0 - share) for share in self.losses]
        dear = [_thinned(clicked, matured, 1.0 / ratio) for ratio in self.ratios]
        return float(np.logaddexp.reduce(np.concatenate(dear)) - np.logaddexp.reduce(np.concatenate(lost)))


def _since(moments_ms: Ints, onsets_ms: Ints) -> Floats:
    """How many moments lie at or after each onset."""
    return np.asarray(len(moments_ms) - np.searchsorted(np.sort(moments_ms), onsets_ms), float)


def _thinned(seen: Floats, due: Floats, kept: float) -> Floats:
    """Log likelihood ratio of ``seen`` where a share ``kept`` of ``due`` comes."""
    if kept == 0.0:
        return np.where(seen > 0.0, -np.inf, due)
    return seen * np.log(kept) + (1.0 - kept) * due
