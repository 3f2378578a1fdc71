"""Small seeded histories for the tests of the streams, as lines of the contract."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from events.batch import Batch
from events.codec import Decoder
from streams.pipeline import Pipeline
from streams.settings import DetectionSettings
from streams.ticks import with_ticks

START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DAY_MS = 86_400_000


def line(**keys: Any) -> bytes:
    """One fact as NDJSON."""
    return json.dumps(keys).encode()


def delivery(
    number: int, at_ms: int, cost: float, *, account: str = "acme", source: str = "meta", campaign: str = "brand"
) -> bytes:
    """Spend of ``cost`` EUR."""
    return line(
        fact="delivery",
        id=f"d{number}",
        at=at_ms,
        source=source,
        account=account,
        campaign=campaign,
        currency="EUR",
        cost_micros=round(cost * 1e6),
        impressions=100,
        clicks=10,
    )


def purchase(
    number: int,
    at_ms: int,
    value: float = 50.0,
    *,
    account: str = "acme",
    source: str = "meta",
    campaign: str | None = "brand",
    **more: Any,
) -> bytes:
    """One purchase of ``value`` EUR."""
    where = {} if campaign is None else {"campaign": campaign}
    return line(
        fact="conversion",
        id=f"c{number}",
        at=at_ms,
        source=source,
        account=account,
        name="purchase",
        currency="EUR",
        value_micros=round(value * 1e6),
        **where,
        **more,
    )


def history(
    days: float,
    *,
    seed: int = 1,
    account: str = "acme",
    a_day: dict[tuple[str, str], float] | None = None,
    incidents: Sequence[tuple[float, float, float, float, str | None]] = (),
) -> list[bytes]:
    """Spend every five minutes and Poisson purchases, in order of time.

    ``incidents`` are (from day, to day, factor on the rate, factor on the basket, campaign or ``None`` for all).
    """
    rng = np.random.default_rng(seed)
    facts: list[tuple[int, bytes]] = []
    for (source, campaign), rate in (a_day or {("meta", "brand"): 240.0}).items():
        minutes = np.arange(int(days * 1440))
        factor, basket = np.ones(len(minutes)), np.ones(len(minutes))
        for low, high, on_rate, on_basket, only in incidents:
            if only not in (None, campaign):
                continue
            factor[int(low * 1440) : int(high * 1440)] *= on_rate
            basket[int(low * 1440) : int(high * 1440)] *= on_basket
        where = {"account": account, "source": source, "campaign": campaign}
        for minute in minutes[::5]:
            at_ms = START_MS + int(minute) * MINUTE_MS
            facts.append((at_ms, delivery(len(facts), at_ms, rate * 20 * 5 / 1440, **where)))
        for minute in np.repeat(minutes, rng.poisson(rate / 1440 * factor)):
            at_ms = START_MS + int(minute) * MINUTE_MS + int(rng.integers(MINUTE_MS))
            value = float(basket[minute] * 50 * np.exp(rng.normal(0, 0.5)))
            facts.append((at_ms, purchase(len(facts), at_ms, value, **where)))
    return [fact for _, fact in sorted(facts, key=lambda fact: fact[0])]


def batch_of(lines: Iterable[bytes], *, ticks: bool = True) -> Batch:
    """The lines as one batch, with the ticks that replay would make."""
    decoded = Decoder().decode(list(lines))
    assert not decoded.rejects, decoded.rejects[:3]
    return with_ticks(decoded.batch) if ticks else decoded.batch


def cut(batch: Batch, low: int, high: int) -> Batch:
    """Rows ``low`` to ``high`` as a batch of their own."""
    columns = {
        f.name: getattr(batch, f.name)[low:high]
        for f in fields(batch)
        if isinstance(getattr(batch, f.name), np.ndarray)
    }
    return replace(batch, **columns, rare={row - low: fact for row, fact in batch.rare.items() if low <= row < high})


def run(
    batch: Batch, cuts: Sequence[int] = (), *, restart: bool = False, settings: DetectionSettings | None = None
) -> tuple[Pipeline, list[bytes]]:
    """Feed ``batch`` cut at ``cuts``; with ``restart`` the state goes through its bytes at every cut."""
    settings = settings or DetectionSettings()
    pipeline, changes = Pipeline(settings), []
    edges = [0, *sorted(cuts), len(batch)]
    for low, high in itertools.pairwise(edges):
        if restart:
            pipeline = Pipeline.restore(settings, pipeline.snapshot())
        changes += [change.to_line() for change in pipeline.feed(cut(batch, low, high)).changes]
    return pipeline, changes


def told_by_parts(
    days: float,
    *,
    seed: int = 1,
    a_day: float = 240.0,
    campaigns: Sequence[str] = ("brand",),
    legs: Sequence[tuple[str, float]] = (("browser", 1.0), ("server", 1.0)),
    names: Sequence[tuple[str, float]] = (("purchase", 1.0),),
    lost: Sequence[tuple[float, float, float, str | None, str | None]] = (),
) -> list[bytes]:
    """A source whose conversions of each name (and how many for one purchase) every leg tells a share of; same ids.

    ``lost`` are (from day, to day, share that still arrives, leg, name); ``None``: all of them.
    """
    rng = np.random.default_rng(seed)
    facts: list[tuple[int, bytes]] = []
    for campaign in campaigns:
        for minute in range(0, int(days * 1440), 5):
            at_ms = START_MS + minute * MINUTE_MS
            facts.append((at_ms, delivery(len(facts), at_ms, a_day * 20 * 5 / 1440, campaign=campaign)))
        for name, each in names:
            times = np.sort(rng.integers(0, int(days * DAY_MS), rng.poisson(a_day * each * days)))
            luck = rng.random((len(times), len(legs), 2))
            for i, at_ms in enumerate(times.tolist()):
                for j, (leg, told) in enumerate(legs):
                    kept = 1.0
                    for low, high, share, only_leg, only_name in lost:
                        if low <= at_ms / DAY_MS < high and only_leg in (None, leg) and only_name in (None, name):
                            kept *= share
                    if luck[i, j, 0] < told and luck[i, j, 1] < kept:
                        number = f"{campaign}-{name}-{i}"
                        fact = _told(number, START_MS + at_ms, campaign, name, leg)
                        facts.append((START_MS + at_ms + j * 20_000, fact))
    return [fact for _, fact in sorted(facts, key=lambda fact: fact[0])]


def _told(number: str, at_ms: int, campaign: str, name: str, leg: str) -> bytes:
    return line(
        fact="conversion", id=number, at=at_ms, source="meta", account="acme", campaign=campaign, name=name, leg=leg,
        currency="EUR", value_micros=50_000_000,
    )  # fmt: skip
