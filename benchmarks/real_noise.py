"""Real noise: real counts, thinned, as the conversions of an account whose spend is their smoothed level.

A file is a series in NAB's layout (``timestamp,value``) or daily sales of many regions (``date,geo,sales,cost``, as
GeoX has them).  Each series is thinned binomially to a number of conversions a day, which keeps the ups and downs that
all of it shares.  Spend follows the smoothed level: the mean of a week, times the hour of the day (of the week, where
there are eight of them).  Conversions come with the moment of their click, some twenty minutes before.  What breaks is
thinned again from a known onset on: of what was clicked since then ``1 / r`` is kept where the CPA is multiplied by
``r``; of what arrives nothing in an outage.  It lasts until twice as many conversions are due as the ideal detector
needs on counts with ``phi`` 1.5, and up to four weeks go before it.  Daily series are told as snapshots of a day, three
hours after it; what breaks lasts two days at least, and its label until the last of them can have been judged.  Nothing
is learned from labels.  "Either name" counts CPA and outage as one.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.change import AlertChange
from benchmarks.scorecard import Clean, Tallies, clean_table, scorecard
from events.incidents import Incident, needed
from replay.labels import Label, parse_labels
from replay.run import Outlets, replay
from replay.score import match_alerts, openings
from streams.settings import DetectionSettings

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
WEEK_MS = 7 * DAY_MS
SOURCE, CAMPAIGN = "real", "all"
LAG_MS = 20 * MINUTE_MS
CONVERSION_RATE, CLICK_MICROS, BASKET = 0.03, 500_000, 60.0
LEARNING_MS = 4 * WEEK_MS
LEAST_LEARNING_MS = 5 * DAY_MS
LASTS = 2.0
"""So many times as long as the ideal detector needs."""
REPORT_MS, JUDGED_MS = 3 * HOUR_MS, 2 * HOUR_MS
"""How late a day is reported, and how long it may take to be judged."""
FINE = 100
"""Counts in a unit of a series that has fractions."""


@dataclass(frozen=True, slots=True)
class Effect:
    """What breaks: ``kept`` of the conversions stay."""

    name: str
    signal: str
    kept: float


EFFECTS = (
    Effect("CPA x 1.5", "cpa_spike", 1 / 1.5),
    Effect("CPA x 2", "cpa_spike", 1 / 2),
    Effect("CPA x 3", "cpa_spike", 1 / 3),
    Effect("outage", "tracking_outage", 0.0),
)


ONE_NAME = ("cpa_spike", "tracking_outage")


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of equal steps from ``start_ms`` on; steps that the file leaves out count 0 and have no spend."""

    name: str
    start_ms: int
    step_ms: int
    counts: Ints
    there: NDArray[np.bool_]

    @property
    def end_ms(self) -> int:
        """End of the last step."""
        return self.start_ms + len(self.counts) * self.step_ms

    @property
    def a_day(self) -> float:
        """Mean count a day."""
        return float(self.counts.sum() / (self.there.sum() * self.step_ms / DAY_MS))

    @property
    def daily(self) -> bool:
        """Whether a step is a day."""
        return self.step_ms >= DAY_MS


