"""Metrics in Prometheus' terms: base units in the names, labels from closed sets only, one registry per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from alerts.change import AlertChange
from events.batch import Batch, Kind
from events.codec import Reject
from streams.outcome import Outcome

OTHER = "other"
MOST_REASONS = 40
"""A label grows no further than this; a reason beyond it counts as ``other``."""


class Metrics:
    """All metrics of one process, and the observer that moves them."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in prometheus_client
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._reasons: set[str] = set()
        self.facts = self._counter("adwatch_facts", "Facts taken, by kind.", "kind")
        self.rejects = self._counter("adwatch_rejects", "Lines or facts refused, by reason.", "reason")
        self.changes = self._counter("adwatch_alert_changes", "Alert changes decided.", "change", "severity")
        self.failures = self._counter("adwatch_store_failures", "Alert changes the store did not take at once.")
        self.attempts = self._counter("adwatch_tells", "Tries to tell somebody.", "receiver", "outcome", "reason")
        self.told = Histogram(
            "adwatch_telling_latency_seconds",
            "From the decision to somebody being told.",
            ["receiver"],
            buckets=(1, 2, 5, 10, 30, 60, 120, 300, 900, 3600),
            registry=self.registry,
        )
        self.newest_tick = self._gauge(
            "adwatch_newest_tick_timestamp_seconds", "The newest tick processed, in seconds since 1970."
        )
        for kind in Kind:
            self.facts.labels(kind.name.lower())

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks."""
        self._gauge(name, text).set_function(read)

    def watch_store(
        self, pending: Callable[[], float], dead: Callable[[], float], oldest_age_s: Callable[[], float]
    ) -> None:
        """The outbox, read when somebody asks."""
        self.watch("adwatch_outbox_pending_messages", "Messages waiting to be sent.", pending)
        self.watch("adwatch_outbox_dead_messages", "Messages that are not tried again.", dead)
        self.watch("adwatch_outbox_oldest_age_seconds", "Age of the oldest message waiting.", oldest_age_s)

    def exposition(self) -> tuple[bytes, str]:
        """Body and content type of an answer to a scrape."""
        encode, kind = choose_encoder("text/plain")
        return encode(self.registry), kind

    def _reason(self, reason: str) -> str:
        if reason not in self._reasons and len(self._reasons) >= MOST_REASONS:
            return OTHER
        self._reasons.add(reason)
        return reason

    def taken(self, batch: Batch, rejects: Sequence[Reject]) -> None:
        """Facts were taken and lines refused."""
        for kind, count in enumerate(np.bincount(batch.kind, minlength=len(Kind))):
            if count:
                self.facts.labels(Kind(kind).name.lower()).inc(int(count))
        for one in rejects:
            self.reject(one.reason)
        ticks = batch.at_ms[batch.kind == Kind.TICK]
        if len(ticks):
            self.newest_tick.set(int(ticks.max()) / 1000)

    def decided(self, outcome: Outcome) -> None:
        """The pipeline has judged."""
        self.changed(outcome.changes)
        for refused in outcome.refused:
            self.reject(refused.reason)

    def changed(self, changes: Iterable[AlertChange]) -> None:
        """Alert changes were decided."""
        for change in changes:
            self.changes.labels(change.change.value, change.severity.value).inc()

    def reject(self, reason: str) -> None:
        """A line or a fact was refused."""
        self.rejects.labels(self._reason(reason)).inc()

    def delivery_failed(self, error: str) -> None:
        """A change could not be handed to the store."""
        self.failures.inc()
