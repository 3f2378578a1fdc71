"""How often the metric detector cries wolf: ``python benchmarks/healthy.py [--months N] [--series N] [--seed N]``.

Twelve kinds of simulated series in which nothing ever happens, hourly and every five minutes.  Counted are the rows
at or above the label-free threshold, ``judge(...).evidence >= log10(720)``, that say something new; the promise is
about one per series-month.  ``--json`` prints one JSON object; ``--months 1 --series 50`` shows what young series do.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detectors.metric import MetricBank, MetricDetector

Floats = NDArray[np.float64]
Draw = np.random.Generator
LABEL_FREE = math.log10(720.0)
CADENCES_MIN = (60, 5)
MONTH_MS = 30 * 86_400_000


def _correlated(draw: Draw, n: int, keep: float) -> Floats:
    return np.asarray(lfilter([math.sqrt(1.0 - keep * keep)], [1.0, -keep], draw.standard_normal(n)))


def _day(hours: Floats) -> Floats:
    return np.sin(2.0 * np.pi * hours / 24.0)


KINDS: dict[str, Callable[[Draw, Floats], Floats]] = {
    "normal": lambda draw, h: 100.0 + 10.0 * draw.standard_normal(len(h)),
    "correlated 0.7": lambda draw, h: 100.0 + 10.0 * _correlated(draw, len(h), 0.7),
    "correlated 0.95": lambda draw, h: 100.0 + 10.0 * _correlated(draw, len(h), 0.95),
    "heavy tails (t, 3)": lambda draw, h: 100.0 + 10.0 * draw.standard_t(3, len(h)),
    "lognormal": lambda draw, h: np.exp(0.6 * draw.standard_normal(len(h))),
    "daily season": lambda draw, h: 100.0 + 40.0 * _day(h) + 10.0 * draw.standard_normal(len(h)),
    "season times noise": lambda draw, h: (100.0 + 60.0 * _day(h)) * np.exp(0.2 * draw.standard_normal(len(h))),
    "Poisson counts": lambda draw, h: draw.poisson(3.0 * (1.0 + 0.7 * _day(h))).astype(float),
    "overdispersed counts": lambda draw, h: draw.negative_binomial(5, 5 / (25 + 14 * _day(h))).astype(float),
    "weekdays": lambda draw, h: 100.0 + 30.0 * (h // 24 % 7 < 5) + 10.0 * draw.standard_normal(len(h)),
    "uniform": lambda draw, h: draw.random(len(h)),
    "slow drift": lambda draw, h: 100.0 + np.cumsum(0.1 * draw.standard_normal(len(h))) + 5.0 * draw.random(len(h)),
}


def false_per_month(series: Floats, step_ms: int) -> Floats:
    """New surprises at or above the label-free threshold, per month of 30 days after the warm-up; a row a series."""
    bank, false = MetricBank(len(series)), np.zeros(len(series))
    every = np.ones(len(series), dtype=bool)
    for row, values in enumerate(series.T):
        bank.step(np.column_stack([np.full(len(series), row * step_ms, dtype=float), values]), every)
        false += bank.evidence >= LABEL_FREE
    return false / ((series.shape[1] * step_ms - MetricDetector().warm_up_ms) / MONTH_MS)


def measured(months: int, copies: int, seed: int) -> dict[str, dict[str, float]]:
    """False rows per series-month by kind and cadence, mean over ``copies`` series of each."""
    rates: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
    for minutes in CADENCES_MIN:
        hours = np.arange(months * 720 * 60 // minutes) * minutes / 60.0
        for number, (kind, make) in enumerate(KINDS.items()):
            draws = [np.random.default_rng([seed, number, minutes, copy]) for copy in range(copies)]
            series = np.array([make(draw, hours) for draw in draws])
            rates[kind][f"{minutes} min"] = float(false_per_month(series, minutes * 60_000).mean())
    return rates


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="False alarms of the metric detector on healthy series.")
    parser.add_argument("--months", type=int, default=6, help="length of each series, months of 30 days")
    parser.add_argument("--series", type=int, default=4, help="series of each kind and cadence")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    rates = measured(options.months, options.series, options.seed)
    mean = {cadence: float(np.mean([one[cadence] for one in rates.values()])) for cadence in rates["normal"]}
    if options.json:
        print(
            json.dumps(
                {"seed": options.seed, "months": options.months, "series": options.series, "kinds": rates, "mean": mean}
            )
        )
        return 0
    print(f"{options.series} series of {options.months} months of each kind and cadence, seed {options.seed}\n")
    print("| kind | " + " | ".join(mean) + " |\n|" + " --- |" * (1 + len(mean)))
    for kind, one in {**rates, "mean": mean}.items():
        print(f"| {kind} | " + " | ".join(f"{rate:.2f}" for rate in one.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
