"""How well incidents are told on simulated worlds: ``python benchmarks/worlds.py [--seeds 101 108] [--json]``.

Every world is simulated with incidents and without any, and replayed as a user would replay his own history.  With
incidents the contract's rule counts what was caught, missed and false, overall, by signal and by how many conversions
a day the scope has.  Without, every alert is false: their number per account is held against the promise, with the
upper 95 % bound of a Poisson count.  The same detectors then do it again with the true rates given
(``benchmarks/true_rates.py``), so that what learning costs is seen.  Settings of the world can be changed
(``--set phi=2 --set promotions=0``); the seeds are printed.

``--real FILE...`` measures on real noise instead (``benchmarks/real_noise.py``): real counts, thinned.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alerts.change import AlertChange
from benchmarks import real_noise
from benchmarks.causes import Background
from benchmarks.scorecard import Clean, Tallies, clean_words, scorecard, table
from benchmarks.true_rates import told_knowing
from events.simulator import World, incidents, write_world
from replay.labels import Label, parse_labels
from replay.run import Outlets, replay
from replay.score import match_alerts, openings
from streams.settings import DetectionSettings

LEARNED, KNOWN = "learned", "true rates given"
ORDER = ("all", "tracking_outage", "cpa_spike", "roas_drop", "200 a day and more", "50 to 200 a day", "under 50 a day")

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class Outcome:
    """What came of some worlds of one kind."""

    f1_by_seed: dict[int, float] = field(default_factory=dict)
    tallies: Tallies = field(default_factory=Tallies)
    clean: Clean = field(default_factory=Clean)
    causes: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Count what ``other`` has counted, too."""
        self.f1_by_seed |= other.f1_by_seed
        self.tallies.add(other.tallies)
        self.clean.add(other.clean)
        self.causes.update(other.causes)
        self.notes += other.notes

    def figures(self) -> dict[str, Any]:
        """The scorecard as JSON has it."""
        f1s = {str(seed): round(f1, 3) for seed, f1 in sorted(self.f1_by_seed.items())}
        kinds = self.tallies.figures()
        return {
            "mean_f1": round(fmean(self.f1_by_seed.values()), 3),
            "f1_by_seed": f1s,
            "kinds": {kind: kinds[kind] for kind in ORDER if kind in kinds},
            "clean": self.clean.figures(),
            "false_by_circumstance": dict(self.causes.most_common()),
        }


def told(world: World) -> list[AlertChange]:
    """Every alert change of a replay of ``world``."""
    changes: list[AlertChange] = []
    with tempfile.TemporaryDirectory() as name:
        facts = Path(name, "facts.ndjson")
        with facts.open("wb") as out, Path(name, "labels.ndjson").open("wb") as labels:
            write_world(world, out, labels)
        replay([facts], DetectionSettings(), outlets=Outlets(told=changes.append))
    return changes


def measure(task: tuple[World, str]) -> tuple[str, Outcome]:
    """What comes of one world, with incidents and without, and which kind of detectors it was."""
    world, kind = task
    listen = told if kind == LEARNED else partial(told_knowing, settings=DetectionSettings())
    outcome = _with_incidents(world, openings(listen(world)))
    outcome.add(_without(replace(world, incidents=0), openings(listen(replace(world, incidents=0)))))
    return kind, outcome


def _with_incidents(world: World, alerts: list[AlertChange]) -> Outcome:
    outcome, behind = Outcome(), Background(world)
    labels = parse_labels((one.label() for one in incidents(world)), "labels")
    match = match_alerts(alerts, labels)
    kinds_of = {label.incident_id: ("all", label.signal, behind.volume_class(_scope(label))) for label in labels}
    outcome.tallies.count(labels, lambda label: kinds_of[label.incident_id], alerts, partial(_kinds, behind), match)
    outcome.f1_by_seed[world.seed] = float(outcome.tallies.figures()["all"]["f1"] or 0.0) if labels else 0.0
    outcome.notes += [f"seed {world.seed} missed {one.incident_id} {one.signal} {kinds_of[one.incident_id][2]}"
                      for one in labels if one.incident_id not in match.first_ms]  # fmt: skip
    for alert in alerts:
        if alert.alert_id in match.false:
            _note(outcome, world, alert, behind.circumstance(alert, labels))
    return outcome


