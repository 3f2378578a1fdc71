"""From a series that wants attention to a signal: which scope explains it, what is it called, what does it cost."""

from __future__ import annotations

import math

from alerts.change import Point, rfc3339
from alerts.signal import Name, Signal
from detectors import basket, cohort, deficit, outage, roas
from streams import weigh
from streams.history import HOUR_MS, History
from streams.hours import HOURS
from streams.panes import COST
from streams.series import Registry

DAY = 2
"""The 24-hour window among the rolling windows."""


class Verdicts:
    """Reads a registry's columns; changes nothing."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._history = History(registry)

    def onset_ms(self, s: int, reason: int) -> int:
        """Where the shortfall that the tests of ``s`` see began."""
        series = self._registry.series
        if reason & weigh.OUTAGE and not reason & (weigh.CPA | weigh.COHORT):
            return int(series["timer"][s, outage.SINCE_MS])
        if reason & weigh.COHORT:
            hours_ago = int(series["cohort"][s, cohort.ONSET])
            return ((self._history.end_ms(s) - 1) // HOUR_MS - hours_ago) * HOUR_MS
        row = series["deficit"][s]
        return int(row[deficit.FIRST + deficit.best(row) * deficit.PER_RATIO + deficit.ONSET])

    def count_signal(self, name: Name, s: int, at_ms: int, onset_ms: int) -> Signal:
        """The signal of a shortfall of conversions since ``onset_ms``; a young one is told to the minute."""
        lost = self._history.exact(s, onset_ms)
        spread = 2.0 * math.sqrt(self._history.phi(s, lost.expected) * max(lost.expected, 1e-9))
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
        return self._signal(name, s, at_ms, onset_ms, measure, figures, self.count_evidence(s), ratio, loss)

    def count_evidence(self, s: int) -> float:
        """Log10 of the odds that the tests of ``s`` hold against chance."""
        series = self._registry.series
        r = max(deficit.evidence(series["deficit"][s]), float(series["cohort"][s, cohort.EVIDENCE]))
        return math.log10(1.0 + max(r, float(series["timer"][s, outage.EVIDENCE])))

    def good_signal(self, s: int, at_ms: int, onset_ms: int, r: float) -> Signal:
        """The signal of implausibly many conversions since ``onset_ms``; ``r``: the test's evidence."""
        lost = self._history.since(s, onset_ms)
        spread = 2.0 * math.sqrt(self._history.phi(s, lost.expected) * max(lost.expected, 1e-9))
        figures = (lost.seen, lost.expected, max(lost.expected - spread, 0.0), lost.expected + spread)
        ratio = lost.expected / max(lost.seen, 0.1)
        name, evidence = Name.IMPLAUSIBLY_GOOD, math.log10(1.0 + r)
        return self._signal(name, s, at_ms, onset_ms, "conversions", figures, evidence, ratio, None)

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

    def both_signal(self, s: int, at_ms: int, onset_ms: int) -> Signal:
        """The signal of a drop of return on ad spend since ``onset_ms``: conversions fewer, baskets smaller."""
        series = self._registry.series
        lost = self._history.since(s, onset_ms)
        _, cost, value = (float(x) for x in series["usual"][s])
        observed, expected = _over(lost.value_micros, lost.cost_micros), _over(value, cost)
        variance = self._history.phi(s, lost.expected) / max(lost.expected, 1.0)
        variance += basket.spread(series["basket"][s]) / max(lost.baskets, 1.0)
        around = math.exp(2.0 * math.sqrt(variance))
        low, high = (None, None) if expected is None else (expected / around, expected * around)
        ratio = expected / observed if expected and observed else 1.0
        loss = round(lost.value_micros / lost.hours * max(ratio - 1.0, 0.0))
        evidence = math.log10(1.0 + float(series["roas"][s, roas.EVIDENCE]))
        figures = (observed, expected, low, high)
        return self._signal(Name.ROAS_DROP, s, at_ms, onset_ms, "roas", figures, evidence, ratio, loss)

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
        loss: int | None,
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
        first = last - HOURS + 1
        cells = self._history.hours(s, first, last)[:, :4].tolist()
        return tuple(self._point(s, first + i, measure, *cell) for i, cell in enumerate(cells))

    def _point(self, s: int, hour: int, measure: str, n: float, mu: float, cost: float, value: float) -> Point:
        spread = 2.0 * math.sqrt(self._history.phi(s, mu) * max(mu, 1e-9))
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


def _over(part: float, whole: float) -> float | None:
    return part / whole if whole > 0.0 else None