def read(path: Path) -> list[Series]:
    """The series of a file, in the order of their names. Raises ``ValueError`` where it is of neither layout."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if rows and {"timestamp", "value"} <= rows[0].keys():
        return [_series(path.stem, [row["timestamp"] for row in rows], [row["value"] for row in rows])]
    if rows and {"date", "geo", "sales"} <= rows[0].keys():
        geos = sorted({row["geo"] for row in rows}, key=lambda geo: (len(geo), geo))
        mine = {geo: [row for row in rows if row["geo"] == geo] for geo in geos}
        return [_series(f"{path.stem} {geo}", [r["date"] for r in own], [r["sales"] for r in own])
                for geo, own in mine.items()]  # fmt: skip
    raise ValueError(f"{path}: has neither timestamp,value nor date,geo,sales,cost")


def _series(name: str, moments: Sequence[str], values: Sequence[str]) -> Series:
    at_ms = np.array([_moment_ms(moment) for moment in moments], np.int64)
    value = np.maximum(np.array(values, float), 0.0)
    step_ms = int(np.median(np.diff(np.sort(at_ms))))
    start_ms = int(at_ms.min()) // step_ms * step_ms
    place = (at_ms - start_ms) // step_ms
    fine = 1 if np.array_equal(value, np.rint(value)) else FINE
    counts = np.bincount(place, np.rint(value * fine)).astype(np.int64)
    return Series(name, start_ms, step_ms, counts, np.bincount(place) > 0)


def _moment_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def smoothed(series: Series) -> Floats:
    """The level of every step: the mean of the week around it, times what its time of day or week usually has."""
    step, there = series.step_ms, series.there
    width = max(1, WEEK_MS // step) | 1
    mean = _around(series.counts, width) / np.maximum(_around(there, width), 1.0 / width)
    at_ms = series.start_ms + np.arange(len(there)) * step
    weeks = len(there) * step / WEEK_MS
    period_ms = WEEK_MS if series.daily or weeks >= 8 else DAY_MS
    cell = (at_ms + 3 * DAY_MS) % period_ms // max(step, HOUR_MS)
    usual = np.bincount(cell[there], series.counts[there]) / np.maximum(np.bincount(cell[there], mean[there]), 1e-9)
    return np.where(there, mean * usual[cell], 0.0)


def _around(values: NDArray[Any], width: int) -> Floats:
    """Mean over ``width`` neighbours, fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(values, dtype=float)])
    place = np.arange(len(values))
    first, last = np.maximum(place - width // 2, 0), np.minimum(place + width // 2 + 1, len(values))
    found: Floats = (total[last] - total[first]) / (last - first)
    return found


@dataclass(frozen=True, slots=True)
class Case:
    """One account: a series thinned to ``a_day``, whole and healthy, or up to the end of an incident."""

    series: Series
    a_day: float
    effect: Effect | None
    number: int
    seed: int

    @property
    def account(self) -> str:
        """The account's name."""
        return f"{self.series.name} {self.a_day:g} {self.effect.name if self.effect else 'healthy'} {self.number}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it counts as."""
        name = self.series.name.split(" ")[0]
        return ("all", name, f"{self.a_day:g} a day", *((self.effect.name,) if self.effect else ()))


@dataclass(frozen=True, slots=True)
class History:
    """What an account tells, and its incident."""

    lines: list[tuple[int, bytes]]
    incident: Incident | None
    days: float


def history(case: Case) -> History | None:
    """The account of ``case``; ``None`` where its series is too short for the effect to be told from chance."""
    series = case.series
    rng = np.random.default_rng([case.seed, case.number, *case.account.encode()])
    level = smoothed(series) * min(1.0, case.a_day / series.a_day)
    from_ms, to_ms, incident = series.start_ms, series.end_ms, None
    if case.effect is not None:
        incident = _incident(rng, case, case.effect, level)
        if incident is None:
            return None
        from_ms, to_ms = max(from_ms, incident.from_ms - LEARNING_MS), incident.to_ms
    counts = rng.binomial(series.counts, min(1.0, case.a_day / series.a_day))
    first, last = (from_ms - series.start_ms) // series.step_ms, (to_ms - series.start_ms) // series.step_ms
    tell = _tell_days if series.daily else _tell_singly
    lines = tell(rng, case, counts, level, incident, range(first, last))
    return History(lines, incident, (to_ms - from_ms) / DAY_MS)


def _incident(rng: np.random.Generator, case: Case, effect: Effect, level: Floats) -> Incident | None:
    """Somewhere after the learning, as long as it takes."""
    series, need = case.series, LASTS * needed(effect.kept)
    due = np.concatenate([[0.0], np.cumsum(level)])
    begins = np.arange(-(-LEAST_LEARNING_MS // series.step_ms), len(level))
    ends = np.maximum(np.searchsorted(due, due[begins] + need), begins + (2 if series.daily else 1))
    begins, ends = begins[ends < len(due)], ends[ends < len(due)]
    if not len(begins):
        return None
    choice = int(rng.integers(len(begins)))
    from_ms, to_ms = (series.start_ms + int(n[choice]) * series.step_ms for n in (begins, ends))
    to_ms = max(to_ms, from_ms + HOUR_MS) + (REPORT_MS + JUDGED_MS if series.daily else 0)
    return Incident(case.account, effect.signal, case.account, None, None, from_ms, to_ms, effect.kept)


def _tell_singly(
    rng: np.random.Generator, case: Case, counts: Ints, level: Floats, incident: Incident | None, rows: range
) -> list[tuple[int, bytes]]:
    """Spend by the step, conversions one by one."""
    series, about = (
        case.series,
        f'"source":"{SOURCE}","account":"{case.account}","campaign":"{CAMPAIGN}","currency":"EUR"',
    )
    lines = []
    # the clicks of what arrives later come earlier
    early = np.interp(np.arange(len(level)) + LAG_MS / series.step_ms, np.arange(len(level)), level)
    for row in rows:
        if not series.there[row]:
            continue
        at_ms = series.start_ms + row * series.step_ms
        clicks, known = early[row] / CONVERSION_RATE, at_ms + series.step_ms
        lines.append((known, (
            f'{{"fact":"delivery","id":"d{row}-{case.account}","at":{known - MINUTE_MS},{about},'
            f'"cost_micros":{round(clicks * CLICK_MICROS)},"impressions":{round(clicks * 40)},"clicks":{round(clicks)},'
            f'"known_at":{known}}}\n').encode()))  # fmt: skip
        arrive = at_ms + np.sort(rng.integers(0, series.step_ms, int(counts[row])))
        clicked = arrive - rng.exponential(LAG_MS, len(arrive)).astype(np.int64)
        value = np.rint(rng.lognormal(np.log(BASKET), 0.5, len(arrive)) * 100).astype(np.int64) * 10_000
        stays = np.flatnonzero(_kept(rng, incident, arrive, clicked))
        columns = (np.arange(len(arrive)), arrive, clicked, value)
        lines += [(at, f'{{"fact":"conversion","id":"c{row}-{n}-{case.account}","at":{at},{about},"name":"purchase",'
                       f'"leg":"platform","value_micros":{worth},"clicked_at":{click},"known_at":{at}}}\n'.encode())
                  for n, at, click, worth in zip(*(c[stays].tolist() for c in columns), strict=True)]  # fmt: skip
    return lines


def _kept(rng: np.random.Generator, incident: Incident | None, arrive: Ints, clicked: Ints) -> NDArray[np.bool_]:
    if incident is None:
        return np.ones(len(arrive), bool)
    moment = clicked if incident.signal == "cpa_spike" else arrive
    hit = (moment >= incident.from_ms) & (moment < incident.to_ms)
    stays: NDArray[np.bool_] = ~hit | (rng.random(len(arrive)) < incident.kept)
    return stays


def _tell_days(
    rng: np.random.Generator, case: Case, counts: Ints, level: Floats, incident: Incident | None, rows: range
) -> list[tuple[int, bytes]]:
    """A snapshot of each day, and a watermark that says it is complete."""
    series, lines = case.series, []
    for row in rows:
        at_ms = series.start_ms + row * series.step_ms
        known, hit = at_ms + series.step_ms + REPORT_MS, incident is not None and incident.from_ms <= at_ms
        sold = int(rng.binomial(counts[row], incident.kept)) if incident is not None and hit else int(counts[row])
        value = float(rng.lognormal(np.log(BASKET), 0.5, sold).sum())
        clicks = level[row] / CONVERSION_RATE
        where = f'"source":"{SOURCE}","account":"{case.account}"'
        lines.append((known, (
            f'{{"fact":"snapshot","at":{at_ms},"bucket":"day",{where},"campaign":"{CAMPAIGN}","currency":"EUR",'
            f'"revision":1,"name":"purchase","cost_micros":{round(clicks * CLICK_MICROS)},'
            f'"impressions":{round(clicks * 40)},"clicks":{round(clicks)},"conversions":{sold},'
            f'"value_micros":{round(value * 1e6)},"known_at":{known}}}\n'
        ).encode()))  # fmt: skip
        lines.append((known, f'{{"fact":"watermark","at":{at_ms + series.step_ms},{where}}}\n'.encode()))
    return lines


@dataclass
class Outcome:
    """What came of some accounts."""

    tallies: Tallies = field(default_factory=Tallies)
    clean: dict[str, Clean] = field(default_factory=dict)
    skipped: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count what ``other`` has counted, too."""
        self.tallies.add(other.tallies)
        for kind, clean in other.clean.items():
            self.clean.setdefault(kind, Clean()).add(clean)
        self.skipped += other.skipped
        self.notes += other.notes


def measure(cases: Sequence[Case]) -> Outcome:
    """Replay the accounts of ``cases`` as one history and count."""
    told: list[AlertChange] = []
    histories = {case.account: (case, made) for case in cases if (made := history(case)) is not None}
    with tempfile.TemporaryDirectory() as name:
        facts = Path(name, "facts.ndjson")
        lines = sorted((line for _, made in histories.values() for line in made.lines), key=lambda line: line[0])
        facts.write_bytes(b"".join(line for _, line in lines))
        replay([facts], DetectionSettings(), outlets=Outlets(told=told.append))
    outcome = Outcome(skipped=len(cases) - len(histories))
    alerts = openings(told)
    _count_incidents(outcome, histories, [alert for alert in alerts if histories[alert.account][1].incident])
    for case, made in histories.values():
        if made.incident is None:
            mine = [alert for alert in alerts if alert.account == case.account]
            for kind in case.kinds:
                outcome.clean.setdefault(kind, Clean()).add(Clean(made.days, Counter({"all": len(mine)})))
            outcome.notes += [f"false {alert.signal} {alert.at[:16]} {alert.account}" for alert in mine]
    return outcome


def _count_incidents(
    outcome: Outcome, histories: dict[str, tuple[Case, History]], alerts: Sequence[AlertChange]
) -> None:
    labels = parse_labels((made.incident.label() for _, made in histories.values() if made.incident), "labels")

    def kinds(one: Label | AlertChange) -> Sequence[str]:
        return histories[one.account][0].kinds

    match = match_alerts(alerts, labels)
    outcome.tallies.count(labels, kinds, alerts, kinds, match)
    signals = {label.account: label.signal for label in labels}
    renamed = [
        one.model_copy(update={"signal": signals[one.account]}) if one.signal in ONE_NAME else one for one in alerts
    ]
    outcome.tallies.count(labels, _either, renamed, _either, match_alerts(renamed, labels))
    outcome.notes += [f"missed {one.account}" for one in labels if one.incident_id not in match.first_ms]
    outcome.notes += [f"false {a.signal} {a.at[:16]} {a.account}" for a in alerts if a.alert_id in match.false]


def _either(_: Label | AlertChange) -> Sequence[str]:
    return ("either name",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``--real`` takes."""
    parser.add_argument("--real", nargs="+", type=Path, default=[], metavar="FILE", help="real counts to thin")
    parser.add_argument("--a-day", nargs="+", type=float, default=[60.0, 240.0], help="conversions a day to thin to")
    parser.add_argument("--repeats", type=int, default=4, help="incidents of every kind per series and volume")
    parser.add_argument("--geos", type=int, default=20, help="regions of a file of daily sales")


def cases_of(files: Sequence[Path], a_day: Sequence[float], seeds: Sequence[int], geos: int) -> Iterator[list[Case]]:
    """The accounts to measure, in groups that are replayed together."""
    for path in files:
        for volume in a_day:
            cases = []
            for series in read(path)[:geos]:
                for effect in (None, *EFFECTS) if series.a_day >= volume else ():
                    cases += [Case(series, volume, effect, number, seed) for number, seed in enumerate(seeds, 1)]
            yield cases


def _rank(kind: str) -> tuple[int, str]:
    """All first, then by effect, by volume, by series."""
    names = ("all", "either name", *(effect.name for effect in EFFECTS))
    return (names.index(kind) if kind in names else len(names) + (not kind.endswith(" a day")), kind)


def run(options: argparse.Namespace, side_by_side: Callable[..., Iterator[Any]]) -> None:
    """Measure and print."""
    seeds = range(options.seeds[0], options.seeds[0] + options.repeats)
    total = Outcome()
    for outcome in side_by_side(
        measure, list(cases_of(options.real, options.a_day, seeds, options.geos)), options.jobs
    ):
        total.add(outcome)
    found = total.tallies.figures()
    kinds = {kind: found[kind] for kind in sorted(found, key=_rank)}
    clean = {kind: total.clean[kind].figures() for kind in sorted(total.clean, key=_rank)}
    if options.json:
        print(
            json.dumps(
                {
                    "seeds": list(seeds),
                    "a_day": options.a_day,
                    "kinds": kinds,
                    "clean": clean,
                    "too_short": total.skipped,
                }
            )
        )
        return
    print(scorecard(kinds))
    print("\n" + clean_table(clean) + "\n")
    print(f"{total.skipped} incidents left out: their series are too short for them.")
    print(f"Seeds {seeds[0]} to {seeds[-1]}.")
    if options.incidents:
        print("\n" + "\n".join(total.notes))
