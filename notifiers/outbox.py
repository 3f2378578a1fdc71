"""The outbox as the relay sees it: take the next thing to say, and write down how it went.

One alert is said to one receiver in order, one message at a time.  Where several versions wait, only the newest is
said.  A message whose try began and whose end nobody wrote down is looked for before it is said again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from alerts.change import AlertChange, Severity
from notifiers.retention import prune
from notifiers.store import Store
from notifiers.tables import UNFINISHED, State, alerts, changes, deliveries, outbox

SAID = ("delivered", "found")
_LOOKED_AT = 50
_FARTHEST_MS = 2 * 3_600_000
"""No wait and no lease is longer: a time beyond was written by a clock that has been set back since."""


@dataclass(frozen=True, slots=True)
class Job:
    """One message to say. ``look_first``: an earlier try may have said it.

    ``unsaid`` are the earlier changes of the alert that this receiver never heard of; ``told_severity`` is what it
    heard last, ``place`` where.
    """

    delivery_id: str
    receiver: str
    change: AlertChange
    tries: int
    created_ms: int
    tried_ms: int
    lease_until_ms: int
    look_first: bool
    place: Mapping[str, str]
    told_severity: Severity | None
    unsaid: tuple[AlertChange, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """How a try ended: the new state of the message, the outcome's name, words, and the receipt's place."""

    state: State
    outcome: str
    words: str
    due_ms: int = 0
    place: Mapping[str, str] | None = None


class Outbox:
    """The messages of one receiver. ``owner`` names this process and thread in the leases."""

    def __init__(self, store: Store, receiver: str, owner: str) -> None:
        self._store = store
        self._receiver = receiver
        self._owner = owner

    def claim(self, now_ms: int, lease_ms: int) -> Job | None:
        """Take the next message that is due, for ``lease_ms``; ``None`` when nothing is."""
        with self._store.write() as connection:
            for alert_id in self._due(connection, now_ms):
                lock = select(alerts.c.alert_id).where(alerts.c.alert_id == alert_id)
                if connection.execute(lock.with_for_update(skip_locked=True)).first() is None:
                    continue  # somebody else is at this alert just now
                row = self._next(connection, alert_id, now_ms)
                if row is None:
                    continue
                try:
                    return self._take(connection, row, now_ms, lease_ms)
                except ValueError:
                    self._bury(connection, row, "the store holds a change that cannot be read")
        return None

    def _bury(self, connection: Connection, row: Any, words: str) -> None:
        """What cannot be read holds nothing else up."""
        connection.execute(
            update(outbox).where(outbox.c.id == row.id).values(state=State.DEAD.value, last=words, locked_by=None)
        )

    def _due(self, connection: Connection, now_ms: int) -> list[str]:
        o = outbox.c
        waits = and_(o.state.in_((State.WAITING.value, State.AMBIGUOUS.value)), _has_come(o.due_ms, now_ms))
        expired = and_(o.state == State.SENDING.value, _has_come(o.lease_until_ms, now_ms))
        b = outbox.alias("begun").c
        held = or_(
            and_(b.state == State.AMBIGUOUS.value, ~_has_come(b.due_ms, now_ms)),
            and_(b.state == State.SENDING.value, ~_has_come(b.lease_until_ms, now_ms)),
        )
        is_held = select(b.id).where(b.receiver == o.receiver, b.alert_id == o.alert_id, held).correlate(outbox)
        query = select(o.alert_id).where(o.receiver == self._receiver, or_(waits, expired), ~is_held.exists())
        found = connection.execute(query.order_by(o.due_ms, o.id).limit(_LOOKED_AT)).scalars()
        return list(dict.fromkeys(found))

    def _next(self, connection: Connection, alert_id: str, now_ms: int) -> Any:
        """The row of this alert to work on: first what may have been said, else the newest; ``None``: not now."""
        rows = self._unfinished(connection, alert_id)
        begun = [row for row in rows if row.state != State.WAITING]
        if any(row.state == State.SENDING and not _came(row.lease_until_ms, now_ms) for row in begun):
            return None
        row = begun[0] if begun else max(rows, key=lambda row: row.version, default=None)
        if row is None or (row.state != State.SENDING and not _came(row.due_ms, now_ms)):
            return None
        return row

    def _unfinished(self, connection: Connection, alert_id: str) -> list[Any]:
        o = outbox.c
        query = select(outbox).where(o.receiver == self._receiver, o.alert_id == alert_id, o.state.in_(UNFINISHED))
        return list(connection.execute(query.order_by(o.version)))

    def _take(self, connection: Connection, row: Any, now_ms: int, lease_ms: int) -> Job:
        look_first = row.state != State.WAITING
        if not look_first:
            self._supersede_older(connection, row)
        tried_ms = row.tried_ms if look_first and row.tried_ms is not None else now_ms
        taken = {
            "state": State.SENDING.value,
            "locked_by": self._owner,
            "lease_until_ms": now_ms + lease_ms,
            "tries": row.tries + 1,
            "tried_ms": tried_ms,
        }
        connection.execute(update(outbox).where(outbox.c.id == row.id).values(taken))
        told_version, place = self._said(connection, row.alert_id)
        known = self._changes(connection, row.alert_id, told_version)
        told = known.get(told_version)
        return Job(
            delivery_id=row.delivery_id,
            receiver=self._receiver,
            change=known[row.version],
            tries=row.tries + 1,
            created_ms=row.created_ms,
            tried_ms=tried_ms,
            lease_until_ms=now_ms + lease_ms,
            look_first=look_first,
            place=place,
            told_severity=None if told is None else told.severity,
            unsaid=tuple(known[v] for v in sorted(known) if told_version < v < row.version),
        )

    def _supersede_older(self, connection: Connection, row: Any) -> None:
        o = outbox.c
        older = update(outbox).where(
            o.receiver == self._receiver,
            o.alert_id == row.alert_id,
            o.version < row.version,
            o.state == State.WAITING.value,
        )
        connection.execute(older.values(state=State.SUPERSEDED.value, last=f"said with version {row.version}"))

    def _said(self, connection: Connection, alert_id: str) -> tuple[int, Mapping[str, str]]:
        """The newest version this receiver heard of, and where; version 0 when none."""
        d = deliveries.c
        said = select(d.version, d.place).where(
            d.alert_id == alert_id, d.receiver == self._receiver, d.outcome.in_(SAID)
        )
        row = connection.execute(said.order_by(d.id.desc()).limit(1)).first()
        return (0, {}) if row is None else (row.version, json.loads(row.place or "{}"))

    def _changes(self, connection: Connection, alert_id: str, since: int) -> dict[int, AlertChange]:
        c = changes.c
        query = select(c.version, c.body).where(c.alert_id == alert_id, c.version >= since)
        return {version: AlertChange.from_line(body.encode()) for version, body in connection.execute(query)}

    def say_again(self, job: Job, now_ms: int) -> bool:
        """After a look that found nothing: whether to say this one, or leave it to a newer one that waits."""
        with self._store.write() as connection:
            newer = [r for r in self._unfinished(connection, job.change.alert_id) if r.version > job.change.version]
            values: dict[str, Any] = {"tried_ms": now_ms}
            if newer:
                values |= {"state": State.SUPERSEDED.value, "last": f"said with version {newer[-1].version}"}
            held = connection.execute(self._mine(job).values(values)).rowcount == 1
        return held and not newer

    def finish(self, job: Job, result: Result, now_ms: int) -> None:
        """Write down how a try ended. Where the lease was lost meanwhile, only the try itself is written down."""
        values = {
            "state": result.state.value,
            "due_ms": result.due_ms,
            "locked_by": None,
            "lease_until_ms": None,
            "last": result.words,
        }
        attempt = {
            "delivery_id": job.delivery_id,
            "alert_id": job.change.alert_id,
            "receiver": job.receiver,
            "version": job.change.version,
            "at_ms": now_ms,
            "outcome": result.outcome,
            "words": result.words,
            "place": None if result.place is None else json.dumps(dict(result.place)),
        }
        with self._store.write() as connection:
            connection.execute(self._mine(job).values(values))
            connection.execute(deliveries.insert().values(attempt))

    def _mine(self, job: Job) -> Any:
        o = outbox.c
        return update(outbox).where(
            o.delivery_id == job.delivery_id, o.locked_by == self._owner, o.state == State.SENDING.value
        )

    def take_over(self) -> int:
        """End every lease of this receiver: for a process that knows it is the only one. How many there were."""
        o = outbox.c
        begun = update(outbox).where(o.receiver == self._receiver, o.state == State.SENDING.value)
        with self._store.write() as connection:
            return connection.execute(begun.values(state=State.AMBIGUOUS.value, due_ms=0, locked_by=None)).rowcount

    def prune(self, now_ms: int) -> int:
        """Forget alerts that ended long ago; how many."""
        return prune(self._store, now_ms)

    def revive(self, now_ms: int) -> int:
        """Try again what was given up, unless newer was said meanwhile; how many."""
        o = outbox.c
        newer = outbox.alias()
        later = select(newer.c.id).where(
            newer.c.alert_id == o.alert_id, newer.c.receiver == o.receiver, newer.c.version > o.version
        )
        again = update(outbox).where(
            o.receiver == self._receiver, o.state == State.DEAD.value, ~later.correlate(outbox).exists()
        )
        with self._store.write() as connection:
            return connection.execute(
                again.values(state=State.WAITING.value, due_ms=0, created_ms=now_ms, tries=0)
            ).rowcount


def _has_come(at_ms: Any, now_ms: int) -> Any:
    """:func:`_came` for the database."""
    return or_(at_ms <= now_ms, at_ms > now_ms + _FARTHEST_MS)


def _came(at_ms: int, now_ms: int) -> bool:
    return at_ms <= now_ms or at_ms > now_ms + _FARTHEST_MS
