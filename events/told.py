"""How the seeded world is told: who hears what when, in which words, late, twice, or corrected afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from events.batch import Ints
from events.business import make_business
from events.draws import NAMES, Converted, Delivered, Drawn, Surroundings, draw
from events.incidents import Incident
from events.notes import notes_of
from events.world import HOUR_MS, MINUTE_MS, Account, Campaign, Seasons, World, midnights

_USUAL_DELAY_MS = 15_000
_LATE_MINUTES = (2, 60)
_REPEAT_DELAY_MS = 5 * MINUTE_MS
CLICK_KNOWN_SHARE = 0.85
"""Share of conversions that say when their click was."""
_RESTATED_SHARE = 0.05
_REVISION_MINUTES = (15, 30, 45, 62, 240)
_RESTATED_MINUTES = (720, 1440, 2160, 2880, 4320, 5760, 7200, 10080)
"""When totals by the date of the click are told again, after the bucket began: a click may convert days later."""
_DAILY_MINUTES = (180, 360, 540, 720, 900, 1080, 1260, 1440, 1565, 2160, 2880, 4320, 5760, 7200, 10080)
_DAY_COMPLETE_MS = 75 * MINUTE_MS + 50_000
"""So long after local midnight a daily report says that the day is complete."""


@dataclass(frozen=True, slots=True)
class Log:
    """Some facts: when each arrives, and how to write those at given positions as lines."""

    arrival_ms: Ints
    lines: Callable[[Ints], list[bytes]]


def _clicked(at_ms: int) -> str:
    return f'"clicked_at":{at_ms},' if at_ms else ""


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


@dataclass(frozen=True, slots=True)
class _Report:
    """How a source tells totals: its ``buckets`` (their starts), what a conversion is booked by, and when it tells."""

    bucket: str
    basis: str
    buckets: Ints
    minutes: tuple[int, ...]
    time_zone: str | None = None


def _report(world: World, account: Account, source: str) -> _Report:
    bucket = account.click_date_sources.get(source)
    if bucket == "day":
        days = midnights(world, account)
        return _Report("day", "click", days[days >= world.start_ms], _DAILY_MINUTES, account.time_zone)
    hours = np.arange(world.start_ms // HOUR_MS * HOUR_MS, world.end_ms + HOUR_MS, HOUR_MS, dtype=np.int64)
    if bucket == "hour":
        return _Report("hour", "click", hours, _REVISION_MINUTES + _RESTATED_MINUTES)
    return _Report("hour", "conversion", hours, _REVISION_MINUTES)


def logs_of(world: World, account: Account, incidents: list[Incident]) -> Iterator[Log]:
    """Everything that is said about ``account``."""
    business = make_business(world, account)
    around = Surroundings(Seasons(world, account), business, midnights(world, account), incidents)
    stops: dict[int, list[tuple[int, int]]] = {}
    for campaign in account.campaigns:
        drawn, rng = draw(world, campaign, around)
        stops[campaign.number] = drawn.stops
        yield from _told(_Teller(world, account, campaign, rng), account, campaign, drawn)
    for source in account.sources:
        if not account.tells_singly(source):
            yield _watermarks(world, account, source)
    notes = notes_of(world, account, around, stops)
    texts = [text for _, text in notes]
    yield Log(np.array([at for at, _ in notes], np.int64), lambda rows: [texts[row] for row in rows.tolist()])


def _told(teller: _Teller, account: Account, campaign: Campaign, drawn: Drawn) -> Iterator[Log]:
    if account.tells_singly(campaign.source):
        yield teller.deliveries(drawn.delivered)
        yield from teller.conversions(drawn.converted)
    else:
        yield teller.snapshots(drawn.delivered, drawn.converted)


def ticks(world: World) -> Log:
    """A tick a minute."""
    at_ms = np.arange(world.start_ms, world.end_ms, MINUTE_MS, dtype=np.int64)
    return Log(at_ms, lambda rows: [b'{"fact":"tick","at":%d}\n' % at for at in at_ms[rows].tolist()])


class _Teller:
    """Writes the facts of one campaign."""

    def __init__(self, world: World, account: Account, campaign: Campaign, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        self._number = campaign.number
        self._report = _report(world, account, campaign.source)
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
        clicked = np.where(self._rng.random(len(known)) < CLICK_KNOWN_SHARE, converted.clicked_at_ms, 0)
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
        """Running totals of every bucket, said again and again, and corrected hours or days later."""
        report = self._report
        totals = self._totals(delivered, converted)
        news: NDArray[np.bool_] = np.any(totals, axis=2)
        if report.basis == "click":
            news[1:] &= np.any(np.diff(totals, axis=0), axis=2)
        revision, place = np.nonzero(news)
        at_ms = report.buckets[place]
        known = at_ms + np.array(report.minutes)[revision] * MINUTE_MS
        known += self._rng.integers(1_000, 20_000, len(known))
        said = totals[revision, place]
        zone = "" if report.time_zone is None else f'"time_zone":"{report.time_zone}",'

        def lines(rows: Ints) -> list[bytes]:
            columns = (at_ms[rows].tolist(), (revision[rows] + 1).tolist(), known[rows].tolist(), said[rows].tolist())
            return [
                f'{{"fact":"snapshot","at":{at},"bucket":"{report.bucket}",{self._about},"revision":{number},'
                f'"name":"purchase","basis":"{report.basis}",{zone}"cost_micros":{t[0]},"impressions":{t[1]},'
                f'"clicks":{t[2]},"conversions":{t[3]},"value_micros":{t[4]},"known_at":{known_at}}}\n'.encode()
                for at, number, known_at, t in zip(*columns, strict=True)
            ]

        return Log(known, lines)

    def _totals(self, delivered: Delivered, converted: Converted) -> Ints:
        """What each revision knows of each bucket: cost, impressions, clicks, conversions, value."""
        d, report = delivered, self._report
        bought = converted.name == 0
        sold_at, value = converted.at_ms[bought], converted.value_micros[bought]
        slow = np.where(self._rng.random(len(sold_at)) < _RESTATED_SHARE, HOUR_MS, MINUTE_MS)
        sold_known = sold_at + self._rng.exponential(slow).astype(np.int64)
        of_ms = converted.clicked_at_ms[bought] if report.basis == "click" else sold_at
        totals = np.zeros((len(report.minutes), len(report.buckets), 5), np.int64)
        _book(totals, report, d.at_ms, d.at_ms + MINUTE_MS, (d.cost_micros, d.impressions, d.clicks))
        _book(totals, report, of_ms, sold_known, (np.ones_like(sold_at), value), first=3)
        return np.cumsum(totals, axis=0)

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


def _book(
    totals: Ints, report: _Report, at_ms: Ints, known_ms: Ints, measures: tuple[Ints, ...], first: int = 0
) -> None:
    """Add measures to the bucket they belong to and the first revision that knows of them."""
    place = np.searchsorted(report.buckets, at_ms, "right") - 1
    after = known_ms - report.buckets[place]
    revision = np.searchsorted(np.array(report.minutes) * MINUTE_MS, after)
    told = (revision < len(report.minutes)) & (place >= 0)
    for column, measure in enumerate(measures, first):
        np.add.at(totals[:, :, column], (revision[told], place[told]), measure[told])


def _watermarks(world: World, account: Account, source: str) -> Log:
    """How far a source with totals is complete: to the quarter of an hour, or the day, before its last report."""
    at_ms = np.arange(world.start_ms, world.end_ms, 15 * MINUTE_MS, dtype=np.int64)
    arrival = at_ms + 20_000
    if account.click_date_sources.get(source) == "day":
        at_ms = midnights(world, account)
        at_ms = at_ms[(at_ms >= world.start_ms) & (at_ms < world.end_ms)]
        arrival = at_ms + _DAY_COMPLETE_MS
    about = f'"source":{_quoted(source)},"account":{_quoted(account.name)}'

    def lines(rows: Ints) -> list[bytes]:
        return [f'{{"fact":"watermark","at":{at},{about}}}\n'.encode() for at in at_ms[rows].tolist()]

    return Log(arrival, lines)
