"""What judging costs: ``python benchmarks/cost.py [--accounts N] [--campaigns N] [--seed N] [--json]``.

Many healthy accounts in one pipeline, spend and a watermark of every campaign every five minutes.  After some days of
learning, hours of facts are fed that were drawn before, each interval's facts apart from its tick.  Printed are CPU
nanoseconds per series and judged step: taking facts in, and the tick (panes closed, every default test of counts and
baskets, learning at the turn of the hour); the tick also per pane, which is a minute, of which a step judges five where
an account has fewer than a thousand conversions a day.  Then compressed bytes of state per series: its own columns, and
everything a partition keeps (ids and panes of a day too).  Series are campaigns, sources and accounts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bounds.drawing import Effect, Fleet, Ints, Source
from events.batch import Batch
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings

STEPS_A_DAY = 288
PANES_A_STEP = 5
COLUMNS = ("kind", "at_ms", "known_at_ms", "key", "id_hash", "cost_micros", "impressions", "clicks", "conversions",
           "value_micros", "lag_ms")  # fmt: skip
TIMED_HOURS = 3


def measured(accounts: int, campaigns: int, days: int, seed: int) -> dict[str, float]:
    """Cost per series and step, and state per series."""
    account: Ints = np.repeat(np.arange(accounts), campaigns)
    volumes = np.tile(200.0 / np.arange(1, campaigns + 1), accounts)
    fleet = Fleet(account, volumes, phi=1.5)
    source, pipeline = Source(fleet, np.random.default_rng(seed)), Pipeline(DetectionSettings())
    for _ in range(days * 24):
        pipeline.feed(source.chunk(STEPS_A_DAY // 24, Effect()))
    drawn = [source.chunk(1, Effect()) for _ in range(TIMED_HOURS * STEPS_A_DAY // 24)]
    taking, judging = np.sum([[timed(pipeline, part) for part in parts(batch)] for batch in drawn], axis=0)
    series = len(pipeline.registry.series.rows)
    steps = series * len(drawn)
    rows = zstandard.ZstdCompressor(level=1).compress(pipeline.registry.series.rows.tobytes())
    return {
        "series": series,
        "facts": sum(len(batch) for batch in drawn),
        "ns_of_taking_facts_per_series_and_step": 1e9 * taking / steps,
        "ns_of_judging_per_series_and_step": 1e9 * judging / steps,
        "ns_of_judging_per_series_and_pane": 1e9 * judging / (steps * PANES_A_STEP),
        "bytes_per_series": len(rows) / series,
        "bytes_per_series_of_the_whole_state": len(pipeline.snapshot()) / series,
    }


def parts(batch: Batch) -> tuple[Batch, Batch]:
    """The facts of an interval, and the tick behind them."""
    facts, tick = (
        replace(batch, **{name: getattr(batch, name)[rows] for name in COLUMNS})
        for rows in (slice(None, -1), slice(-1, None))
    )
    return facts, tick


def timed(pipeline: Pipeline, batch: Batch) -> float:
    """CPU seconds that feeding takes."""
    began = time.process_time()
    pipeline.feed(batch)
    return time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Cost of judging, everything on.")
    parser.add_argument("--accounts", type=int, default=500)
    parser.add_argument("--campaigns", type=int, default=20, help="per account")
    parser.add_argument("--days", type=int, default=4, help="days learned before")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = measured(options.accounts, options.campaigns, options.days, options.seed)
    if options.json:
        print(json.dumps({"seed": options.seed, **found}))
        return 0
    print(f"Seed {options.seed}, {options.days} days learned\n\n| | |\n| --- | --- |")
    for name, figure in found.items():
        print(f"| {name.replace('_', ' ')} | {figure:,.0f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
