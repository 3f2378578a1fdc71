"""The seeded world's settings and inhabitants: accounts of an agency, their platforms and campaigns, and seasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from events.errors import EventsError
from events.facts import EARLIEST_MS, LATEST_MS

Floats = NDArray[np.float64]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
FIRST_MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
WARM_UP_MS = 2 * DAY_MS
"""Clicks are drawn from so long before the start, so that conversions of earlier clicks are there from the first."""


class WorldError(EventsError):
    """The settings of a world contradict themselves; the message names the key."""


@dataclass(frozen=True, slots=True)
class World:
    """What is drawn, all of it decided by ``seed``.

    ``start`` needs an offset and is cut to the minute. ``campaigns`` per account; ``incidents`` in all (``None``: one
    per account and two and a half days after ``clean_days``). ``scale`` multiplies all volumes. ``phi`` is variance
    over mean of conversion counts (1: Poisson); an hour with ``mu`` due has ``phi + phi_growth mu``.
    The shares are of facts (late, duplicated), of an account's sources (reporting by hourly snapshots), of accounts
    (their Google Ads reporting by the date of the click) and of campaigns (spending a daily budget up).
    ``promotions`` and ``budget_changes`` are means per account and month. ``ticks`` writes one tick a minute.
    ``cost_is_due`` prices every report at one unit of money per conversion that is truly due from its clicks, so that
    detectors can be given the true rates. Raises :class:`WorldError`.
    """

    seed: int = 1
    days: int = 30
    start: datetime = FIRST_MONDAY
    accounts: int = 3
    campaigns: int = 10
    incidents: int | None = None
    clean_days: float = 5.0
    scale: float = 1.0
    late_share: float = 0.02
    duplicate_share: float = 0.01
    snapshot_share: float = 0.15
    phi: float = 1.3
    phi_growth: float = 0.01
    promotions: float = 1.0
    budget_changes: float = 2.0
    capped_share: float = 0.15
    click_date_share: float = 0.15
    ticks: bool = False
    cost_is_due: bool = False

    def __post_init__(self) -> None:
        self._within("seed", 0, 2**63 - 1)
        self._within("days", 1, 3660)
        self._within("accounts", 1, 1000)
        self._within("campaigns", 1, 1000)
        self._within("incidents", 0, 100_000)
        self._within("clean_days", 0, 3660)
        self._within("scale", 1e-3, 1e3)
        self._within("phi", 1, 20)
        self._within("phi_growth", 0, 2)
        for a_month in ("promotions", "budget_changes"):
            self._within(a_month, 0, 30)
        for share in ("late_share", "duplicate_share", "snapshot_share", "capped_share", "click_date_share"):
            self._within(share, 0, 1)
        if self.start.tzinfo is None:
            raise WorldError("start: needs an offset")
        if not EARLIEST_MS + WARM_UP_MS <= self.start_ms <= self.end_ms <= LATEST_MS:
            raise WorldError("start: the world must lie in the years 2000 to 2100")

    def _within(self, key: str, least: float, most: float) -> None:
        value = getattr(self, key)
        if value is not None and not least <= value <= most:
            raise WorldError(f"{key}: must lie between {least} and {most}")

    @property
    def start_ms(self) -> int:
        """The first moment, a full minute."""
        return int(self.start.timestamp()) // 60 * MINUTE_MS

    @property
    def end_ms(self) -> int:
        """The first moment after the last day."""
        return self.start_ms + self.days * DAY_MS


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign; ``number`` is unique in the world. Money in micros of the account's currency.

    ``cap`` is its daily budget as a share of what it usually spends in a day (``None``: the budget is never used up).
    """

    number: int
    name: str
    source: str
    conversions_a_day: float
    click_rate: float
    conversion_rate: float
    click_micros: float
    basket_micros: float
    basket_sigma: float
    report_minutes: int
    funnel: bool
    launch_ms: int | None = None
    pause: tuple[int, int] | None = None
    cap: float | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """One customer of the agency.

    ``snapshot_sources`` speak in hourly snapshots, ``click_date_sources`` in snapshots by the date of the click, whose
    buckets (``hour`` or ``day``) they name; all others speak in single facts.
    """

    number: int
    name: str
    currency: str
    time_zone: str
    campaigns: tuple[Campaign, ...]
    snapshot_sources: frozenset[str]
    two_leg_sources: frozenset[str]
    click_date_sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> list[str]:
        """The platforms in use, in a fixed order."""
        return sorted({campaign.source for campaign in self.campaigns})

    def tells_singly(self, source: str) -> bool:
        """Whether ``source`` tells every conversion as it comes, and not in totals of a bucket."""
        return source not in self.snapshot_sources and source not in self.click_date_sources


