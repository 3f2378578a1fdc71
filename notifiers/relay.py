"""The relay: takes messages from the outbox, says them through one channel, and writes down how it went.

One relay serves one channel, in a thread of its own, so a slow receiver holds up no other.  A process may die at
any point: what was begun is looked for in the channel before it is said again, as far as the channel can be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from alerts.change import Severity
from notifiers import moments
from notifiers.channel import Channel, Delivery, Receipt
from notifiers.errors import Ambiguous, Fault, StoreError, Unreachable
from notifiers.message import MessageSettings, compose
from notifiers.observer import Observer
from notifiers.outbox import Job, Outbox, Result
from notifiers.retry import Again, decide
from notifiers.tables import State

LEASE_S = 90.0
POLL_S = 0.5
LATE_S = 120.0
"""A message that waited longer says so."""
MOST_STORE_WAIT_S = 30.0
TIDY_S = 3600.0


@dataclass(slots=True)
class Pause:
    """Until when nothing is sent. A clock that was set back ends it."""

    since: float = 0.0
    for_s: float = 0.0

    def left_s(self, now: float) -> float:
        """Seconds until it ends; 0 when it has."""
        passed = now - self.since
        return max(0.0, self.for_s - passed) if passed >= 0 else 0.0


class Relay:
    """Says the messages of one receiver. ``step`` does at most one; ``run`` goes on until told to stop."""

    def __init__(
        self,
        outbox: Outbox,
        channel: Channel,
        wording: MessageSettings,
        clock: Callable[[], float],
        draw: Callable[[], float],
        observer: Observer,
        lease_s: float = LEASE_S,
    ) -> None:
        """``clock``: seconds since 1970; ``draw``: uniform in [0, 1)."""
        self._outbox = outbox
        self._channel = channel
        self._wording = wording
        self._clock = clock
        self._draw = draw
        self._observer = observer
        self._lease_ms = int(lease_s * 1000)
        self._pause = Pause()
        self._failures = 0
        self._store_failures = 0
        self._tidied = 0.0
        self._unsaved: tuple[Job, Result] | None = None

    def run(self, stopped: Callable[[], bool], sleep: Callable[[float], object]) -> None:
        """Say what is due until ``stopped()``; ``sleep`` may return early."""
        while not stopped():
            wait_s = self.step()
            if wait_s > 0:
                sleep(min(wait_s, POLL_S))
        self._channel.close()

    def step(self) -> float:
        """Say at most one message; the seconds until it is worth to come again."""
        try:
            wait_s = self._step()
        except StoreError as error:
            self._store_failures += 1
            self._observer.store_failed(self._channel.name, str(error))
            return float(min(MOST_STORE_WAIT_S, 2 ** min(self._store_failures, 10) / 2))
        self._store_failures = 0
        return wait_s

    def _step(self) -> float:
        if self._unsaved is not None:
            self._save(*self._unsaved)
        wait_s = self._pause.left_s(self._clock())
        if wait_s > 0:
            return wait_s
        job = self._outbox.claim(self._now_ms(), self._lease_ms)
        if job is None:
            self._tidy()
            return POLL_S
        result = self._tried(job)
        if result is not None:
            self._save(job, result)
        return self._pause.left_s(self._clock())

    def _tidy(self) -> None:
        """Once an hour, when there is nothing to say."""
        now = self._clock()
        if not 0 <= now - self._tidied < TIDY_S:
            self._tidied = now
            self._outbox.prune(self._now_ms())

    def _tried(self, job: Job) -> Result | None:
        """One try. A defect of ours costs the message it is about a wait, and no other message anything."""
        try:
            return self._look(job) if job.look_first else self._say(job)
        except StoreError:
            raise
        except Exception as error:
            defect = Ambiguous(f"{self._channel.name}: a defect of this service: {type(error).__name__}")
            return self._after(job, defect, perhaps_said=True)

    def _save(self, job: Job, result: Result) -> None:
        """What has been said stays in memory until the database has it; nothing else is said meanwhile."""
        self._unsaved = (job, result)
        self._outbox.finish(job, result, self._now_ms())
        self._unsaved = None
        if result.state is State.DEAD:
            self._observer.dead(self._channel.name, result.words)

    def _look(self, job: Job) -> Result | None:
        """An earlier try may have said it: ask the channel; not there means say it, or leave it to a newer one."""
        try:
            receipt = self._channel.find(self._delivery(job))
        except Fault as fault:
            return self._after(job, fault, perhaps_said=True)
        if receipt is not None:
            return self._told(job, receipt, "found")
        return self._say(job) if self._outbox.say_again(job, self._now_ms()) else None

    def _say(self, job: Job) -> Result | None:
        delivery = self._delivery(job)
        if self._now_ms() >= job.lease_until_ms:
            return None  # this process slept too long: the message is no longer its own
        try:
            receipt = self._channel.send(delivery)
        except Fault as fault:
            return self._after(job, fault, perhaps_said=False)
        return self._told(job, receipt, "delivered")

    def _told(self, job: Job, receipt: Receipt, outcome: str) -> Result:
        now = self._clock()
        self._failures = 0
        self._pause = Pause(now, self._channel.pace_s)
        self._observer.attempted(self._channel.name, outcome, "none")
        self._observer.said(self._channel.name, max(0.0, now - moments.epoch_ms(job.change.at) / 1000))
        return Result(State.DELIVERED, outcome, receipt.note, place=receipt.place)

    def _after(self, job: Job, fault: Fault, perhaps_said: bool) -> Result:
        """What becomes of a message that was not said, or that nobody knows about."""
        now = self._clock()
        self._failures += 1
        outcome = type(fault).__name__.lower()
        self._observer.attempted(self._channel.name, outcome, fault.reason)
        decision = decide(fault, job.tries, now - job.created_ms / 1000, self._draw())
        if not isinstance(decision, Again):
            self._pause = Pause(now, self._channel.pace_s)
            doubt = " (an earlier try may have said it)" if perhaps_said or isinstance(fault, Ambiguous) else ""
            return Result(State.DEAD, outcome, decision.why + doubt)
        self._observer.failed(self._channel.name, str(fault))
        self._pause = Pause(now, self._quiet_s(fault, decision))
        state = State.AMBIGUOUS if decision.look or perhaps_said else State.WAITING
        return Result(state, outcome, str(fault), due_ms=self._now_ms() + int(decision.wait_s * 1000))

    def _quiet_s(self, fault: Fault, decision: Again) -> float:
        """A receiver that is down is left alone as a whole, not message by message."""
        if isinstance(fault, Unreachable) and fault.retry_after_s is not None:
            return max(decision.wait_s, self._channel.pace_s)
        common = decide(Unreachable(str(fault)), self._failures, 0.0, self._draw())
        return max(common.wait_s if isinstance(common, Again) else 0.0, self._channel.pace_s)

    def _delivery(self, job: Job) -> Delivery:
        change = job.change
        return Delivery(
            delivery_id=job.delivery_id,
            message=compose(change, self._wording, self._notes(job)),
            change=change,
            place=job.place,
            escalated=change.severity is Severity.CRITICAL and job.told_severity not in (None, Severity.CRITICAL),
            accepted_ms=job.created_ms,
            tried_ms=job.tried_ms,
        )

    def _notes(self, job: Job) -> list[str]:
        """What was skipped because the receiver was down, and how late this is."""
        notes = []
        zone = moments.zone(self._wording.time_zone)
        unsaid = [one for one in job.unsaid if one.muted_by is None]
        if unsaid:
            steps = ", ".join(f"{one.change.value} {moments.shown(one.at, zone)}" for one in unsaid[-5:])
            notes.append(f"Not said before: {steps}.")
        late_s = self._clock() - job.created_ms / 1000
        if late_s >= LATE_S:
            notes.append(f"This message is {moments.span(late_s)} late: {self._channel.name} could not be reached.")
        return notes

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
