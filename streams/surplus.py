"""Implausibly many conversions: said on the page, by default to nobody, and not learned from while it goes on.

A tag that fires twice, test orders, a promotion: what looks too good is seldom a better campaign.  Learned, it would
make the return to normal look like an incident.
"""

from __future__ import annotations

from alerts.change import AlertChange
from alerts.life import Life
from alerts.signal import Name
from detectors import deficit, level
from streams.history import History
from streams.modes import MODE_GOOD, UNUSUAL
from streams.placing import place_surplus
from streams.series import Registry
from streams.verdict import Verdicts

SHOWN = "good news is shown, not sent (detection.implausibly_good)"


class Surplus:
    """Opens and ends alerts of implausibly many conversions."""

    def __init__(self, registry: Registry, life: Life, told: bool) -> None:
        self._registry = registry
        self._life = life
        self._muted_by = None if told else SHOWN
        self._verdicts = Verdicts(registry)
        self._history = History(registry)

    def open(self, s: int, tick_ms: int) -> list[AlertChange]:
        """An alert of the scope that explains best what ``s`` found, unless one is open around it."""
        series = self._registry.series
        row = series["deficit"][s]
        onset_ms = int(row[deficit.FIRST + deficit.best_surplus(row) * deficit.PER_RATIO + deficit.ONSET])
        t = place_surplus(self._history, s, onset_ms, UNUSUAL)
        signal = self._verdicts.good_signal(t, tick_ms, onset_ms, float(deficit.surplus(row)))
        around = (t, s, *self._history.above(t))
        if deficit.surplus(row) <= 0.0 or any(series["mode"][one] & UNUSUAL for one in around):
            deficit.reset_surplus(row)
            return []
        series["mode"][t] |= MODE_GOOD
        series["good_ratio"][t] = max(min(signal.ratio, 0.8), 0.1)
        series["deficit"][t, deficit.RECOVERY] = 0.0
        self._clear(t, s)
        return [self._life.open(signal, self._muted_by)]

    def end(self, s: int, tick_ms: int, why: str) -> list[AlertChange]:
        """Back to normal, or overtaken by something worse."""
        if not self._registry.series["mode"][s] & MODE_GOOD:
            return []
        self._registry.series["mode"][s] &= ~MODE_GOOD
        self._clear(s, s)
        scope = self._registry.scope(s)
        if not self._life.is_open(Name.IMPLAUSIBLY_GOOD, scope):
            return []
        started_ms = self._life.started_ms(Name.IMPLAUSIBLY_GOOD, scope)
        return [self._life.resolve(self._verdicts.good_signal(s, tick_ms, started_ms or tick_ms, 0.0), why)]

    def _clear(self, t: int, s: int) -> None:
        for row in {t, s, *self._history.above(t), *self._history.below(t)}:
            deficit.reset_surplus(self._registry.series["deficit"][row])
            level.drop(self._registry.series["learned"][row])
