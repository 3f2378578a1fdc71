"""Snapshots: the highest revision stands, whatever order revisions come in."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import HOUR_MS, START_MS, batch_of, line

from streams.pipeline import Pipeline
from streams.restate import bucket_end_ms
from streams.settings import DetectionSettings


def _snapshot(hour: int, revision: int, cost: int) -> bytes:
    return line(
        fact="snapshot",
        at=START_MS + hour * HOUR_MS,
        bucket="hour",
        source="meta",
        account="acme",
        campaign="brand",
        currency="EUR",
        revision=revision,
        cost_micros=cost,
        impressions=cost % 97,
        conversions=cost % 7,
        value_micros=cost % 1000,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=40))
def test_totals_are_those_of_the_highest_revision_of_each_bucket(revisions: list[tuple[int, int]]) -> None:
    """Repeats and older revisions change nothing; equal revisions are the same totals."""
    pipeline = Pipeline(DetectionSettings())
    pipeline.feed(batch_of([_snapshot(h, r, 1000 * h + 17 * r + 1) for h, r in revisions], ticks=False))
    highest: dict[int, int] = {}
    for h, r in revisions:
        highest[h] = max(r, highest.get(h, 0))
    (sums,) = pipeline.totals().values()
    costs = [1000 * h + 17 * r + 1 for h, r in highest.items()]
    assert sums == (
        sum(costs),
        sum(c % 97 for c in costs) * 10**6,
        0,
        sum(c % 7 for c in costs) * 10**6,
        sum(c % 1000 for c in costs),
    )


def test_a_restated_bucket_survives_a_restart() -> None:
    """The newest revision is part of the state."""
    pipeline = Pipeline(DetectionSettings())
    pipeline.feed(batch_of([_snapshot(0, 3, 500)], ticks=False))
    again = Pipeline.restore(DetectionSettings(), pipeline.snapshot())
    again.feed(batch_of([_snapshot(0, 2, 900), _snapshot(0, 4, 700)], ticks=False))
    ((cost, *_),) = again.totals().values()
    assert cost == 700


def test_days_of_23_and_25_hours_end_at_the_next_local_midnight() -> None:
    """Europe/Berlin in spring and in autumn 2026."""
    spring, autumn = 1_774_738_800_000, 1_792_879_200_000
    assert bucket_end_ms(spring, "day", "Europe/Berlin") - spring == 23 * HOUR_MS
    assert bucket_end_ms(autumn, "day", "Europe/Berlin") - autumn == 25 * HOUR_MS
    assert bucket_end_ms(autumn, "day", None) - autumn == 24 * HOUR_MS
    assert json.loads(_snapshot(0, 1, 1))["bucket"] == "hour"