_SHOPS = (("acme-shop", "EUR", "Europe/Berlin"), ("bolt-outdoor", "USD", "America/New_York"),
          ("cedar-home", "GBP", "Europe/London"), ("dune-travel", "CHF", "Europe/Zurich"),
          ("elm-books", "EUR", "Europe/Madrid"), ("fjord-kids", "SEK", "Europe/Stockholm"))  # fmt: skip
_VOLUMES = (950.0, 250.0, 90.0)
"""Conversions a day of the first accounts, repeated for the rest."""
_SOURCES = ("meta", "google_ads", "tiktok", "microsoft_ads")
_SOURCE_ODDS = (0.38, 0.38, 0.14, 0.10)
_THEMES = ("Brand", "Prospecting", "Retargeting 7d", "Shopping – best sellers", "Lookalike 1%", "Generic | exact",
           "Video views", "Sale & new", "Dynamic products", "Winback", "Partner <test>", "Öffnungsaktion")  # fmt: skip
_LEAST_A_DAY = 5.0
_BY_CLICK = "google_ads"
_CAPS = (0.88, 1.08)
"""Budgets of capped campaigns, as shares of a usual day's spend."""


def make_accounts(world: World) -> list[Account]:
    """The inhabitants of ``world``."""
    first = 0
    accounts = []
    for number in range(world.accounts):
        accounts.append(_account(world, number, first))
        first += world.campaigns
    return accounts


def _account(world: World, number: int, first: int) -> Account:
    rng = np.random.default_rng([world.seed, 1, number])
    name, currency, time_zone = _SHOPS[number % len(_SHOPS)]
    if number >= len(_SHOPS):
        name = f"{name}-{number // len(_SHOPS) + 1}"
    campaigns = tuple(_campaigns(world, rng, first, _VOLUMES[number % len(_VOLUMES)]))
    sources = sorted({campaign.source for campaign in campaigns})
    # the platform of the largest campaign always speaks in single facts
    snapshots = frozenset(s for s in sources if rng.random() < world.snapshot_share and s != campaigns[0].source)
    two_legs = frozenset(source for source in sources if source not in snapshots and rng.random() < 0.3)
    account = Account(number, name, currency, time_zone, campaigns, snapshots, two_legs)
    return _with_caps(world, _with_click_dates(world, _with_states(world, rng, account)))


def _campaigns(world: World, rng: np.random.Generator, first: int, volume: float) -> list[Campaign]:
    ranks = np.arange(1, world.campaigns + 1)
    share = ranks**-1.15 / (ranks**-1.15).sum()
    volumes = np.maximum(share * volume, _LEAST_A_DAY) * world.scale
    sources = [str(source) for source in rng.choice(_SOURCES, size=world.campaigns, p=_SOURCE_ODDS)]
    sources[:2] = list(_SOURCES[:2])[: world.campaigns]
    return [_campaign(rng, first + rank, rank, sources[rank], float(volumes[rank])) for rank in range(world.campaigns)]


def _campaign(rng: np.random.Generator, number: int, rank: int, source: str, volume: float) -> Campaign:
    conversion_rate = float(rng.uniform(0.015, 0.05))
    click_micros = float(rng.uniform(0.25, 1.2)) * 1e6
    return Campaign(
        number=number,
        name=f"{_THEMES[rank % len(_THEMES)]} {number:03d}",
        source=source,
        conversions_a_day=volume,
        click_rate=float(rng.uniform(0.01, 0.05)),
        conversion_rate=conversion_rate,
        click_micros=click_micros,
        basket_micros=click_micros / conversion_rate * float(rng.uniform(2.0, 5.0)),
        basket_sigma=float(rng.uniform(0.4, 0.7)),
        report_minutes=1 if volume >= 120 else 5 if volume >= 20 else 10,
        funnel=rank in (0, 2),
    )


