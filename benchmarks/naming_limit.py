"""How often the right name of an incident can be known at all: ``python benchmarks/naming_limit.py [--seeds 1 4]``.

An outage that loses a share of all conversions and clicks that have become as much dearer differ in nothing but the
conversions of clicks from before the onset: the outage takes its share of them, too.  Whoever knows the onset, the
share ``k`` kept and the ``N`` such conversions to be expected until the incident's end (those that say when their
click was) tells ``N`` from ``k N``.  Square roots of counts have a standard deviation of ``sqrt(phi) / 2``, so with
the limit half-way between the errors are ``Phi(-sqrt(N) (1 - sqrt(k)) / sqrt(phi))`` on either side.  At even
odds beforehand nobody errs less before the incident's end; full outages are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.causes import Background
from benchmarks.scorecard import table
from events.business import make_business
from events.draws import Converted, Surroundings, draw
from events.incidents import Incident
from events.simulator import World, incidents
from events.told import CLICK_KNOWN_SHARE
from events.world import Account, Seasons, make_accounts, midnights


def error(older: float, kept: float, phi: float) -> float:
    """The least chance of the wrong name where ``older`` conversions of older clicks are to be expected.

    >>> round(error(28.0, 0.5, 1.3), 3), error(0.0, 0.5, 1.3)
    (0.087, 0.5)
    """
    return float(stats.norm.cdf(-math.sqrt(older) * (1.0 - math.sqrt(kept)) / math.sqrt(phi)))


def errors(world: World) -> Iterator[tuple[Incident, float]]:
    """Every incident that takes some of the conversions, and the least chance of its wrong name."""
    planned = [one for one in incidents(world) if one.signal != "roas_drop" and one.kept > 0.0]
    for account in make_accounts(world):
        mine = [one for one in planned if one.account == account.name]
        around = Surroundings(Seasons(world, account), make_business(world, account), midnights(world, account), [])
        drawn = {c.name: draw(world, c, around)[0].converted for c in account.campaigns} if mine else {}
        for incident in mine:
            yield incident, error(_older(account, drawn, incident) * CLICK_KNOWN_SHARE, incident.kept, world.phi)


def _older(account: Account, drawn: dict[str, Converted], incident: Incident) -> int:
    """Purchases inside the incident, were there none, of clicks from before it."""
    found = 0
    for campaign in account.campaigns:
        if incident.covers(campaign) and account.tells_singly(campaign.source):
            c = drawn[campaign.name]
            inside = (c.at_ms >= incident.from_ms) & (c.at_ms < incident.to_ms)
            found += int(((c.name == 0) & inside & (c.clicked_at_ms < incident.from_ms)).sum())
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="How often the right name of an incident can be known at all.")
    parser.add_argument("--seeds", nargs=2, type=int, default=(1, 4), metavar=("FIRST", "LAST"))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    seeds = range(options.seeds[0], options.seeds[1] + 1)
    found: defaultdict[str, list[float]] = defaultdict(list)
    total = 0
    for world in (World(seed=seed) for seed in seeds):
        total += len(incidents(world))
        behind = Background(world)
        for incident, least in errors(world):
            scope = behind.volume_class((incident.account, incident.source, incident.campaign))
            for kind in ("all", incident.signal, f"{incident.signal}, {scope}"):
                found[kind].append(least)
    rows = [(kind, len(found[kind]), round(fmean(found[kind]), 3)) for kind in sorted(found)]
    if options.json:
        print(json.dumps({"seeds": list(seeds), "incidents": total, "kinds": {kind: row for kind, *row in rows}}))
        return 0
    print(table(("incidents that take some", "all", "wrong name at best"), rows))
    print(f"\n{sum(found['all']):.1f} wrong names of {total} incidents at best. Seeds {seeds[0]} to {seeds[-1]}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
