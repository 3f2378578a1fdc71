"""Facts per second of every road, in one run, as ratios: replay, the worker on a real broker, and two peers.

The peers are DuckDB's bare sums of the same NDJSON (nothing but ``GROUP BY``) and a Faust agent that adds one fact at a
time to a Table (:mod:`naive_agent`) on the same broker.  Everything of ours is on: repeats, late facts, restatement,
windows, all default detectors.  Every measurement is a process of its own that warms up first (a replay of other facts,
which also loads compiled code; DuckDB runs its query once before); rounds are interleaved and medians are taken.
Figures are CPU seconds of the process that works, all of its threads together, since a shared machine moves wall-clock
time far more; imports and data making are not counted.  DuckDB gets one thread, with which it needs the least CPU
time.  What one waits for is told beside it: ratios that end in ``_wall`` compare wall-clock time, DuckDB with as many
threads as there are cores.  A tick a minute is judged in every partition however few facts it brings, so ``--days``
(density) moves the figures as much as anything else.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
CAMPAIGNS, ACCOUNTS, DAYS, PARTITIONS = 2_000, 24, 1, 12
WARM_FACTS = 30_000


def history(facts: int, seed: int, days: float) -> Iterator[bytes]:
    """NDJSON of about 256 bytes a line: Zipf campaigns, one conversion in ten, 1 % repeated, most a little late."""
    draw = np.random.default_rng(seed)
    campaign = np.minimum(draw.zipf(1.3, facts), CAMPAIGNS) - 1
    known = START_MS + np.sort(draw.integers(0, int(days * 86_400_000), facts))
    at = known - draw.exponential(60_000, facts).astype(np.int64)
    converts, repeated = draw.random(facts) < 0.1, draw.random(facts) < 0.01
    cost, clicks, value = draw.integers(10_000, 900_000, facts), draw.poisson(4, facts), draw.integers(1, 90, facts)
    before = b""
    for row in range(facts):
        if repeated[row] and before:
            yield before
            continue
        number = int(campaign[row])
        about = (
            f'"source":"{("google_ads", "meta")[number % 2]}","account":"agency-client-{number % ACCOUNTS:03d}",'
            f'"campaign":"{number:04d} / always on / prospecting / broad audience","currency":"EUR"'
        )
        when = f'"at":{at[row]},"known_at":{known[row]}'
        if converts[row]:
            before = (
                f'{{"fact":"conversion","id":"{seed}-conversion-{row:09d}",{when},{about},'
                f'"name":"purchase","value_micros":{value[row]}000000}}\n'
            ).encode()
        else:
            before = (
                f'{{"fact":"delivery","id":"{seed}-delivery-{row:09d}",{when},{about},'
                f'"cost_micros":{cost[row]},"impressions":{clicks[row] * 37 + 5},"clicks":{clicks[row]}}}\n'
            ).encode()
        yield before


def child_replay(path: str, warm: str) -> dict[str, Any]:
    """Replay ``path`` after ``warm``."""
    from replay.run import replay
    from streams.settings import DetectionSettings

    replay([warm], DetectionSettings())
    before, wall = time.process_time(), time.perf_counter()
    summary = replay([path], DetectionSettings())
    used = {"cpu_s": time.process_time() - before, "wall_s": time.perf_counter() - wall}
    return {**used, "facts": summary.model_dump()["facts"]}


def child_duckdb(path: str, warm: str, threads: int) -> dict[str, Any]:
    """Sums by account, campaign and minute of the same lines."""
    import duckdb

    whole = "BIGINT"
    columns = {
        "fact": "VARCHAR",
        "at": whole,
        "account": "VARCHAR",
        "campaign": "VARCHAR",
        "cost_micros": whole,
        "impressions": whole,
        "clicks": whole,
        "value_micros": whole,
    }
    query = (
        'SELECT count(*) FROM (SELECT account, campaign, "at" // 60000, count(*), sum(cost_micros), sum(impressions), '
        "sum(clicks), sum(value_micros) FROM read_json('{}', format='newline_delimited', columns={}) GROUP BY ALL)"
    )
    connection = duckdb.connect(config={"threads": threads})
    connection.execute(query.format(warm, columns)).fetchall()
    before, wall = time.process_time(), time.perf_counter()
    rows = connection.execute(query.format(path, columns)).fetchall()
    return {
        "cpu_s": time.process_time() - before,
        "wall_s": time.perf_counter() - wall,
        "groups": rows[0][0],
    }


def child_worker(settings: dict[str, Any], number: int, warm: str) -> dict[str, Any]:
    """A worker that drains the facts topic; CPU seconds from before its connection to after its end."""
    from events.codec import Decoder
    from streams.kafka_settings import KafkaSettings
    from streams.on_kafka import run_worker
    from streams.pipeline import Pipeline
    from streams.settings import DetectionSettings
    from streams.ticks import with_ticks

    class Round(KafkaSettings):
        """The same topics, read by a group of its own."""

        @property
        def worker_id(self) -> str:
            return f"{self.topic_prefix}worker{number}"

    batch = with_ticks(Decoder().decode(Path(warm).read_bytes().splitlines()).batch)
    Pipeline(DetectionSettings()).feed(batch)
    before, wall = time.process_time(), time.perf_counter()
    status = run_worker(Round.model_validate(settings), DetectionSettings(), drain=True)
    assert status == 0
    return {"cpu_s": time.process_time() - before, "wall_s": time.perf_counter() - wall}


def child_naive(bootstrap: str, topic: str, wanted: int, number: int) -> dict[str, Any]:
    """The naive agent on single facts."""
    from naive_agent import count

    wall = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        used = asyncio.run(count(bootstrap, topic, PARTITIONS, wanted, f"{topic}.naive{number}", folder))
    return {"cpu_s": used, "wall_s": time.perf_counter() - wall}


CHILDREN: dict[str, Any] = {
    "replay": child_replay,
    "duckdb": child_duckdb,
    "worker": child_worker,
    "naive": child_naive,
}


def measured(name: str, *given: Any) -> dict[str, Any]:
    """Run a child process and read what it measured."""
    command = [sys.executable, str(Path(__file__)), "--child", name, json.dumps(given)]
    path = os.pathsep.join((str(ROOT), str(ROOT / "benchmarks")))
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed: {done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _broker() -> Any:
    """The test suite's own way to a broker."""
    spec = importlib.util.spec_from_file_location("kafka_broker", ROOT / "tests" / "kafka" / "broker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.running_broker()


def run(facts: int, naive_facts: int, rounds: int, seed: int, days: float) -> dict[str, Any]:
    """All measurements, interleaved."""
    from events.parquet import write
    from streams.kafka_settings import KafkaSettings
    from streams.produce import produce

    with tempfile.TemporaryDirectory(prefix="adwatch-bench-") as folder, _broker() as bootstrap:
        ndjson, warm, parquet = (str(Path(folder) / name) for name in ("facts.ndjson", "warm.ndjson", "facts.parquet"))
        with open(ndjson, "wb") as out:
            out.writelines(history(facts, seed, days))
        with open(warm, "wb") as out:
            out.writelines(history(WARM_FACTS, seed + 1, days))
        with open(ndjson, "rb") as lines:
            write(parquet, lines)
        kafka = KafkaSettings(
            bootstrap_servers=bootstrap, topic_prefix=f"bench{os.getpid()}.", ticker="none", partitions=PARTITIONS
        )
        _say(f"{facts:,} facts, {Path(ndjson).stat().st_size / facts:.0f} bytes each; producing ...")
        with open(ndjson, "rb") as lines:
            produce(lines, kafka, ticks=True)
        with open(ndjson, "rb") as lines:
            produce([line for line, _ in zip(lines, range(naive_facts), strict=False)], kafka, raw=True)
        every: dict[str, list[dict[str, Any]]] = {}
        for number in range(rounds):
            jobs: dict[str, tuple[Any, ...]] = {
                "replay_ndjson": ("replay", ndjson, warm),
                "replay_parquet": ("replay", parquet, warm),
                "worker": ("worker", kafka.model_dump(), number, warm),
                "naive": ("naive", bootstrap, kafka.raw_topic, naive_facts, number),
                "duckdb": ("duckdb", ndjson, warm, 1),
                "duckdb_threads": ("duckdb", ndjson, warm, os.cpu_count()),
            }
            for name, (child, *given) in jobs.items():
                every.setdefault(name, []).append(measured(child, *given))
                last = every[name][-1]
                _say(f"round {number + 1}: {name} {last['cpu_s']:.2f} CPU s, {last['wall_s']:.2f} s")
    return summed_up(every, facts, naive_facts, rounds)


def summed_up(every: dict[str, list[dict[str, Any]]], facts: int, naive_facts: int, rounds: int) -> dict[str, Any]:
    """Medians and the ratios between them."""
    median = {name: statistics.median(each["cpu_s"] for each in found) for name, found in every.items()}
    wall = {name: statistics.median(each["wall_s"] for each in found) for name, found in every.items()}
    rate = {name: (naive_facts if name == "naive" else facts) / cpu_s for name, cpu_s in median.items()}
    return {
        "facts": facts,
        "rounds": rounds,
        "replay_ndjson_over_duckdb": round(median["replay_ndjson"] / median["duckdb"], 2),
        "replay_parquet_over_duckdb": round(median["replay_parquet"] / median["duckdb"], 2),
        "replay_ndjson_over_duckdb_wall": round(wall["replay_ndjson"] / wall["duckdb_threads"], 2),
        "replay_parquet_over_duckdb_wall": round(wall["replay_parquet"] / wall["duckdb_threads"], 2),
        "worker_facts_per_cpu_s": round(rate["worker"]),
        "worker_over_naive": round(rate["worker"] / rate["naive"], 1),
        "facts_per_cpu_s": {name: round(value) for name, value in rate.items()},
        "runs": every,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=600_000)
    parser.add_argument("--naive-facts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--days", type=float, default=DAYS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](*json.loads(given.child[1]))))
        return
    found = run(given.facts, given.naive_facts, given.rounds, given.seed, given.days)
    if given.json:
        print(json.dumps(found))
        return
    for name, value in found["facts_per_cpu_s"].items():
        print(f"{name:16} {value:>12,} facts per CPU second")
    for name in found:
        if "_over_" in name:
            print(f"{name:32} {found[name]:>8}")


if __name__ == "__main__":
    main()
