"""Labelled incidents of the seeded world: where, when, what breaks and how badly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np

from events.business import Business, Promotion, make_business
from events.world import DAY_MS, HOUR_MS, MINUTE_MS, Account, Campaign, Floats, Seasons, World

SIGNALS = ("tracking_outage", "cpa_spike", "roas_drop")
_PAUSE_HOURS = 10
"""At least so long the account recovers before the next incident."""
_LEAST_HOURS, _MOST_HOURS = 2, 40
_FULL_OUTAGE_SHARE, _HALF_OUTAGE_SHARE = 0.5, 0.35
"""What is left of the outages loses three quarters or more, but not all."""
_PHI = 1.5
_BASKET_SD = 0.7
"""Spread of a log basket at its widest."""
_DECISION_NATS = 12.5
"""About what the ideal detector needs at one false alarm a month over an account's thirty-odd streams: e to this is
the conversions due in that month, times the streams."""


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that goes wrong in ``from_ms <= t < to_ms`` for the campaigns in scope.

    ``kept`` is the share of conversions that is still seen, ``basket`` what baskets shrink to.  ``source`` and
    ``campaign`` are ``None`` where the scope is wider.
    """

    incident_id: str
    signal: str
    account: str
    source: str | None
    campaign: str | None
    from_ms: int
    to_ms: int
    kept: float = 1.0
    basket: float = 1.0

    def covers(self, campaign: Campaign) -> bool:
        """Whether ``campaign``, one of the account, is in scope."""
        return self.source in (None, campaign.source) and self.campaign in (None, campaign.name)

    def label(self) -> bytes:
        """The contract's label, one line of NDJSON."""
        scope = {"source": self.source, "campaign": self.campaign}
        label = {
            "incident_id": self.incident_id,
            "signal": self.signal,
            "account": self.account,
            **{key: value for key, value in scope.items() if value is not None},
            "from": _rfc3339(self.from_ms),
            "to": _rfc3339(self.to_ms),
        }
        return msgspec.json.encode(label) + b"\n"


