"""Times as people read them: in the zone of the settings, with the zone said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def zone(name: str) -> ZoneInfo:
    """The time zone called ``name``; ``ValueError`` where there is none.

    >>> zone("Mars/Olympus")
    Traceback (most recent call last):
    ValueError: 'Mars/Olympus' is no time zone; names are like Europe/Berlin
    """
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{name!r} is no time zone; names are like Europe/Berlin") from None


def moment(text: str) -> datetime:
    """RFC 3339 as a time with its zone; without one, UTC. ``ValueError`` where it is none."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def is_moment(text: str) -> bool:
    """Whether :func:`moment` can read ``text``."""
    try:
        moment(text)
    except ValueError:
        return False
    return True


def epoch_ms(text: str) -> int:
    """RFC 3339 as epoch milliseconds."""
    return round(moment(text).timestamp() * 1000)


def wall_ms(text: str, where: ZoneInfo) -> int:
    """What clocks in ``where`` show, as if it were UTC: for charts, whose axes know UTC only.

    >>> wall_ms("1970-01-01T00:00:00Z", zone("Europe/Berlin")) // 3_600_000
    1
    """
    at = moment(text)
    offset = at.astimezone(where).utcoffset() or timedelta(0)
    return round((at.timestamp() + offset.total_seconds()) * 1000)


def shown(text: str, where: ZoneInfo) -> str:
    """A time with weekday, day and zone, to the minute.

    >>> shown("2026-07-01T22:30:00.000Z", zone("Europe/Berlin"))
    'Thu 2 Jul, 00:30 CEST'
    """
    if not is_moment(text):
        return "an unknown time"
    try:
        at = moment(text).astimezone(where)
    except OverflowError:
        at = moment(text)
    return f"{at:%a} {at.day} {at:%b}, {at:%H:%M} {at:%Z}"


def lasted(start: str, end: str) -> str:
    """How long from ``start`` to ``end``.

    >>> lasted("2026-07-01T10:00:00Z", "2026-07-01T12:10:30Z"), lasted("2026-07-01T10:00:00Z", "2026-07-01T10:00:30Z")
    ('2 h 10 min', 'less than a minute')
    """
    if not (is_moment(start) and is_moment(end)):
        return "an unknown time"
    return span((moment(end) - moment(start)).total_seconds())


def span(seconds: float) -> str:
    """A duration in the two largest units that matter.

    >>> span(7 * 60), span(3600), span(200_000)
    ('7 min', '1 h', '2 d 7 h')
    """
    minutes = int(max(0.0, seconds)) // 60
    if minutes == 0:
        return "less than a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (0 if days else rest, "min")]
    return " ".join(f"{count} {unit}" for count, unit in parts if count)
