"""What to do about it, in one sentence per signal."""

from __future__ import annotations

from alerts.signal import Name

_ACTIONS = {
    Name.CPA_SPIKE: (
        "Compare landing page, bid and audience changes since the start; "
        "cut the budget or pause if the target cannot be met."
    ),
    Name.ROAS_DROP: (
        "Check prices, discounts and the value sent with the purchase event; "
        "lower the target or the budget until it is clear."
    ),
    Name.TRACKING_OUTAGE: (
        "Check tag, consent banner and conversion API first; "
        "do not judge or re-bid on these figures until events are back."
    ),
    Name.IMPLAUSIBLY_GOOD: (
        "Check for a tag that fires twice, repeated or test orders, or a sale; "
        "nothing is learned from these figures while this lasts."
    ),
    Name.METRIC_ANOMALY: "Look at what changed around the start; silence it if the change was meant.",
    Name.ACCOUNT_ANOMALY: "Compare today with the same weekday of the weeks before.",
}


def action(name: str, cause: dict[str, str] | None) -> str:
    """The advice for a signal; a known cause is named first."""
    advice = _ACTIONS.get(Name(name), "") if name in list(Name) else "Look at what changed around the start."
    return (
        advice if cause is None else f"Look first at the {cause['kind'].replace('_', ' ')} of {cause['at']}. {advice}"
    )
