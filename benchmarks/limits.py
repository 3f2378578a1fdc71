"""How near to the mathematical limit incidents are told, and how often nothing is told as one.

``python benchmarks/limits.py [--only PART] [--quick] [--jobs N] [--seed N] [--json]``

Parts: ``known`` (the tests by themselves, level given), ``learned`` (the whole product), ``lag`` (conversions that
come late), ``naming`` (outage, CPA spike or stale feed), ``peers`` (other detectors on the same streams), ``accounts``
(many campaigns in one account).  Every part prints Markdown tables and the verdict of each bar.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bounds.report import Part, Size

PARTS = ("known", "learned", "lag", "naming", "peers", "accounts")


def measured(name: str, size: Size) -> Part:
    """What the part called ``name`` finds."""
    began = time.monotonic()
    part: Part = importlib.import_module(f"benchmarks.bounds.{name}").run(size)
    part.data["seconds"] = round(time.monotonic() - began, 1)
    return part


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, help="may be given several times")
    parser.add_argument("--quick", action="store_true", help="less of everything, minutes instead of half an hour")
    parser.add_argument("--jobs", type=int, default=2, help="processes side by side")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    size = Size(options.seed, options.jobs, options.quick)
    parts = []
    for name in options.only or PARTS:
        parts.append(measured(name, size))
        if not options.json:
            print(parts[-1].markdown(), end="\n\n", flush=True)
            print(f"Seed {size.seed}, {parts[-1].data['seconds']:.0f} s.", end="\n\n", flush=True)
    if options.json:
        print(json.dumps({"seed": size.seed, "quick": size.quick, "parts": [part.json() for part in parts]}))


if __name__ == "__main__":
    main()
