"""The simulator, one more platform: a seeded world of an agency with several accounts, as facts in log order.

The same settings give the same bytes, in any process.

>>> world = World(days=1, accounts=1, campaigns=2, scale=0.05)
>>> lines = list(simulate(world))
>>> lines == list(simulate(world)), lines[0].startswith(b'{"fact":')
(True, True)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import numpy as np

from events.incidents import Incident, plan
from events.told import Log, logs_of, ticks
from events.world import World, WorldError, make_accounts

__all__ = ["Incident", "World", "WorldError", "arrivals", "incidents", "simulate", "write_world"]

_WRITTEN_AT_ONCE = 20_000


def simulate(world: World) -> Iterator[bytes]:
    """The facts of ``world`` in the order in which they arrive, one NDJSON line each."""
    return (line for _, line in arrivals(world))


def incidents(world: World) -> list[Incident]:
    """What goes wrong in ``world``; :meth:`Incident.label` is the contract's label."""
    return plan(world, make_accounts(world))


def write_world(world: World, facts_out: IO[bytes], labels_out: IO[bytes]) -> int:
    """Write the facts and the labels of ``world`` as NDJSON; how many facts there are."""
    labels_out.writelines(incident.label() for incident in incidents(world))
    count = 0
    for _, line in arrivals(world):
        facts_out.write(line)
        count += 1
    return count


def arrivals(world: World) -> Iterator[tuple[int, bytes]]:
    """Each fact with the moment (epoch milliseconds) at which it arrives, in that order."""
    logs = list(_logs(world))
    arrival = np.concatenate([log.arrival_ms for log in logs])
    log_of = np.repeat(np.arange(len(logs)), [len(log.arrival_ms) for log in logs])
    row_of = np.concatenate([np.arange(len(log.arrival_ms)) for log in logs])
    order = np.argsort(arrival, kind="stable")
    order = order[: int(np.searchsorted(arrival[order], world.end_ms))]
    for start in range(0, len(order), _WRITTEN_AT_ONCE):
        some = order[start : start + _WRITTEN_AT_ONCE]
        lines: list[bytes] = [b""] * len(some)
        for log in np.unique(log_of[some]).tolist():
            places = np.flatnonzero(log_of[some] == log)
            for place, line in zip(places.tolist(), logs[log].lines(row_of[some[places]]), strict=True):
                lines[place] = line
        yield from zip(arrival[some].tolist(), lines, strict=True)


def _logs(world: World) -> Iterator[Log]:
    # first, so that at equal moments a tick stands before the facts
    if world.ticks:
        yield ticks(world)
    accounts = make_accounts(world)
    planned = plan(world, accounts)
    for account in accounts:
        yield from logs_of(world, account, [incident for incident in planned if incident.account == account.name])
