"""Metric facts: any other number, judged by one detector per series at the tick after it came."""

from __future__ import annotations

import math
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from alerts.change import AlertChange, Point, rfc3339
from alerts.life import Life
from alerts.signal import Name, Signal
from detectors.metric import MetricDetector
from detectors.score import Score
from streams.settings import DetectionSettings

if TYPE_CHECKING:
    from detectors.river_model import RiverModel

SeriesKey = tuple[str, str, str]
"""Account, source ('' where none is said), series."""
POINTS = 48
CALM_READINGS = 3
LONGEST_MS = 86_400_000
BACK = "Back inside the expected range: no action needed."
NEW_LEVEL = "Has lasted a day: taken as the new normal level from now on."


def local_ms(at_ms: int, zone: ZoneInfo) -> int:
    """What a clock in ``zone`` shows at ``at_ms``, as milliseconds since it showed the beginning of 1970.

    >>> berlin = ZoneInfo("Europe/Berlin")
    >>> [(local_ms(at_ms, berlin) - at_ms) // 3_600_000 for at_ms in (1_774_742_400_000, 1_774_828_800_000)]
    [1, 2]
    """
    offset = datetime.fromtimestamp(at_ms // 1000, UTC).astimezone(zone).utcoffset()
    return at_ms if offset is None else at_ms + round(offset.total_seconds() * 1000)


class MetricSeries:
    """One series: its detector, the points of its chart, and how many calm readings came since it alarmed."""

    def __init__(self, detector: MetricDetector | RiverModel) -> None:
        self.detector = detector
        self.points: deque[tuple[int, float, float | None, float | None, float | None]] = deque(maxlen=POINTS)
        self.calm = 0

    def judge(self, at_ms: int, value: float, zone: ZoneInfo) -> Score:
        """Judge by the hour and weekday that it is in ``zone``, remember for the chart, then learn."""
        x = {"at_ms": local_ms(at_ms, zone)}
        score = self.detector.judge(x, value)
        self.points.append((at_ms, value, score.expected, score.low, score.high))
        self.calm = 0 if score.outside(value) else self.calm + 1
        self.detector.learn_one(x, value)
        return score


class Metrics:
    """The detectors of all metric series of a partition."""

    def __init__(self, settings: DetectionSettings) -> None:
        self._settings = settings
        self._series: dict[SeriesKey, MetricSeries] = {}
        self._waiting: list[tuple[str, str, str, int, float]] = []

    def take(self, fact: Any) -> None:
        """Keep a reading for the next tick."""
        self._waiting.append((fact.account, fact.source or "", fact.series, fact.at, fact.value))

    @property
    def waiting(self) -> bool:
        """Whether readings wait for the next tick."""
        return bool(self._waiting)

    def tick(self, at_ms: int, life: Life) -> list[AlertChange]:
        """Judge the readings that came, each series in order of its readings' time."""
        waiting, self._waiting = sorted(self._waiting), []
        changes = []
        for account, source, name, read_ms, value in waiting:
            change = self._judge((account, source, name), read_ms, value, at_ms, life)
            changes += [] if change is None else [change]
        return changes

    def _judge(self, key: SeriesKey, read_ms: int, value: float, at_ms: int, life: Life) -> AlertChange | None:
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = MetricSeries(self._detector())
        score = series.judge(read_ms, value, self._zone(key[0]))
        signal = _signal(key, series, score, read_ms, value, at_ms)
        opened_ms = life.opened_ms(signal.key, signal.scope)
        if opened_ms is not None:
            return self._end(series, signal, at_ms - opened_ms, life)
        return life.open(signal) if score.evidence >= self._threshold(key[0]) else None

    def _end(self, series: MetricSeries, signal: Signal, age_ms: int, life: Life) -> AlertChange | None:
        if series.calm >= CALM_READINGS:
            return life.resolve(signal, BACK)
        return life.resolve(signal, NEW_LEVEL) if age_ms >= LONGEST_MS else None

    def _threshold(self, account: str) -> float:
        """Log10 of the hours that all metric series of the account are watched per promised false alarm."""
        together = sum(key[0] == account for key in self._series)
        return math.log10(self._settings.quiet_days * 24.0 * together)

    def _zone(self, account: str) -> ZoneInfo:
        return ZoneInfo(self._settings.time_zones.get(account) or self._settings.time_zone)

    def _detector(self) -> MetricDetector | RiverModel:
        name = self._settings.metric_model
        if name is None:
            return MetricDetector()
        # all of River takes seconds to import; only whoever names a model of River's waits for it
        from detectors.river_model import RiverModel, model_from

        return RiverModel(model_from(name, self._settings.metric_parameters, "detection.metric_model"))

    def to_state(self) -> list[Any]:
        """The whole state as plain values."""
        return [
            [*key, [list(p) for p in series.points], series.calm, series.detector.state()]
            for key, series in self._series.items()
        ] + [list(reading) for reading in self._waiting]

    @classmethod
    def of_state(cls, settings: DetectionSettings, state: list[Any]) -> Metrics:
        """The inverse of :meth:`to_state`."""
        metrics = cls(settings)
        for row in state:
            if len(row) == 5:
                metrics._waiting.append(tuple(row))
                continue
            account, source, name, points, calm, detector = row
            series = metrics._series[account, source, name] = MetricSeries(metrics._detector())
            series.detector.restore(detector)
            series.points.extend(tuple(p) for p in points)
            series.calm = calm
        return metrics


def _signal(key: SeriesKey, series: MetricSeries, score: Score, read_ms: int, value: float, at_ms: int) -> Signal:
    account, source, name = key
    off = value if score.expected is None else abs(value - score.expected)
    reach = 0.0 if score.high is None or score.expected is None else score.high - score.expected
    return Signal(
        name=Name.METRIC_ANOMALY,
        account=account,
        source=source or None,
        campaign=None,
        at_ms=at_ms,
        onset_ms=read_ms,
        until_ms=read_ms,
        measure=name,
        observed=_short(value),
        expected=_short(score.expected),
        low=_short(score.low),
        high=_short(score.high),
        evidence=score.evidence,
        ratio=1.0 + off / reach if reach > 0.0 else 1.0,
        loss_micros=None,
        share=0.0,
        currency=None,
        history=tuple(_point(*point) for point in series.points),
    )


def _point(at_ms: int, value: float, expected: float | None, low: float | None, high: float | None) -> Point:
    return Point(
        at=rfc3339(at_ms), observed=_short(value), expected=_short(expected), low=_short(low), high=_short(high)
    )


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
