"""What else may explain that a part brings less than its siblings promise: its campaigns, or siblings that grew."""

from __future__ import annotations

import math

from detectors import level
from streams.clocks import hour_of_week
from streams.history import HOUR_MS, History
from streams.hours import HOURS, SPENT
from streams.part_verdict import PartVerdicts
from streams.series import Registry

DAY_MS = 86_400_000
DOUBT_NATS = 3.0
"""Evidence against a campaign from which its parts wait for it: what it sells, and how, need not be its source's."""
STEADY_NATS = 4.0
"""Evidence that a part brings less than its own past promises, below which it is the siblings that grew."""
LEAST_SHARE = 0.03
"""Share of a source's conversions from which a campaign can be what a part rests on."""


class PartDoubts:
    """Reads a registry's columns; changes nothing."""

    def __init__(self, registry: Registry, verdicts: PartVerdicts) -> None:
        self._registry = registry
        self._verdicts = verdicts
        self._history = History(registry)

    def is_campaigns(self, p: int, onset_ms: int, takes: float) -> bool:
        """Whether a campaign lacks more than the part takes, and may have taken the part along: it is waited for."""
        s = int(self._registry.sources["series"][self._registry.parts.rows["source"][p]])
        return any(self._lacks(leaf, onset_ms, takes) >= DOUBT_NATS for leaf in self._history.below(s))

    def _lacks(self, leaf: int, onset_ms: int, takes: float) -> float:
        """Nats by which fewer conversions of a campaign fit better than as many as were due."""
        whole_hours_ms = -(-onset_ms // HOUR_MS) * HOUR_MS
        is_old = self._history.end_ms(leaf) - whole_hours_ms >= HOUR_MS
        lost = self._history.since(leaf, whole_hours_ms) if is_old else self._history.exact(leaf, onset_ms)
        due, phi = lost.expected * (1.0 - takes), self._history.phi(leaf, lost.expected)
        return _missing_nats(lost.seen, due) / phi

    def is_steady(self, p: int, onset_ms: int, counts: tuple[float, float]) -> bool:
        """Whether the part brings what it would bring without any outage, by its own past and its campaigns' activity.

        Campaigns differ in what they sell and how: one that pauses may have carried all of the part, and one that is
        launched brings siblings only.
        """
        parts, (_, expected) = self._registry.parts.rows, self._verdicts.sums(p, onset_ms)
        source = int(parts["source"][p])
        s, days = int(self._registry.sources["series"][source]), self._usual_days(source, onset_ms)
        due = counts[1] * float(parts["rate_a_day"][p]) * days * self._activity(s, onset_ms, days) / max(expected, 1e-9)
        return _missing_nats(counts[0], due) < STEADY_NATS * self._history.phi(s, due)

    def _usual_days(self, source: int, onset_ms: int) -> float:
        """Days of usual business that lie between the hour of the onset and now, by the account's season."""
        accounts, end_ms = self._registry.accounts, self._history.end_ms(int(self._registry.sources["series"][source]))
        a = int(self._registry.sources["account"][source])
        first_ms = max(onset_ms // HOUR_MS, (end_ms - 1) // HOUR_MS - HOURS + 1) * HOUR_MS
        total = 0.0
        for hour_ms in range(first_ms, end_ms, HOUR_MS):
            factor = float(accounts["factor"][a][hour_of_week(accounts.rows, a, hour_ms)])
            total += factor * (min(hour_ms + HOUR_MS, end_ms) - hour_ms) / DAY_MS
        return total

    def _activity(self, s: int, onset_ms: int, days: float) -> float:
        """Of the campaigns of a source, how active the least active one is against its past; at most 1."""
        series, accounts = self._registry.series, self._registry.accounts
        a = int(series["account"][s])
        kept = level.FORGET_MS / DAY_MS
        learned = kept * -math.expm1(
            -max(float(accounts["learned_ms"][a] - accounts["first_ms"][a]), 1.0) / level.FORGET_MS
        )
        all_told = float(series["learned"][s, level.A])
        least = 1.0
        for leaf in self._history.below(s):
            told = float(series["learned"][leaf, level.A])
            if told >= LEAST_SHARE * all_told and told > 0.0:
                due = told / learned * days
                expected = self._history.since(leaf, onset_ms).expected
                least = min(least, expected / max(due, 1e-9), self._spends(leaf, onset_ms))
        return least

    def _spends(self, leaf: int, onset_ms: int) -> float:
        """Spend since the hour of the onset over that of the same hours a day before; 1 where there was none."""
        end_ms = self._history.end_ms(leaf)
        last, day = (end_ms - 1) // HOUR_MS, DAY_MS // HOUR_MS
        first = min(max(onset_ms // HOUR_MS, last - day + 1), last)
        now = self._history.hours(leaf, first, last)[:, SPENT]
        before = self._history.hours(leaf, first - day, last - day)[:, SPENT]
        before[-1] *= (end_ms - last * HOUR_MS) / HOUR_MS
        return float(now.sum() / before.sum()) if before.sum() > 0.0 else 1.0


def _missing_nats(seen: float, due: float) -> float:
    """Nats by which the best fitting smaller mean beats ``due``; 0 where nothing is missing.

    >>> round(_missing_nats(0.0, 5.0), 1), round(_missing_nats(4.0, 5.0), 1), _missing_nats(6.0, 5.0)
    (5.0, 0.1, 0.0)
    """
    if seen >= due:
        return 0.0
    return (seen * math.log(seen / due) if seen > 0.0 else 0.0) + due - seen
