"""How often the metric detector cries wolf: ``python benchmarks/healthy.py [--months N] [--seed N] [--json]``.

Twelve kinds of simulated series in which nothing ever happens, hourly and every five minutes.  Counted are the rows
at or above the label-free threshold, ``judge(...).evidence >= log10(720)``, that say something new; the promise is
about one per series-month.
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

from detectors.metric import MetricDetector

Floats = NDArray[np.float64]
Draw = np.random.Generator
LABEL_FREE = math.log10(720.0)
CADENCES_MIN = (60, 5)


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


def false_per_month(values: Floats, step_ms: int) -> float:
    """New surprises at or above the label-free threshold, per month of 30 days after the warm-up."""
    detector, false = MetricDetector(), 0
    for row, value in enumerate(values.tolist()):
        x = {"at_ms": row * step_ms}
        news = detector.score_one(x, value) > 0.0
        false += news and detector.judge(x, value).evidence >= LABEL_FREE
        detector.learn_one(x, value)
    return false / ((len(values) * step_ms - detector.warm_up_ms) / (30 * 86_400_000))


def measured(months: int, seed: int) -> dict[str, dict[str, float]]:
    """False rows per series-month by kind and cadence."""
    rates: dict[str, dict[str, float]] = {}
    for number, (kind, make) in enumerate(KINDS.items()):
        rates[kind] = {}
        for minutes in CADENCES_MIN:
            hours = np.arange(months * 720 * 60 // minutes) * minutes / 60.0
            values = make(np.random.default_rng([seed, number, minutes]), hours)
            rates[kind][f"{minutes} min"] = false_per_month(values, minutes * 60_000)
    return rates


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="False alarms of the metric detector on healthy series.")
    parser.add_argument("--months", type=int, default=6, help="length of each series, months of 30 days")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    rates = measured(options.months, options.seed)
    mean = {cadence: float(np.mean([one[cadence] for one in rates.values()])) for cadence in rates["normal"]}
    if options.json:
        print(json.dumps({"kinds": rates, "mean": mean}))
        return 0
    print("| kind | " + " | ".join(mean) + " |\n|" + " --- |" * (1 + len(mean)))
    for kind, one in {**rates, "mean": mean}.items():
        print(f"| {kind} | " + " | ".join(f"{rate:.2f}" for rate in one.values()) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
