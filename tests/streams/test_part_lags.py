"""Names of one source whose conversions come at once, or days after the click: spend that stops and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from small_worlds import DAY_MS, MINUTE_MS, START_MS, batch_of, delivery, line, run

from detectors import lag
from streams.pipeline import Pipeline

A_DAY = 240.0
NAMES = (("purchase", 1.0, 0.05), ("lead", 1.0, 0.0), ("renewal", 2.0, 1.0), ("trial", 1.0, 0.3))
"""Each with how many come with one purchase, and the mean days from click to conversion."""
Told = list[tuple[str, str, dict[str, str] | None]]


def steady(_: float) -> float:
    return 1.0


def by_week(day: float) -> float:
    """Paused at weekends."""
    return 1.0 if day % 7 < 5 else 0.0


def facts(
    days: float, seed: int, spend: Callable[[float], float], lost: tuple[str, float, float] = ("", 0.0, 0.0)
) -> list[bytes]:
    """Clicks as the spend, of which each name makes conversions after its lag; ``lost``: a name, from day, to day."""
    rng, told = np.random.default_rng(seed), []
    for minute in range(0, int(days * 1440), 5):
        at_ms = START_MS + minute * MINUTE_MS
        told.append((at_ms, delivery(minute, at_ms, spend(minute / 1440) * A_DAY * 20 * 5 / 1440)))
    for name, each, mean_days in NAMES:
        clicked = rng.random(rng.poisson(A_DAY * each * days)) * days
        clicked = clicked[rng.random(len(clicked)) < [spend(day) for day in clicked]]
        at = clicked + rng.exponential(1.0, len(clicked)) * mean_days + 1e-4
        kept = (at < days) & ~((name == lost[0]) & (at >= lost[1]) & (at < lost[2]))
        for i in np.flatnonzero(kept):
            at_ms = START_MS + int(at[i] * DAY_MS)
            told.append((at_ms, _told(f"{name}-{i}", at_ms, START_MS + int(clicked[i] * DAY_MS), name)))
    return [fact for _, fact in sorted(told, key=lambda fact: fact[0])]


def _told(number: str, at_ms: int, clicked_ms: int, name: str) -> bytes:
    return line(
        fact="conversion", id=number, at=at_ms, clicked_at=clicked_ms, source="meta", account="acme", campaign="brand",
        name=name, leg="platform", currency="EUR", value_micros=50_000_000,
    )  # fmt: skip


def alerts_of(lines: list[bytes]) -> tuple[Pipeline, Told]:
    """Alerts of parts."""
    pipeline, changes = run(batch_of(lines))
    told = [(c["change"], c["at"], c["part"]) for c in map(json.loads, changes)]
    return pipeline, [turn for turn in told if turn[2] is not None]


def test_names_of_different_lags_are_told_neither_when_spend_stops_nor_when_it_comes_back() -> None:
    """On Saturday leads stop and renewals go on; on Monday leads are back and renewals are not yet.

    Parts may be told by chance once in ten accounts and months; as if all came at once it was once an account.
    """
    told = [turn for seed in range(11, 17) for turn in alerts_of(facts(20, seed, by_week))[1]]
    assert sum(change == "opened" for change, _, _ in told) <= 1


@pytest.mark.parametrize("name", ["lead", "renewal"])
def test_a_name_that_dies_is_told_whatever_its_lag(name: str) -> None:
    _, told = alerts_of(facts(9, 1, steady, (name, 7.0, 7.5)))
    assert [(change, part) for change, _, part in told] == [("opened", {"name": name}), ("resolved", {"name": name})]


def test_a_name_that_dies_on_the_day_after_a_pause_is_told() -> None:
    _, told = alerts_of(facts(16, 2, by_week, ("renewal", 15.0, 15.5)))
    assert [(change, part) for change, _, part in told][:1] == [("opened", {"name": "renewal"})]


def test_each_name_learns_its_own_lag() -> None:
    """Share within an hour of the click, of what each name brings at all, through pauses."""
    pipeline, _ = alerts_of(facts(20, 3, by_week))
    parts = pipeline.registry.parts
    learned = {scope.text: parts.rows["lag"][p] @ _within_an_hour() for p, scope in enumerate(parts.scopes)}
    for name, _, mean_days in NAMES:
        expected = 1.0 if mean_days == 0.0 else -np.expm1(-1.0 / 24.0 / mean_days)
        assert learned[name] == pytest.approx(expected, abs=0.05), name


def test_names_that_tell_no_clicks_are_as_late_as_their_source() -> None:
    """Nothing else is known of them."""
    lines = [raw for raw in facts(6, 4, steady) if b"trial" not in raw and b"lead" not in raw]
    lines = [_without_click(raw) if b"renewal" in raw else raw for raw in lines]
    pipeline, _ = alerts_of(lines)
    parts = pipeline.registry.parts
    of = {scope.text: p for p, scope in enumerate(parts.scopes)}
    assert parts.rows["delays"][of["renewal"], : lag.BINS].sum() == 0.0
    source = pipeline.registry.sources["lag"][0]
    assert parts.rows["lag"][of["renewal"]] == pytest.approx(source, abs=0.02)


def _without_click(raw: bytes) -> bytes:
    return line(**{key: value for key, value in json.loads(raw).items() if key != "clicked_at"})


def _within_an_hour() -> np.ndarray:
    """Of every stage of a lag."""
    return np.array([1.0, *-np.expm1(-60 * MINUTE_MS / lag.TAUS_MS)])
