"""The tables of the ledger: one schema for SQLite and PostgreSQL.

``alerts`` holds each alert's newest change, ``changes`` every change, ``outbox`` what is to be said to whom,
``deliveries`` every try and how it went.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, MetaData, Table, Text, UniqueConstraint


class State(StrEnum):
    """How a row of the outbox stands."""

    WAITING = "waiting"
    SENDING = "sending"
    AMBIGUOUS = "ambiguous"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    DEAD = "dead"


UNFINISHED = (State.WAITING, State.SENDING, State.AMBIGUOUS)

metadata = MetaData()

alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("change", Text, nullable=False),
    Column("signal", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("source", Text),
    Column("campaign", Text),
    Column("at_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("money_at_risk_micros", BigInteger),
    Column("muted_by", Text),
    Column("body", Text, nullable=False),
    Index("alerts_by_time", "at_ms"),
)

changes = Table(
    "changes",
    metadata,
    Column("alert_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("accepted_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("delivery_id", Text, nullable=False, unique=True),
    Column("alert_id", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("due_ms", BigInteger, nullable=False, default=0),
    Column("tries", Integer, nullable=False, default=0),
    Column("tried_ms", BigInteger),
    Column("locked_by", Text),
    Column("lease_until_ms", BigInteger),
    Column("last", Text),
    UniqueConstraint("alert_id", "receiver", "version"),
    Index("outbox_due", "receiver", "state", "due_ms"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("delivery_id", Text, nullable=False),
    Column("alert_id", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("words", Text, nullable=False),
    Column("place", Text),
    Index("deliveries_by_alert", "alert_id", "receiver", "id"),
)
