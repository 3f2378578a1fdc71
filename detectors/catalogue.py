"""Every detector by name: what settings choose from, the documents describe and the contract tests run over.

A detector is added with one ``Entry``.  All are River detectors with the same two calls, ``score_one(x, y)`` and
``learn_one(x, y)``; the entry says what ``x`` holds and what ``y`` is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from river.base import SupervisedAnomalyDetector

from detectors.account_anomaly import AccountAnomaly
from detectors.basket import BasketDrop
from detectors.deficit import ConversionDeficit
from detectors.metric import MetricDetector
from detectors.outage import OutageTimer

MONTH_OF_HOURS = math.log10(720.0)


class Harm(StrEnum):
    """Which way the judged number has to go to do harm."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Judged(StrEnum):
    """What kind of number ``y`` is: how many came in during the step, or a size measured at a moment."""

    COUNT = "count"
    AMOUNT = "amount"


@dataclass(frozen=True, slots=True)
class Entry:
    """One detector: ``make`` gives a fresh one.

    ``signal`` is what its alerts are called, ``says`` what it is for in one sentence to a marketer, ``on`` whether it
    runs unless the settings say otherwise.  ``features`` names what ``x`` holds: ``at_ms`` (epoch ms), ``dt_ms``
    (length of the step), ``cost`` (spend in the step), ``expected`` (expected ``y``).  ``alarm_at`` is the score that
    stands for one false alarm a month when a step is an hour.
    """

    name: str
    make: Callable[[], SupervisedAnomalyDetector]
    signal: str
    says: str
    on: bool
    features: tuple[str, ...]
    judged: Judged
    harm: Harm
    alarm_at: float = MONTH_OF_HOURS


ENTRIES = (
    Entry(
        "conversion_deficit", ConversionDeficit, "cpa_spike",
        "Each conversion has become dearer: the same spend brings fewer of them than it used to.",
        True, ("cost", "dt_ms"), Judged.COUNT, Harm.DOWN,
    ),
    Entry(
        "basket_drop", BasketDrop, "roas_drop",
        "Purchases still come in, but they are worth less than they used to be.",
        True, (), Judged.AMOUNT, Harm.DOWN,
    ),
    Entry(
        "outage_timer", OutageTimer, "tracking_outage",
        "No conversion has arrived for far longer than chance allows: the tag, the shop or the platform is silent.",
        True, ("expected",), Judged.COUNT, Harm.DOWN,
    ),
    Entry(
        "metric", MetricDetector, "metric_anomaly",
        "A number you watch (CPC, bounce rate, impression share) is not where its time of day and its past put it.",
        True, ("at_ms",), Judged.AMOUNT, Harm.BOTH,
    ),
    Entry(
        "account_anomaly", AccountAnomaly, "account_anomaly",
        "Google's Account Anomaly Detector script: today so far is under half of what this weekday usually brings.",
        False, ("at_ms",), Judged.COUNT, Harm.DOWN, 1.0,
    ),
)  # fmt: skip

CATALOGUE: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in ENTRIES})


def entry(name: str, key: str = "detection.detectors") -> Entry:
    """The entry called ``name``; a ``KeyError`` that names the settings ``key`` and the choices where there is none.

    >>> entry("metric").signal
    'metric_anomaly'
    >>> entry("magic")
    Traceback (most recent call last):
    KeyError: 'detection.detectors: no detector is called magic; there are ... metric, account_anomaly'
    """
    if name not in CATALOGUE:
        raise KeyError(f"{key}: no detector is called {name}; there are {', '.join(CATALOGUE)}")
    return CATALOGUE[name]
