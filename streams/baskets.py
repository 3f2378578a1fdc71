"""A drop of return on ad spend: smaller baskets, or fewer conversions and smaller baskets together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alerts.change import AlertChange
from alerts.life import Life
from alerts.signal import Name, Signal
from detectors import basket, roas
from streams import ending
from streams.history import History
from streams.modes import MODE_BOTH, MODE_ROAS
from streams.placing import place_baskets
from streams.series import Registry
from streams.verdict import Verdicts

MILDEST, WORST = 1.35, 2.0
"""The range of ratios that the end of an alert is judged against (``ending.eased``)."""


class Baskets:
    """Opens and ends alerts of ``roas_drop``."""

    def __init__(
        self, registry: Registry, life: Life, replaced: frozenset[str], muted: Callable[[Signal], str | None]
    ) -> None:
        self._registry = registry
        self._life = life
        self._replaced = replaced
        self._muted = muted
        self._verdicts = Verdicts(registry)
        self._history = History(registry)

    def open(self, s: int, tick_ms: int, *, together: bool) -> list[AlertChange]:
        """An alert of the scope that explains best what ``s`` found; ``together`` with counts or by baskets alone."""
        series = self._registry.series
        if basket.evidence(series["basket"][s]) <= 0.0 and series["roas"][s, roas.EVIDENCE] <= 0.0:
            return []  # another alert of this very tick has accounted for it
        onset_ms = int(series["roas"][s, roas.ONSET]) if together else self._verdicts.basket_onset_ms(s)
        t = place_baskets(self._history, s, onset_ms, MODE_ROAS)
        found, signal = (self._told(row, tick_ms, onset_ms, together) for row in (s, t))
        signal = replace(signal, evidence=max(found.evidence, signal.evidence))
        known = self._life.is_open(signal.name, signal.scope) or signal.name in self._replaced
        if known or any(series["mode"][row] & MODE_ROAS for row in (t, *self._history.above(t))):
            self._forget(s)
            return []
        change = self._life.open(signal, self._muted(signal))
        series["mode"][t] |= MODE_ROAS | (MODE_BOTH if together else 0)
        series["basket_ratio"][t] = MILDEST if together else ending.eased(signal.ratio, MILDEST, WORST)
        for row in {s, t, *self._history.above(t), *self._history.below(t)}:
            self._forget(row)
            basket.drop(series["basket"][row])
        return [change]

    def end(self, s: int, figures: Signal, why: str) -> list[AlertChange]:
        """Back to normal, or not to be waited for."""
        changes = []
        if self._life.is_open(Name.ROAS_DROP, self._registry.scope(s)):
            changes.append(self._life.resolve(figures, why))
        self._registry.series["mode"][s] &= ~(MODE_ROAS | MODE_BOTH)
        self._forget(s)
        return changes

    def figures(self, s: int, tick_ms: int, from_ms: int) -> Signal:
        """What an open alert has to say of the time since ``from_ms``."""
        together = bool(self._registry.series["mode"][s] & MODE_BOTH)
        return self._told(s, tick_ms, from_ms, together)

    def _told(self, s: int, tick_ms: int, from_ms: int, together: bool) -> Signal:
        tell = self._verdicts.both_signal if together else self._verdicts.basket_signal
        return tell(s, tick_ms, from_ms)

    def _forget(self, row: int) -> None:
        basket.reset(self._registry.series["basket"][row])
        self._registry.series["roas"][row] = 0.0
