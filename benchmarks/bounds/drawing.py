"""Drawing streams of spend and conversions, and laying them out as batches for the pipeline.

Spend is known, what it brings is drawn.  The conversions of an interval are Poisson around
``rate x traffic season x conversion season x effect x gamma``; the gamma, drawn once an hour with mean 1 and variance
``(phi - 1) / (expected in that hour)``, makes an hour's count negative binomial with variance ``phi`` times its mean:
a noise shared by all that is clicked in one hour, as a shop or an auction gives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.bounds.theory import LAG, Floats
from events.batch import Batch, Key, Keys, Kind

Ints = NDArray[np.int64]
Draw = np.random.Generator
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
BEGIN_MS = 1_767_571_200_000
"""A Monday at midnight, UTC."""
COST_MICROS, UNIT_MICROS = 20_000_000, 1_000_000
"""What a conversion costs where nothing happens; and where it costs what is due."""
BASKET_MICROS, BASKET_SIGMA = 60_000_000, 0.5
LARGEST_BATCH_ROWS = 400_000


@dataclass(frozen=True, slots=True)
class Season:
    """Size of the daily and weekly swings of traffic and of the conversion rate (0: none)."""

    traffic_day: float = 0.6
    traffic_week: float = 0.15
    rate_day: float = 0.2
    rate_week: float = 0.1

    def traffic(self, hours: Floats) -> Floats:
        """Spend over its mean, ``hours`` after a Monday's midnight."""
        return _swing(hours, self.traffic_day, 15.0, self.traffic_week, 5.0)

    def rate(self, hours: Floats) -> Floats:
        """Conversions per unit of money over their mean."""
        return _swing(hours, self.rate_day, 20.0, self.rate_week, 6.0)


def _swing(hours: Floats, day: float, top_hour: float, week: float, top_day: float) -> Floats:
    daily = 1.0 + day * np.cos(2 * np.pi * (hours - top_hour) / 24.0)
    return np.asarray(daily * (1.0 + week * np.cos(2 * np.pi * (hours / 24.0 - top_day - 0.5) / 7.0)))


