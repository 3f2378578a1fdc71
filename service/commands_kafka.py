"""Commands of the cluster way: what runs beside a Kafka broker."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from service.errors import CallerError
from service.options import AsJson, Config, Drain, loaded, progress

if TYPE_CHECKING:
    from service.kafka_metrics import RoadMetrics
    from service.settings import Settings
    from streams.dead_letters import Letter
    from streams.produce import Produced

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be used, and why.")
Places = Annotated[list[str] | None, typer.Argument(metavar="[PARTITION:OFFSET]...", help="Which; default: all.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("worker")(worker)
    app.command("intake")(intake)
    app.command("notify")(notify)
    app.command("produce")(produce)
    app.add_typer(dlq, name="dlq")


def worker(config: Config = None, drain: Drain = False) -> None:
    """Faust worker: facts in, alert changes out."""
    found = loaded(config)
    from streams.on_kafka import run_worker

    with _metrics(found) as metrics:
        raise typer.Exit(run_worker(found.kafka, found.detection, drain=drain, observer=metrics))


def intake(config: Config = None, drain: Drain = False) -> None:
    """Raw topics of single facts in; validated and packed by account out; what is bad goes to the dead letters."""
    found = loaded(config)
    from streams.intake import run_intake

    with _metrics(found) as metrics:
        raise typer.Exit(run_intake(found.kafka, drain=drain, observer=metrics))


def notify(config: Config = None) -> None:
    """Alert changes from Kafka to Slack, e-mail and the console, each once."""
    found = loaded(config)
    from service.notifying import run_notify
    from service.server import ended_by_signal

    with ended_by_signal(), _metrics(found) as metrics:
        run_notify(found, metrics)


@contextlib.contextmanager
def _metrics(found: Settings) -> Iterator[RoadMetrics]:
    """The observer of this process, and where it can be scraped."""
    from service import server
    from service.kafka_metrics import RoadMetrics

    metrics = RoadMetrics()
    if found.http.metrics_port is None:
        yield metrics
        return
    from service.web.app import health_app

    sock = server.listen(found.http.host, found.http.metrics_port)
    with server.served(health_app(metrics.exposition, metrics.waits_for), sock):
        yield metrics


def produce(
    facts: Annotated[str, typer.Argument(metavar="FACTS.ndjson", help="Facts; - is standard input.")],
    config: Config = None,
    raw: Annotated[bool, typer.Option("--raw", help="One fact a message onto the raw topic, for the intake.")] = False,
    ticks: Annotated[bool, typer.Option("--ticks", help="With the ticks that replay would make.")] = False,
    speed: Annotated[float | None, typer.Option(min=0.001, metavar="X", help="X times as fast as life.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put facts onto the facts topic, packed and keyed by account."""
    found = loaded(config)
    from streams.produce import produce

    pace = None if speed is None else _pace(speed)
    with _lines(facts) as lines, progress() as bar:
        task = bar.add_task("produce", total=None, words="")

        def moved(done: Produced) -> None:
            bar.update(task, words=f"{done.facts:,} facts")

        done = produce(lines, found.kafka, raw=raw, ticks=ticks, pace=pace, progress=moved)
    if as_json:
        print(json.dumps(dataclasses.asdict(done)))
        return
    print(f"{done.facts:,} facts and {done.ticks:,} ticks in {done.messages:,} messages", file=sys.stderr)
    if done.bad:
        print(f"{done.bad:,} lines are no facts; the reader sends them to the dead letters", file=sys.stderr)


@contextlib.contextmanager
def _lines(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115  # closed below; opening alone is to be blamed on the caller
    except OSError as error:
        raise CallerError(f"{path}: {error.strerror}") from None
    with file:
        if not file.peek(1):
            raise CallerError(f"{path}: is empty")
        yield file


def _pace(speed: float) -> Callable[[int], None]:
    """Waits until a fact is due, counted from the first."""
    start: list[float] = []

    def wait(at_ms: int) -> None:
        if not start:
            start[:] = [time.monotonic(), at_ms]
        due = start[0] + (at_ms - start[1]) / 1000 / speed
        time.sleep(max(0.0, due - time.monotonic()))

    return wait


@dlq.command("list")
def dlq_list(config: Config = None, as_json: AsJson = False) -> None:
    """The dead letters that are neither replayed nor dropped, one a line."""
    found = loaded(config)
    from streams.dead_letters import letters

    count = 0
    for letter in letters(found.kafka):
        count += 1
        print(json.dumps(letter.summary(), ensure_ascii=True) if as_json else _line(letter))
    print(f"{count:,} dead letters", file=sys.stderr)


def _line(letter: Letter) -> str:
    dead = letter.dead
    origin = f"{dead.topic} {dead.partition}:{dead.offset}"
    return ascii(f"{letter.place}  {dead.reason}  {dead.detail}  (from {origin})")[1:-1]


@dlq.command("show")
def dlq_show(place: Annotated[str, typer.Argument(metavar="PARTITION:OFFSET")], config: Config = None) -> None:
    """One dead letter as JSON, with what it held."""
    found = loaded(config)
    from streams.dead_letters import letters

    for letter in letters(found.kafka):
        if letter.place == place:
            print(json.dumps({**letter.summary(), "value": letter.dead.value.decode("utf-8", "replace")}))
            return
    raise CallerError(f"{place}: there is no such dead letter")


@dlq.command("replay")
def dlq_replay(places: Places = None, config: Config = None, as_json: AsJson = False) -> None:
    """Put dead letters back onto the raw topic."""
    from streams.dead_letters import replay

    _act(replay, "replayed", places, config, as_json)


@dlq.command("drop")
def dlq_drop(places: Places = None, config: Config = None, as_json: AsJson = False) -> None:
    """Mark dead letters as done with."""
    from streams.dead_letters import drop

    _act(drop, "dropped", places, config, as_json)


def _act(act: Callable[..., int], what: str, places: list[str] | None, config: Any, as_json: bool) -> None:
    wanted = set(places or ())
    count = act(loaded(config).kafka, lambda letter: not wanted or letter.place in wanted)
    if count < len(wanted):
        raise CallerError(f"only {count} of {len(wanted)} such dead letters are there and were {what}")
    print(json.dumps({what: count}) if as_json else f"{count:,} {what}")
