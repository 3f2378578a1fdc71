"""Commands of the cluster way: what runs beside a Kafka broker."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from service.options import Config, Drain

if TYPE_CHECKING:
    from service.kafka_metrics import RoadMetrics
    from service.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this file to ``app``."""
    app.command("worker")(worker)


def worker(config: Config = None, drain: Drain = False) -> None:
    """Faust worker: facts in, alert changes out."""
    found = _loaded(config)
    from streams.on_kafka import run_worker

    with _metrics(found) as metrics:
        raise typer.Exit(run_worker(found.kafka, found.detection, drain=drain, observer=metrics))


def _loaded(config: Config) -> Settings:
    from service import logs, settings

    found = settings.load(config)
    logs.set_up(found.log.level, found.log.format, logs.secrets_in(found))
    return found


@contextlib.contextmanager
def _metrics(found: Settings) -> Iterator[RoadMetrics]:
    """The observer of this process, and where it can be scraped."""
    from service import server
    from service.kafka_metrics import RoadMetrics
    from service.web.app import health_app

    metrics = RoadMetrics()
    if found.http.metrics_port is None:
        yield metrics
        return
    sock = server.listen(found.http.host, found.http.metrics_port)
    with server.served(health_app(metrics.exposition, metrics.waits_for), sock):
        yield metrics
