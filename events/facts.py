"""The facts of the contract: what a producer may send, and what is said to him when he sends something else.

Every kind of fact is a strict pydantic model.  The fast road (:mod:`events.codec`) accepts the same set and gives the
same values; whatever it refuses is shown to these models, and theirs is the verdict.

>>> fact = parse(b'{"fact": "tick", "at": "2026-01-05T00:00:00+01:00"}')
>>> fact.at
1767567600000
>>> parse(b'{"fact": "tick", "at": 5}')
Traceback (most recent call last):
    ...
events.errors.MalformedFact: bad_time: at: must lie in the years 2000 to 2100
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, Self
from zoneinfo import available_timezones

import msgspec
from babel.numbers import list_currencies
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from events.errors import MalformedFact, Reason

EARLIEST_MS = 946_684_800_000
"""2000-01-01T00:00:00Z: no fact is older."""
LATEST_MS = 4_102_444_800_000
"""2100-01-01T00:00:00Z: no fact is newer."""
MOST_MICROS = 10**15
"""The most money one fact may carry, in micros (a billion of the currency)."""
MOST_COUNT = 10**9
"""The most impressions, clicks or conversions one fact may carry; in millionths they are exact as floats."""
LONGEST_TEXT = 512

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_OUT_OF_TIME = "must lie in the years 2000 to 2100"
_NO_TIME = "must be RFC 3339 with an offset, or epoch milliseconds as an integer"

OffsetTime = Annotated[datetime, msgspec.Meta(tz=True)]
"""RFC 3339 with an offset, as msgspec reads it."""


def time_ms(value: object) -> int:
    """Epoch milliseconds (UTC) of an RFC 3339 string with offset, or of epoch milliseconds themselves.

    Anything below a millisecond is cut off. Raises ``PydanticCustomError`` for anything else.
    """
    if isinstance(value, str):
        try:
            value = (msgspec.convert(value, OffsetTime) - EPOCH) // _MILLISECOND
        except msgspec.ValidationError:
            raise PydanticCustomError("bad_time", _NO_TIME) from None
    if type(value) is not int:
        raise PydanticCustomError("bad_time", _NO_TIME)
    if not EARLIEST_MS <= value <= LATEST_MS:
        raise PydanticCustomError("bad_time", _OUT_OF_TIME)
    return value


@cache
def currencies() -> frozenset[str]:
    """The codes of ISO 4217, those no longer in use included, for a history may hold them."""
    return frozenset(list_currencies())


def _currency(value: str) -> str:
    if value not in currencies():
        raise PydanticCustomError("unknown_currency", "must be a code of ISO 4217, in capitals")
    return value


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _time_zone(value: str) -> str:
    # asked of the list, for ZoneInfo would go looking for whatever it is told
    if value not in _time_zones():
        raise PydanticCustomError("not_allowed", "must be a time zone of the IANA database")
    return value


_TIME_SCHEMA = {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}]}
TimeMs = Annotated[int, PlainValidator(time_ms), WithJsonSchema(_TIME_SCHEMA)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Currency = Annotated[Text, AfterValidator(_currency)]
TimeZone = Annotated[Text, AfterValidator(_time_zone)]
Micros = Annotated[int, Field(ge=0, le=MOST_MICROS)]
Count = Annotated[float, Field(ge=0, le=MOST_COUNT)]
Whole = Annotated[int, Field(ge=0, le=10**15)]


class _Fact(BaseModel):
    """What all kinds have in common: strictness, and keys of the sender's own that start with ``x_``."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    at: TimeMs
    """When it happened, epoch milliseconds."""

    @model_validator(mode="after")
    def _only_own_keys(self) -> Self:
        for key in self.model_extra or ():
            if not key.startswith("x_"):
                kind = type(self).__name__.lower()
                raise PydanticCustomError("unknown_key", "is no key of a {kind} fact", {"kind": kind, "key": key})
        return self


class _Dimensions(_Fact):
    """Finer than a campaign; carried, not yet told apart."""

    ad_group: Text | None = None
    device: Text | None = None
    country: Text | None = None
    known_at: TimeMs | None = None


class Delivery(_Dimensions):
    """Money spent and what it bought."""

    fact: Literal["delivery"]
    id: Text
    source: Text
    account: Text
    campaign: Text
    currency: Currency
    cost_micros: Micros
    impressions: Count
    clicks: Count


class Conversion(_Dimensions):
    """A purchase, a lead, … as one leg of the tracking reported it."""

    fact: Literal["conversion"]
    id: Text
    source: Text
    account: Text
    name: Text
    currency: Currency
    value_micros: Micros
    campaign: Text | None = None
    count: Count = 1.0
    clicked_at: TimeMs | None = None
    order_id: Text | None = None
    leg: Literal["browser", "server", "backend", "platform"] | None = None


