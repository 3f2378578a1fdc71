from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from alerts.change import AlertChange
from events.csv_import import import_csv
from events.csv_mapping import Mapping
from replay.run import Outlets, replay
from streams.settings import DetectionSettings

BY = Mapping.model_validate(
    {
        "granularity": "day",
        "time_zone": "Europe/Berlin",
        "columns": {"time": "Day", "campaign": "Campaign", "cost": "Cost", "conversions": "Conv.", "value": "Value"},
        "constants": {"account": "acme", "source": "google", "currency": "EUR"},
    }
)
DAYS, BROKEN_DAYS = 45, 4


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two campaigns over the days the clocks change; the pixel of one breaks for the last days."""
    rng, rows = np.random.default_rng(5), ["Day,Campaign,Cost,Conv.,Value"]
    for number in range(DAYS):
        for name, daily in (("steady", 80.0), ("broken", 120.0)):
            blind = name == "broken" and number >= DAYS - BROKEN_DAYS
            count = 0 if blind else int(rng.poisson(daily))
            cost, value = daily * 20 * rng.lognormal(0, 0.1), count * 50 * rng.lognormal(0, 0.05)
            rows.append(f"{date(2026, 3, 1) + timedelta(number)},{name},{cost:.2f},{count},{value:.2f}")
    path = tmp_path_factory.mktemp("export") / "export.csv"
    path.write_text("\n".join(rows))
    return path


def test_an_outage_in_a_daily_export_is_found_after_import_and_replay(export: Path) -> None:
    facts = export.with_suffix(".ndjson")
    with facts.open("wb") as out:
        report = import_csv([export], BY, out)
    told: list[AlertChange] = []
    summary = replay([facts], DetectionSettings(), outlets=Outlets(told=told.append))
    assert (report.rejected, summary.rejects) == ([], {})
    assert summary.facts == {"snapshot": 2 * DAYS, "watermark": DAYS}
    opened = [change for change in told if change.change == "opened" and change.muted_by is None]
    assert ("tracking_outage", "broken") in {(change.signal, change.campaign) for change in opened}
    assert not any(change.campaign == "steady" for change in opened)
    first = min(change.at for change in opened)
    assert first > f"{date(2026, 3, 1) + timedelta(DAYS - BROKEN_DAYS)}"
