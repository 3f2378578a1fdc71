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


_LEGS = {
    "browser": "the pixel, the last publish of the tag manager and the consent banner",
    "server": "the conversion API: its access token, its endpoint and the queue before it",
    "backend": "the export from shop or CRM, and the credentials it signs in with",
    "platform": "the platform's own import of conversions, and its permissions",
}
_LEG = (
    "Check {what}. The other legs still tell the same sales, so figures hold, "
    "but matching, audiences and bidding work with less until it is back."
)
_LONE_LEG = (
    "Check {what}. What only this leg tells is missing from the figures; "
    "do not judge or re-bid on them until it is back."
)
_NAME = (
    "Check the tag and the trigger of this event. The source's other events still arrive, so its tag as a whole works; "
    "do not judge or bid on this event until it is back."
)


def action(
    name: str, cause: dict[str, str] | None, part: tuple[str, str] | None = None, is_costly: bool = False
) -> str:
    """The advice for a signal of a scope or of a part of a source; a known cause is named first.

    ``is_costly``: conversions that count are missing because of it.

    >>> action("tracking_outage", None, ("leg", "server"))[:60]
    'Check the conversion API: its access token, its endpoint and'
    """
    if part is not None:
        advice = _NAME if part[0] == "name" else (_LONE_LEG if is_costly else _LEG).format(what=_LEGS[part[1]])
    else:
        advice = _ACTIONS.get(Name(name), "") if name in list(Name) else "Look at what changed around the start."
    return (
        advice if cause is None else f"Look first at the {cause['kind'].replace('_', ' ')} of {cause['at']}. {advice}"
    )
