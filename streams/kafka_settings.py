"""Settings of everything that speaks to Kafka."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MESSAGE_LIMIT = 64 << 20
"""The largest message, in bytes, that our topics take and our clients read."""


class KafkaSettings(BaseModel):
    """Where the broker is, what the topics are called, and how the worker balances latency against work.

    >>> KafkaSettings(topic_prefix="acme.").facts_topic
    'acme.facts'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    bootstrap_servers: str = Field(default="127.0.0.1:9092", min_length=1, description="host:port, comma separated.")
    topic_prefix: str = Field(
        default="adwatch.",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="Before the name of every topic and consumer group.",
    )
    partitions: int = Field(
        default=12, ge=1, le=1000, description="Of the topics made here. Fixed from the first fact on."
    )
    replication: int = Field(default=1, ge=1, le=10, description="Of the topics made here.")
    ticker: Literal["wall", "none"] = Field(
        default="wall", description="wall: a tick a minute by the clock; none: the log brings its own."
    )
    raw_topics: tuple[str, ...] = Field(
        default=(),
        description="What the intake reads; default: the prefix and `raw`. Foreign topics are not made here.",
    )
    pack_facts: int = Field(default=200, ge=1, le=10_000, description="Facts per message on the facts topic, at most.")
    compression: Literal["gzip", "snappy", "lz4", "zstd"] | None = Field(
        default="zstd", description="Of the packs on the facts topic."
    )
    fold_every_s: float = Field(default=0.5, gt=0, le=60, description="How often a worker folds what it has read.")
    fold_facts: int = Field(default=100_000, ge=1, description="Facts that one fold takes at most.")
    snapshot_every_s: float = Field(default=10.0, gt=0, le=600, description="How often a worker writes its state.")
    snapshot_facts: int = Field(
        default=2_000_000, ge=1, description="State is written at the latest after so many facts."
    )
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=300, description="After so long without a sign of life a process loses its partitions."
    )
    watchdog_s: float = Field(
        default=120.0,
        ge=5,
        description="A worker that has work and makes no progress for so long ends, to be restarted.",
    )
    connect_timeout_s: float = Field(default=10.0, gt=0, le=300, description="How long to wait for a broker at start.")

    @property
    def facts_topic(self) -> str:
        """Facts in packs, as the intake and ``produce`` write them and the worker reads them."""
        return self.topic_prefix + "facts"

    @property
    def raw_topic(self) -> str:
        """Where producers of single facts write by default."""
        return self.topic_prefix + "raw"

    @property
    def alerts_topic(self) -> str:
        """Alert changes, keyed by account."""
        return self.topic_prefix + "alerts"

    @property
    def dlq_topic(self) -> str:
        """What could not be used, with its reason and origin in the headers."""
        return self.topic_prefix + "dlq"

    @property
    def worker_id(self) -> str:
        """Faust's application id: the consumer group of the workers and the stem of their changelog's name."""
        return self.topic_prefix + "worker"

    @property
    def state_topic(self) -> str:
        """The changelog of the workers' state."""
        return f"{self.worker_id}-state-changelog"

    @property
    def intake_group(self) -> str:
        """The consumer group of the intakes."""
        return self.topic_prefix + "intake"

    @property
    def intake_topics(self) -> tuple[str, ...]:
        """The topics the intake reads."""
        return self.raw_topics or (self.raw_topic,)
