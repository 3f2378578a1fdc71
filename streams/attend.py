"""What wants attention at a tick becomes changes of alerts; the columns are told which scopes are in an incident."""

from __future__ import annotations

from dataclasses import replace

from alerts.change import AlertChange
from alerts.life import Life
from alerts.signal import Name, Signal
from detectors import cohort, deficit, level, outage
from streams import ending, naming, weigh
from streams.baskets import Baskets
from streams.history import HOUR_MS, History
from streams.modes import BLIND, MODE_CPA, MODE_OUTAGE, MODE_RENAMED
from streams.panes import COST
from streams.part_alerts import PartAlerts
from streams.placing import tell
from streams.series import Registry
from streams.surplus import Surplus
from streams.verdict import DAY, Verdicts

LONGEST_MS = 7 * 86_400_000
"""After so long a new level is believed to be the normal one."""
QUIET_STATUS = ("learning", "paused", "ended")
DOUBTED_NATS = 1.0
"""Evidence of recovery from which an alert is no longer renamed; before, the other name must have more than it."""
RENAMED = {
    Name.CPA_SPIKE: "Older clicks still convert: this is a CPA spike and no tracking outage. A new alert says so.",
    Name.TRACKING_OUTAGE: "Conversions of older clicks are lost too: this is a tracking outage. A new alert says so.",
}
BACK = "Back to normal: no action needed."
OVERTAKEN = "Fewer conversions than expected now: a new alert says so."
NO_SPEND = "Nothing was spent here for 24 hours: closed without a verdict."
NEW_LEVEL = "Has lasted a week: taken as the new normal level from now on."