class Snapshot(_Dimensions):
    """Running totals of one bucket; a higher revision replaces a lower one. ``None``: not said."""

    fact: Literal["snapshot"]
    bucket: Literal["hour", "day"]
    source: Text
    account: Text
    campaign: Text
    currency: Currency
    revision: Whole
    cost_micros: Micros | None = None
    impressions: Count | None = None
    clicks: Count | None = None
    conversions: Count | None = None
    value_micros: Micros | None = None
    name: Text | None = None
    basis: Literal["click", "conversion", "impression", "event", "order"] | None = None
    time_zone: TimeZone | None = None


class Metric(_Fact):
    """One reading of any other number."""

    fact: Literal["metric"]
    account: Text
    series: Text
    value: float
    unit: Text | None = None
    source: Text | None = None


class State(_Fact):
    """What a platform says about a campaign."""

    fact: Literal["state"]
    source: Text
    account: Text
    campaign: Text
    status: Literal["active", "paused", "ended", "learning", "limited_by_budget", "disapproved"]
    daily_budget_micros: Micros | None = None
    currency: Currency | None = None
    target_cpa_micros: Micros | None = None
    target_roas: Annotated[float, Field(ge=0, le=10**9)] | None = None
    reason: Text | None = None


class Change(_Fact):
    """Something somebody did that may explain what follows."""

    fact: Literal["change"]
    account: Text
    kind: Literal["deploy", "tag_publish", "consent_publish", "price", "target", "experiment", "incident", "other"]
    what: Text
    who: Text | None = None
    source: Text | None = None
    campaign: Text | None = None
    link: Annotated[str, Field(min_length=1, max_length=2048)] | None = None


class Consent(_Fact):
    """How many were asked and how many agreed; no person is ever named."""

    fact: Literal["consent"]
    account: Text
    shown: Count
    granted: Count
    country: Text | None = None
    device: Text | None = None
    cmp: Text | None = None
    cmp_version: Text | None = None


class Watermark(_Fact):
    """A source of an account is complete up to ``at``."""

    fact: Literal["watermark"]
    source: Text
    account: Text


class Tick(_Fact):
    """Time has come to ``at``."""

    fact: Literal["tick"]


Fact = Delivery | Conversion | Snapshot | Metric | State | Change | Consent | Watermark | Tick
Rare = Snapshot | Metric | State | Change | Consent
"""The kinds that travel as whole facts in ``Batch.rare``."""

FACT: TypeAdapter[Fact] = TypeAdapter(Annotated[Fact, Field(discriminator="fact")])
"""The contract as one pydantic type; its JSON Schema is the reference for producers."""

_REASONS = {
    "json_invalid": Reason.BROKEN_JSON,
    "union_tag_invalid": Reason.UNKNOWN_KIND,
    "union_tag_not_found": Reason.MISSING_KEY,
    "missing": Reason.MISSING_KEY,
    "unknown_key": Reason.UNKNOWN_KEY,
    "bad_time": Reason.BAD_TIME,
    "unknown_currency": Reason.UNKNOWN_CURRENCY,
    "not_allowed": Reason.NOT_ALLOWED,
    "literal_error": Reason.NOT_ALLOWED,
    "string_too_long": Reason.TOO_LONG,
    "string_too_short": Reason.EMPTY,
    "greater_than_equal": Reason.OUT_OF_RANGE,
    "less_than_equal": Reason.OUT_OF_RANGE,
    "finite_number": Reason.OUT_OF_RANGE,
}


def parse(line: bytes) -> Fact:
    """The fact that stands in ``line``, one JSON object in UTF-8. Raises :class:`MalformedFact`."""
    try:
        # stricter than pydantic's own reader, which takes NaN
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedFact(Reason.BROKEN_JSON, None, str(error)) from None
    if not isinstance(value, dict):
        raise MalformedFact(Reason.NOT_AN_OBJECT, None, "a fact is one JSON object")
    try:
        return FACT.validate_json(line)
    except ValidationError as error:
        raise _malformed(error.errors(include_url=False, include_input=False)[0]) from None


def _malformed(error: ErrorDetails) -> MalformedFact:
    reason = _REASONS.get(error["type"], Reason.WRONG_TYPE)
    where: tuple[Any, ...] = error["loc"][1:]
    key = ".".join(str(step) for step in where) or None
    if reason is Reason.UNKNOWN_KEY:
        key = str(error.get("ctx", {}).get("key"))[:LONGEST_TEXT]
    elif reason is Reason.UNKNOWN_KIND or error["type"] == "union_tag_not_found":
        key = "fact"
    return MalformedFact(reason, key, error["msg"][:LONGEST_TEXT])


def encode(fact: Fact) -> bytes:
    """``fact`` as one line of NDJSON, the newline included; :func:`parse` gives the same fact again.

    >>> encode(Tick(fact="tick", at=1767567600000))
    b'{"at":1767567600000,"fact":"tick"}\\n'
    """
    return fact.model_dump_json(exclude_none=True).encode() + b"\n"
