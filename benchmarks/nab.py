"""Detectors on the Numenta Anomaly Benchmark: ``python benchmarks/nab.py DIR [--out RESULTS] [--json]``.

``DIR`` holds ``data/GROUP/FILE.csv`` (timestamp, value) and ``labels/combined_windows.json`` as NAB ships them.
``--out`` gets one CSV per file (``timestamp,value,anomaly_score``) of our own detector.  Besides the score with one
threshold over all files it prints three that hindsight cannot flatter: the threshold chosen on the other groups, the
threshold (and, for our own detector, the configuration) chosen on one half of the files and scored on the other, and
what happens at the label-free threshold of one false alarm per series-month.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.nab_rules import (
    PROFILES,
    Curve,
    Floats,
    Profile,
    Series,
    Worth,
    best_threshold,
    curve,
    false_rows,
    load,
    normalised,
    total_at,
    windows_hit,
    worth_of,
)
from detectors.metric import MetricBank
from detectors.river_model import RiverModel, model_from

Make = Callable[[], Any]
STANDARD = PROFILES["standard"]
LABEL_FREE = math.log10(720.0)
HALVES = 100
SEED = 1
VARIANTS = [
    {"season_rate": rate, "smoothing": smoothing}
    for rate, smoothing in itertools.product((0.1, 0.2, 0.4), (0.02, 0.03, 0.05))
]
"""What the nested half-split may choose from; the shipped configuration is one of them."""
OTHERS: dict[str, Make] = {
    "river GaussianScorer": lambda: RiverModel(model_from("anomaly.GaussianScorer")),
    "river StandardAbsoluteDeviation": lambda: RiverModel(model_from("anomaly.StandardAbsoluteDeviation")),
    "river HalfSpaceTrees": lambda: RiverModel(model_from("anomaly.HalfSpaceTrees", {"seed": 1})),
}


@dataclass(frozen=True, slots=True)
class Corpus:
    """The files and what each of their rows is worth."""

    series: list[Series]
    worth: list[Worth]

    @property
    def months(self) -> float:
        """Judged, unlabelled series-months."""
        return sum(one.months for one in self.series)


@dataclass(frozen=True, slots=True)
class Result:
    """One detector on the whole corpus; the scores of NAB run from 0 (silence) to 100 (perfection)."""

    detector: str
    standard: float
    low_fp: float
    low_fn: float
    leave_one_group_out: float
    half_split_threshold: float
    half_split_nested: float | None
    threshold: float
    windows_hit: int
    windows: int
    false_rows_per_month: float
    label_free_standard: float
    label_free_windows_hit: int
    label_free_false_rows_per_month: float
    us_per_row: float


@dataclass(frozen=True, slots=True)
class Run:
    """Scores of one detector: ``said`` per reading, ``hourly`` the same rows as odds per hour."""

    said: list[Floats]
    hourly: list[Floats]
    us_per_row: float


def run(corpus: Corpus, make: Make) -> Run:
    """Judge, then learn every row of every file."""
    said, hourly, rows, began = [], [], 0, time.perf_counter()
    for series in corpus.series:
        detector = make()
        one, per_hour = np.zeros(len(series.values)), np.zeros(len(series.values))
        for row, (at_ms, value) in enumerate(zip(series.at_ms, series.values, strict=True)):
            x = {"at_ms": at_ms}
            one[row] = detector.score_one(x, value)
            if one[row] > 0.0:
                per_hour[row] = detector.judge(x, value).evidence
            detector.learn_one(x, value)
        said.append(one)
        hourly.append(per_hour)
        rows += len(series.values)
    return Run(said, hourly, 1e6 * (time.perf_counter() - began) / rows)


def run_bank(corpus: Corpus, params: dict[str, Any]) -> Run:
    """The same with a bank: a step is one row of every file that has so many."""
    bank, files = MetricBank(len(corpus.series), **params), corpus.series
    lengths = np.array([len(one.values) for one in files])
    readings, said = np.zeros((len(files), lengths.max(), 2)), np.zeros((len(files), lengths.max()))
    hourly = np.zeros_like(said)
    for i, one in enumerate(files):
        readings[i, : lengths[i], 0], readings[i, : lengths[i], 1] = one.at_ms, one.values
    bank.step(readings[:, 0], np.zeros(len(files), dtype=bool))
    began = time.perf_counter()
    for row in range(lengths.max()):
        said[:, row] = bank.step(readings[:, row], lengths > row)
        hourly[:, row] = bank.evidence
    us_per_row = 1e6 * (time.perf_counter() - began) / lengths.sum()
    cut = range(len(files))
    return Run([said[i, : lengths[i]] for i in cut], [hourly[i, : lengths[i]] for i in cut], us_per_row)


def curves(corpus: Corpus, scores: Sequence[Floats], profile: Profile) -> list[Curve]:
    """One curve per file."""
    return [curve(*one, profile) for one in zip(corpus.series, corpus.worth, scores, strict=True)]


def in_sample(corpus: Corpus, scores: Sequence[Floats], profile: Profile) -> float:
    """NAB's own figure: the best threshold over all files, with all labels known."""
    own = curves(corpus, scores, profile)
    return total_at(own, best_threshold(own), profile)


def leave_one_group_out(corpus: Corpus, own: Sequence[Curve]) -> float:
    """Every group under the threshold that is best for the other groups."""
    raw = 0.0
    for group in {one.group for one in corpus.series}:
        rest = [one for series, one in zip(corpus.series, own, strict=True) if series.group != group]
        threshold = best_threshold(rest)
        raw += sum(one.at(threshold) for s, one in zip(corpus.series, own, strict=True) if s.group == group)
    return normalised(raw, sum(one.windows for one in own), STANDARD)


