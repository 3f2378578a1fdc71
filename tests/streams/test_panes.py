"""Rolling windows are exact: at every tick they equal the sum over the facts that they should hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small_worlds import MINUTE_MS, START_MS, batch_of, delivery, line

from streams.panes import WINDOWS_MIN
from streams.pipeline import Pipeline
from streams.series import Scope
from streams.settings import DetectionSettings

Facts = list[tuple[int, int, int]]
"""Arrival minute, how many minutes late, cost in micros."""


@st.composite
def facts(draw: st.DrawFn) -> Facts:
    """Up to sixty facts over three days, some of them hours late."""
    return sorted(
        draw(
            st.lists(
                st.tuples(st.integers(0, 4320), st.sampled_from([0, 0, 0, 5, 70, 400, 1300]), st.integers(1, 10**9)),
                min_size=1,
                max_size=60,
            )
        )
    )


@settings(max_examples=60, deadline=None)
@given(facts())
def test_windows_equal_a_brute_force_sum_whatever_comes_late(arrivals: Facts) -> None:
    """Window [w - length, w) of a source whose watermark is w, for 1 h, 6 h and 24 h, and for the wider scopes."""
    pipeline = Pipeline(DetectionSettings(lateness_ms=0))
    taken: list[tuple[int, int]] = []
    first = batch_of([line(fact="tick", at=START_MS)], ticks=False)
    pipeline.feed(first)
    for number, (minute, late, cost) in enumerate(arrivals):
        at_minute = max(minute - late, 0)
        lines = [
            line(fact="tick", at=START_MS + minute * MINUTE_MS),
            delivery(number, START_MS + at_minute * MINUTE_MS, cost / 1e6),
            line(fact="tick", at=START_MS + (minute + 1) * MINUTE_MS + number),
        ]
        pipeline.feed(batch_of(lines, ticks=False))
        taken.append((at_minute, cost))
        end = max(at for at, _ in taken)
        for series, scope in enumerate(pipeline._registry.scopes):
            if scope in (Scope("acme"), Scope("acme", "meta"), Scope("acme", "meta", "brand")):
                for w, length in enumerate(WINDOWS_MIN):
                    expected = sum(cost for at, cost in taken if end - length <= at < end)
                    assert pipeline._registry.windows[w, series, 0] == expected


def test_a_pane_is_half_open() -> None:
    """The last millisecond of a minute belongs to it, the next one does not."""
    pipeline = Pipeline(DetectionSettings(lateness_ms=0))
    last = START_MS + MINUTE_MS - 1
    lines = [delivery(1, last, 1.0), delivery(2, last + 1, 2.0), line(fact="tick", at=START_MS + MINUTE_MS)]
    pipeline.feed(batch_of(lines, ticks=False))
    assert pipeline._registry.windows[0, 0, 0] == 1_000_000


def test_memory_of_closed_panes_is_given_back() -> None:
    """Ten days of one series take no more rows than the longest window holds."""
    pipeline = Pipeline(DetectionSettings())
    for day in range(10):
        lines = [delivery(day * 1440 + m, START_MS + (day * 1440 + m) * MINUTE_MS, 1.0) for m in range(1440)]
        ticks = [line(fact="tick", at=START_MS + (day * 1440 + m + 1) * MINUTE_MS) for m in range(1440)]
        pipeline.feed(batch_of([x for pair in zip(lines, ticks, strict=True) for x in pair], ticks=False))
    assert int(pipeline._sizes[2]) <= 1440 + 60
    assert len(pipeline.snapshot()) < 200_000
    assert isinstance(pipeline._registry.windows, np.ndarray)
