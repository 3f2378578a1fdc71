"""Alerts of parts: a leg or a conversion name that fell silent, or lost much, while the rest of its source went on."""

from __future__ import annotations

from collections.abc import Callable

from alerts.change import AlertChange
from alerts.life import Life
from alerts.signal import Name, part_key
from detectors import level
from streams import ending, weigh
from streams.history import HOUR_MS, History
from streams.modes import BLIND
from streams.part_doubts import PartDoubts
from streams.part_judge import TAKES, forget, relearn
from streams.part_verdict import PartVerdicts
from streams.parts import KINDS, LEG, NAME
from streams.series import Registry

LONGEST_MS = 7 * 86_400_000
"""After so long the part is believed to be gone, or to be so small for good."""
DAY_MS = 86_400_000
FIGURES_MS = 3 * HOUR_MS
"""An open alert's figures are those of the last hours."""
SLACK = 0.1
"""Share of conversions that a source may lack beyond what an open part takes, and still lack nothing else."""
EARLIER_MS = 2 * HOUR_MS
"""How long after an alert of a part opened the tests of a campaign may find its onset and mean the same."""
BACK = "Back to normal: no action needed."
NO_SIBLINGS = "Nothing came from the rest of the source for 24 hours: closed without a verdict."
NEW_LEVEL = "Has lasted a week: taken as the new normal level from now on."


