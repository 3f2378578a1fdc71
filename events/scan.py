"""The compiled road through plain lines: facts as most producers write them, straight into columns.

A line is plain when every member is one that its kind knows, said once, in its usual spelling: texts without escapes
(and, where they are no part of a key, in ASCII), numbers without exponents, times as epoch milliseconds or RFC 3339 to
the microsecond.  What a plain line says, the contract's models would read the same; any other line, good or bad, is
left to :mod:`events.codec`'s slower roads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from events.batch import Ints, Kind
from events.facts import EARLIEST_MS, LATEST_MS, LONGEST_TEXT, MOST_COUNT, MOST_MICROS
from events.words import HIGH_BITS, Text, first_bytes, hash_of, leading_digits, place_of_first, unowned, word

ODD = 255
"""What stands for the kind of a line that is not plain."""
FIELDS = (
    "account", "source", "campaign", "currency", "name", "leg", "id", "ad_group", "device", "country", "order_id",
    "at", "known_at", "clicked_at", "cost_micros", "value_micros", "impressions", "clicks", "count", "fact",
)  # fmt: skip
"""All that a plain line may say, the parts of a key first."""
KEY_PARTS = 6
(ACCOUNT, SOURCE, CAMPAIGN, CURRENCY, NAME, LEG, ID, AD_GROUP, DEVICE, COUNTRY, ORDER_ID,
 AT, KNOWN_AT, CLICKED_AT, COST, VALUE, IMPRESSIONS, CLICKS, COUNT, FACT) = range(len(FIELDS))  # fmt: skip
_OWN, _NO_FIELD = -1, -2
_BAD = -1
"""What stands for a place in the line where it turned out not to be plain."""
_MILLION = 1_000_000
_TENS = np.array([10**power for power in range(16)], np.int64)


def _bits(*fields: int) -> int:
    return sum(1 << field for field in fields)


_DIMENSIONS = _bits(AD_GROUP, DEVICE, COUNTRY, KNOWN_AT)
_REQUIRED = {
    Kind.DELIVERY: _bits(FACT, ID, AT, SOURCE, ACCOUNT, CAMPAIGN, CURRENCY, COST, IMPRESSIONS, CLICKS),
    Kind.CONVERSION: _bits(FACT, ID, AT, SOURCE, ACCOUNT, NAME, CURRENCY, VALUE),
    Kind.WATERMARK: _bits(FACT, AT, SOURCE, ACCOUNT),
    Kind.TICK: _bits(FACT, AT),
}
_OPTIONAL = {
    Kind.DELIVERY: _DIMENSIONS,
    Kind.CONVERSION: _DIMENSIONS | _bits(CAMPAIGN, COUNT, CLICKED_AT, ORDER_ID, LEG),
    Kind.WATERMARK: 0,
    Kind.TICK: 0,
}
_CONVERSION = int(Kind.CONVERSION)
_KINDS = tuple(int(kind) for kind in _REQUIRED)
_MUST = np.array([_REQUIRED.get(kind, 0) for kind in Kind], np.int64)
_MAY = np.array([_REQUIRED.get(kind, 0) | _OPTIONAL.get(kind, 0) for kind in Kind], np.int64)
_NULLABLE = _DIMENSIONS | _bits(CAMPAIGN, CLICKED_AT, ORDER_ID, LEG)


class Table(NamedTuple):
    """A perfect hash of some names: by slot their first and second eight bytes, their length, and their number."""

    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    length: Ints
    number: Ints
    factor: np.uint64


def _table(names: dict[str, int]) -> Table:
    """Found by trying: the first multiplier that keeps the names apart."""
    words = [np.frombuffer(name.encode().ljust(16, b"\0"), np.uint64) for name in names]
    firsts = np.array([each[0] for each in words], np.uint64)
    factor = np.uint64(0x9E37_79B9_7F4A_7C15)
    while len(set((firsts * factor >> _TO_SLOT).tolist())) < len(names):
        factor += np.uint64(2)
    length, place = np.full((2, 64), -1, np.int64)
    table = Table(np.zeros(64, np.uint64), np.zeros(64, np.uint64), length, place, factor)
    for (name, number), both, slot in zip(names.items(), words, (firsts * factor >> _TO_SLOT).tolist(), strict=True):
        table.first[slot], table.second[slot], table.length[slot] = both[0], both[1], len(name)
        table.number[slot] = number
    return table


_TO_SLOT = np.uint64(58)
_NAMES = _table({name: number for number, name in enumerate(FIELDS)})
_KIND_NAMES = _table({Kind(kind).name.lower(): kind for kind in _KINDS})

_ONES = np.uint64(0x0101_0101_0101_0101)
_QUOTES = np.uint64(0x2222_2222_2222_2222)
_SLASHES = np.uint64(0x5C5C_5C5C_5C5C_5C5C)
_BLANKS = np.uint64(0x2020_2020_2020_2020)
_NULL = np.uint64(0x6C6C_756E)
_OWN_PREFIX = np.uint64(0x5F78)
_QUOTE, _COLON, _COMMA, _OPEN, _CLOSE, _ZERO, _POINT, _MINUS, _PLUS = b'":,{}0.-+'
_TEE, _ZULU, _N, _SPACE, _TAB, _RETURN = b"TZn \t\r"


class Out(NamedTuple):
    """Where a scan writes: per line its kind (``ODD``), its columns, and where the parts of its key begin and end."""

    kind: NDArray[np.uint8]
    at_ms: Ints
    known_at_ms: Ints
    id_hash: NDArray[np.uint64]
    cost_micros: Ints
    impressions: Ints
    clicks: Ints
    conversions: Ints
    value_micros: Ints
    lag_ms: Ints
    parts: NDArray[np.int64]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def scan(owned: Text, starts: Ints, ends: Ints, scratch: Ints, out: Out) -> None:
    """Read the lines of a text. Parts of keys may hold bytes above 127; whether they are UTF-8 is left to the caller.

    ``scratch`` has a row for each of ``FIELDS``: its number, and where its text begins and ends.
    """
    text, found = unowned(owned), unowned(scratch)
    for row in range(len(starts)):
        found[:] = 0
        found[KNOWN_AT, 0] = found[CLICKED_AT, 0] = -1
        found[COUNT, 0] = _MILLION
        said, given = _members(text, starts[row], ends[row], found)
        kind = found[FACT, 0]
        if said & ~_MAY[kind] != 0 or _MUST[kind] & ~given != 0:
            out.kind[row] = ODD
            continue
        at, clicked = found[AT, 0], found[CLICKED_AT, 0]
        out.kind[row] = kind
        out.at_ms[row] = at
        out.known_at_ms[row] = at if found[KNOWN_AT, 0] < 0 else found[KNOWN_AT, 0]
        out.cost_micros[row] = found[COST, 0]
        out.impressions[row] = found[IMPRESSIONS, 0]
        out.clicks[row] = found[CLICKS, 0]
        out.value_micros[row] = found[VALUE, 0]
        out.conversions[row] = found[COUNT, 0] if kind == _CONVERSION else 0
        # a click after the conversion is no click we know of
        out.lag_ms[row] = at - clicked if 0 <= clicked <= at else -1
        out.id_hash[row] = hash_of(text, found[ID, 1], found[ID, 2])
        for part in range(KEY_PARTS):
            out.parts[row, part, 0] = found[part, 1]
            out.parts[row, part, 1] = found[part, 2]


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _members(text: Text, at: int, end: int, found: Ints) -> tuple[int, int]:
    """Which fields are said, and which of them given: a bit each, none where the line is not plain."""
    said = given = 0
    at = _skip(text, at)
    if text[at] != _OPEN:
        return 0, 0
    while True:
        at = _skip(text, at + 1)
        close = _close(text, at, False)
        if close == _BAD:
            return 0, 0
        field = _field(text, at + 1, close)
        at = _skip(text, close + 1)
        if field == _NO_FIELD or text[at] != _COLON:
            return 0, 0
        at = _skip(text, at + 1)
        if field == _OWN:
            at = _own(text, at)
        else:
            bit = 1 << field
            if said & bit:
                return 0, 0
            said |= bit
            if text[at] == _N and bit & _NULLABLE and first_bytes(word(text, at), 4) == _NULL:
                at += 4
            else:
                given |= bit
                at = _value(text, at, field, found)
        if at == _BAD:
            return 0, 0
        at = _skip(text, at)
        if text[at] != _COMMA:
            break
    return (said, given) if text[at] == _CLOSE and _skip(text, at + 1) == end else (0, 0)


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _skip(text: Text, at: int) -> int:
    """The next place that is not blank. Never goes beyond the line, for its end is not blank."""
    while text[at] == _SPACE or text[at] == _TAB or text[at] == _RETURN:
        at += 1
    return at


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _close(text: Text, at: int, high: bool) -> int:
    """The place of the quote that closes the one at ``at``, with nothing escaped between them; else ``_BAD``.

    ``high``: bytes above 127 may stand there too.
    """
    if text[at] != _QUOTE:
        return _BAD
    at += 1
    while True:
        some = word(text, at)
        quotes, slashes = some ^ _QUOTES, some ^ _SLASHES
        # a byte's high bit shows where it is a quote, a backslash or below the blank: exactly so for the first such
        hits = (quotes - _ONES) & ~quotes | (slashes - _ONES) & ~slashes | (some - _BLANKS) & ~some
        if not high:
            hits |= some
        hits &= HIGH_BITS
        if hits != 0:
            at += place_of_first(hits)
            return at if text[at] == _QUOTE else _BAD
        at += 8


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _find(text: Text, start: int, end: int, names: Table) -> int:
    """The number of the name that stands there, ``-1`` if none."""
    size = end - start
    first = first_bytes(word(text, start), size)
    slot = first * names.factor >> _TO_SLOT
    if names.first[slot] != first or names.length[slot] != size:
        return -1
    if size > 8 and names.second[slot] != first_bytes(word(text, start + 8), size - 8):
        return -1
    return int(names.number[slot])


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _field(text: Text, start: int, end: int) -> int:
    field = _find(text, start, end, _NAMES)
    if field >= 0:
        return int(field)
    return _OWN if end - start >= 2 and first_bytes(word(text, start), 2) == _OWN_PREFIX else _NO_FIELD


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _own(text: Text, at: int) -> Any:
    """The end of a value of the sender's own: a text or a whole number."""
    if text[at] == _QUOTE:
        close = _close(text, at, False)
        return _BAD if close == _BAD else close + 1
    _, after = _digits(text, at)
    return _whole_end(text, at, after)


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _value(text: Text, at: int, field: int, found: Ints) -> Any:
    """Read the value of ``field`` at ``at``; the place after it, or ``_BAD``."""
    if field < AT or field == FACT:
        close = _close(text, at, field < KEY_PARTS)
        if close == _BAD or close == at + 1 or close - at - 1 > LONGEST_TEXT:
            return _BAD
        found[field, 1], found[field, 2] = at + 1, close
        if field == FACT:
            found[FACT, 0] = _find(text, at + 1, close, _KIND_NAMES)
            if found[FACT, 0] < 0:
                return _BAD
        return close + 1
    if field >= IMPRESSIONS:
        found[field, 0], after = _count(text, at)
        return after
    if field <= CLICKED_AT and text[at] == _QUOTE:
        found[field, 0], after = _time(text, at + 1)
    else:
        found[field, 0], after = _digits(text, at)
        after = _whole_end(text, at, after)
    least, most = (EARLIEST_MS, LATEST_MS) if field <= CLICKED_AT else (0, MOST_MICROS)
    return after if least <= found[field, 0] <= most else _BAD


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _digits(text: Text, at: int) -> tuple[Any, Any]:
    """The number that the digits from ``at`` on make (up to 16 of them), and the place after them."""
    count, number = leading_digits(word(text, at))
    if count < 8:
        return number, at + count
    count, low = leading_digits(word(text, at + 8))
    return number * _TENS[count] + low, at + 8 + count


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _whole_end(text: Text, start: int, end: int) -> Any:
    """``end`` where the digits are a whole number as JSON writes it, else ``_BAD``; what follows is looked at later."""
    leads = text[start] == _ZERO and end > start + 1
    return _BAD if end == start or leads else end


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _count(text: Text, at: int) -> tuple[Any, Any]:
    """A count in millionths, and the place after it or ``_BAD``."""
    whole, point = _digits(text, at)
    if _whole_end(text, at, point) == _BAD or whole > MOST_COUNT:
        return 0, _BAD
    if text[point] != _POINT:
        return whole * _MILLION, point
    fraction, after = _digits(text, point + 1)
    places = after - point - 1
    # up to 15 digits, a division of two whole numbers is what a correct reader of doubles gives
    if not 1 <= places <= 15 or after - at > 16:
        return 0, _BAD
    count = (whole * _TENS[places] + fraction) / _TENS[places]
    return np.int64(np.rint(count * _MILLION)), after if count <= MOST_COUNT else _BAD


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _two(text: Text, at: int, least: int, most: int) -> Any:
    """Two digits within bounds, or ``_BAD``."""
    tens, ones = np.int64(text[at]) - _ZERO, np.int64(text[at + 1]) - _ZERO
    if not (0 <= tens <= 9 and 0 <= ones <= 9):
        return _BAD
    number = 10 * tens + ones
    return number if least <= number <= most else _BAD


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _time(text: Text, at: int) -> tuple[Any, Any]:
    """Epoch milliseconds of ``2026-01-05T00:00:00.25+01:00`` and its like, and the place after its closing quote."""
    day = _day(text, at)
    hour, minute, second = _two(text, at + 11, 0, 23), _two(text, at + 14, 0, 59), _two(text, at + 17, 0, 59)
    apart = text[at + 10] == _TEE and text[at + 13] == _COLON and text[at + 16] == _COLON
    if day == _BAD or hour == _BAD or minute == _BAD or second == _BAD or not apart:
        return 0, _BAD
    at_ms = (((day * 24 + hour) * 60 + minute) * 60 + second) * 1000
    at += 19
    if text[at] == _POINT:
        fraction, after = _digits(text, at + 1)
        places = after - at - 1
        if not 1 <= places <= 6:
            return 0, _BAD
        at_ms += fraction * _TENS[6 - places] // 1000
        at = after
    offset_ms, at = _offset(text, at)
    return (0, _BAD) if at == _BAD or text[at] != _QUOTE else (at_ms - offset_ms, at + 1)


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _offset(text: Text, at: int) -> tuple[Any, Any]:
    """The milliseconds of ``Z``, ``+01:00`` or ``-01:00``, and the place after it or ``_BAD``."""
    if text[at] == _ZULU:
        return 0, at + 1
    hours, minutes = _two(text, at + 1, 0, 23), _two(text, at + 4, 0, 59)
    signed = text[at] == _PLUS or text[at] == _MINUS
    if not signed or hours == _BAD or minutes == _BAD or text[at + 3] != _COLON:
        return 0, _BAD
    size_ms = (hours * 60 + minutes) * 60_000
    return size_ms if text[at] == _PLUS else -size_ms, at + 6


@numba.njit(cache=True, nogil=True, forceinline=True)  # type: ignore[untyped-decorator]
def _day(text: Text, at: int) -> int:
    """Days from 1970 to ``2026-01-05`` in the years 2000 to 2099, or ``_BAD``."""
    century, year = _two(text, at, 20, 20), _two(text, at + 2, 0, 99)
    month, day = _two(text, at + 5, 1, 12), _two(text, at + 8, 1, 31)
    apart = text[at + 4] == _MINUS and text[at + 7] == _MINUS
    if century == _BAD or year == _BAD or month == _BAD or day == _BAD or not apart:
        return _BAD
    leaps = year % 4 == 0
    longest = 31 - (month == 4 or month == 6 or month == 9 or month == 11)
    if month == 2:
        longest = 29 if leaps else 28
    if day > longest:
        return _BAD
    # 2000 is a leap year, and the only one of the two hundreds within our bounds
    before = (month * 275) // 9 - 30
    if month > 2:
        before -= 1 if leaps else 2
    return int(_FIRST_DAY + year * 365 + (year + 3) // 4 + before + day - 1)


_FIRST_DAY = EARLIEST_MS // 86_400_000