def _rfc3339(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def plan(world: World, accounts: list[Account]) -> list[Incident]:
    """All incidents of ``world``, one at a time in each account, none before ``clean_days`` are over."""
    first_ms = world.start_ms + round(world.clean_days * DAY_MS)
    room_days = (world.end_ms - first_ms) / DAY_MS
    wanted = world.incidents
    if wanted is None:
        wanted = max(0, round(room_days / 2.5)) * len(accounts)
    found: list[Incident] = []
    for account in accounts:
        share = wanted // len(accounts) + (account.number < wanted % len(accounts))
        found += _of_account(world, account, share, first_ms)
    return found


def _of_account(world: World, account: Account, count: int, first_ms: int) -> list[Incident]:
    """Cut the time that promotions leave into about equal stretches and place one incident in each.

    A sale would hide what an incident takes, and nobody could tell.
    """
    rng = np.random.default_rng([world.seed, 3, account.number])
    if not count:
        return []
    scene = _Scene(account, Seasons(world, account), make_business(world, account))
    incidents: list[Incident] = []
    for start, end in _stretches(count, _free(first_ms, world.end_ms, scene.business.promotions)):
        most = min(end - start - min(_PAUSE_HOURS * HOUR_MS, (end - start) // 2), _MOST_HOURS * HOUR_MS)
        incidents.append(_incident(rng, scene, len(incidents), (start, end, most)))
    return incidents


def _free(first_ms: int, end_ms: int, promotions: tuple[Promotion, ...]) -> list[tuple[int, int]]:
    """The time outside of promotions and of some hours around them; all of it where they leave none."""
    free, begin = [], first_ms
    for promotion in promotions:
        free.append((begin, promotion.from_ms - _PAUSE_HOURS * HOUR_MS))
        begin = max(begin, promotion.to_ms + _PAUSE_HOURS * HOUR_MS)
    free.append((begin, end_ms))
    roomy = [(start, end) for start, end in free if end - start >= _MOST_HOURS * HOUR_MS]
    return roomy or [(first_ms, end_ms)]


def _stretches(count: int, free: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Cut free time into ``count`` stretches, the longest ones first into more."""
    parts = [0] * len(free)
    for _ in range(count):
        longest = max(range(len(free)), key=lambda i: (free[i][1] - free[i][0]) / (parts[i] + 1))
        parts[longest] += 1
    found = []
    for (start, end), many in zip(free, parts, strict=True):
        each = (end - start) // max(many, 1)
        found += [(start + number * each, start + (number + 1) * each) for number in range(many)]
    return found


@dataclass(frozen=True, slots=True)
class _Scene:
    """Where incidents are placed."""

    account: Account
    seasons: Seasons
    business: Business


def _incident(rng: np.random.Generator, scene: _Scene, number: int, room: tuple[int, int, int]) -> Incident:
    start, end, most_ms = room
    signal = SIGNALS[int(rng.choice(3, p=[0.4, 0.35, 0.25]))]
    kept, basket, need = _severity(rng, signal)
    pause = min(_PAUSE_HOURS * HOUR_MS, (end - start) // 2)
    latest = max(start, end - pause - most_ms)
    from_ms = int(rng.integers(start, latest + 1)) // MINUTE_MS * MINUTE_MS
    source, campaign, needed_ms = _scope(rng, scene, from_ms, most_ms, need)
    lasts_ms = min(most_ms, max(_LEAST_HOURS * HOUR_MS, int(needed_ms * (1 + rng.exponential(0.5)))))
    return Incident(
        incident_id=f"{scene.account.name}-{number + 1:03d}",
        signal=signal,
        account=scene.account.name,
        source=source,
        campaign=campaign,
        from_ms=from_ms,
        to_ms=(from_ms + lasts_ms) // MINUTE_MS * MINUTE_MS,
        kept=kept,
        basket=basket,
    )


def _severity(rng: np.random.Generator, signal: str) -> tuple[float, float, float]:
    """What is kept, what baskets shrink to, and how many conversions must be due for it to be told from chance."""
    if signal == "roas_drop":
        basket = float(rng.uniform(0.35, 0.65))
        return 1.0, basket, 2.0 * _DECISION_NATS * (_BASKET_SD / math.log(basket)) ** 2
    if signal == "cpa_spike":
        kept = 1 / float(rng.uniform(1.5, 3.0))
    else:
        kept = _outage(rng)
    return kept, 1.0, needed(kept)


def _outage(rng: np.random.Generator) -> float:
    """The share of conversions that an outage leaves: none, half or few."""
    kind, share = float(rng.random()), float(rng.random())
    if kind < _FULL_OUTAGE_SHARE:
        return 0.0
    return 0.4 + 0.2 * share if kind < _FULL_OUTAGE_SHARE + _HALF_OUTAGE_SHARE else 0.05 + 0.2 * share


def needed(kept: float) -> float:
    """Conversions due until a loss of all but ``kept`` is told from chance (Wald: evidence over information)."""
    information = 1.0 - kept + (kept * math.log(kept) if kept > 0.0 else 0.0)
    return _PHI * _DECISION_NATS / information


def _scope(
    rng: np.random.Generator, scene: _Scene, from_ms: int, most_ms: int, need: float
) -> tuple[str | None, str | None, int]:
    """A scope with enough volume: a campaign or a platform if one has it, else the whole account; and its time."""
    account = scene.account
    campaigns = [c for c in account.campaigns if _runs(c, from_ms, from_ms + most_ms)]
    a_day = {c.number: c.conversions_a_day * scene.business.budget_at(c, from_ms) for c in campaigns}
    scopes: list[tuple[str | None, str | None]] = [(c.source, c.name) for c in campaigns]
    scopes += [(source, None) for source in account.sources if account.tells_singly(source)] + [(None, None)]
    levels = rng.permutation(len(scopes))
    everywhere: tuple[str | None, str | None] = (None, None)
    if rng.random() < 0.2:
        levels = levels[:0]
    for choice in [scopes[index] for index in levels.tolist()] + [everywhere]:
        rate = sum(a_day[c.number] for c in campaigns if choice[0] in (None, c.source)
                   and choice[1] in (None, c.name) and account.tells_singly(c.source))  # fmt: skip
        needed_ms = _time_for(need, rate, scene.seasons, from_ms)
        if needed_ms <= most_ms or choice == everywhere:
            return (*choice, min(needed_ms, most_ms))
    raise AssertionError("the widest scope always serves")


def _runs(campaign: Campaign, from_ms: int, to_ms: int) -> bool:
    born = campaign.launch_ms is None or campaign.launch_ms + 4 * DAY_MS < from_ms
    awake = campaign.pause is None or campaign.pause[1] + DAY_MS < from_ms or to_ms < campaign.pause[0]
    return born and awake


def _time_for(need: float, a_day: float, seasons: Seasons, from_ms: int) -> int:
    """How long it takes from ``from_ms`` until ``need`` conversions are due."""
    hours = np.arange(from_ms, from_ms + 2 * DAY_MS, HOUR_MS, dtype=np.int64)
    last = seasons.first_ms + (len(seasons.traffic) - 1) * HOUR_MS
    due: Floats = np.cumsum(seasons.at(seasons.traffic, np.minimum(hours, last))) * a_day / 24
    return (int(np.searchsorted(due, need)) + 1) * HOUR_MS
