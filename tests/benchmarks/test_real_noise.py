"""Real counts, thinned: what is read, what the spend follows, what an effect takes, and what is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import worlds
from benchmarks.real_noise import EFFECTS, Case, Effect, History, history, read, smoothed
from events.codec import Decoder

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
OUTAGE = EFFECTS[-1]
TWICE = EFFECTS[1]


def _nab(folder: Path, days: int = 40, a_day: float = 4800.0, step_min: int = 30) -> Path:
    """Counts with a daily shape in NAB's layout, a few rows missing."""
    rng = np.random.default_rng(5)
    steps = np.arange(days * 1440 // step_min)
    shape = 1 + 0.6 * np.sin(steps * step_min / 1440 * 2 * np.pi)
    counts = rng.poisson(rng.gamma(20, a_day * step_min / 1440 / 20, len(steps)) * shape)
    lines = ["timestamp,value"]
    for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
        if step % 500 != 499:
            moment = np.datetime64("2014-07-01T00:00") + np.timedelta64(step * step_min, "m")
            lines.append(f"{str(moment).replace('T', ' ')}:00,{count}")
    path = folder / "requests.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _geox(folder: Path, days: int = 60) -> Path:
    rng = np.random.default_rng(6)
    lines = ['"date","geo","sales","cost"']
    for day in range(days):
        lines += [f'{np.datetime64("2015-01-05") + day},"{geo}",{rng.gamma(50, 20 * geo):.2f},0' for geo in (1, 2, 10)]
    path = folder / "sales.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _made(case: Case) -> History:
    made = history(case)
    assert made is not None
    return made


def _at(made: History, fact: str) -> np.ndarray:
    return np.array(
        [json.loads(line)["at"] for _, line in made.lines if line.startswith(b'{"fact":"%s"' % fact.encode())]
    )


def test_a_series_in_nabs_layout_keeps_its_counts_and_knows_what_is_missing(tmp_path: Path) -> None:
    [series] = read(_nab(tmp_path))
    assert (series.name, series.step_ms, series.daily) == ("requests", 1_800_000, False)
    assert len(series.counts) == 40 * 48
    assert (~series.there).sum() == 3
    assert series.counts[~series.there].sum() == 0
    assert series.a_day == pytest.approx(4800, rel=0.05)


def test_daily_sales_are_a_series_per_region(tmp_path: Path) -> None:
    found = read(_geox(tmp_path))
    assert [series.name for series in found] == ["sales 1", "sales 2", "sales 10"]
    assert all(series.daily and len(series.counts) == 60 for series in found)


def test_another_layout_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("day,n\n1,2\n")
    with pytest.raises(ValueError, match=r"other\.csv"):
        read(path)


def test_the_smoothed_level_has_the_shape_of_the_day_and_not_the_noise(tmp_path: Path) -> None:
    [series] = read(_nab(tmp_path))
    level = smoothed(series)
    true = 100 * (1 + 0.6 * np.sin(np.arange(len(level)) / 48 * 2 * np.pi))
    inside = series.there & (np.arange(len(level)) > 200) & (np.arange(len(level)) < len(level) - 200)
    assert np.abs(level[inside] / true[inside] - 1).mean() < 0.08
    assert np.abs(series.counts[inside] / true[inside] - 1).mean() > 0.15
    assert (level[~series.there] == 0).all()


def test_thinning_keeps_as_many_as_asked_and_every_line_is_a_fact(tmp_path: Path) -> None:
    [series] = read(_nab(tmp_path))
    made = _made(Case(series, 60.0, None, 1, 7))
    decoded = Decoder().decode([line for _, line in made.lines])
    assert decoded.rejects == []
    assert len(_at(made, "conversion")) / made.days == pytest.approx(60, rel=0.1)
    assert made.incident is None


@pytest.mark.parametrize("effect", [OUTAGE, TWICE])
def test_an_effect_takes_its_share_from_its_onset_on_while_the_spend_goes_on(tmp_path: Path, effect: Effect) -> None:
    [series] = read(_nab(tmp_path))
    made = _made(Case(series, 240.0, effect, 1, 7))
    incident = made.incident
    assert incident is not None
    assert incident.from_ms - series.start_ms >= 5 * DAY_MS
    bought, spent = _at(made, "conversion"), _at(made, "delivery")
    lasts = incident.to_ms - incident.from_ms
    worth = {at: json.loads(line)["clicks"] * 0.03 for at, line in made.lines if line.startswith(b'{"fact":"delivery"')}
    due = sum(n for at, n in worth.items() if incident.from_ms < at <= incident.to_ms)
    left = (bought >= incident.from_ms + HOUR_MS // 2).sum()
    assert left / due == pytest.approx(effect.kept, abs=0.2)
    assert (spent >= incident.from_ms).sum() == pytest.approx(lasts / series.step_ms, abs=2)
    assert max(bought.max(), spent.max()) < incident.to_ms


def test_clicks_from_before_the_onset_still_convert_where_the_cpa_rises_and_not_in_an_outage(tmp_path: Path) -> None:
    [series] = read(_nab(tmp_path))

    def old_clicks(effect: Effect) -> int:
        found = 0
        for number in range(1, 6):
            made = _made(Case(series, 2000.0, effect, number, 7))
            assert made.incident is not None
            facts = [json.loads(line) for _, line in made.lines if line.startswith(b'{"fact":"conversion"')]
            found += sum(f["clicked_at"] < made.incident.from_ms <= f["at"] for f in facts)
        return found

    assert old_clicks(OUTAGE) == 0
    assert old_clicks(EFFECTS[2]) > 20


def test_days_are_told_as_snapshots_and_watermarks_and_an_effect_lasts_until_it_was_judged(tmp_path: Path) -> None:
    series = read(_geox(tmp_path))[0]
    made = _made(Case(series, 60.0, OUTAGE, 1, 7))
    facts = [json.loads(line) for _, line in made.lines]
    assert {fact["fact"] for fact in facts} == {"snapshot", "watermark"}
    assert made.incident is not None
    hit = [f["conversions"] for f in facts if f["fact"] == "snapshot" and f["at"] >= made.incident.from_ms]
    assert len(hit) >= 2
    assert sum(hit) == 0
    assert made.incident.to_ms > made.lines[-1][0]


def test_a_series_too_short_for_an_effect_is_left_out(tmp_path: Path) -> None:
    [series] = read(_nab(tmp_path, days=6))
    assert history(Case(series, 5.0, EFFECTS[0], 1, 7)) is None


def test_the_command_counts_every_case_once_and_prints_its_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _nab(tmp_path, days=20)
    arguments = ["--real", str(path), "--a-day", "200", "--repeats", "2", "--seeds", "5", "5"]
    assert worlds.main([*arguments, "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert card["seeds"] == [5, 6]
    kinds = card["kinds"]
    assert kinds["all"]["incidents"] + card["too_short"] == 2 * len(EFFECTS)
    assert sum(kinds[effect.name]["incidents"] for effect in EFFECTS) == kinds["all"]["incidents"]
    assert kinds["outage"]["caught"] == 2
    assert kinds["either name"]["caught"] >= kinds["all"]["caught"]
    for kind in ("all", "requests", "200 a day"):
        assert card["clean"][kind]["account_months"] == pytest.approx(2 * 20 / 30, abs=0.01)
    assert worlds.main(arguments) == 0
    assert "| outage | 2 | 2 |" in (printed := capsys.readouterr().out)
    assert "Seeds 5 to 6." in printed
