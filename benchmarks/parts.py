"""How soon and how rightly a dead leg or conversion name is told: ``python benchmarks/parts.py [--seeds 1 20]``.

Every seed is an account with one source and two campaigns whose conversions are Poisson.  After six days of learning
one thing happens (or nothing): a leg dies, loses 60 per cent, everything dies, a conversion name dies.  It is right
when exactly one alert opens within two days, and it is of that part (or of the source or its campaigns where all is
lost).  ``over w*``: conversions due until the alert, over the silence that nobody could beat who spent the whole
promise on this part alone, ``ln(1 + conversions in 30 days)``.  Healthy accounts are watched for ``--days``.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alerts.change import AlertChange
from events.codec import Decoder
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings
from streams.ticks import with_ticks

START_MS = 1_767_225_600_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
LEARNED_DAYS, HURT_DAYS = 6.0, 1.0
LEGS = (("browser", 0.95), ("server", 0.9))
NAMES = (("purchase", 1.0), ("add_to_cart", 4.0), ("begin_checkout", 1.8))
MONTH_DAYS = 30.0


@dataclass(frozen=True)
class Story:
    """What happens: the share that still arrives of a leg, a name, or all; told of that part, or of all its source."""

    title: str
    kept: float = 1.0
    leg: str | None = None
    name: str | None = None
    legs: tuple[tuple[str, float], ...] = LEGS
    names: tuple[tuple[str, float], ...] = NAMES[:1]
    is_part: bool = True
    lag_days: tuple[tuple[str, float], ...] = ()
    """Mean days from click to conversion, of names that do not convert at once; their clicks are told."""
    rests: bool = False
    """Whether campaigns pause at weekends."""

    @property
    def part(self) -> dict[str, str] | None:
        """The part of the right alert."""
        if not self.is_part:
            return None
        return {"leg": self.leg} if self.leg else {"name": self.name} if self.name else None

    @property
    def told(self) -> float:
        """How many conversions of the part come with one purchase."""
        return dict(self.legs)[self.leg] if self.leg else dict(self.names)[self.name or "purchase"]


PLATFORM = (("platform", 1.0),)
STORIES = (
    Story("browser leg dies", 0.0, leg="browser"),
    Story("browser leg loses 60 %", 0.4, leg="browser"),
    Story("both legs die", 0.0, is_part=False),
    Story("add_to_cart dies", 0.0, name="add_to_cart", legs=PLATFORM, names=NAMES),
    Story("purchase dies", 0.0, name="purchase", legs=PLATFORM, names=NAMES, is_part=False),
)
HEALTHY = Story("healthy", names=NAMES)
LATE = Story(
    "healthy, lags apart, paused at weekends", legs=PLATFORM, names=(*NAMES[:2], ("subscribe", 1.0)), rests=True,
    lag_days=(("purchase", 0.1), ("add_to_cart", 0.0), ("subscribe", 2.0)),
)  # fmt: skip


def facts(story: Story, seed: int, a_day: float, days: float) -> list[tuple[int, bytes]]:
    """The account of a seed: when each fact comes, and its line."""
    rng = np.random.default_rng(seed)
    lines: list[tuple[int, bytes]] = []
    for campaign in ("brand", "generic"):
        about = f'"source":"meta","account":"seed {seed}","campaign":"{campaign}","currency":"EUR"'
        cost = round(a_day / 2 * 20e6 * 5 / 1440)
        for minute in range(0, int(days * 1440), 5):
            at_ms = START_MS + minute * MINUTE_MS
            if _rests(story, at_ms - START_MS):
                continue
            fact = f'{{"fact":"delivery","id":"{campaign}{minute}","at":{at_ms},{about},"cost_micros":{cost},'
            lines.append((at_ms, f'{fact}"impressions":100,"clicks":10}}'.encode()))
        for name, each in story.names:
            lines += _conversions(story, rng, f'{about},"name":"{name}"', name, a_day * each / 2, days)
    return sorted(lines)


def _conversions(
    story: Story, rng: np.random.Generator, about: str, name: str, a_day: float, days: float
) -> Iterator[tuple[int, bytes]]:
    salt = rng.integers(1 << 60)
    times = rng.integers(0, int(days * DAY_MS), rng.poisson(a_day * days))
    clicks = [""] * len(times)
    if story.lag_days:
        clicked = times[~_rests(story, times)]
        times = clicked + (rng.exponential(1.0, len(clicked)) * dict(story.lag_days)[name] * DAY_MS).astype(np.int64)
        clicks = [f',"clicked_at":{START_MS + at_ms}' for at_ms in clicked.tolist()]
    hurt = (times >= LEARNED_DAYS * DAY_MS) & (times < (LEARNED_DAYS + HURT_DAYS) * DAY_MS) & (story.kept < 1.0)
    struck = story.name in (None, name)
    for late, (leg, told) in enumerate(story.legs):
        kept = np.where(hurt & (struck and story.leg in (None, leg)), story.kept, 1.0)
        for i in np.flatnonzero(rng.random(len(times)) < told * kept).tolist():
            at_ms = START_MS + int(times[i])
            fact = f'{{"fact":"conversion","id":"{salt}-{i}","at":{at_ms},{about},"leg":"{leg}"{clicks[i]}'
            yield at_ms + late * 20_000, f'{fact},"value_micros":50000000}}'.encode()


def _rests(story: Story, after_ms: Any) -> Any:
    """Whether the campaigns of a story pause so long after the start, which is a Thursday."""
    return story.rests & ((after_ms // DAY_MS + 3) % 7 >= 5)


def run(story: Story, seeds: range, a_day: float, days: float) -> dict[str, list[AlertChange]]:
    """Openings by account, all seeds in one log."""
    decoder = Decoder()
    merged = heapq.merge(*(facts(story, seed, a_day, days) for seed in seeds))
    batch = with_ticks(decoder.decode([fact for _, fact in merged]).batch)
    opened: dict[str, list[AlertChange]] = defaultdict(list)
    for change in Pipeline(DetectionSettings()).feed(batch).changes:
        if change.change == "opened" and change.muted_by is None:
            opened[change.account].append(change)
    return opened


def measure(story: Story, seeds: range, a_day: float) -> dict[str, Any]:
    """One row: how many seeds were told rightly, how many alerts were too many, and how soon."""
    opened = run(story, seeds, a_day, LEARNED_DAYS + HURT_DAYS + 0.5)
    begins_ms = START_MS + LEARNED_DAYS * DAY_MS
    minutes: list[float] = []
    more = early = 0
    for alerts in opened.values():
        after = [alert for alert in alerts if _ms(alert.at) >= begins_ms]
        hits = [alert for alert in after if alert.part == story.part and alert.signal == "tracking_outage"]
        minutes += [(_ms(hits[0].at) - begins_ms) / MINUTE_MS] if hits else []
        early += len(alerts) - len(after)
        more += len(after) - bool(hits)
    per_minute = a_day * story.told / 1440.0
    limit = math.log(1.0 + per_minute * 1440.0 * MONTH_DAYS)
    half = median(minutes) if minutes else None
    return {
        "story": story.title, "a_day": a_day, "accounts": len(seeds), "caught": len(minutes), "other_alerts": more,
        "before": early, "delay_p50_min": None if half is None else round(half, 1),
        "over_w": None if half is None or story.kept > 0.0 else round(half * per_minute / limit, 2),
    }  # fmt: skip


def _ms(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() * 1000.0


def healthy(story: Story, seeds: range, a_day: float, days: float) -> dict[str, Any]:
    """False alarms of parts where nothing happens, per account and month."""
    alerts = [alert for each in run(story, seeds, a_day, days).values() for alert in each]
    of_parts, months = sum(alert.part is not None for alert in alerts), len(seeds) * days / MONTH_DAYS
    upper = float(stats.chi2.ppf(0.95, 2 * (of_parts + 1)) / 2.0) / months
    return {
        "story": story.title, "a_day": a_day, "account_months": round(months, 2), "alerts_of_parts": of_parts,
        "other_alerts": len(alerts) - of_parts,
        "per_account_month": round(of_parts / months, 3), "upper_95": round(upper, 3),
    }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a table of Markdown."""
    head = list(rows[0])
    lines = [
        head,
        ["---"] * len(head),
        *([("" if row[key] is None else str(row[key])) for key in head] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs=2, type=int, default=(1, 20), metavar=("FIRST", "LAST"))
    parser.add_argument("--days", type=float, default=15.0, help="how long healthy accounts are watched")
    parser.add_argument("--rates", nargs="+", type=float, default=(60.0, 240.0), help="purchases a day of an account")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.seeds[0], options.seeds[1] + 1)
    told = [measure(story, seeds, rate) for story in STORIES for rate in options.rates]
    quiet = [healthy(story, seeds, rate, options.days) for story in (HEALTHY, LATE) for rate in options.rates]
    if options.json:
        print(json.dumps({"seeds": list(seeds), "told": told, "healthy": quiet}))
        return
    print(f"{table(told)}\n\n{table(quiet)}\n\nSeeds {seeds[0]} to {seeds[-1]}.")


if __name__ == "__main__":
    main()
