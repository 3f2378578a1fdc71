"""The columns of many series against one scalar detector for each series, its steps interpreted: bit by bit."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_worlds import MINUTE_MS, batch_of, cut, history

from detectors import basket, cohort, deficit, lag, outage, roas
from events.batch import Batch, Kind
from streams import hours
from streams.allowance import speaks
from streams.expect import WARM_MS
from streams.hours import HOUR_MS, HOURS
from streams.judge import COHORT_MS
from streams.limits import BASKETS_NATS, SILENT_PHI
from streams.pipeline import Pipeline
from streams.series import Registry
from streams.settings import DetectionSettings
from streams.weigh import BRISK_A_DAY, ENOUGH_DUE, WORTH_NATS

Row = NDArray[np.float64]
Rows = NDArray[Any]
Before = tuple[Rows, Rows, Rows]
"""Series, sources and accounts as they stood before a tick."""

ACME = {("meta", "brand"): 300.0, ("meta", "generic"): 90.0, ("google_ads", "search"): 150.0}
STRUCK = [(2.2, 3.0, 0.6, 0.85, None)]
BOLT = {("meta", "brand"): 2400.0, ("meta", "retarget"): 200.0}
"""So busy that in the end it is judged at every tick, acme every five minutes."""
SERIES, SPEAKING = 10, 8
"""Campaigns, sources and accounts; a source or an account of one part has nothing of its own to say."""
COLUMNS = ("deficit", "timer", "basket", "roas", "cohort")


class Scalars:
    """The detectors of one series, each with a row of its own."""

    def __init__(self) -> None:
        self.outage = outage.OutageTimer()
        self.deficit, self.timer = np.zeros(deficit.COLUMNS), np.zeros(outage.COLUMNS)
        self.basket, self.roas = np.zeros(basket.COLUMNS), np.zeros(roas.COLUMNS)
        self.cohort = np.zeros(cohort.COLUMNS)

    def weigh(self, was: Any, now: Any, from_ms: float, dt_ms: float, warm: bool) -> None:
        """What a step brought, by what was known of the series when it began: learning comes last in a tick."""
        n, mu, k, off = (float(now[name]) for name in ("count", "expected", "baskets", "basket_off"))
        if n > 0.0 or mu > 0.0:
            phi = float(was["limits"][SILENT_PHI])
            self.outage.learn_one({"expected": mu, "phi": phi}, n)
            outage.run.py_func(self.timer, n, mu, phi, from_ms)
            deficit.step.py_func(self.deficit, n, mu, was["slopes"], from_ms, dt_ms)
        if warm and self.basket[basket.COUNT] >= basket.MIN_BASKETS:
            per_seen, per_due = was["slopes"][0].tolist()
            change = n * per_seen + mu * per_due
            if k > 0.0:
                change += basket.log_ratio.py_func(self.basket, k, off, roas.SMALLER)
            roas.step.py_func(self.roas, mu, change - dt_ms / deficit.FADE_MS, from_ms)
        if k > 0.0:
            if warm:
                basket.step.py_func(self.basket, k, off, from_ms)
            self.learn(k, off, was["suspicious"][BASKETS_NATS])

    def learn(self, k: float, off: float, suspicious: float = math.inf) -> None:
        """Baskets, unless they are under suspicion."""
        basket.hold.py_func(self.basket, k, off)
        if basket.nats.py_func(self.basket) <= suspicious:
            basket.commit.py_func(self.basket)

    def weigh_cohorts(self, was: Any, now: Any, below: Row, until: int) -> None:
        """Clicks of the running hour and of those before, if something worth a look is missing."""
        newest = (until - 1) // HOUR_MS
        ages = np.arange(HOURS)
        seen, due = (now["history"][(newest - ages) % HOURS, c] for c in (hours.CLICKED, hours.DUE))
        seen = seen / 1e6
        running = float(until - newest * HOUR_MS)
        span = np.where(ages == 0, running, HOUR_MS)
        share = lag.shares(below, np.maximum(running + (ages - 1.0) * HOUR_MS, 0.0), span)
        cells = 1 + int((np.cumsum(due)[:-1] <= ENOUGH_DUE).sum())
        total, missing = np.cumsum(due * share)[:cells], np.cumsum(due * share - seen)[:cells]
        short = missing > 0.0
        self.cohort[:] = 0.0
        if (missing[short] ** 2 / total[short]).max(initial=0.0) > 2.0 * WORTH_NATS * was["phi"]:
            cohort.judge.py_func(self.cohort, seen, due, share, cells, was["slopes"])


def world() -> Batch:
    """A healthy account, and one that is struck in the end; meta says when its clicks were."""
    rng, facts = np.random.default_rng(4), []
    for account, a_day, incidents in (("acme", ACME, STRUCK), ("bolt", BOLT, [])):
        for fact in map(json.loads, history(3, account=account, a_day=a_day, incidents=incidents)):
            if fact["fact"] == "conversion" and fact["source"] == "meta":
                fact["clicked_at"] = fact["at"] - int(rng.exponential(40 * MINUTE_MS))
            facts.append(fact)
    return batch_of(json.dumps(fact).encode() for fact in sorted(facts, key=lambda fact: int(fact["at"])))


def by_tick(batch: Batch) -> Iterator[Batch]:
    """Each tick with the facts before it."""
    behind = np.flatnonzero(batch.kind == Kind.TICK) + 1
    return (cut(batch, low, high) for low, high in itertools.pairwise([0, *behind.tolist()]))


def take(scalars: Scalars, s: int, was: Before, registry: Registry, tick_ms: int) -> bool:
    """Feed a series' own detectors what a tick brought; whether they weighed a step."""
    known, now = was[0][s], registry.series.rows[s]
    a, c = now["account"], now["source"]
    account, before_ms = registry.accounts.rows[a], int(was[2]["judged_ms"][a])
    if account["judged_ms"] == before_ms:
        return False
    owner, below = (account, was[2]["below"][a]) if c < 0 else (registry.sources.rows[c], was[1]["below"][c])
    until, dt_ms = int(owner["watermark_ms"]), float(owner["dt_ms"])
    from_ms, spoke = until - dt_ms, speaks(was[0], s)
    every = COHORT_MS if known["rate_a_day"] >= BRISK_A_DAY else HOUR_MS
    if spoke and tick_ms // every > before_ms // every:
        scalars.weigh_cohorts(known, now, below, until)
    if spoke and dt_ms > 0.0:
        scalars.weigh(known, now, from_ms, dt_ms, bool(from_ms - account["first_ms"] >= WARM_MS))
    elif now["baskets"] > 0.0:
        scalars.learn(float(now["baskets"]), float(now["basket_off"]))
    return bool(spoke and dt_ms > 0.0)


