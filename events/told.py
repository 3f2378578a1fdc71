"""How the seeded world is told: who hears what when, in which words, late, twice, or corrected afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np

from events.batch import Ints
from events.draws import NAMES, Converted, Delivered, draw
from events.incidents import Incident
from events.world import DAY_MS, HOUR_MS, MINUTE_MS, Account, Campaign, Seasons, World

_USUAL_DELAY_MS = 15_000
_LATE_MINUTES = (2, 60)
_REPEAT_DELAY_MS = 5 * MINUTE_MS
_CLICK_KNOWN_SHARE = 0.85
_REVISION_MINUTES = (15, 30, 45, 62, 240)
_RESTATED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Log:
    """Some facts: when each arrives, and how to write those at given positions as lines."""

    arrival_ms: Ints
    lines: Callable[[Ints], list[bytes]]


def _clicked(at_ms: int) -> str:
    return f'"clicked_at":{at_ms},' if at_ms else ""


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def logs_of(world: World, account: Account, incidents: list[Incident]) -> Iterator[Log]:
    """Everything that is said about ``account``."""
    seasons = Seasons(world, account)
    for campaign in account.campaigns:
        delivered, converted, rng = draw(world, campaign, seasons, incidents)
        teller = _Teller(world, account, campaign, rng)
        if campaign.source in account.snapshot_sources:
            yield teller.snapshots(delivered, converted)
        else:
            yield teller.deliveries(delivered)
            yield from teller.conversions(converted)
    for source in sorted(account.snapshot_sources):
        yield _watermarks(world, account, source)
    yield _notes(world, account, incidents)


def ticks(world: World) -> Log:
    """A tick a minute."""
    at_ms = np.arange(world.start_ms, world.end_ms, MINUTE_MS, dtype=np.int64)
    return Log(at_ms, lambda rows: [b'{"fact":"tick","at":%d}\n' % at for at in at_ms[rows].tolist()])


class _Teller:
    """Writes the facts of one campaign."""

    def __init__(self, world: World, account: Account, campaign: Campaign, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        self._number = campaign.number
        self._two_legs = campaign.source in account.two_leg_sources
        self._about = (
            f'"source":{_quoted(campaign.source)},"account":{_quoted(account.name)},'
            f'"campaign":{_quoted(campaign.name)},"currency":"{account.currency}"'
        )

    def deliveries(self, delivered: Delivered) -> Log:
        """One fact per report, known at the end of the minute it speaks of or a little later."""
        d = delivered
        known = self._known(d.at_ms + MINUTE_MS)

        def lines(rows: Ints) -> list[bytes]:
            columns = (d.at_ms, d.cost_micros, d.impressions, d.clicks, known)
            return [
                f'{{"fact":"delivery","id":"d{self._number}-{at // MINUTE_MS}","at":{at},{self._about},'
                f'"cost_micros":{cost},"impressions":{seen},"clicks":{clicks},"known_at":{known_at}}}\n'.encode()
                for at, cost, seen, clicks, known_at in zip(*(c[rows].tolist() for c in columns), strict=True)
            ]

        return self._with_repeats(known, lines)

    def conversions(self, converted: Converted) -> Iterator[Log]:
        """One fact per conversion and leg; both legs carry the same id."""
        known = self._known(converted.at_ms)
        clicked = np.where(self._rng.random(len(known)) < _CLICK_KNOWN_SHARE, converted.clicked_at_ms, 0)
        yield self._leg(converted, known, clicked, "browser" if self._two_legs else "platform")
        if self._two_legs:
            later = known + self._rng.integers(5_000, 4 * MINUTE_MS, len(known))
            yield self._leg(converted, later, clicked, "server")

    def _leg(self, converted: Converted, known: Ints, clicked: Ints, leg: str) -> Log:
        c = converted
        names = [f'"name":"{name}","leg":"{leg}"' for name in NAMES]

        def lines(rows: Ints) -> list[bytes]:
            columns = (rows, c.at_ms[rows], c.name[rows], c.value_micros[rows], clicked[rows], known[rows])
            return [
                f'{{"fact":"conversion","id":"c{self._number}-{row}","at":{at},{self._about},{names[name]},'
                f'"value_micros":{value},{_clicked(click)}"known_at":{known_at}}}\n'.encode()
                for row, at, name, value, click, known_at in zip(*(col.tolist() for col in columns), strict=True)
            ]

        return self._with_repeats(known, lines)

    def snapshots(self, delivered: Delivered, converted: Converted) -> Log:
        """Running totals of every hour, said again and again, and corrected hours later."""
        d = delivered
        bought = converted.name == 0
        sold_at, value = converted.at_ms[bought], converted.value_micros[bought]
        slow = np.where(self._rng.random(len(sold_at)) < _RESTATED_SHARE, HOUR_MS, MINUTE_MS)
        sold_known = sold_at + self._rng.exponential(slow).astype(np.int64)
        totals = np.zeros((len(_REVISION_MINUTES), self._world.days * 24 + 1, 5), np.int64)
        _book(totals, self._world, d.at_ms, d.at_ms + MINUTE_MS, (d.cost_micros, d.impressions, d.clicks))
        _book(totals, self._world, sold_at, sold_known, (np.ones_like(sold_at), value), first=3)
        totals = np.cumsum(totals, axis=0)
        revision, hour = np.nonzero(totals.any(axis=2))
        at_ms = self._world.start_ms // HOUR_MS * HOUR_MS + hour * HOUR_MS
        known = at_ms + np.array(_REVISION_MINUTES)[revision] * MINUTE_MS
        known += self._rng.integers(1_000, 20_000, len(known))
        said = totals[revision, hour]

        def lines(rows: Ints) -> list[bytes]:
            columns = (at_ms[rows].tolist(), (revision[rows] + 1).tolist(), known[rows].tolist(), said[rows].tolist())
            return [
                f'{{"fact":"snapshot","at":{at},"bucket":"hour",{self._about},"revision":{number},"name":"purchase",'
                f'"basis":"conversion","cost_micros":{t[0]},"impressions":{t[1]},"clicks":{t[2]},'
                f'"conversions":{t[3]},"value_micros":{t[4]},"known_at":{known_at}}}\n'.encode()
                for at, number, known_at, t in zip(*columns, strict=True)
            ]

        return Log(known, lines)

    def _known(self, ready_ms: Ints) -> Ints:
        """When each is known: soon, or minutes to an hour late."""
        delay = self._rng.exponential(_USUAL_DELAY_MS, len(ready_ms))
        late = self._rng.random(len(ready_ms)) < self._world.late_share
        least, most = np.log(_LATE_MINUTES).tolist()
        minutes = np.exp(self._rng.uniform(least, most, len(ready_ms)))
        return ready_ms + np.where(late, minutes * MINUTE_MS, delay).astype(np.int64)

    def _with_repeats(self, known: Ints, lines: Callable[[Ints], list[bytes]]) -> Log:
        """Some are delivered a second time, word for word."""
        again = np.flatnonzero(self._rng.random(len(known)) < self._world.duplicate_share)
        arrival = known[again] + 1 + self._rng.exponential(_REPEAT_DELAY_MS, len(again)).astype(np.int64)
        place = np.concatenate((np.arange(len(known)), again))
        return Log(np.concatenate((known, arrival)), lambda rows: lines(place[rows]))


def _book(totals: Ints, world: World, at_ms: Ints, known_ms: Ints, measures: tuple[Ints, ...], first: int = 0) -> None:
    """Add measures to the hour they belong to and the first revision that knows of them."""
    hour = at_ms // HOUR_MS - world.start_ms // HOUR_MS
    after = known_ms - at_ms // HOUR_MS * HOUR_MS
    revision = np.searchsorted(np.array(_REVISION_MINUTES) * MINUTE_MS, after)
    told = revision < len(_REVISION_MINUTES)
    for column, measure in enumerate(measures, first):
        np.add.at(totals[:, :, column], (revision[told], hour[told]), measure[told])


def _watermarks(world: World, account: Account, source: str) -> Log:
    """How far a source with snapshots is complete: to the quarter of an hour before its last report."""
    step = 15 * MINUTE_MS
    at_ms = np.arange(world.start_ms, world.end_ms, step, dtype=np.int64)
    about = f'"source":{_quoted(source)},"account":{_quoted(account.name)}'

    def lines(rows: Ints) -> list[bytes]:
        return [f'{{"fact":"watermark","at":{at},{about}}}\n'.encode() for at in at_ms[rows].tolist()]

    return Log(at_ms + 20_000, lines)


_BLAME = {
    "tracking_outage": (("deploy", "checkout 4.{n} released"), ("tag_publish", "container version {n} published"),
                        ("consent_publish", "consent banner {n} published")),
    "cpa_spike": (("deploy", "landing page {n} released"), ("experiment", "test {n} started")),
    "roas_drop": (("price", "price list {n}"), ("deploy", "basket page {n} released")),
}  # fmt: skip
_HARMLESS = (("deploy", "blog theme {n}"), ("other", "newsletter {n} sent"), ("tag_publish", "container note {n}"))
_BLAMED_SHARE = 0.6
_HARMLESS_A_DAY = 0.4


def _notes(world: World, account: Account, incidents: list[Incident]) -> Log:
    """States of the campaigns, and changes: some right before an incident, most for nothing."""
    rng = np.random.default_rng([world.seed, 5, account.number])
    notes = [*_states(world, account), *_changes(world, rng, account, incidents)]
    notes = sorted((note for note in notes if world.start_ms <= note[0] < world.end_ms), key=lambda note: note[0])
    texts = [text for _, text in notes]
    arrival = np.array([at for at, _ in notes], np.int64)
    return Log(arrival, lambda rows: [texts[row] for row in rows.tolist()])


def _states(world: World, account: Account) -> Iterator[tuple[int, bytes]]:
    for campaign in account.campaigns:
        spend = campaign.conversions_a_day / campaign.conversion_rate * campaign.click_micros
        budget = round(spend * 1.5 / 10**7) * 10**7
        said = [(campaign.launch_ms or world.start_ms, "active")]
        if campaign.launch_ms is not None:
            said = [(campaign.launch_ms, "learning"), (campaign.launch_ms + 3 * DAY_MS, "active")]
        if campaign.pause is not None:
            said += [(campaign.pause[0], "paused"), (campaign.pause[1], "active")]
        for at_ms, status in said:
            fact = {"fact": "state", "at": at_ms, "source": campaign.source, "account": account.name,
                    "campaign": campaign.name, "status": status, "daily_budget_micros": budget,
                    "currency": account.currency}  # fmt: skip
            yield at_ms, msgspec.json.encode(fact) + b"\n"


def _changes(
    world: World, rng: np.random.Generator, account: Account, incidents: list[Incident]
) -> Iterator[tuple[int, bytes]]:
    for incident in incidents:
        blamed, before = rng.random() < _BLAMED_SHARE, int(rng.integers(2 * MINUTE_MS, 25 * MINUTE_MS))
        kinds = _BLAME[incident.signal]
        choice, number = int(rng.integers(len(kinds))), int(rng.integers(10, 99))
        if blamed:
            yield _change(incident.from_ms - before, account, *kinds[choice], number)
    for _ in range(int(rng.poisson(_HARMLESS_A_DAY * world.days))):
        at_ms = world.start_ms + int(rng.integers(world.days * DAY_MS)) // 1000 * 1000
        yield _change(at_ms, account, *_HARMLESS[int(rng.integers(len(_HARMLESS)))], int(rng.integers(10, 99)))


def _change(at_ms: int, account: Account, kind: str, what: str, number: int) -> tuple[int, bytes]:
    fact = {"fact": "change", "at": at_ms, "account": account.name, "kind": kind, "what": what.format(n=number),
            "who": "release bot"}  # fmt: skip
    return at_ms, msgspec.json.encode(fact) + b"\n"
