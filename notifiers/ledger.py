"""The ledger: every change of every alert, and what is to be said about it, in one transaction.

A muted change is kept and not told; the end of an alert that somebody was told about is always told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, case, func, select
from sqlalchemy.dialects import postgresql, sqlite

from alerts.change import AlertChange, Turn
from notifiers.moments import epoch_ms
from notifiers.store import Store
from notifiers.tables import UNFINISHED, State, alerts, changes, deliveries, outbox


class Accepted(StrEnum):
    """What became of a change that was handed over."""

    NEW = "new"
    REPEAT = "repeat"
    LATE = "late"
    """New, but a later version was here before."""
    DIFFERENT = "different"
    """This version is known with other content; the first one stands."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to say something: to whom, which version, how it went, in words."""

    receiver: str
    version: int
    at_ms: int
    outcome: str
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the outbox: what is, was or will be said to whom."""

    delivery_id: str
    alert_id: str
    receiver: str
    version: int
    state: State
    tries: int
    created_ms: int
    last: str


class Ledger:
    """Takes changes and answers questions about them. Thread-safe."""

    def __init__(self, store: Store, receivers: Sequence[str], clock: Callable[[], float]) -> None:
        """``receivers``: the names of the channels every change is told to; ``clock``: seconds since 1970."""
        self._store = store
        self._receivers = tuple(receivers)
        self._clock = clock

    def accept(self, change: AlertChange) -> Accepted:
        """Keep ``change`` and what is to be said about it, or nothing at all. An exact repeat does nothing.

        Raises :class:`~notifiers.errors.StoreError`; nothing has happened then, and it may be handed over again.
        """
        now_ms = int(self._clock() * 1000)
        body = change.to_line().decode()
        with self._store.write() as connection:
            self._insert(connection, alerts, _alert_row(change, body))
            known = connection.execute(
                select(alerts.c.version).where(alerts.c.alert_id == change.alert_id).with_for_update()
            ).scalar_one()
            before = _body(connection, change.alert_id, change.version)
            if before is not None:
                return Accepted.REPEAT if before == body else Accepted.DIFFERENT
            row = {"alert_id": change.alert_id, "version": change.version, "accepted_ms": now_ms, "body": body}
            connection.execute(changes.insert().values(row))
            if known < change.version:
                connection.execute(
                    alerts.update().where(alerts.c.alert_id == change.alert_id).values(_alert_row(change, body))
                )
            newest = max(known, change.version)
            if _is_told(connection, change):
                for receiver in self._receivers:
                    self._enqueue(connection, change, newest, receiver, now_ms)
            return Accepted.NEW if newest == change.version else Accepted.LATE

    def _enqueue(self, connection: Connection, change: AlertChange, newest: int, receiver: str, now_ms: int) -> None:
        """A late version is told as the newest one: nobody hears old news after new."""
        if newest != change.version:
            self._insert(connection, outbox, _outbox_row(change.alert_id, newest, receiver, State.WAITING, now_ms))
        state = State.WAITING if newest == change.version else State.SUPERSEDED
        self._insert(connection, outbox, _outbox_row(change.alert_id, change.version, receiver, state, now_ms))

    def _insert(self, connection: Connection, table: Any, row: dict[str, Any]) -> None:
        """Insert unless it is there."""
        insert = postgresql.insert if self._store.is_postgres else sqlite.insert
        connection.execute(insert(table).values(row).on_conflict_do_nothing())

    def latest(
        self,
        limit: int = 200,
        *,
        is_open: bool | None = None,
        signal: str | None = None,
        severity: str | None = None,
        account: str | None = None,
    ) -> list[AlertChange]:
        """The newest change of every alert that fits, open ones first, then the newest first."""
        resolved = case((alerts.c.change == Turn.RESOLVED.value, 1), else_=0)
        query = select(alerts.c.body).order_by(resolved, alerts.c.at_ms.desc(), alerts.c.alert_id).limit(limit)
        if is_open is not None:
            query = query.where(resolved == (0 if is_open else 1))
        for column, wanted in ((alerts.c.signal, signal), (alerts.c.severity, severity), (alerts.c.account, account)):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._store.read() as connection:
            return _read(connection.execute(query).scalars())

    def changes(self, alert_id: str) -> list[AlertChange]:
        """All changes of one alert in order; empty when there is no such alert."""
        query = select(changes.c.body).where(changes.c.alert_id == alert_id).order_by(changes.c.version)
        with self._store.read() as connection:
            return _read(connection.execute(query).scalars())

    def entries(self, alert_id: str) -> list[Entry]:
        """What is, was or will be said about one alert, by version and receiver."""
        return self._entries(outbox.c.alert_id == alert_id)

    def dead(self, limit: int = 1000) -> list[Entry]:
        """What will not be tried again, the oldest first."""
        return self._entries(outbox.c.state == State.DEAD.value, limit)

    def attempts(self, alert_id: str) -> list[Attempt]:
        """Every try to say something about one alert, in order."""
        d = deliveries.c
        query = select(d.receiver, d.version, d.at_ms, d.outcome, d.words).where(d.alert_id == alert_id).order_by(d.id)
        with self._store.read() as connection:
            return [Attempt(*row) for row in connection.execute(query)]

    def counts(self) -> dict[tuple[str, State], int]:
        """How many messages stand how, by receiver."""
        query = select(outbox.c.receiver, outbox.c.state, func.count()).group_by(outbox.c.receiver, outbox.c.state)
        with self._store.read() as connection:
            return {(row[0], State(row[1])): int(row[2]) for row in connection.execute(query)}

    def oldest_age_s(self) -> float:
        """Age in seconds of the oldest message that still waits; 0 when none does.

        What waits for a receiver that the settings no longer name does not count, where this ledger knows receivers.
        """
        query = select(func.min(outbox.c.created_ms)).where(outbox.c.state.in_(UNFINISHED))
        if self._receivers:
            query = query.where(outbox.c.receiver.in_(self._receivers))
        with self._store.read() as connection:
            oldest = connection.execute(query).scalar()
        return 0.0 if oldest is None else max(0.0, self._clock() - oldest / 1000)

    def _entries(self, where: Any, limit: int = 10_000) -> list[Entry]:
        o = outbox.c
        columns = (o.delivery_id, o.alert_id, o.receiver, o.version, o.state, o.tries, o.created_ms, o.last)
        query = select(*columns).where(where).order_by(o.version, o.receiver, o.id).limit(limit)
        with self._store.read() as connection:
            return [Entry(*row[:4], State(row[4]), row[5], row[6], row[7] or "") for row in connection.execute(query)]


def delivery_id(alert_id: str, receiver: str, version: int) -> str:
    """An opaque id, the same for every try to say this to this receiver.

    >>> delivery_id("cpa_spike-1", "slack", 1) == delivery_id("cpa_spike-1", "slack", 1)
    True
    """
    return blake2b("\x1f".join((alert_id, receiver, str(version))).encode(), digest_size=12).hexdigest()


def _is_told(connection: Connection, change: AlertChange) -> bool:
    if change.muted_by is None:
        return True
    if change.change is not Turn.RESOLVED:
        return False
    said = select(outbox.c.id).where(outbox.c.alert_id == change.alert_id).limit(1)
    return connection.execute(said).first() is not None


def _body(connection: Connection, alert_id: str, version: int) -> str | None:
    query = select(changes.c.body).where(changes.c.alert_id == alert_id, changes.c.version == version)
    return connection.execute(query).scalar_one_or_none()


def _read(bodies: Iterable[str]) -> list[AlertChange]:
    return [AlertChange.from_line(body.encode()) for body in bodies]


def _alert_row(change: AlertChange, body: str) -> dict[str, Any]:
    """PostgreSQL keeps no NUL in a text; the body has it escaped."""
    names = {key: _storable(getattr(change, key)) for key in ("signal", "account", "source", "campaign", "muted_by")}
    return names | {
        "alert_id": change.alert_id,
        "version": change.version,
        "change": change.change.value,
        "severity": change.severity.value,
        "at_ms": epoch_ms(change.at),
        "started_ms": epoch_ms(change.started_at),
        "money_at_risk_micros": change.money_at_risk_micros,
        "body": body,
    }


def _storable(name: str | None) -> str | None:
    return None if name is None else name.replace("\x00", "")


def _outbox_row(alert_id: str, version: int, receiver: str, state: State, now_ms: int) -> dict[str, Any]:
    return {
        "delivery_id": delivery_id(alert_id, receiver, version),
        "alert_id": alert_id,
        "receiver": receiver,
        "version": version,
        "state": state.value,
        "created_ms": now_ms,
        "due_ms": 0,
        "tries": 0,
    }