def _without(world: World, alerts: list[AlertChange]) -> Outcome:
    outcome, behind = Outcome(), Background(world)
    outcome.clean.account_days = float(world.accounts * world.days)
    for alert in alerts:
        outcome.clean.by_kind.update(_kinds(behind, alert))
        _note(outcome, world, alert, behind.circumstance(alert, []))
    return outcome


def _kinds(behind: Background, alert: AlertChange) -> tuple[str, ...]:
    return ("all", str(alert.signal), behind.volume_class((alert.account, alert.source, alert.campaign)))


def _scope(label: Label) -> tuple[str, str | None, str | None]:
    return label.account, label.source, label.campaign


def _note(outcome: Outcome, world: World, alert: AlertChange, circumstance: str) -> None:
    clean = " clean" if world.incidents == 0 else ""
    outcome.causes[circumstance] += 1
    scope = " / ".join(part or "*" for part in (alert.account, alert.source, alert.campaign))
    outcome.notes.append(f"seed {world.seed}{clean} false {alert.signal} {alert.at[:16]} {scope}: {circumstance}")


def side_by_side(run: Callable[[Task], Result], tasks: Sequence[Task], jobs: int) -> Iterator[Result]:
    """What ``run`` makes of each task, in ``jobs`` processes."""
    if jobs == 1:
        yield from map(run, tasks)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, tasks)


def measured(seeds: Iterable[int], base: World, kinds: Sequence[str], jobs: int) -> dict[str, Outcome]:
    """What came of all worlds, by kind of detectors."""
    found = {kind: Outcome() for kind in kinds}
    tasks = [(replace(base, seed=seed), kind) for seed in seeds for kind in kinds]
    for kind, outcome in side_by_side(measure, tasks, jobs):
        found[kind].add(outcome)
        for seed, f1 in outcome.f1_by_seed.items():
            print(f"seed {seed}, {kind}: F1 {f1:.3f}", file=sys.stderr)
    return found


def show(cards: dict[str, dict[str, Any]]) -> None:
    """Print the scorecards as Markdown."""
    for kind, card in cards.items():
        f1s = card["f1_by_seed"].values()
        print(f"Detectors with rates {kind}:\n" if kind == LEARNED else f"The same detectors, {kind}:\n")
        print(scorecard(card["kinds"]))
        print(f"\nMean F1 over the seeds {card['mean_f1']:.3f}, from {min(f1s):.3f} to {max(f1s):.3f}.")
        print(clean_words(card["clean"]) + "\n")
    circumstances = sorted({name for card in cards.values() for name in card["false_by_circumstance"]})
    rows = [[name, *(card["false_by_circumstance"].get(name, 0) for card in cards.values())] for name in circumstances]
    print(table(["false alerts, with incidents and without", *cards], rows) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs=2, type=int, default=(101, 108), metavar=("FIRST", "LAST"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the world")
    parser.add_argument("--learned", action="store_true", help="without the true rates, in half the time")
    parser.add_argument("--incidents", action="store_true", help="list what was missed and what was false")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--json", action="store_true")
    real_noise.add_arguments(parser)
    options = parser.parse_args(arguments)
    began = time.monotonic()
    if options.real:
        real_noise.run(options, side_by_side)
    else:
        _run(options)
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0


def _run(options: argparse.Namespace) -> None:
    changed = {key: json.loads(value) for key, _, value in (item.partition("=") for item in options.set)}
    seeds = range(options.seeds[0], options.seeds[1] + 1)
    kinds = (LEARNED,) if options.learned else (LEARNED, KNOWN)
    found = measured(seeds, World(**changed), kinds, options.jobs)
    cards = {kind: outcome.figures() for kind, outcome in found.items()}
    if options.json:
        notes = {kind: outcome.notes for kind, outcome in found.items()} if options.incidents else {}
        print(json.dumps({"seeds": list(seeds), "set": changed, **cards, "notes": notes}))
        return
    show(cards)
    print(f"Seeds {seeds[0]} to {seeds[-1]}{', ' if options.set else ''}{', '.join(options.set)}.")
    for kind, outcome in found.items() if options.incidents else ():
        print(f"\n{kind}:\n" + "\n".join(outcome.notes))


if __name__ == "__main__":
    sys.exit(main())
