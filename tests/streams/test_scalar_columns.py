"""The columns of the pipeline are a bank of the scalar tests: fed with the same steps they hold the same bits."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from small_worlds import batch_of, cut, history

from detectors import basket, deficit
from detectors.outage import EVIDENCE, SINCE_MU, WAITED, OutageTimer
from events.batch import Kind
from streams.expect import WARM_MS
from streams.limits import BASKETS_NATS, SILENT_PHI
from streams.pipeline import Pipeline
from streams.series import LEAF, Registry
from streams.settings import DetectionSettings

A_DAY = {("meta", "brand"): 240.0, ("meta", "generic"): 60.0, ("google", "search"): 480.0}
DAYS = 3
JUDGED_MS = 300_000
"""How often accounts of that volume are judged."""


class Scalars:
    """The scalar tests of one series, interpreted, each with a state of its own."""

    def __init__(self) -> None:
        self.timer = OutageTimer()
        self.deficit = np.zeros(deficit.COLUMNS)
        self.basket = np.zeros(basket.COLUMNS)
        self.judged = 0

    def step(self, seen: dict[str, Any], known: dict[str, Any], from_ms: float, dt_ms: float, warm: bool) -> None:
        """Take what a step brought, ``seen``; ``known``: limits and slopes from before it."""
        n, mu = float(seen["count"]), float(seen["expected"])
        if n > 0.0 or mu > 0.0:
            self.judged += 1
            self.timer.learn_one({"expected": mu, "phi": known["limits"][SILENT_PHI]}, n)
            deficit.step.py_func(self.deficit, n, mu, known["slopes"], from_ms, dt_ms)
        k, total = float(seen["baskets"]), float(seen["basket_off"])
        if k > 0.0:
            if warm:
                basket.step.py_func(self.basket, k, total, from_ms)
            basket.hold.py_func(self.basket, k, total)
            if basket.nats.py_func(self.basket) <= known["suspicious"][BASKETS_NATS]:
                basket.commit.py_func(self.basket)


def copies(registry: Registry) -> list[dict[str, Any]]:
    """What is known of every series."""
    names = ("limits", "slopes", "suspicious")
    return [{name: registry.series[name][s].copy() for name in names} for s in range(registry.series.size)]


@pytest.fixture(scope="module")
def compared() -> tuple[Registry, dict[int, Scalars]]:
    """Healthy days of two sources, step by step, through the pipeline and through scalar tests beside it."""
    batch = batch_of(history(DAYS, seed=3, a_day=A_DAY))
    ticks = np.flatnonzero((batch.kind == Kind.TICK) & (batch.at_ms % JUDGED_MS == 0))
    pipeline, scalars = Pipeline(DetectionSettings()), dict[int, Scalars]()
    for low, high in pairwise([0, *(ticks + 1).tolist()]):
        registry = pipeline.registry
        known, judged_ms = copies(registry), registry.sources["judged_ms"][: registry.sources.size].copy()
        assert pipeline.feed(cut(batch, low, high)).changes == []
        for s in np.flatnonzero(registry.series["level"][: registry.series.size] == LEAF).tolist():
            c = registry.series["source"][s]
            if c >= len(judged_ms) or judged_ms[c] < 0 or registry.sources["judged_ms"][c] == judged_ms[c]:
                continue
            seen = {name: registry.series[name][s] for name in ("count", "expected", "baskets", "basket_off")}
            warm = judged_ms[c] - registry.accounts["first_ms"][registry.series["account"][s]] >= WARM_MS
            dt_ms = float(registry.sources["dt_ms"][c])
            scalars.setdefault(s, Scalars()).step(seen, known[s], float(judged_ms[c]), dt_ms, bool(warm))
    return pipeline.registry, scalars


def test_every_campaign_was_judged_for_days(compared: tuple[Registry, dict[int, Scalars]]) -> None:
    assert len(compared[1]) == len(A_DAY)
    assert min(one.judged for one in compared[1].values()) > 400


def test_silence_in_the_columns_equals_the_scalar_timer_bit_by_bit(
    compared: tuple[Registry, dict[int, Scalars]],
) -> None:
    registry, scalars = compared
    told = [WAITED, SINCE_MU, EVIDENCE]
    for s, one in scalars.items():
        assert registry.series["timer"][s][told].tobytes() == one.timer._row[told].tobytes()


@pytest.mark.parametrize(("column", "evidence"), [("deficit", deficit.evidence), ("basket", basket.evidence)])
def test_counts_and_baskets_in_the_columns_equal_the_scalar_tests_bit_by_bit(
    compared: tuple[Registry, dict[int, Scalars]], column: str, evidence: Callable[[Any], float]
) -> None:
    registry, scalars = compared
    for s, one in scalars.items():
        row = getattr(one, column)
        assert evidence(row) > 0.0
        assert registry.series[column][s].tobytes() == row.tobytes()
