"""What was going on where an alert opened: the volume of its scope, and what may have led to a false one."""

from __future__ import annotations

from collections.abc import Sequence

from alerts.change import AlertChange
from events.business import Business, make_business
from events.simulator import World
from events.world import DAY_MS, HOUR_MS, Account, Campaign, make_accounts
from replay.labels import Label, moment_ms

CLASSES = ((0.0, "under 50 a day"), (50.0, "50 to 200 a day"), (200.0, "200 a day and more"))
Scope = tuple[str, str | None, str | None]
AFTER_MS = 3 * DAY_MS
"""So long something may still be the reason."""
LARGE_SHARE = 0.2
"""Share of a scope's conversions from which a part of it speaks for it."""


class Background:
    """What is known of a world that its alerts may be held against."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._accounts = {account.name: account for account in make_accounts(world)}
        self._business = {name: make_business(world, account) for name, account in self._accounts.items()}

    def volume_class(self, scope: Scope) -> str:
        """How many conversions a day a scope has."""
        a_day = sum(c.conversions_a_day for c in self._in(scope))
        return [name for least, name in CLASSES if a_day >= least][-1]

    def circumstance(self, alert: AlertChange, labels: Sequence[Label]) -> str:
        """The likeliest reason for a false alert; ``chance`` where nothing was going on."""
        at_ms, account = moment_ms(alert.at), self._accounts[alert.account]
        near = _incident_near(at_ms, alert, [label for label in labels if label.account == alert.account])
        parts = self._large_parts((alert.account, alert.source, alert.campaign))
        return (
            near
            or _promotion_near(at_ms, self._business[alert.account], parts)
            or self._told_in_totals(account, parts)
            or _campaign_news(at_ms, self._business[alert.account], parts)
            or ("first week" if at_ms < self._world.start_ms + 7 * DAY_MS else "chance")
        )

    def _in(self, scope: Scope) -> list[Campaign]:
        account, source, campaign = scope
        return [
            c for c in self._accounts[account].campaigns if source in (None, c.source) and campaign in (None, c.name)
        ]

    def _large_parts(self, scope: Scope) -> list[Campaign]:
        campaigns = self._in(scope)
        total = sum(c.conversions_a_day for c in campaigns)
        return [c for c in campaigns if c.conversions_a_day >= LARGE_SHARE * total]

    @staticmethod
    def _told_in_totals(account: Account, parts: Sequence[Campaign]) -> str | None:
        buckets = [account.click_date_sources[c.source] for c in parts if c.source in account.click_date_sources]
        if buckets:
            return f"totals by click date, by the {buckets[0]}"
        return "hourly totals" if any(c.source in account.snapshot_sources for c in parts) else None


def _incident_near(at_ms: int, alert: AlertChange, labels: Sequence[Label]) -> str | None:
    running = [label for label in labels if label.from_ms <= at_ms <= label.to_ms]
    if running:
        return f"during an incident, {_disagreement(alert, running[0])}"
    after = [at_ms - label.to_ms for label in labels if label.to_ms < at_ms]
    return "up to a day after an incident" if after and min(after) < DAY_MS else None


def _disagreement(alert: AlertChange, label: Label) -> str:
    """In what an alert and the incident that was running differ, by the contract's rule."""
    named, source = alert.signal == label.signal, label.source in (None, alert.source)
    placed = source and (None in (label.campaign, alert.campaign) or label.campaign == alert.campaign)
    if named and placed:
        return "said twice"
    return "other scope" if named else "other name" if placed else "other name and scope"


def _promotion_near(at_ms: int, business: Business, parts: Sequence[Campaign]) -> str | None:
    for one in business.promotions:
        if any(one.covers(c) for c in parts) and one.from_ms <= at_ms < one.to_ms + AFTER_MS:
            return "during a promotion" if at_ms < one.to_ms else "up to 3 days after a promotion"
    return None


def _campaign_news(at_ms: int, business: Business, parts: Sequence[Campaign]) -> str | None:
    numbers = {c.number for c in parts}
    if any(one.campaign in numbers and one.at_ms <= at_ms < one.at_ms + AFTER_MS for one in business.budgets):
        return "up to 3 days after a new budget"
    if any(c.launch_ms is not None and c.launch_ms <= at_ms < c.launch_ms + AFTER_MS for c in parts):
        return "up to 3 days after a launch"
    if any(c.pause is not None and c.pause[0] <= at_ms < c.pause[1] + 12 * HOUR_MS for c in parts):
        return "during or after a pause"
    return "a budget that is used up on busy days" if any(c.cap is not None for c in parts) else None
