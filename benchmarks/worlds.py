"""How well incidents are told on simulated worlds: ``python benchmarks/worlds.py [--seeds 101 108] [--json]``.

Every world is simulated twice, with incidents and without any, and replayed as a user would replay his own history.
With incidents the contract's rule counts what was caught, missed and false, overall, by signal and by how many
conversions a day the incident's scope has.  Without, every alert is false: their number per account and month is held
against the promise, with the upper 95 % bound of a Poisson count.  Settings of the world can be changed
(``--set phi=2 --set campaigns=40``); the seeds are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alerts.change import AlertChange
from events.simulator import World, incidents, write_world
from events.world import make_accounts
from replay.labels import read_labels
from replay.run import Outlets, replay
from replay.score import match_alerts, openings, quantile
from streams.settings import DetectionSettings

MONTH_DAYS = 30.0
CLASSES = ((0.0, "under 50 a day"), (50.0, "50 to 200 a day"), (200.0, "200 a day and more"))


@dataclass
class Tally:
    """Incidents and alerts of one kind, over all seeds."""

    incidents: int = 0
    caught: int = 0
    alerts: int = 0
    right: int = 0
    false: int = 0
    delays_ms: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Precision, recall, F1 and delays in hours, as JSON has them."""
        precision = self.right / (self.right + self.false) if self.right + self.false else None
        recall = self.caught / self.incidents if self.incidents else None
        f1 = 2 * precision * recall / (precision + recall) if precision and recall else None
        hours = [None if (q := quantile(self.delays_ms, p)) is None else round(q / 3.6e6, 2) for p in (50, 90)]
        return {
            "incidents": self.incidents,
            "caught": self.caught,
            "alerts": self.alerts,
            "false": self.false,
            "precision": _rounded(precision),
            "recall": _rounded(recall),
            "f1": _rounded(f1),
            "delay_p50_h": hours[0],
            "delay_p90_h": hours[1],
        }


def told(world: World, folder: Path) -> list[AlertChange]:
    """Every alert change of a replay of ``world``; its labels are left in ``folder``."""
    facts, changes = folder / "facts.ndjson", []
    with facts.open("wb") as out, (folder / "labels.ndjson").open("wb") as labels:
        write_world(world, out, labels)
    replay([facts], DetectionSettings(), outlets=Outlets(told=changes.append))
    return changes


def volume_class(world: World, incident_id: str) -> str:
    """How many conversions a day the scope of an incident has."""
    incident = next(one for one in incidents(world) if one.incident_id == incident_id)
    account = next(one for one in make_accounts(world) if one.name == incident.account)
    a_day = sum(c.conversions_a_day for c in account.campaigns if incident.covers(c))
    return [name for least, name in CLASSES if a_day >= least][-1]


def scored(world: World, folder: Path, tallies: dict[str, Tally], verbose: bool) -> float:
    """Add what came of ``world`` to ``tallies``; its own F1."""
    changes = openings(told(world, folder))
    labels = read_labels(folder / "labels.ndjson")
    match = match_alerts(changes, labels)
    own = Tally()
    for label in labels:
        delay = match.first_ms.get(label.incident_id)
        for kind in ("all", label.signal, volume_class(world, label.incident_id)):
            _count_incident(tallies.setdefault(kind, Tally()), delay)
        _count_incident(own, delay)
        if verbose and delay is None:
            print(f"  seed {world.seed} missed {label.incident_id} {label.signal}")
    for alert in changes:
        for tally in (own, tallies.setdefault("all", Tally()), tallies.setdefault(alert.signal, Tally())):
            tally.alerts += 1
            tally.right += alert.alert_id in match.right
            tally.false += alert.alert_id in match.false
        if verbose and alert.alert_id in match.false:
            print(
                f"  seed {world.seed} false {alert.signal} {alert.account} {alert.source} {alert.campaign} {alert.at}"
            )
    return float(own.figures()["f1"] or 0.0)


def _count_incident(tally: Tally, delay_ms: int | None) -> None:
    tally.incidents += 1
    if delay_ms is not None:
        tally.caught += 1
        tally.delays_ms.append(delay_ms)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def measure(seeds: Iterable[int], base: World, verbose: bool) -> dict[str, Any]:
    """The scorecard as JSON has it."""
    tallies: dict[str, Tally] = {}
    f1s, false, months = [], 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        for seed in seeds:
            world = replace(base, seed=seed)
            f1s.append(scored(world, Path(name), tallies, verbose))
            false += len(openings(told(replace(world, incidents=0), Path(name))))
            months += world.accounts * world.days / MONTH_DAYS
            print(f"seed {seed}: F1 {f1s[-1]:.3f}", file=sys.stderr)
    upper = float(stats.chi2.ppf(0.95, 2 * (false + 1)) / 2.0)
    return {
        "mean_f1": round(fmean(f1s), 3),
        "f1_by_seed": dict(zip(map(str, seeds), [round(f1, 3) for f1 in f1s], strict=True)),
        "kinds": {kind: tally.figures() for kind, tally in sorted(tallies.items())},
        "clean": {
            "false": false,
            "account_months": months,
            "false_per_account_month": round(false / months, 3),
            "upper_95": round(upper / months, 3),
        },
    }


def show(card: dict[str, Any]) -> None:
    """Print the scorecard as a table of Markdown."""
    print("| incidents | all | caught | false alerts | precision | recall | F1 | delay p50 h | p90 h |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, row in card["kinds"].items():
        cells = [row[key] for key in ("incidents", "caught", "false", "precision", "recall", "f1")]
        if kind.endswith(("a day", "more")):
            cells[2] = cells[3] = cells[5] = None
        cells += [row["delay_p50_h"], row["delay_p90_h"]]
        print(f"| {kind} | " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
    clean = card["clean"]
    print(f"\nMean F1 over seeds {card['mean_f1']}.")
    print(
        f"Without incidents: {clean['false']} alerts in {clean['account_months']:.0f} account-months, "
        f"{clean['false_per_account_month']} a month (at most {clean['upper_95']} with 95 % confidence)."
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs=2, type=int, default=(101, 108), metavar=("FIRST", "LAST"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the world")
    parser.add_argument("--incidents", action="store_true", help="list what was missed and what was false")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    changed = {key: json.loads(value) for key, _, value in (item.partition("=") for item in options.set)}
    began = time.monotonic()
    seeds = range(options.seeds[0], options.seeds[1] + 1)
    card = measure(seeds, World(**changed), options.incidents)
    print(json.dumps(card) if options.json else "", end="\n" if options.json else "")
    if not options.json:
        show(card)
        print(f"Seeds {seeds[0]} to {seeds[-1]}, {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