FLAT = Season(0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Campaigns side by side: ``account`` and ``a_day`` (conversions a day) of each, sorted by account.

    ``every_ms`` is how often ticks, spend and watermarks come.
    """

    account: Ints
    a_day: Floats
    phi: float = 1.0
    season: Season = field(default_factory=Season)
    every_ms: int = 300_000
    lag: bool = False
    """Whether conversions lag behind their clicks as ``theory.LAG`` says, and tell when the click was."""
    stretch: float = 1.0
    """Times that lag."""
    cost_is_due: bool = False
    """Whether clicks cost what they are due to bring, one unit of money a conversion: a rate of 1 at any hour."""

    @classmethod
    def single(cls, accounts: int, a_day: float, phi: float, **others: Any) -> Fleet:
        """So many accounts with one campaign each."""
        return cls(np.arange(accounts), np.full(accounts, float(a_day)), phi, **others)

    def keys(self) -> Keys:
        """Key ``2 c`` is campaign ``c``'s spend and watermark, ``2 c + 1`` its conversions."""
        keys = Keys()
        for c, a in enumerate(self.account.tolist()):
            keys.code(Key(f"a{a:04d}", "ads", f"c{c:05d}", "EUR"))
            keys.code(Key(f"a{a:04d}", "ads", f"c{c:05d}", "EUR", "purchase"))
        return keys


@dataclass(slots=True)
class Effect:
    """What happens to the campaigns in one chunk, per interval and campaign (arrays that broadcast to that)."""

    spend: Any = 1.0
    """Times the usual spend."""
    worth: Any = 1.0
    """Times the usual conversions per unit of money."""
    lost: Any = 0.0
    """Share of the conversions that arrive in an interval that are lost, whenever they were clicked."""
    silent: Any = False
    """Whether nothing at all comes from the source, its watermarks included."""
    stretch: float = 1.0
    """Times the usual lag."""


@dataclass(slots=True)
class Underway:
    """Conversions clicked and not yet arrived: campaign, arrival, lag."""

    campaign: Ints
    at_ms: Ints
    lag_ms: Ints


class Source:
    """Draws a fleet's facts chunk after chunk; over a week a campaign is due ``a_day`` conversions a day."""

    def __init__(self, fleet: Fleet, draw: Draw, from_ms: int = BEGIN_MS) -> None:
        self.fleet, self.draw, self.now_ms, self.keys = fleet, draw, from_ms, fleet.keys()
        empty = np.empty(0, np.int64)
        self.underway = Underway(empty, empty, empty)
        week = np.asarray(np.arange(168) + 0.5, np.float64)
        self.balance = float(np.mean(fleet.season.traffic(week) * fleet.season.rate(week)))
        self.first = np.flatnonzero(np.diff(fleet.account, prepend=-1))

    def chunk(self, intervals: int, effect: Effect | None = None) -> Batch:
        """The next ``intervals`` as one batch, a tick behind each."""
        effect = effect or Effect()
        every = self.fleet.every_ms
        due, usual = self.usual(intervals)
        spend = usual * effect.spend
        clicked = self.converting(due * effect.spend, effect.worth)
        arrived = self._arrive(clicked, effect)
        silent = np.broadcast_to(np.asarray(effect.silent), usual.shape)
        batch = self._lay_out(intervals, np.where(silent, 0.0, spend), arrived, silent)
        self.now_ms += intervals * every
        return batch

    def usual(self, intervals: int) -> tuple[Floats, Floats]:
        """Conversions due, and spend in usual conversions' worth, of the next intervals if nothing happens."""
        season, every = self.fleet.season, self.fleet.every_ms
        hours = np.asarray((self.now_ms - BEGIN_MS + (np.arange(intervals) + 0.5) * every) / HOUR_MS, np.float64)
        spend = np.outer(season.traffic(hours), self.fleet.a_day) * (every / DAY_MS)
        due = spend * season.rate(hours)[:, None] / self.balance
        return due, due if self.fleet.cost_is_due else spend

    def converting(self, expected: Floats, worth: Any = 1.0) -> Ints:
        """Conversions clicked per interval and campaign; ``worth`` thins them and leaves the noise as it is."""
        if self.fleet.phi > 1.0:
            per_hour = max(1, HOUR_MS // self.fleet.every_ms)
            hour = np.arange(len(expected)) // per_hour
            in_hour = np.add.reduceat(expected, np.arange(0, len(expected), per_hour))
            over = self.fleet.phi - 1.0
            shape = np.maximum(in_hour / over, 1e-12)
            expected = expected * (self.draw.standard_gamma(shape) / shape)[hour]
        return np.asarray(self.draw.poisson(expected * worth))

    def _arrive(self, clicked: Ints, effect: Effect) -> Underway:
        """What arrives in this chunk; what arrives later waits in ``underway``."""
        every, end_ms = self.fleet.every_ms, self.now_ms + len(clicked) * self.fleet.every_ms
        cells = np.repeat(np.arange(clicked.size), clicked.ravel())
        interval, campaign = np.divmod(cells, clicked.shape[1])
        at_ms = self.now_ms + interval * every + self.draw.integers(0, every, len(cells))
        lag_ms = (
            draw_lags(self.draw, len(cells), effect.stretch * self.fleet.stretch)
            if self.fleet.lag
            else np.full(len(cells), -1)
        )
        at_ms = at_ms + np.maximum(lag_ms, 0)
        waiting = self.underway
        campaign = np.concatenate([waiting.campaign, campaign])
        at_ms, lag_ms = np.concatenate([waiting.at_ms, at_ms]), np.concatenate([waiting.lag_ms, lag_ms])
        later = at_ms >= end_ms
        self.underway = Underway(campaign[later], at_ms[later], lag_ms[later])
        now = ~later & ~self._is_lost(campaign, at_ms, effect)
        return Underway(campaign[now], at_ms[now], lag_ms[now])

    def _is_lost(self, campaign: Ints, at_ms: Ints, effect: Effect) -> NDArray[np.bool_]:
        lost = np.asarray(effect.lost, float)
        if not lost.any():
            return np.zeros(len(campaign), bool)
        interval = np.minimum((at_ms - self.now_ms) // self.fleet.every_ms, len(lost) - 1)
        return np.asarray(self.draw.random(len(campaign)) < lost[interval, campaign if lost.shape[1] > 1 else 0])

    def _lay_out(self, intervals: int, spend: Floats, arrived: Underway, silent: NDArray[np.bool_]) -> Batch:
        """Facts of an interval, then its tick; between two ticks the order means nothing."""
        every = self.fleet.every_ms
        spent_at, spender = np.nonzero(spend > 0.0)
        told_at, teller = np.nonzero(~silent[:, self.first])
        interval = (arrived.at_ms - self.now_ms) // every
        still = ~silent[interval, arrived.campaign]
        interval, campaign = interval[still], arrived.campaign[still]
        kind = np.repeat(
            np.array([Kind.DELIVERY, Kind.WATERMARK, Kind.CONVERSION, Kind.TICK], np.uint8),
            [len(spent_at), len(told_at), len(interval), intervals],
        )
        when = np.concatenate([spent_at, told_at, interval, np.arange(intervals)])
        at_ms = self.now_ms + (when + 1) * every
        at_ms[: len(spent_at)] -= every // 2
        at_ms[len(spent_at) + len(told_at) : len(kind) - intervals] = arrived.at_ms[still]
        key = np.concatenate([2 * spender, 2 * self.first[teller], 2 * campaign + 1, np.full(intervals, -1)])
        columns = _Columns.of(kind, self.draw)
        price = UNIT_MICROS if self.fleet.cost_is_due else COST_MICROS
        columns.cost_micros[: len(spent_at)] = np.rint(spend[spent_at, spender] * price)
        columns.lag_ms[kind == Kind.CONVERSION] = arrived.lag_ms[still]
        order = np.argsort(when.astype(np.uint16), kind="stable")
        return columns.batch(at_ms, key.astype(np.int32), self.keys, order)


@dataclass(slots=True)
class _Columns:
    kind: NDArray[np.uint8]
    cost_micros: Ints
    conversions: Ints
    value_micros: Ints
    lag_ms: Ints
    id_hash: NDArray[np.uint64]

    @classmethod
    def of(cls, kind: NDArray[np.uint8], draw: Draw) -> _Columns:
        is_conversion = kind == Kind.CONVERSION
        value = np.zeros(len(kind), np.int64)
        baskets = draw.normal(0.0, BASKET_SIGMA, int(is_conversion.sum()))
        value[is_conversion] = np.rint(BASKET_MICROS * np.exp(baskets))
        has_id = is_conversion | (kind == Kind.DELIVERY)
        ids = np.where(has_id, draw.integers(1, 2**63, len(kind), np.uint64), np.uint64(0))
        return cls(kind, np.zeros(len(kind), np.int64), is_conversion * 1_000_000, value, np.full(len(kind), -1), ids)

    def batch(self, at_ms: Ints, key: NDArray[np.int32], keys: Keys, order: Ints) -> Batch:
        """All columns in ``order``."""
        zeros = np.zeros(len(order), np.int64)
        at_ms = at_ms[order]
        return Batch(
            self.kind[order], at_ms, at_ms, key[order], self.id_hash[order], self.cost_micros[order], zeros, zeros,
            self.conversions[order], self.value_micros[order], self.lag_ms[order], keys,
        )  # fmt: skip


def draw_lags(draw: Draw, n: int, stretch: float = 1.0) -> Ints:
    """``n`` delays from click to conversion, milliseconds, distributed as ``theory.converted``."""
    weights, means = np.array(LAG).T
    mean_h = means[draw.choice(len(means), n, p=weights)]
    return np.asarray(draw.standard_exponential(n) * mean_h * stretch * HOUR_MS, np.int64)


def chunks(intervals: int, fleet: Fleet, most_h: int = 168) -> Iterator[int]:
    """``intervals`` cut into chunks of at most ``most_h`` hours and a bounded number of rows, whole hours each."""
    per_hour = max(1, HOUR_MS // fleet.every_ms)
    rows = len(fleet.a_day) * 2 + float(np.sum(fleet.a_day)) * fleet.every_ms / DAY_MS + 1.0
    most = max(per_hour, min(most_h * per_hour, int(LARGEST_BATCH_ROWS / rows) // per_hour * per_hour))
    while intervals > 0:
        yield min(most, intervals)
        intervals -= most


def intervals_in(hours: float, fleet: Fleet) -> int:
    """How many of the fleet's intervals ``hours`` have."""
    return round(hours * HOUR_MS / fleet.every_ms)
