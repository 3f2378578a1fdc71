"""The scoring rules of the Numenta Anomaly Benchmark, from their published description (Lavin and Ahmad, 2015).

A series has labelled windows.  Its first 15 % of rows (of at most 5,000) are probation and count for nothing.  A row
whose score reaches the threshold is a detection.  The best placed detection in a window earns up to 1, by a sigmoid
that falls from the window's left edge to its right edge; a window without any costs ``miss``; a detection outside
costs up to ``false_row``, less when it follows a window closely.  One threshold serves every series.  A detector that
says nothing scores 0, a perfect one 100.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PROBATION = 0.15
PROBATION_ROWS_OF = 5_000
MONTH_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Profile:
    """What a missed window and a false row cost, where a window caught at once earns 1."""

    miss: float
    false_row: float


PROFILES = {"standard": Profile(1.0, 0.11), "low_fp": Profile(1.0, 0.22), "low_fn": Profile(2.0, 0.11)}


@dataclass(frozen=True, slots=True)
class Series:
    """One file of the corpus; ``windows`` are inclusive row ranges."""

    name: str
    stamps: tuple[str, ...]
    at_ms: tuple[int, ...]
    values: tuple[float, ...]
    windows: tuple[tuple[int, int], ...]

    @property
    def group(self) -> str:
        """The folder the file stands in."""
        return self.name.split("/", 1)[0]

    @property
    def probation(self) -> int:
        """How many rows at the start count for nothing."""
        return int(PROBATION * min(len(self.values), PROBATION_ROWS_OF))

    @property
    def months(self) -> float:
        """How long the judged rows outside the windows last, in months of 30 days."""
        judged = self.at_ms[-1] - self.at_ms[self.probation]
        labelled = sum(self.at_ms[right] - self.at_ms[left] for left, right in self.windows)
        return max(judged - labelled, 0) / MONTH_MS


def epoch_ms(stamp: str) -> int:
    """The corpus writes no zone; it is read as UTC.

    >>> epoch_ms("1970-01-01 00:00:01.500000")
    1500
    """
    at = datetime.fromisoformat(stamp).replace(tzinfo=UTC)
    return int(at.timestamp()) * 1000 + at.microsecond // 1000


def _load_one(root: Path, name: str, windows: Sequence[Sequence[str]]) -> Series:
    with (root / "data" / name).open(newline="") as file:
        rows = [(row["timestamp"], float(row["value"])) for row in csv.DictReader(file)]
    at_ms = [epoch_ms(stamp) for stamp, _ in rows]
    ranges = tuple(_rows_between(at_ms, epoch_ms(left), epoch_ms(right)) for left, right in windows)
    return Series(name, tuple(stamp for stamp, _ in rows), tuple(at_ms), tuple(value for _, value in rows), ranges)


def _rows_between(at_ms: Sequence[int], left_ms: int, right_ms: int) -> tuple[int, int]:
    inside = [row for row, at in enumerate(at_ms) if left_ms <= at <= right_ms]
    return inside[0], inside[-1]


def load(root: Path) -> list[Series]:
    """Every file below ``root/data`` that ``root/labels/combined_windows.json`` names, in order of name."""
    labels: Mapping[str, list[list[str]]] = json.loads((root / "labels" / "combined_windows.json").read_text())
    return [_load_one(root, name, labels[name]) for name in sorted(labels) if (root / "data" / name).exists()]


def placed(position: float) -> float:
    """What a detection is worth at ``position``: -1 is a window's left edge, 0 its right edge, 3 far behind it.

    >>> placed(-1.0) > 0.98, abs(placed(0.0)) < 1e-12, placed(3.5)
    (True, True, -1.0)
    """
    return -1.0 if position > 3.0 else 2.0 / (1.0 + float(np.exp(5.0 * position))) - 1.0


@dataclass(frozen=True, slots=True)
class Worth:
    """What each judged row of a series is worth as a detection; ``window`` is -1 outside."""

    row: NDArray[np.int64]
    worth: Floats
    window: NDArray[np.int64]


def worth_of(series: Series) -> Worth:
    """Worth of every row after probation, before the weights of a profile."""
    window = np.full(len(series.values), -1)
    worth = np.full(len(series.values), -1.0)
    for left, right in series.windows:
        length = right - left + 1
        worth[right + 1 :] = [placed(behind / max(length - 1, 1)) for behind in range(1, len(worth) - right)]
    for number, (left, right) in enumerate(series.windows):
        length = right - left + 1
        window[left : right + 1] = number
        worth[left : right + 1] = [placed(-(right - row + 1) / length) / placed(-1.0) for row in range(left, right + 1)]
    rows = np.arange(series.probation, len(worth))
    return Worth(rows, worth[rows], window[rows])


@dataclass(frozen=True, slots=True)
class Curve:
    """Raw total of one series for every threshold: ``totals[i]`` holds at ``thresholds[i]`` (falling) and below."""

    thresholds: Floats
    totals: Floats
    windows: int

    def at(self, threshold: float) -> float:
        """Raw total when a score of ``threshold`` or more is a detection."""
        passed = int(np.searchsorted(-self.thresholds, -threshold, side="right"))
        return float(self.totals[passed])


def curve(series: Series, worth: Worth, scores: Floats, profile: Profile) -> Curve:
    """The series' raw total as a function of the threshold."""
    order = np.argsort(-scores[worth.row], kind="stable")
    score, value, window = scores[worth.row][order], worth.worth[order], worth.window[order]
    gain = np.where(window < 0, value * profile.false_row, 0.0)
    for number in range(len(series.windows)):
        inside = np.flatnonzero(window == number)
        best = np.maximum.accumulate(value[inside])
        gain[inside] = np.diff(best, prepend=-profile.miss)
    ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))
    nothing = -profile.miss * len(series.windows)
    return Curve(score[ends], np.concatenate([[nothing], nothing + np.cumsum(gain)[ends]]), len(series.windows))


def normalised(raw: float, windows: int, profile: Profile) -> float:
    """0 for silence, 100 for perfection."""
    return 100.0 * (raw + profile.miss * windows) / ((1.0 + profile.miss) * windows)


def total_at(curves: Sequence[Curve], threshold: float, profile: Profile) -> float:
    """Normalised score of several series under one threshold."""
    windows = sum(one.windows for one in curves)
    return normalised(sum(one.at(threshold) for one in curves), windows, profile)


def best_threshold(curves: Sequence[Curve]) -> float:
    """The threshold with the highest raw total over ``curves`` (infinite when silence is best)."""
    points = np.unique(np.concatenate([one.thresholds for one in curves]))[::-1]
    total = np.zeros(len(points) + 1)
    for one in curves:
        passed = np.searchsorted(-one.thresholds, -np.append(np.inf, points), side="right")
        total += one.totals[passed]
    best = int(np.argmax(total))
    return float("inf") if best == 0 else float(points[best - 1])


def false_rows(series: Series, worth: Worth, scores: Floats, threshold: float) -> int:
    """Detections after probation and outside every window."""
    return int(np.count_nonzero(scores[worth.row[worth.window < 0]] >= threshold))


def windows_hit(series: Series, worth: Worth, scores: Floats, threshold: float) -> int:
    """Windows with at least one detection."""
    hit = scores[worth.row] >= threshold
    return len(set(worth.window[hit].tolist()) - {-1})
