"""Commands over histories: replay them, make them, import them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.errors import CallerError
from service.options import AsJson, Config, output, progress

if TYPE_CHECKING:
    from events.csv_import import ImportReport
    from replay.run import Progress
    from replay.summary import Summary

SHOWN_REJECTS = 10
Histories = Annotated[
    list[str], typer.Argument(metavar="HISTORY...", help="NDJSON (plain, gzip, Zstandard) or Parquet; - is stdin.")
]
AlertsTo = Annotated[str | None, typer.Option("--alerts", metavar="OUT.ndjson", help="Write every alert change there.")]
RejectsTo = Annotated[str | None, typer.Option("--rejects", metavar="FILE", help="Write what was refused, and why.")]
LabelsFrom = Annotated[
    Path | None, typer.Option("--labels", metavar="L", help="Known incidents, to hold the alerts against.")
]


class Source(StrEnum):
    """Where an export can come from."""

    CSV = "csv"


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("replay")(replay)
    app.command("simulate")(simulate)
    app.command("import")(import_)


def replay(
    history: Histories,
    config: Config = None,
    alerts: AlertsTo = None,
    rejects: RejectsTo = None,
    labels: LabelsFrom = None,
    as_json: AsJson = False,
) -> None:
    """Play a history through the same road as live, and sum up what came of it."""
    from replay.run import Outlets, replay
    from service import settings

    detection = settings.load(config).detection
    if [alerts, rejects, as_json and "-"].count("-") > 1:
        raise CallerError("only one of --alerts, --rejects and --json can have standard output; give files")
    with contextlib.ExitStack() as stack:
        alerts_to, rejects_to = stack.enter_context(output(alerts)), stack.enter_context(output(rejects))
        bar = stack.enter_context(progress())
        task = bar.add_task("replay", total=None, words="")

        def moved(far: Progress) -> None:
            words = f"{far.facts:,} facts, {far.alerts} alerts"
            bar.update(task, completed=far.bytes_read, total=far.bytes_total or None, words=words)

        summary = replay(history, detection, labels=labels, outlets=Outlets(alerts_to, rejects_to, progress=moved))
    _print(summary, as_json, aside="-" in (alerts, rejects))


def _print(summary: Summary, as_json: bool, aside: bool) -> None:
    if as_json:
        print(summary.model_dump_json(by_alias=True))
        return
    from rich.console import Console

    from replay.show import show

    # Where lines go to standard output the summary steps aside; in a pipe nothing is cut to a terminal's width.
    Console(stderr=aside, width=None if sys.stdout.isatty() else 160).print(show(summary))


def simulate(
    out: Annotated[str, typer.Option(metavar="FACTS.ndjson", help="The facts, in the order in which they arrive.")],
    labels: Annotated[str, typer.Option(metavar="L", help="The incidents, as labels.")],
    seed: Annotated[int, typer.Option(help="Decides everything; the same seed gives the same bytes.")] = 1,
    days: Annotated[int, typer.Option(help="Length of the history.")] = 30,
    start: Annotated[str | None, typer.Option(help="First moment, RFC 3339 with offset.")] = None,
    accounts: Annotated[int, typer.Option(help="Accounts of the agency.")] = 3,
    campaigns: Annotated[int, typer.Option(help="Campaigns per account.")] = 10,
    incidents: Annotated[int | None, typer.Option(help="In all; default: one per account in 2.5 days.")] = None,
    clean_days: Annotated[float, typer.Option(help="No incident before so many days.")] = 5.0,
    scale: Annotated[float, typer.Option(help="Multiplies all volumes.")] = 1.0,
    promotions: Annotated[float, typer.Option(help="Sales per account and month; 0: none.")] = 1.0,
    budget_changes: Annotated[float, typer.Option(help="Budgets doubled or halved per account and month.")] = 2.0,
    capped_share: Annotated[float, typer.Option(help="Share of campaigns that use their daily budget up.")] = 0.15,
    click_date_share: Annotated[
        float, typer.Option(help="Share of accounts whose Google Ads reports by click.")
    ] = 0.15,
    phi: Annotated[float, typer.Option(help="Variance over mean of conversion counts; 1: Poisson.")] = 1.3,
    phi_growth: Annotated[float, typer.Option(help="What each conversion due in an hour adds to that.")] = 0.01,
    ticks: Annotated[bool, typer.Option(help="Write one tick a minute.")] = False,
) -> None:
    """Make a seeded world of an agency, with incidents and their labels."""
    from events.simulator import World, write_world

    world = World(
        seed=seed, days=days, accounts=accounts, campaigns=campaigns, incidents=incidents,
        clean_days=clean_days, scale=scale, promotions=promotions, budget_changes=budget_changes,
        capped_share=capped_share, click_date_share=click_date_share, phi=phi, phi_growth=phi_growth, ticks=ticks,
    )  # fmt: skip
    if start is not None:
        world = dataclasses.replace(world, start=_moment(start))
    if out == labels == "-":
        raise CallerError("--out and --labels cannot both be standard output")
    with output(out) as facts_to, output(labels) as labels_to:
        assert facts_to is not None
        assert labels_to is not None
        count = write_world(world, facts_to, labels_to)
    print(f"{count:,} facts of {days} days to {out}, labels to {labels}", file=sys.stderr)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise CallerError(f"--start {text}: is not RFC 3339, such as 2026-01-05T00:00:00+00:00") from None


def import_(
    source: Annotated[Source, typer.Argument(metavar="SOURCE", help="csv: any spend or conversion export.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The exports, oldest first.")],
    mapping: Annotated[Path | None, typer.Option("--map", metavar="M", help="What the columns mean (YAML).")] = None,
    out: Annotated[str | None, typer.Option(metavar="FACTS.ndjson", help="Where the facts go; - is stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a platform's export into facts. Without --map: propose one, and say what could not be guessed."""
    if mapping is None:
        _propose(files[0], out)
        return
    if out is None:
        raise CallerError("--out: say where the facts go (a file, or - for standard output)")
    if as_json and out == "-":
        raise CallerError("--json and --out - both want standard output; give a file")
    from events.csv_import import import_csv
    from events.csv_mapping import load_mapping

    wanted = load_mapping(mapping)
    with output(out) as facts_to:
        assert facts_to is not None
        report = import_csv(files, wanted, facts_to)
    if as_json:
        print(_as_json(report))
    _say(report, out)


