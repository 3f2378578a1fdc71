"""What may have caused it: the last change in the account shortly before the onset."""

from __future__ import annotations

from typing import NamedTuple

from alerts.change import rfc3339
from alerts.signal import Signal

BEFORE_MS = 3 * 3_600_000
AFTER_MS = 30 * 60_000
"""An onset is estimated; a change up to this long after it may still be the cause."""


class Happening(NamedTuple):
    """A change in an account: a deploy, a new price, a campaign paused. Empty strings: the whole account."""

    at_ms: int
    kind: str
    what: str
    source: str
    campaign: str


def cause(signal: Signal, happenings: list[Happening]) -> dict[str, str] | None:
    """The nearest change around the onset that touches the signal's scope, or ``None``.

    >>> figures = {"measure": "cpa", "observed": 2.0, "expected": 1.0, "low": 0.5, "high": 1.5, "evidence": 4.0}
    >>> more = {"ratio": 2.0, "loss_micros": 0, "share": 1.0, "currency": "EUR", "until_ms": 9_000_000}
    >>> where = {"account": "acme", "source": "meta", "campaign": None, "at_ms": 9_000_000, "onset_ms": 7_200_000}
    >>> signal = Signal("cpa_spike", **where, **figures, **more)
    >>> cause(signal, [Happening(7_000_000, "deploy", "shop 2.1", "", "")])
    {'kind': 'deploy', 'what': 'shop 2.1', 'at': '1970-01-01T01:56:40.000Z'}
    """
    near = [h for h in happenings if -BEFORE_MS <= h.at_ms - signal.onset_ms <= AFTER_MS and _touches(h, signal)]
    if not near:
        return None
    last = min(near, key=lambda h: (abs(h.at_ms - signal.onset_ms), h))
    return {"kind": last.kind, "what": last.what, "at": rfc3339(last.at_ms)}


def _touches(happening: Happening, signal: Signal) -> bool:
    source = not happening.source or signal.source is None or happening.source == signal.source
    campaign = not happening.campaign or signal.campaign is None or happening.campaign == signal.campaign
    return source and campaign
