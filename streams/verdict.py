"""From a series that wants attention to a signal: which scope explains it, what is it called, what does it cost."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from alerts.change import Point, rfc3339
from alerts.signal import Name, Signal
from detectors import basket, deficit, outage
from streams import judge
from streams.history import HOUR_MS, History, Shortfall
from streams.panes import COST
from streams.series import HOURS, LEAF, Registry

DAY = 2
"""The 24-hour window among the rolling windows."""
EVEN = 0.28
"""Observed over expected at which an outage is as likely as dear conversions before anything else is known: outages
take all or most, while a campaign that sells a third or more of what it did still sells."""
LEANING, LEANING_MOST = 12.0, 4.0
"""Nats per unit of observed over expected that the amount speaks with, and the most it may say."""
MIN_LAGS = 200
_STAGE_EDGES_MS = np.array([0.0, 300_000.0, 7_200_000.0, 86_400_000.0, 1_296_000_000.0])


class Verdicts:
    """Reads a registry's columns; changes nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._history = History(registry)

    def onset_ms(self, s: int, reason: int) -> int:
        """Where the shortfall that the tests of ``s`` see began."""
        series = self._registry.series
        if reason & judge.OUTAGE and not reason & judge.CPA:
            return int(series["timer"][s, outage.SINCE_MS])
        row = series["deficit"][s]
        return int(row[deficit.FIRST + deficit.best(row) * deficit.PER_RATIO + deficit.ONSET])

    def name(self, s: int, onset_ms: int) -> Name:
        """Outage or dear conversions: how much is missing speaks first, then whether older clicks miss as well."""
        whole_ms = -(-onset_ms // HOUR_MS) * HOUR_MS  # the hour of the onset is half healthy
        lost = self._history.since(s, whole_ms if whole_ms + HOUR_MS <= self._history.end_ms(s) else onset_ms)
        seen = lost.seen / lost.expected if lost.expected > 0.0 else 0.0
        leaning = min(max(LEANING * (seen - EVEN), -LEANING_MOST), LEANING_MOST)
        cohorts = self._cohorts(s, onset_ms, lost)
        if cohorts is None:
            cohorts = -2.0 if self._alike(s, onset_ms) else 0.0
        return Name.CPA_SPIKE if leaning + cohorts > 0.0 else Name.TRACKING_OUTAGE

    def _cohorts(self, s: int, onset_ms: int, lost: Shortfall) -> float | None:
        """Log likelihood ratio of dear clicks (only those since the onset convert less) against lost events (all do).

        ``None`` where too few conversions say when their click was, or where all convert at once.
        """
        account = int(self._registry.series["account"][s])
        lags, weights = self._registry.accounts["lags"][account], self._registry.accounts["lag"][account]
        if lags.sum() < MIN_LAGS or lags[0] > 0.9 * lags.sum() or lost.expected <= 0.0:
            return None
        newest = (self._history.end_ms(s) - 1) // HOUR_MS
        whole = -(-onset_ms // HOUR_MS)  # the hour of the onset is half healthy; it counts only if it is all there is
        hours = range(max(min(whole, newest), newest - HOURS + 1), newest + 1)
        cells = [(self._history.hour(s, hour), fresh_share((hour + 1) * HOUR_MS - onset_ms)) for hour in hours]
        known = sum(float(cell[4:8].sum()) for cell, _ in cells) / max(lost.seen, 1e-9) if lost.seen > 0.0 else 1.0
        return _cohort_ratio([(cell[4:8], cell[1] * known * weights, fresh) for cell, fresh in cells])

    def _alike(self, s: int, onset_ms: int) -> bool:
        """Whether a wider scope misses in at least two parts, and all that can be told apart miss a good share."""
        if self._registry.series["level"][s] == LEAF:
            return False
        parts = [self._history.since(c, onset_ms) for c in self._history.children(s)]
        telling = [part for part in parts if part.expected >= 5.0]
        return len(telling) >= 2 and all(part.seen <= 0.8 * part.expected for part in telling)

    def count_signal(self, name: Name, s: int, at_ms: int, onset_ms: int) -> Signal:
        """The signal of a shortfall of conversions since ``onset_ms``."""
        lost = self._history.since(s, onset_ms)
        spread = 2.0 * math.sqrt(float(self._registry.series["phi"][s]) * max(lost.expected, 1e-9))
        few, many = max(lost.expected - spread, 0.0), lost.expected + spread
        if name is Name.TRACKING_OUTAGE:
            figures = (lost.seen, lost.expected, few, many)
        else:
            cost = lost.cost_micros / 1e6
            figures = tuple(_over(cost, count) for count in (lost.seen, lost.expected, many, few))  # type: ignore[assignment]
        ratio = lost.expected / max(lost.seen, 0.1)
        share_lost = max(0.0, 1.0 - lost.seen / lost.expected) if lost.expected > 0.0 else 0.0
        loss = round(lost.cost_micros / lost.hours * share_lost)
        measure = "conversions" if name is Name.TRACKING_OUTAGE else "cpa"
        return self._signal(name, s, at_ms, onset_ms, measure, figures, self._count_evidence(s), ratio, loss)

    def _count_evidence(self, s: int) -> float:
        series = self._registry.series
        r = deficit.evidence(series["deficit"][s])
        return max(math.log10(1.0 + r), float(series["timer"][s, outage.WAITED]) / math.log(10.0))

    def basket_onset_ms(self, s: int) -> int:
        """Where the baskets of ``s`` began to be small."""
        row = self._registry.series["basket"][s]
        return int(row[basket.FIRST + basket.best(row) * basket.PER_RATIO + basket.ONSET])

    def basket_signal(self, s: int, at_ms: int, onset_ms: int) -> Signal:
        """The signal of a drop of return on ad spend since ``onset_ms`` that comes from the value of baskets."""
        row = self._registry.series["basket"][s]
        cell = row[basket.FIRST + basket.best(row) * basket.PER_RATIO :]
        k = max(float(cell[basket.SINCE_K]), 1e-9)
        shift = float(cell[basket.SINCE_TOTAL]) / k - float(row[basket.MEAN]) if cell[basket.CUSUM] > 0.0 else 0.0
        lost = self._history.since(s, onset_ms)
        n, cost, value = (float(x) for x in self._registry.series["usual"][s])
        measure = "value_per_conversion" if n > 0.0 else "roas"
        observed, expected = (
            (_over(lost.value_micros / 1e6, lost.seen), _over(value / 1e6, n))
            if n > 0.0
            else (_over(lost.value_micros, lost.cost_micros), _over(value, cost))
        )
        spread = 2.0 * math.sqrt(basket.spread(row) / max(k, 1.0))
        low, high = (None, None) if expected is None else (expected * math.exp(-spread), expected * math.exp(spread))
        loss = round(lost.value_micros / lost.hours * (math.exp(-shift) - 1.0)) if shift < 0.0 else 0
        evidence = math.log10(1.0 + basket.evidence(row))
        figures = (observed, expected, low, high)
        return self._signal(Name.ROAS_DROP, s, at_ms, onset_ms, measure, figures, evidence, math.exp(-shift), loss)

    def _signal(
        self,
        name: Name,
        s: int,
        at_ms: int,
        onset_ms: int,
        measure: str,
        figures: tuple[float | None, ...],
        evidence: float,
        ratio: float,
        loss: int,
    ) -> Signal:
        registry = self._registry
        scope = registry.scope(s)
        account = int(registry.series["account"][s])
        spend = float(registry.windows[DAY, registry.accounts["series"][account], COST])
        own = float(registry.windows[DAY, s, COST])
        observed, expected, low, high = (None if x is None else float(f"{x:.6g}") for x in figures)
        return Signal(
            name=name,
            account=scope.account,
            source=scope.source,
            campaign=scope.campaign,
            at_ms=at_ms,
            onset_ms=onset_ms,
            until_ms=self._history.end_ms(s),
            measure=measure,
            observed=observed,
            expected=expected,
            low=low,
            high=high,
            evidence=evidence,
            ratio=ratio,
            loss_micros=loss,
            share=own / spend if spend > 0.0 else 0.0,
            currency=registry.currencies[account],
            history=self._points(s, measure),
        )

    def _points(self, s: int, measure: str) -> tuple[Point, ...]:
        last = (self._history.end_ms(s) - 1) // HOUR_MS
        return tuple(self._point(s, hour, measure) for hour in range(last - HOURS + 1, last + 1))

    def _point(self, s: int, hour: int, measure: str) -> Point:
        n, mu, cost, value = (float(x) for x in self._history.hour(s, hour)[:4])
        spread = 2.0 * math.sqrt(float(self._registry.series["phi"][s]) * max(mu, 1e-9))
        few, many = max(mu - spread, 0.0), mu + spread
        if measure == "conversions":
            figures: tuple[float | None, ...] = (n, mu or None, few if mu else None, many if mu else None)
        elif measure == "cpa":
            cost /= 1e6
            figures = (
                _over(cost, n),
                _over(cost, mu),
                _over(cost, many if mu else 0.0),
                _over(cost, few if mu else 0.0),
            )
        else:
            figures = self._basket_point(s, n, cost, value, measure)
        observed, expected, low, high = (None if x is None else float(f"{x:.5g}") for x in figures)
        return Point(at=rfc3339(hour * HOUR_MS), observed=observed, expected=expected, low=low, high=high)

    def _basket_point(self, s: int, n: float, cost: float, value: float, measure: str) -> tuple[float | None, ...]:
        usual_n, usual_cost, usual_value = (float(x) for x in self._registry.series["usual"][s])
        if measure == "roas":
            return _over(value, cost), _over(usual_value, usual_cost), None, None
        usual = _over(usual_value / 1e6, usual_n)
        if usual is None or n <= 0.0:
            return _over(value / 1e6, n), usual, None, None
        spread = 2.0 * math.sqrt(basket.spread(self._registry.series["basket"][s]) / n)
        return value / 1e6 / n, usual, usual * math.exp(-spread), usual * math.exp(spread)


def fresh_share(age_ms: float) -> NDArray[np.float64]:
    """Per lag stage, the share of conversions arriving ``age_ms`` after an onset whose click came after it.

    >>> fresh_share(3_600_000).round(2).tolist()
    [1.0, 0.48, 0.0, 0.0]
    """
    low, high = _STAGE_EDGES_MS[:-1], _STAGE_EDGES_MS[1:]
    share: NDArray[np.float64] = np.clip((age_ms - low) / (high - low), 0.0, 1.0)
    return share


def _cohort_ratio(cells: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]]) -> float:
    """Both stories fitted to the same total; the log likelihood ratio of the first (dear clicks) over the second."""
    seen, expected = (np.array([cell[i] for cell in cells]) for i in (0, 1))
    fresh = np.array([cell[2] for cell in cells])
    total, due, due_fresh = float(seen.sum()), float(expected.sum()), float((expected * fresh).sum())
    if due <= 0.0 or due_fresh <= 0.0:
        return 0.0
    lost_all = min(max(1.0 - total / due, 0.02), 0.98)
    lost_fresh = min(max((due - total) / due_fresh, 0.02), 0.98)
    dear, outage_story = 1.0 - lost_fresh * fresh, np.full_like(fresh, 1.0 - lost_all)
    return float((seen * np.log(dear / outage_story) - expected * (dear - outage_story)).sum())


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0.0 else None
