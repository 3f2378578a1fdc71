"""The ledger as the rest of the service sees it: takes alert changes, and answers the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from zoneinfo import ZoneInfo

from alerts.change import AlertChange, rfc3339
from notifiers import errors as notifier_errors
from notifiers import moments
from notifiers.ledger import Accepted, Entry, Ledger
from notifiers.tables import State
from service.errors import StoreError
from service.web.book import Told


class Desk:
    """One ledger; what its database refuses is a :class:`service.errors.StoreError` here."""

    def __init__(self, ledger: Ledger, zone: ZoneInfo, told: Callable[[Accepted], None] | None = None) -> None:
        self.ledger = ledger
        self._zone = zone
        self._told = told

    def accept(self, change: AlertChange) -> None:
        """Keep ``change`` and what is to be said about it; an exact repeat does nothing."""
        with _our_errors():
            accepted = self.ledger.accept(change)
        if self._told is not None:
            self._told(accepted)

    def latest(self, limit: int) -> Sequence[AlertChange]:
        """The newest change of every alert, open ones first."""
        with _our_errors():
            return self.ledger.latest(limit)

    def changes(self, alert_id: str) -> Sequence[AlertChange]:
        """All changes of one alert in order."""
        with _our_errors():
            return self.ledger.changes(alert_id)

    def told(self, alert_id: str) -> Sequence[Told]:
        """What is, was or will be said about one alert, and how often that was tried."""
        with _our_errors():
            entries, attempts = self.ledger.entries(alert_id), self.ledger.attempts(alert_id)
            turns = {change.version: change.change.value for change in self.ledger.changes(alert_id)}
        tried_ms = {(one.receiver, one.version): one.at_ms for one in attempts}
        return [self._row(entry, turns, tried_ms.get((entry.receiver, entry.version))) for entry in entries]

    def _row(self, entry: Entry, turns: dict[int, str], tried_ms: int | None) -> Told:
        when = "" if tried_ms is None else moments.shown(rfc3339(tried_ms), self._zone)
        last = " · ".join(part for part in (when, entry.last) if part)
        return Told(entry.receiver, turns.get(entry.version, ""), entry.state.value, entry.tries, last)

    def waiting(self) -> float:
        """Messages that are to be said."""
        return self._count(State.WAITING, State.SENDING, State.AMBIGUOUS)

    def dead(self) -> float:
        """Messages that are not tried again."""
        return self._count(State.DEAD)

    def oldest_age_s(self) -> float:
        """Age of the oldest message that waits; NaN where the store does not answer, so that scraping goes on."""
        try:
            return self.ledger.oldest_age_s()
        except notifier_errors.StoreError:
            return float("nan")

    def _count(self, *states: State) -> float:
        try:
            return sum(count for (_, state), count in self.ledger.counts().items() if state in states)
        except notifier_errors.StoreError:
            return float("nan")


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except notifier_errors.StoreError as error:
        raise StoreError(str(error)) from error
