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
