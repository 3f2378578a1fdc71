"""What the metric detector costs: ``python benchmarks/metric_cost.py [--series N] [--seed N] [--json]``.

A bank of many series takes one hourly reading of each per step.  Printed are CPU nanoseconds per series and reading
(judged and learned; best and median step) and bytes of state per series, as they stand and compressed one by one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from detectors.metric import MetricBank

HOUR_MS = 3_600_000
LEARNED_HOURS, TIMED_HOURS = 14 * 24, 72


def measured(series: int, seed: int) -> dict[str, float]:
    """Cost and size of a bank of seasonal, noisy series that has learned for two weeks."""
    draw, bank, every = np.random.default_rng(seed), MetricBank(series), np.ones(series, dtype=bool)
    seconds = []
    for hour in range(LEARNED_HOURS + TIMED_HOURS):
        values = 100.0 + 20.0 * np.sin(2.0 * np.pi * hour / 24.0) + 5.0 * draw.standard_normal(series)
        readings = np.column_stack([np.full(series, float(hour * HOUR_MS)), values])
        began = time.process_time()
        bank.step(readings, every)
        seconds.append(time.process_time() - began)
    ns = np.array(seconds[LEARNED_HOURS:]) / series * 1e9
    compressed = [len(zstandard.compress(row.tobytes())) for row in bank.rows[:100]]
    return {
        "ns_best": float(ns.min()),
        "ns_median": float(np.median(ns)),
        "bytes": bank.rows.nbytes / series,
        "bytes_compressed": float(np.mean(compressed)),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Cost of the metric detector over columns.")
    parser.add_argument("--series", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = measured(options.series, options.seed)
    if options.json:
        print(json.dumps({"series": options.series, "seed": options.seed, **found}))
        return 0
    print(f"{options.series} series, seed {options.seed}\n\n| | |\n| --- | --- |")
    for name, figure in found.items():
        print(f"| {name} | {figure:.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
