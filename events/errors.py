"""What can be wrong with what comes in. The type says whose fault it is, the message names the key."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a line is no fact. A closed set: metrics and dead letters count by it."""

    BROKEN_JSON = "broken_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_KIND = "unknown_kind"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    NOT_ALLOWED = "not_allowed"
    UNKNOWN_CURRENCY = "unknown_currency"
    BAD_TIME = "bad_time"
    TOO_LONG = "too_long"
    EMPTY = "empty"


class EventsError(ValueError):
    """The root of this room's errors: the caller's input is wrong."""


class MalformedFact(EventsError):
    """A line that is no fact of the contract.

    >>> str(MalformedFact(Reason.MISSING_KEY, "campaign", "is required"))
    'missing_key: campaign: is required'
    """

    def __init__(self, reason: Reason, key: str | None, detail: str) -> None:
        super().__init__(f"{reason}: {key}: {detail}" if key else f"{reason}: {detail}")
        self.reason, self.key, self.detail = reason, key, detail


class ForeignTable(EventsError):
    """A Parquet file whose columns are not those of the contract."""