def _with_states(world: World, rng: np.random.Generator, account: Account) -> Account:
    """A late launch and a pause, where the world is long enough; never the two largest campaigns."""
    campaigns = list(account.campaigns)
    if len(campaigns) < 5 or world.days < 8:
        return account
    born, paused = rng.choice(np.arange(2, len(campaigns)), size=2, replace=False).tolist()
    launch = world.start_ms + int(rng.uniform(0.25, 0.4) * world.days * 24) * HOUR_MS
    start = world.start_ms + int(rng.uniform(0.5, 0.8) * world.days * 24) * HOUR_MS
    campaigns[born] = replace(campaigns[born], launch_ms=launch)
    campaigns[paused] = replace(campaigns[paused], pause=(start, start + int(rng.integers(6, 24)) * HOUR_MS))
    return replace(account, campaigns=tuple(campaigns))


def _with_click_dates(world: World, account: Account) -> Account:
    """Some accounts' Google Ads reports by the date of the click, by the hour or by the day."""
    rng = np.random.default_rng([world.seed, 6, account.number])
    by_click, bucket = rng.random() < world.click_date_share, str(rng.choice(("hour", "day")))
    if not by_click or _BY_CLICK not in account.sources:
        return account
    return replace(
        account,
        snapshot_sources=account.snapshot_sources - {_BY_CLICK},
        two_leg_sources=account.two_leg_sources - {_BY_CLICK},
        click_date_sources={_BY_CLICK: bucket},
    )


def _with_caps(world: World, account: Account) -> Account:
    """Some campaigns have so small a budget that busy days use it up."""
    rng = np.random.default_rng([world.seed, 7, account.number])
    capped = rng.random(len(account.campaigns)) < world.capped_share
    caps = rng.uniform(*_CAPS, len(account.campaigns)).tolist()
    campaigns = [replace(c, cap=cap) if on else c for c, on, cap in zip(account.campaigns, capped, caps, strict=True)]
    return replace(account, campaigns=tuple(campaigns))


def midnights(world: World, account: Account) -> NDArray[np.int64]:
    """Every local midnight from before the first click to after the last day of ``world``, epoch milliseconds."""
    zone = ZoneInfo(account.time_zone)
    first = datetime.fromtimestamp((world.start_ms - WARM_UP_MS) / 1000, zone).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    days = world.days + WARM_UP_MS // DAY_MS + 2
    return np.array([int((first + timedelta(days=day)).timestamp()) * 1000 for day in range(days)], np.int64)


_HOURS = np.array([.35, .25, .2, .17, .18, .25, .45, .7, .9, 1., 1.05, 1.15,
                   1.25, 1.2, 1.1, 1.1, 1.15, 1.3, 1.5, 1.75, 1.9, 1.7, 1.2, .7])  # fmt: skip
_WEEKDAYS = np.array([1.05, 1.0, 0.98, 1.0, 0.95, 0.92, 1.1])


class Seasons:
    """How much is going on in an account, hour by hour: time of day and week where it lives, a trend, daily moods."""

    def __init__(self, world: World, account: Account) -> None:
        rng = np.random.default_rng([world.seed, 2, account.number])
        self.first_ms = (world.start_ms - WARM_UP_MS) // HOUR_MS * HOUR_MS
        hours = (world.end_ms - self.first_ms) // HOUR_MS + 2
        zone = ZoneInfo(account.time_zone)
        first = datetime.fromtimestamp(self.first_ms / 1000, UTC)
        local = [(first + timedelta(hours=hour)).astimezone(zone) for hour in range(hours)]
        hour = np.array([moment.hour for moment in local])
        weekday = np.array([moment.weekday() for moment in local])
        day = np.arange(hours) / 24
        trend = np.exp(float(rng.normal(0, 0.004)) * day + 0.06 * np.sin(day / 40 * 2 * np.pi + rng.uniform(0, 6)))
        mood = np.exp(rng.normal(0, 0.06, int(day[-1]) + 2))[day.astype(int)]
        self.traffic: Floats = _HOURS[hour] / _HOURS.mean() * _WEEKDAYS[weekday] / _WEEKDAYS.mean() * trend * mood
        rate_mood = np.exp(rng.normal(0, 0.03, int(day[-1]) + 2))[day.astype(int)]
        self.conversion: Floats = (1 + 0.12 * np.sin((hour - 14) / 24 * 2 * np.pi)) * rate_mood

    def at(self, season: Floats, at_ms: NDArray[np.int64]) -> Floats:
        """``season`` at these moments."""
        found: Floats = season[(at_ms - self.first_ms) // HOUR_MS]
        return found
