"""Detectors of somebody else's: a River model named in the settings in place of one of ours, and Google's rule.

They judge finished hours: a named model each campaign's hourly CPA or ROAS, Google's rule the account's hourly
impressions, clicks, conversions and cost.  Off unless the settings ask for them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from alerts.change import AlertChange
from alerts.life import Life
from alerts.signal import Name, Signal
from detectors.account_anomaly import AccountAnomaly
from streams.hours import HOURS
from streams.panes import CLICKS, CONVERSIONS, COST, IMPRESSIONS
from streams.series import LEAF, Registry
from streams.settings import DetectionSettings, NamedModel

if TYPE_CHECKING:
    from detectors.river_model import RiverModel

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
MEASURES = {"impressions": IMPRESSIONS, "clicks": CLICKS, "conversions": CONVERSIONS, "cost": COST}
CALM_HOURS = 3
BACK = "Back to what the model is used to: no action needed."
NEXT_DAY = "The rule looks at one day; this one is over."


class Rivals:
    """The named models and Google's rule of one partition."""

    def __init__(self, settings: DetectionSettings, registry: Registry) -> None:
        self._settings = settings
        self._registry = registry
        self._hours: dict[int, int] = {}
        self._totals: dict[str, list[int]] = {}
        self._rules: dict[tuple[str, str], AccountAnomaly] = {}
        self._models: dict[tuple[str, int], RiverModel] = {}
        self._calm: dict[tuple[str, int], int] = {}
        self._models_named: dict[str, NamedModel] = {str(name): model for name, model in settings.models.items()}
        self.replaced = frozenset(self._models_named)

    def tick(self, at_ms: int, life: Life) -> list[AlertChange]:
        """Judge the hours that finished with this tick."""
        if not self._settings.account_anomaly and not self.replaced:
            return []
        changes: list[AlertChange] = []
        for s in self._registry.in_order().tolist():
            for hour in self._finished(s):
                changes += self._judge(s, hour, at_ms, life)
        return changes

    def _finished(self, s: int) -> range:
        """The hours of a series that are complete and not judged yet."""
        newest = int(self._registry.series["history_hour"][s])
        first = self._hours.get(s, newest)
        self._hours[s] = max(first, newest)
        return range(max(first, newest - HOURS + 1), newest) if newest >= 0 else range(0)

    def _judge(self, s: int, hour: int, at_ms: int, life: Life) -> Iterator[AlertChange]:
        series = self._registry.series
        if series["level"][s] == LEAF:
            for name in sorted(self.replaced):
                yield from self._ask_model(name, s, hour, at_ms, life)
        elif series["parent"][s] == -1 and self._settings.account_anomaly:
            yield from self._ask_rule(s, hour, at_ms, life)

    def _ask_model(self, name: str, s: int, hour: int, at_ms: int, life: Life) -> Iterator[AlertChange]:
        n, _, cost, value = self._registry.series["history"][s, hour % HOURS, :4].tolist()
        kpi = _cpa(cost, n) if name == Name.CPA_SPIKE else _roas(value, cost)
        if kpi is None:
            return
        model = self._models.get((name, s)) or self._new_model(name, s)
        x = {"at_ms": hour * HOUR_MS}
        evidence = model.judge(x, kpi).evidence
        model.learn_one(x, kpi)
        signal = self._signal(name, s, hour, at_ms, kpi, evidence)
        alarming = evidence >= math.log10(self._settings.quiet_days * 24.0 * len(self._models))
        self._calm[name, s] = 0 if alarming else self._calm.get((name, s), 0) + 1
        if life.is_open(signal.key, signal.scope):
            if self._calm[name, s] >= CALM_HOURS:
                yield life.resolve(signal, BACK)
        elif alarming:
            yield life.open(signal)

    def _new_model(self, name: str, s: int) -> RiverModel:
        # all of River takes seconds to import; only whoever names a model of River's waits for it
        from detectors.river_model import RiverModel, model_from

        chosen = self._models_named[name]
        model = RiverModel(model_from(chosen.model, chosen.parameters, f"detection.models.{name}"))
        self._models[name, s] = model
        return model

    def _ask_rule(self, s: int, hour: int, at_ms: int, life: Life) -> Iterator[AlertChange]:
        account = self._registry.scope(s).account
        breached = []
        for measure, count in self._came_in(s, account).items():
            rule = self._rules.setdefault((account, measure), _rule(measure))
            x = {"at_ms": hour * HOUR_MS}
            if rule.score_one(x, count) > 0.0:
                breached.append((measure, count, rule.baseline(x)))
            rule.learn_one(x, count)
        signal = self._signal(Name.ACCOUNT_ANOMALY, s, hour, at_ms, None, 0.0)
        opened_ms = life.opened_ms(signal.key, signal.scope)
        if opened_ms is not None and hour * HOUR_MS // DAY_MS > opened_ms // DAY_MS:
            yield life.resolve(signal, NEXT_DAY)
        elif opened_ms is None and breached:
            yield life.open(signal)

    def _came_in(self, s: int, account: str) -> dict[str, float]:
        """What the account's totals grew by since they were last read, in millionths."""
        series = self._registry.series
        mine = (series["account"] == series["account"][s]) & (series["level"] == LEAF)
        totals = series["total"][mine].sum(axis=0)
        before = np.array(self._totals.get(account, totals.tolist()))
        self._totals[account] = totals.tolist()
        return {name: float(totals[place] - before[place]) / 1e6 for name, place in MEASURES.items()}

    def _signal(self, name: str, s: int, hour: int, at_ms: int, kpi: float | None, evidence: float) -> Signal:
        scope = self._registry.scope(s)
        start_ms = hour * HOUR_MS
        return Signal(
            name=name,
            account=scope.account,
            source=scope.source,
            campaign=scope.campaign,
            at_ms=at_ms,
            onset_ms=start_ms,
            until_ms=start_ms + HOUR_MS,
            measure={Name.CPA_SPIKE: "cpa", Name.ROAS_DROP: "roas"}.get(Name(name), "account totals"),
            observed=None if kpi is None else float(f"{kpi:.6g}"),
            expected=None,
            low=None,
            high=None,
            evidence=evidence,
            ratio=1.0,
            loss_micros=None,
            share=0.0,
            currency=self._registry.currencies[int(self._registry.series["account"][s])],
        )

    def to_state(self) -> dict[str, Any]:
        """The whole state as plain values."""
        return {
            "hours": list(self._hours.items()),
            "totals": self._totals,
            "rules": [[*key, _dumped(rule)] for key, rule in self._rules.items()],
            "models": [[*key, model.state(), self._calm.get(key, 0)] for key, model in self._models.items()],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue where the one that gave ``state`` stood."""
        self._hours = {int(s): int(hour) for s, hour in state["hours"]}
        self._totals = dict(state["totals"])
        for account, measure, rule in state["rules"]:
            self._rules[account, measure] = _loaded(rule)
        for name, s, model, calm in state["models"]:
            self._new_model(name, s).restore(model)
            self._calm[name, s] = calm


def _dumped(rule: AccountAnomaly) -> dict[str, str]:
    from detectors import river_state

    return river_state.dump(rule)


def _loaded(state: dict[str, str]) -> AccountAnomaly:
    from detectors import river_state

    rule: AccountAnomaly = river_state.load(state, AccountAnomaly())
    return rule


def _rule(measure: str) -> AccountAnomaly:
    """The figures of the rule's widely used port: four weeks, half for what comes in, double for cost."""
    return AccountAnomaly(2.0, weeks=4, above=True) if measure == "cost" else AccountAnomaly(0.5, weeks=4)


def _cpa(cost_micros: float, n: float) -> float | None:
    return cost_micros / 1e6 / n if n > 0.0 and cost_micros > 0.0 else None


def _roas(value_micros: float, cost_micros: float) -> float | None:
    return value_micros / cost_micros if cost_micros > 0.0 else None