def _propose(file: Path, out: str | None) -> None:
    from events.csv_proposal import propose

    proposal = propose(file)
    print(proposal.text, end="")
    for line in proposal.unsure:
        print(f"unsure: {line}", file=sys.stderr)
    verdict = "is complete" if proposal.usable else "still has a '?' to fill in"
    print(f"The mapping above {verdict}. Save it as mapping.yml and import with --map mapping.yml.", file=sys.stderr)
    if out is not None:
        raise CallerError(f"no facts were written to {out}: --map is missing")


def _as_json(report: ImportReport) -> str:
    import json

    values = dataclasses.asdict(report)
    values["rejected"] = [str(one) for one in report.rejected]
    return json.dumps(values, ensure_ascii=False)


def _say(report: ImportReport, out: str) -> None:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.facts.items()))
    lines = [f"{report.rows:,} rows read; {kinds} written to {out}"]
    lines += [f"{count:,} rows skipped: {reason}" for reason, count in sorted(report.skipped.items())]
    lines += _counted(
        (report.rounded, "cells were finer than a micro and were rounded"),
        (report.ambiguous, "local times stood twice on the wall (clocks set back)"),
        (report.missing, "local times never stood on the wall (clocks set forward)"),
        (report.replaced, "buckets were spoken of again by a later file, which counts"),
        (len(report.rejected), "rows could not be read:"),
    )
    lines += [f"  {one}" for one in report.rejected[:SHOWN_REJECTS]]
    for line in lines:
        print(line, file=sys.stderr)


def _counted(*found: tuple[int, str]) -> Sequence[str]:
    return [f"{count:,} {words}" for count, words in found if count]
