"""How long the ledger remembers: alerts that ended long ago go, with everything said about them."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from alerts.change import Turn
from notifiers.store import Store
from notifiers.tables import UNFINISHED, alerts, changes, deliveries, outbox

KEEP_MS = 400 * 86_400_000
"""Longer than any topic keeps alert changes: what is forgotten would be said again if it came again."""
_AT_ONCE = 200


def prune(store: Store, now_ms: int, keep_ms: int = KEEP_MS) -> int:
    """Forget alerts that are resolved, fully told, and had no change for ``keep_ms``; how many, at most 200 a call.

    A clock that ran ahead forgets nothing: the age is measured against the newest change as well.
    """
    with store.write() as connection:
        newest_ms = connection.execute(select(func.max(changes.c.accepted_ms))).scalar()
        if newest_ms is None:
            return 0
        gone = _ended(connection, min(now_ms, newest_ms) - keep_ms)
        for table in (deliveries, outbox, changes, alerts):
            connection.execute(delete(table).where(table.c.alert_id.in_(gone)))
        return len(gone)


def _ended(connection: Connection, before_ms: int) -> list[str]:
    a = alerts.c
    waits = select(outbox.c.id).where(outbox.c.alert_id == a.alert_id, outbox.c.state.in_(UNFINISHED))
    young = select(changes.c.version).where(changes.c.alert_id == a.alert_id, changes.c.accepted_ms >= before_ms)
    query = select(a.alert_id).where(a.change == Turn.RESOLVED.value, ~waits.exists(), ~young.exists())
    return list(connection.execute(query.order_by(a.alert_id).limit(_AT_ONCE)).scalars())
