"""The detectors as they would be if they knew the true rates, to see what learning costs.

Every report of the world costs one unit of money per conversion that is truly due from its clicks (its rate, its
season, its sale), so the true level is one conversion per unit and there is no season left to learn.  An hour's
learning is overwritten as it is learned: level and season rest on as good as infinitely many conversions, and nothing
is in doubt.  Delays, the dispersion of counts and the baskets are learned as ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from alerts.change import AlertChange
from detectors import deficit, drift, level
from events.codec import Decoder
from events.simulator import World, arrivals
from streams import limits
from streams.pipeline import Pipeline
from streams.series import LEAF, Registry
from streams.settings import DetectionSettings

HOUR_MS = 3_600_000
CERTAIN = 1e9
"""Conversions that what is known rests on."""
TURN_MS = HOUR_MS // 3
"""So long after the full hour every source has learned it, being a little late."""


def told_knowing(world: World, settings: DetectionSettings) -> list[AlertChange]:
    """Every alert change of ``world`` with its true rates known."""
    pipeline, decoder, changes = Pipeline(settings), Decoder(), []
    for lines in _by_the_hour(replace(world, cost_is_due=True, ticks=True)):
        changes += pipeline.feed(decoder.decode(lines).batch).changes
        know(pipeline.registry)
    return changes


def _by_the_hour(world: World) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    until_ms = world.start_ms + TURN_MS
    for at_ms, line in arrivals(world):
        if at_ms > until_ms:
            yield lines
            lines, until_ms = [], (at_ms - TURN_MS) // HOUR_MS * HOUR_MS + HOUR_MS + TURN_MS
        lines.append(line)
    yield lines


def know(registry: Registry) -> None:
    """Write what is true over what was learned."""
    series, accounts = registry.series.rows, registry.accounts.rows
    leaves = series["level"] == LEAF
    series["learned"][np.ix_(leaves, [level.A, level.B])] = CERTAIN
    series["doubt"] = series["mood"] = 0.0
    accounts["season"] = CERTAIN
    accounts["factor"] = 1.0
    accounts["drift"] = 0.0
    accounts["drift"][:, [drift.SQUARES_WEIGHT, drift.PRODUCTS_WEIGHT]] = CERTAIN
    # without doubt a count is as spread over any stretch as over an hour
    for row in series:
        row["slopes"] = deficit.sloped(float(row["phi"]))
    series["limits"][:, limits.SILENT_PHI] = series["phi"]
