"""How much a human should mind: by the share of the account that suffers and by how far off it is."""

from __future__ import annotations

from alerts.change import Severity
from alerts.signal import Name, Signal

GRAVE_SHARE = 0.25
GRAVE_RATIO = 2.5


def severity(signal: Signal) -> Severity:
    """Critical when a quarter of the account's spend is blind or costs 2.5 times too much; else warning.

    Metric and comparison signals are warnings at most; what is implausibly good is for information.
    """
    if signal.name == Name.IMPLAUSIBLY_GOOD:
        return Severity.INFO
    if signal.name in (Name.METRIC_ANOMALY, Name.ACCOUNT_ANOMALY):
        return Severity.WARNING
    grave = signal.share >= GRAVE_SHARE and signal.ratio >= GRAVE_RATIO
    return Severity.CRITICAL if grave else Severity.WARNING