def half_split(choices: Sequence[Sequence[Curve]]) -> float:
    """Threshold and choice taken on one half of the files, scored on the other; mean over seeded random halves."""
    draw, scores = np.random.default_rng(SEED), []
    for _ in range(HALVES):
        shuffled = draw.permutation(len(choices[0]))
        middle = len(shuffled) // 2
        for seen, unseen in ((shuffled[:middle], shuffled[middle:]), (shuffled[middle:], shuffled[:middle])):
            scores.append(_transferred(choices, seen.tolist(), unseen.tolist()))
    return float(np.mean(scores))


def _transferred(choices: Sequence[Sequence[Curve]], seen: list[int], unseen: list[int]) -> float:
    known = [[own[i] for i in seen] for own in choices]
    thresholds = [best_threshold(own) for own in known]
    totals = [total_at(own, t, STANDARD) for own, t in zip(known, thresholds, strict=True)]
    best = int(np.argmax(totals))
    return total_at([choices[best][i] for i in unseen], thresholds[best], STANDARD)


def judged(name: str, corpus: Corpus, own: Run, nested: float | None) -> Result:
    """All figures of one detector."""
    rows = list(zip(corpus.series, corpus.worth, own.said, strict=True))
    hourly = list(zip(corpus.series, corpus.worth, own.hourly, strict=True))
    standard, free = curves(corpus, own.said, STANDARD), curves(corpus, own.hourly, STANDARD)
    threshold = best_threshold(standard)
    return Result(
        detector=name,
        standard=total_at(standard, threshold, STANDARD),
        low_fp=in_sample(corpus, own.said, PROFILES["low_fp"]),
        low_fn=in_sample(corpus, own.said, PROFILES["low_fn"]),
        leave_one_group_out=leave_one_group_out(corpus, standard),
        half_split_threshold=half_split([standard]),
        half_split_nested=nested,
        threshold=threshold,
        windows_hit=sum(windows_hit(*one, threshold) for one in rows),
        windows=sum(len(one.windows) for one in corpus.series),
        false_rows_per_month=sum(false_rows(*one, threshold) for one in rows) / corpus.months,
        label_free_standard=total_at(free, LABEL_FREE, STANDARD),
        label_free_windows_hit=sum(windows_hit(*one, LABEL_FREE) for one in hourly),
        label_free_false_rows_per_month=sum(false_rows(*one, LABEL_FREE) for one in hourly) / corpus.months,
        us_per_row=own.us_per_row,
    )


def nested(corpus: Corpus) -> float:
    """Half-split with the configuration of our own detector among what is chosen."""
    return half_split([curves(corpus, run_bank(corpus, one).said, STANDARD) for one in VARIANTS])


def write(out: Path, corpus: Corpus, scores: Sequence[Floats]) -> None:
    """One CSV per file below ``out``, in the folders of the corpus."""
    for series, own in zip(corpus.series, scores, strict=True):
        path = out / series.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("timestamp", "value", "anomaly_score"))
            rows.writerows(zip(series.stamps, series.values, own.tolist(), strict=True))


def table(results: Sequence[Result], corpus: Corpus) -> str:
    """The results for a terminal, as a Markdown table."""
    head = "| detector | standard | low FP | low FN | other groups' threshold | half-split | nested | windows "
    lines = [
        f"{len(corpus.series)} files, {corpus.months:.1f} series-months outside the windows",
        f"{HALVES} random halves, seed {SEED}\n",
        head + "| false/month | label-free: standard | windows | false/month | µs/row |",
        "|" + " --- |" * 13,
    ]
    for one in results:
        chosen = "" if one.half_split_nested is None else f"{one.half_split_nested:.1f}"
        figures = (
            f"{one.standard:.1f}", f"{one.low_fp:.1f}", f"{one.low_fn:.1f}", f"{one.leave_one_group_out:.1f}",
            f"{one.half_split_threshold:.1f}", chosen, f"{one.windows_hit}/{one.windows}",
            f"{one.false_rows_per_month:.2f}", f"{one.label_free_standard:.1f}",
            f"{one.label_free_windows_hit}/{one.windows}", f"{one.label_free_false_rows_per_month:.2f}",
            f"{one.us_per_row:.1f}",
        )  # fmt: skip
        lines.append(f"| {one.detector} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description="Detectors on the Numenta Anomaly Benchmark.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="holds data/ and labels/ as NAB ships them")
    parser.add_argument("--out", type=Path, metavar="RESULTS", help="write timestamp,value,anomaly_score per file here")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    if not (options.directory / "labels" / "combined_windows.json").exists():
        print(f"{options.directory}: there is no labels/combined_windows.json", file=sys.stderr)
        return 2
    series = load(options.directory)
    corpus = Corpus(series, [worth_of(one) for one in series])
    ours = run_bank(corpus, {})
    results = [judged("metric", corpus, ours, nested(corpus))]
    results += [judged(name, corpus, run(corpus, make), None) for name, make in OTHERS.items()]
    if options.out is not None:
        write(options.out, corpus, ours.said)
    if options.json:
        print(
            json.dumps(
                {"seed": SEED, "halves": HALVES, "months": corpus.months, "detectors": [asdict(one) for one in results]}
            )
        )
    else:
        print(table(results, corpus))
    return 0


if __name__ == "__main__":
    sys.exit(main())