class Attention:
    """Opens, reviews and resolves alerts on the rows that judging found."""

    def __init__(
        self,
        registry: Registry,
        life: Life,
        statuses: dict[tuple[str, str, str], str],
        replaced: frozenset[str],
        implausibly_good: str = "shown",
    ) -> None:
        self._registry = registry
        self._life = life
        self._verdicts = Verdicts(registry)
        self._history = History(registry)
        self._statuses = statuses
        self._replaced = replaced
        self._parts = PartAlerts(registry, life, self._reset)
        self._baskets = Baskets(registry, life, replaced, self._muted)
        self._surplus = Surplus(registry, life, implausibly_good == "told")

    def attend(self, s: int, reason: int, tick_ms: int) -> list[AlertChange]:
        """Every change that the row ``s`` gives rise to at this tick; ``-1 - p`` stands for the part in row ``p``."""
        if s < 0:
            return self._parts.attend(-1 - s, reason, tick_ms)
        changes: list[AlertChange] = []
        if reason & weigh.CALM_COUNT:
            changes += self._end_count(s, tick_ms, BACK)
        if reason & weigh.CALM_GOOD:
            changes += self._surplus.end(s, tick_ms, BACK)
        if reason & weigh.CALM_BASKET:
            changes += self._end(Name.ROAS_DROP, s, tick_ms, BACK)
        if reason & weigh.REVIEW:
            changes += self._review(s, tick_ms) + self._rename(s, tick_ms)
        if reason & (weigh.CPA | weigh.OUTAGE | weigh.COHORT) and self._still_suspect(s):
            changes += self._open_count(s, reason, tick_ms)
        if reason & (weigh.ROAS | weigh.BOTH):
            changes += self._baskets.open(s, tick_ms, together=bool(reason & weigh.BOTH))
        if reason & weigh.GOOD:
            changes += self._surplus.open(s, tick_ms)
        return changes

    def _still_suspect(self, s: int) -> bool:
        """Whether another alert of this very tick has not already accounted for what was found."""
        series = self._registry.series
        return bool(
            deficit.evidence(series["deficit"][s]) > 0.0
            or series["timer"][s, outage.WAITED] > 0.0
            or series["cohort"][s, cohort.EVIDENCE] > 0.0
        )

    def _open_count(self, s: int, reason: int, tick_ms: int) -> list[AlertChange]:
        onset_ms = self._verdicts.onset_ms(s, reason)
        in_alert = bool(self._registry.series["mode"][s] & BLIND)
        if in_alert:
            t, name = s, naming.name(self._history, s, onset_ms)
        else:
            t, name = tell(self._history, s, onset_ms, BLIND)
        signal = self._verdicts.count_signal(name, t, tick_ms, onset_ms)
        evidence = self._verdicts.count_evidence(s)
        known = self._life.is_open(name, signal.scope) or name in self._replaced
        if known or (not in_alert and self._known_above(t, BLIND)):
            self._reset(s)
            return []
        if not in_alert and self._parts.explain(t, onset_ms):
            for row in {s, t, *self._history.above(t), *self._history.below(t)}:
                self._reset(row)
            return []
        changes = self._surplus.end(t, tick_ms, OVERTAKEN)
        changes.append(self._life.open(replace(signal, evidence=max(evidence, signal.evidence)), self._muted(signal)))
        self._registry.series["mode"][t] |= MODE_OUTAGE if name is Name.TRACKING_OUTAGE else MODE_CPA
        self._registry.series["ratio"][t] = ending.eased(signal.ratio, ending.mildest(self._history, t))
        self._registry.series["deficit"][t, deficit.RECOVERY] = 0.0
        self._registry.series["recovered"][t] = 0.0
        self._clear_around(t, s)
        return changes

    def _muted(self, signal: Signal) -> str | None:
        if signal.name == Name.TRACKING_OUTAGE or signal.source is None or signal.campaign is None:
            return None
        status = self._statuses.get((signal.account, signal.source, signal.campaign))
        return f"the campaign is {status}" if status in QUIET_STATUS else None

    def _review(self, s: int, tick_ms: int) -> list[AlertChange]:
        changes = []
        for name in (Name.TRACKING_OUTAGE, Name.CPA_SPIKE, Name.ROAS_DROP, Name.IMPLAUSIBLY_GOOD):
            opened_ms = self._life.opened_ms(name, self._registry.scope(s))
            if opened_ms is None:
                continue
            why = self._spent(s, opened_ms, tick_ms)
            if why is not None:
                changes += self._end(name, s, tick_ms, why)
            elif name is not Name.IMPLAUSIBLY_GOOD:
                changes += self._refresh(name, s, tick_ms)
        return changes

    def _refresh(self, name: Name, s: int, tick_ms: int) -> list[AlertChange]:
        """Take what is newly known of an open alert."""
        started_ms = self._life.started_ms(name, self._registry.scope(s))
        if name is not Name.ROAS_DROP and started_ms is not None:
            ending.renew_ratio(self._history, s, started_ms)
        change = self._life.review(self._figures(name, s, tick_ms))
        return [] if change is None else [change]

    def _end(self, name: Name, s: int, tick_ms: int, why: str) -> list[AlertChange]:
        if name is Name.ROAS_DROP:
            return self._baskets.end(s, self._figures(name, s, tick_ms), why)
        return self._surplus.end(s, tick_ms, why) if name is Name.IMPLAUSIBLY_GOOD else self._end_count(s, tick_ms, why)

    def _rename(self, s: int, tick_ms: int) -> list[AlertChange]:
        """What was called an outage and turns out to be dear clicks, or the reverse, is said by its right name."""
        mode, scope = self._registry.series["mode"], self._registry.scope(s)
        said = Name.TRACKING_OUTAGE if mode[s] & MODE_OUTAGE else Name.CPA_SPIKE
        started_ms = self._life.started_ms(said, scope)
        if not mode[s] & BLIND or mode[s] & BLIND == BLIND or mode[s] & MODE_RENAMED or started_ms is None:
            return []
        recovered = float(self._registry.series["recovered"][s])
        if recovered > DOUBTED_NATS:
            return []
        odds = naming.settled_odds(self._history, s, started_ms)
        if (odds if said is Name.TRACKING_OUTAGE else -odds) <= recovered:
            return []
        name = Name.CPA_SPIKE if said is Name.TRACKING_OUTAGE else Name.TRACKING_OUTAGE
        if name in self._replaced:
            return []
        signal = self._verdicts.count_signal(name, s, tick_ms, started_ms)
        mode[s] = (mode[s] & ~BLIND) | MODE_RENAMED | (MODE_CPA if name is Name.CPA_SPIKE else MODE_OUTAGE)
        return [
            self._life.resolve(self._figures(said, s, tick_ms), RENAMED[name]),
            self._life.open(signal, self._muted(signal)),
        ]

    def _spent(self, s: int, opened_ms: int, tick_ms: int) -> str | None:
        if tick_ms - opened_ms >= LONGEST_MS:
            for row in (s, *self._history.below(s)):
                ending.believe(self._history, row)
            return NEW_LEVEL
        return (
            NO_SPEND
            if self._registry.windows[DAY, s, COST] == 0 and not self._registry.series["unassigned"][s]
            else None
        )

    def _figures(self, name: Name, s: int, tick_ms: int) -> Signal:
        """The open alert's figures over the last three hours, a day where data comes by the day, or since it began."""
        started_ms = self._life.started_ms(name, self._registry.scope(s))
        hours = 24 if self._history.is_daily(s) else 3
        from_ms = max(started_ms or 0, tick_ms - hours * HOUR_MS)
        if name is Name.ROAS_DROP:
            return self._baskets.figures(s, tick_ms, from_ms)
        return self._verdicts.count_signal(name, s, tick_ms, from_ms)

    def _end_count(self, s: int, tick_ms: int, why: str) -> list[AlertChange]:
        changes, scope = [], self._registry.scope(s)
        started_ms = [self._life.started_ms(name, scope) or tick_ms for name in (Name.TRACKING_OUTAGE, Name.CPA_SPIKE)]
        for name in (Name.TRACKING_OUTAGE, Name.CPA_SPIKE):
            if self._life.is_open(name, scope):
                changes.append(self._life.resolve(self._figures(name, s, tick_ms), why))
        if why is BACK:
            ending.trust_recovery(self._history, s, min(started_ms))
        self._registry.series["mode"][s] &= ~(BLIND | MODE_RENAMED)
        self._clear_around(s, s)
        self._reset(s)
        return changes

    def _known_above(self, s: int, modes: int) -> bool:
        return any(self._registry.series["mode"][row] & modes for row in (s, *self._history.above(s)))

    def _clear_around(self, t: int, s: int) -> None:
        """Evidence that this incident explains is spent; what it brought is not learned."""
        for row in (*self._history.above(t), *self._history.below(t), *(() if s == t else (s,))):
            if not self._registry.series["mode"][row] & BLIND:
                self._reset(row)
        level.drop(self._registry.series["learned"][t])

    def _reset(self, row: int) -> None:
        series = self._registry.series
        deficit.reset(series["deficit"][row])
        series["timer"][row] = 0.0
        series["cohort"][row] = 0.0
        series["roas"][row] = 0.0
        series["since_hour"][row] = self._history.end_ms(row) // HOUR_MS + 1
        series["hot"][row] = 0
        level.drop(series["learned"][row])