def differing(scalars: Scalars, row: Any) -> list[str]:
    """Which columns hold what the series' own detectors do not."""
    found = [name for name in COLUMNS if row[name].tobytes() != getattr(scalars, name).tobytes()]
    waited = scalars.outage.score_one({"expected": 0.0}, 0.0)
    return found + (["outage"] if waited != math.log10(1.0 + row["timer"][outage.EVIDENCE]) else [])


def held(scalars: Scalars) -> list[float]:
    """Evidence of counts, silence, baskets, both together and cohorts; what waits for a step, and to be learned."""
    waits = [scalars.deficit[deficit.WAIT_MU], scalars.basket[basket.HOLD_K]]
    alone = [deficit.evidence(scalars.deficit), scalars.timer[outage.EVIDENCE], basket.evidence(scalars.basket)]
    return [*alone, scalars.roas[roas.EVIDENCE], scalars.cohort[cohort.EVIDENCE], *waits]


def test_columns_hold_what_a_detector_for_each_series_would_hold() -> None:
    """At every tick until the first alert opens, for campaigns and wider scopes alike."""
    pipeline = Pipeline(DetectionSettings(lateness_ms=0))
    registry, detectors = pipeline.registry, [Scalars() for _ in range(SERIES)]
    steps, most = np.zeros(SERIES), np.zeros((SERIES, len(held(Scalars()))))
    opened: set[str] = set()
    for facts in by_tick(world()):
        was = (registry.series.whole.copy(), registry.sources.whole.copy(), registry.accounts.whole.copy())
        opened |= {change.account for change in pipeline.feed(facts).changes}
        if opened:
            break
        for s, (scalars, row) in enumerate(zip(detectors, registry.series.rows, strict=False)):
            steps[s] += take(scalars, s, was, registry, pipeline.tick_ms)
            assert differing(scalars, row) == [], (registry.scope(s), pipeline.tick_ms)
        most = np.maximum(most, [held(scalars) for scalars in detectors])
    assert (opened, registry.series.size) == ({"acme"}, SERIES)
    assert (steps > 500).sum() == (steps > 0).sum() == SPEAKING
    shown = (most > 0.0).sum(axis=0).tolist()
    assert shown[:4] == [SPEAKING] * 4
    assert min(shown[4:]) > 1
