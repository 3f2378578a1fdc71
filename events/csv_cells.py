"""What a cell of a CSV export says: numbers, money, moments. Exact, and strict enough to notice a wrong mapping."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from enum import Enum
from functools import lru_cache
from zoneinfo import ZoneInfo

from events.csv_mapping import Numbers

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLI = timedelta(milliseconds=1)
_NOTHING = frozenset({"", "-", "--", "—", "–", "n/a", "na", "null", "none", "(not set)", "(none)"})
_SYMBOLS = re.compile(r"[A-Z]{3}|kr\.?|zł|Kč|Ft|lei|R\$|[A-Z]{1,2}\$|[$€£¥₩₹₺₽₴₫฿₪]")
_SPACES = re.compile(r"[\s\u00a0\u202f\u2009]+")
_HOUR = re.compile(r"(?P<hour>\d{1,2})(?:[:.]\d{2}){0,2}\s*(?P<half>[ap]\.?m\.?)?(?:\s*[-–].*)?", re.IGNORECASE)
_OFFSET = re.compile(r"\s+(?=[+-]\d{2}:?\d{2}$)|\s*UTC$")
_MICROS = Decimal(1_000_000)
_LARGEST = Decimal(10**15)


def is_nothing(cell: str) -> bool:
    """Whether a cell says that there is no value, which is not the same as zero.

    >>> is_nothing(" --"), is_nothing("0")
    (True, False)
    """
    return cell.strip().casefold() in _NOTHING


@lru_cache(maxsize=8)
def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    point = re.escape(decimal)
    grouped = rf"\d{{1,3}}(?:{re.escape(thousands)}\d{{3}})+(?:{point}\d*)?|" if thousands else ""
    plain = rf"\d+(?:{point}\d*)?(?:[eE][-+]?\d{{1,2}})?|{point}\d+"
    return re.compile(rf"[-+]?(?:{grouped}{plain})", re.ASCII)


def number(cell: str, numbers: Numbers) -> Decimal:
    """The number in a cell, without currency signs; a trailing ``%`` divides by a hundred.

    Raises :class:`ValueError` where signs do not stand as ``numbers`` says, so that a decimal comma is never taken for
    a thousands separator.

    >>> number("€ 1.234,50", Numbers(decimal=",", thousands="."))
    Decimal('1234.50')
    """
    text = _SPACES.sub(" ", _SYMBOLS.sub("", cell.strip())).strip().replace("−", "-").replace("’", "'")
    percent = text.endswith("%")
    text = text.removesuffix("%").strip()
    if text.startswith("(") and text.endswith(")"):
        text = "-" + text[1:-1].strip()
    if not _pattern(numbers.decimal, numbers.thousands).fullmatch(text):
        raise ValueError(f"{cell!r} is no number with decimal {numbers.decimal!r} and thousands {numbers.thousands!r}")
    plain = text.replace(numbers.thousands, "") if numbers.thousands else text
    value = Decimal(plain.replace(numbers.decimal, "."))
    return value / 100 if percent else value


def money_micros(cell: str, numbers: Numbers) -> tuple[int, bool]:
    """Money as integer micros, and whether it had to be rounded (half to even) to the micro.

    >>> money_micros("1,234.56", Numbers())
    (1234560000, False)
    """
    return _scaled(cell, number(cell, numbers) * (_MICROS if numbers.money == "major" else 1))


def _scaled(cell: str, value: Decimal) -> tuple[int, bool]:
    if value < 0:
        raise ValueError(f"{cell!r} is negative")
    if value > _LARGEST:
        raise ValueError(f"{cell!r} is too large")
    whole = int(value.to_integral_value(ROUND_HALF_EVEN))
    return whole, whole != value


def count_millionths(cell: str, numbers: Numbers) -> tuple[int, bool]:
    """A count of zero or more in integer millionths (platforms report fractions), and whether it had to be rounded.

    >>> count_millionths("2.50", Numbers())
    (2500000, False)
    """
    return _scaled(cell, number(cell, numbers) * _MICROS)


def hour(cell: str) -> int:
    """The hour of the day, 0 to 23.

    >>> hour("7"), hour("13:00:00 - 13:59:59"), hour("12 AM")
    (7, 13, 0)
    """
    found = _HOUR.fullmatch(cell.strip())
    if found is None:
        raise ValueError(f"{cell!r} is no hour")
    value, half = int(found["hour"]), (found["half"] or "").casefold()
    if half:
        value = value % 12 + (12 if half.startswith("p") else 0)
    if value > 23:
        raise ValueError(f"{cell!r} is no hour")
    return value


class Wall(Enum):
    """How a local time sits on the clock of its zone."""

    PLAIN = "plain"
    AMBIGUOUS = "ambiguous"
    """Clocks were set back: the time was on the wall twice."""
    MISSING = "missing"
    """Clocks were set forward: the time was never on the wall."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment in epoch milliseconds, the local date and hour it was written as, and how that sat on the wall."""

    at_ms: int
    local: datetime
    wall: Wall


class Clock:
    """Reads the times of one file: formats, zone, and which of two ambiguous hours is meant."""

    def __init__(self, zone: str, formats: Sequence[str] = (), fold: int = 0) -> None:
        self.zone, self.formats, self.fold = ZoneInfo(zone), tuple(formats), fold
        self.read: Callable[[str, str | None], Moment] = lru_cache(maxsize=65_536)(self._read)

    def _read(self, cell: str, hour_cell: str | None = None) -> Moment:
        """The moment a cell (and an hour's cell beside it) names. Raises :class:`ValueError`."""
        text, bar, after = cell.strip().partition("|")
        written = self._parse(text.strip())
        if bar or hour_cell is not None:
            at_hour = hour(after if bar else hour_cell or "")
            written = datetime.combine(written.date(), time(at_hour), written.tzinfo)
        return self.moment(written)

    def moment(self, written: datetime) -> Moment:
        """The moment of a time as written; without an offset it is local to the zone."""
        if not 2000 <= written.year < 2100:
            raise ValueError(f"the year {written.year} is not between 2000 and 2100")
        if written.tzinfo is not None:
            return Moment(epoch_ms(written), written.astimezone(self.zone).replace(tzinfo=None), Wall.PLAIN)
        early, late = (written.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if early.utcoffset() == late.utcoffset():
            return Moment(epoch_ms(early), written, Wall.PLAIN)
        if early.astimezone(UTC).astimezone(self.zone).replace(tzinfo=None) != written:
            return Moment(epoch_ms(early), written, Wall.MISSING)
        return Moment(epoch_ms(late if self.fold else early), written, Wall.AMBIGUOUS)

    def day_ms(self, day: date) -> tuple[int, int]:
        """Start and end of a local day, which may have 23 or 25 hours."""
        start, end = (self.moment(datetime.combine(day + timedelta(n), time())) for n in (0, 1))
        return start.at_ms, end.at_ms

    def _parse(self, text: str) -> datetime:
        if not self.formats:
            try:
                return datetime.fromisoformat(_OFFSET.sub(lambda m: "Z" if "UTC" in m[0] else "", text))
            except ValueError:
                raise ValueError(f"{text!r} is no ISO date or time; say its form in time_formats") from None
        for form in self.formats:
            try:
                return datetime.strptime(text, form)  # noqa: DTZ007 - the zone is the mapping's
            except ValueError:
                continue
        raise ValueError(f"{text!r} is in none of time_formats {list(self.formats)}")


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds of a moment with a zone, exact."""
    return (moment.astimezone(UTC) - _EPOCH) // _MILLI
