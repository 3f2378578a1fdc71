"""What is said in the seeded world beside its numbers: states of campaigns, and changes, most of them for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from events.business import Business
from events.draws import Surroundings
from events.incidents import Incident
from events.world import DAY_MS, MINUTE_MS, Account, Campaign, World

Note = tuple[int, bytes]
"""When something is said, and the line."""
_BLAME = {
    "tracking_outage": (("deploy", "checkout 4.{n} released"), ("tag_publish", "container version {n} published"),
                        ("consent_publish", "consent banner {n} published")),
    "cpa_spike": (("deploy", "landing page {n} released"), ("experiment", "test {n} started")),
    "roas_drop": (("price", "price list {n}"), ("deploy", "basket page {n} released")),
}  # fmt: skip
_HARMLESS = (("deploy", "blog theme {n}"), ("other", "newsletter {n} sent"), ("tag_publish", "container note {n}"))
_BLAMED_SHARE = 0.6
_HARMLESS_A_DAY = 0.4
_END_TOLD_SHARE = 0.5
_BUDGET_WORDS = ("daily budget halved", "daily budget doubled")


def notes_of(
    world: World, account: Account, around: Surroundings, stops: dict[int, list[tuple[int, int]]]
) -> list[Note]:
    """All notes of ``account`` in their order; ``stops`` are the times without budget, by number of the campaign."""
    rng = np.random.default_rng([world.seed, 5, account.number])
    notes = [
        *_states(world, account, around.business, stops),
        *_changes(world, rng, account, around.incidents),
        *_dealings(world, account, around.business),
    ]
    return sorted((note for note in notes if world.start_ms <= note[0] < world.end_ms), key=lambda note: note[0])


def _states(
    world: World, account: Account, business: Business, stops: dict[int, list[tuple[int, int]]]
) -> Iterator[Note]:
    for campaign in account.campaigns:
        said = [(campaign.launch_ms or world.start_ms, "active")]
        if campaign.launch_ms is not None:
            said = [(campaign.launch_ms, "learning"), (campaign.launch_ms + 3 * DAY_MS, "active")]
        if campaign.pause is not None:
            said += [(campaign.pause[0], "paused"), (campaign.pause[1], "active")]
        for from_ms, to_ms in stops[campaign.number]:
            said += [(from_ms, "limited_by_budget"), (to_ms, "active")]
        said += [(one.at_ms, "active") for one in business.budgets
                 if one.campaign == campaign.number and one.told == "state"]  # fmt: skip
        for at_ms, status in said:
            yield _state(account, campaign, at_ms, status, _budget(campaign, business.budget_at(campaign, at_ms)))


def _budget(campaign: Campaign, factor: float) -> int:
    """The daily budget in micros: half as much again as is usually spent, or what caps it."""
    spend = campaign.conversions_a_day / campaign.conversion_rate * campaign.click_micros * factor
    return round(spend * 1.5 / 10**7) * 10**7 if campaign.cap is None else round(spend * campaign.cap / 10**6) * 10**6


def _state(account: Account, campaign: Campaign, at_ms: int, status: str, budget_micros: int) -> Note:
    fact = {"fact": "state", "at": at_ms, "source": campaign.source, "account": account.name,
            "campaign": campaign.name, "status": status, "daily_budget_micros": budget_micros,
            "currency": account.currency}  # fmt: skip
    return at_ms, msgspec.json.encode(fact) + b"\n"


def _changes(world: World, rng: np.random.Generator, account: Account, incidents: list[Incident]) -> Iterator[Note]:
    """Some right before an incident, most for nothing."""
    for incident in incidents:
        blamed, before = rng.random() < _BLAMED_SHARE, int(rng.integers(2 * MINUTE_MS, 25 * MINUTE_MS))
        kinds = _BLAME[incident.signal]
        choice, number = int(rng.integers(len(kinds))), int(rng.integers(10, 99))
        if blamed:
            yield _change(incident.from_ms - before, account, *kinds[choice], number)
    for _ in range(int(rng.poisson(_HARMLESS_A_DAY * world.days))):
        at_ms = world.start_ms + int(rng.integers(world.days * DAY_MS)) // 1000 * 1000
        yield _change(at_ms, account, *_HARMLESS[int(rng.integers(len(_HARMLESS)))], int(rng.integers(10, 99)))


def _dealings(world: World, account: Account, business: Business) -> Iterator[Note]:
    """What the advertiser tells of promotions and budgets."""
    rng = np.random.default_rng([world.seed, 11, account.number])
    for promotion in business.promotions:
        kind = str(rng.choice(("price", "other")))
        if promotion.announced:
            where = {} if promotion.source is None else {"source": promotion.source}
            yield _change(promotion.from_ms, account, kind, "sale starts", 0, where)
            if rng.random() < _END_TOLD_SHARE:
                yield _change(promotion.to_ms, account, kind, "sale ends", 0, where)
    for one in business.budgets:
        if one.told == "change":
            campaign = next(c for c in account.campaigns if c.number == one.campaign)
            where = {"source": campaign.source, "campaign": campaign.name}
            yield _change(one.at_ms, account, "other", _BUDGET_WORDS[one.factor > 1], 0, where)


def _change(
    at_ms: int, account: Account, kind: str, what: str, number: int, where: dict[str, Any] | None = None
) -> Note:
    fact = {"fact": "change", "at": at_ms, "account": account.name, "kind": kind, "what": what.format(n=number),
            "who": "release bot", **(where or {})}  # fmt: skip
    return at_ms, msgspec.json.encode(fact) + b"\n"