class PartAlerts:
    """Opens and ends alerts of parts. ``reset`` begins the tests of a series anew and drops what it would learn."""

    def __init__(self, registry: Registry, life: Life, reset: Callable[[int], None]) -> None:
        self._registry = registry
        self._life = life
        self._reset = reset
        self._history = History(registry)
        self._verdicts = PartVerdicts(registry)
        self._doubts = PartDoubts(registry, self._verdicts)

    def attend(self, p: int, reason: int, tick_ms: int) -> list[AlertChange]:
        """What the part in row ``p`` gives rise to at this tick."""
        parts = self._registry.parts.rows
        if reason & weigh.CALM_COUNT:
            return self._end(p, tick_ms, BACK)
        if reason & weigh.REVIEW:
            return self._review(p, tick_ms)
        if parts["mode"][p] or self._explained(p):
            return self._dismiss(p)
        return self._open(p, reason, tick_ms)

    def explain(self, t: int, onset_ms: int) -> bool:
        """Whether a campaign lacks what an open part takes: its share of that may be larger than its source's."""
        source = int(self._registry.series["source"][t])
        if source < 0 or self._registry.sources["taken"][source] == 0.0:
            return False
        opened = (self._life.opened_ms(*self._key(p)) for p in self._registry.parts.of_source(source))
        if not any(at_ms is not None and onset_ms <= at_ms + EARLIER_MS for at_ms in opened):
            return False
        lost = self._history.since(int(self._registry.sources["series"][source]), onset_ms)
        return lost.missing <= SLACK * lost.expected

    def _key(self, p: int) -> tuple[str, tuple[str, str | None, str | None]]:
        part = self._registry.parts.scopes[p]
        return part_key(Name.TRACKING_OUTAGE, (KINDS[part.kind], part.text)), (part.account, part.source, None)

    def _explained(self, p: int) -> bool:
        """Whether an alert around the part says it already; a name waits while a leg that may carry it is in doubt."""
        parts, mode = self._registry.parts.rows, self._registry.series["mode"]
        source = int(parts["source"][p])
        s = int(self._registry.sources["series"][source])
        if any(mode[row] & BLIND for row in (s, *self._history.above(s), *self._history.below(s))):
            return True
        legs = [q for q in self._registry.parts.of_source(source) if parts["kind"][q] == LEG]
        return bool(parts["kind"][p] == NAME and any(parts["mode"][q] or parts["hot"][q] for q in legs))

    def _dismiss(self, p: int) -> list[AlertChange]:
        forget(self._registry.parts.rows.rows, p)
        return []

    def _open(self, p: int, reason: int, tick_ms: int) -> list[AlertChange]:
        parts = self._registry.parts.rows
        onset_ms, counts = self._verdicts.struck(p, reason)
        if self._doubts.is_steady(p, onset_ms, counts):
            self._learn_anew(p)
            return []
        takes = self._carries(p) * (1.0 - min(counts[0] / max(counts[1], 1e-9), 1.0))
        if self._doubts.is_campaigns(p, onset_ms, takes):
            return []
        evidence = self._verdicts.evidence(p)
        signal = self._verdicts.signal(p, tick_ms, onset_ms, counts, evidence)
        parts["mode"][p] = 1
        parts["ratio"][p] = ending.eased(signal.ratio)
        parts["taken"][p] = takes
        signal = self._verdicts.signal(p, tick_ms, onset_ms, counts, evidence)
        forget(parts.rows, p)
        self._take(p)
        return [self._life.open(signal, self._muted(p, onset_ms))]

    def _muted(self, p: int, onset_ms: int) -> str | None:
        """What falls silent together with another part of its source is one incident; one of them is told."""
        if self._registry.parts.rows["taken"][p] > TAKES:
            return None
        source = int(self._registry.parts.rows["source"][p])
        for key in (self._key(q) for q in self._registry.parts.of_source(source) if q != p):
            started_ms = self._life.started_ms(*key)
            if started_ms is not None and abs(started_ms - onset_ms) <= EARLIER_MS:
                return f"{Name.TRACKING_OUTAGE} {self._life.alert_id(*key)}"
        return None

    def _carries(self, p: int) -> float:
        """Share of the primary conversions of its source that come by this part alone."""
        table, parts = self._registry.parts, self._registry.parts.rows
        source = int(parts["source"][p])
        alike = [q for q in table.of_source(source) if parts["kind"][q] == parts["kind"][p]]
        if parts["kind"][p] == NAME:
            whole = sum(float(parts["rate"][q]) for q in alike if parts["primary"][q])
            return float(parts["rate"][p]) / whole if parts["primary"][p] and whole > 0.0 else 0.0
        whole = self._sold(table.whole(source))
        others = sum(self._sold(q) for q in alike if q != p and not parts["mode"][q])
        return max(0.0, 1.0 - others / whole) if whole > 0.0 else 0.0

    def _sold(self, p: int) -> float:
        """Primary conversions of a part per exposure."""
        parts = self._registry.parts.rows
        exposed = float(parts["learned"][p, level.B])
        return float(parts["sold"][p]) / exposed if exposed > 0.0 else 0.0

    def _review(self, p: int, tick_ms: int) -> list[AlertChange]:
        opened_ms = self._life.opened_ms(*self._key(p))
        if opened_ms is not None and tick_ms - opened_ms >= LONGEST_MS:
            changes = self._end(p, tick_ms, NEW_LEVEL)
            relearn(self._registry.parts.rows.rows, p)
            return changes
        idle = (
            opened_ms is not None
            and tick_ms - opened_ms >= DAY_MS
            and self._verdicts.sums(p, tick_ms - DAY_MS)[1] == 0.0
        )
        return self._end(p, tick_ms, NO_SIBLINGS) if idle else []

    def _end(self, p: int, tick_ms: int, why: str) -> list[AlertChange]:
        parts = self._registry.parts.rows
        name, scope = self._key(p)
        started_ms = self._life.started_ms(name, scope)
        from_ms = max(started_ms or 0, tick_ms - FIGURES_MS)
        signal = self._verdicts.signal(p, tick_ms, from_ms, self._verdicts.sums(p, from_ms), 0.0)
        parts["mode"][p], parts["taken"][p] = 0, 0.0
        forget(parts.rows, p)
        self._take(p)
        return [self._life.resolve(signal, why)]

    def _take(self, p: int) -> None:
        """Tell the source what its open parts take: that is evidence of nothing else, and is not learned."""
        source = int(self._registry.parts.rows["source"][p])
        takes = [float(self._registry.parts.rows["taken"][q]) for q in self._registry.parts.of_source(source)]
        taken = max((share for share in takes if share > TAKES), default=0.0)
        if self._registry.sources["taken"][source] == taken:
            return
        self._registry.sources["taken"][source] = taken
        s = int(self._registry.sources["series"][source])
        for row in (s, *self._history.above(s), *self._history.below(s)):
            if self._registry.series["mode"][row] & BLIND:
                level.drop(self._registry.series["learned"][row])
            else:
                self._reset(row)

    def _learn_anew(self, p: int) -> None:
        """The shares of this part and its siblings are no longer what was learned."""
        parts = self._registry.parts.rows
        for q in self._registry.parts.of_source(int(parts["source"][p])):
            if parts["kind"][q] == parts["kind"][p] and not parts["mode"][q]:
                forget(parts.rows, q)
                relearn(parts.rows, q)
