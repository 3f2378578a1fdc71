"""Facts as they stand on the wire: slim structs that msgspec fills many times faster than the contract's models.

They accept nothing that :mod:`events.facts` refuses, save unknown currencies and RFC 3339 times out of bounds, which
:mod:`events.columns` finds.  The rare kinds are only told apart here; the contract's models read them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from events import facts
from events.batch import Kind
from events.facts import EARLIEST_MS, LATEST_MS, LONGEST_TEXT, MOST_COUNT, MOST_MICROS, OffsetTime

Time = Annotated[int, Meta(ge=EARLIEST_MS, le=LATEST_MS)] | OffsetTime
_Text = Annotated[str, Meta(min_length=1, max_length=LONGEST_TEXT)]
_Micros = Annotated[int, Meta(ge=0, le=MOST_MICROS)]
_Count = Annotated[float, Meta(ge=0, le=MOST_COUNT)]


class Delivery(Struct, tag_field="fact", tag="delivery", forbid_unknown_fields=True, gc=False):
    id: _Text
    at: Time
    source: _Text
    account: _Text
    campaign: _Text
    currency: _Text
    cost_micros: _Micros
    impressions: _Count
    clicks: _Count
    ad_group: _Text | None = None
    device: _Text | None = None
    country: _Text | None = None
    known_at: Time | None = None


class Conversion(Struct, tag_field="fact", tag="conversion", forbid_unknown_fields=True, gc=False):
    id: _Text
    at: Time
    source: _Text
    account: _Text
    name: _Text
    currency: _Text
    value_micros: _Micros
    campaign: _Text | None = None
    count: _Count = 1.0
    clicked_at: Time | None = None
    order_id: _Text | None = None
    leg: Literal["browser", "server", "backend", "platform"] | None = None
    ad_group: _Text | None = None
    device: _Text | None = None
    country: _Text | None = None
    known_at: Time | None = None


class Watermark(Struct, tag_field="fact", tag="watermark", forbid_unknown_fields=True, gc=False):
    at: Time
    source: _Text
    account: _Text


class Tick(Struct, tag_field="fact", tag="tick", forbid_unknown_fields=True, gc=False):
    at: Time


class _Snapshot(Struct, tag_field="fact", tag="snapshot", gc=False):
    pass


class _Metric(Struct, tag_field="fact", tag="metric", gc=False):
    pass


class _State(Struct, tag_field="fact", tag="state", gc=False):
    pass


class _Change(Struct, tag_field="fact", tag="change", gc=False):
    pass


class _Consent(Struct, tag_field="fact", tag="consent", gc=False):
    pass


_AnyFact = Delivery | Conversion | Watermark | Tick | _Snapshot | _Metric | _State | _Change | _Consent

RARE: frozenset[type] = frozenset({_Snapshot, _Metric, _State, _Change, _Consent})
"""What stands for a fact that the contract's models have yet to read."""

KIND: dict[type, int] = {
    Delivery: Kind.DELIVERY,
    Conversion: Kind.CONVERSION,
    Watermark: Kind.WATERMARK,
    Tick: Kind.TICK,
    facts.Snapshot: Kind.SNAPSHOT,
    facts.Metric: Kind.METRIC,
    facts.State: Kind.STATE,
    facts.Change: Kind.CHANGE,
    facts.Consent: Kind.CONSENT,
}
"""The kind of every type that :mod:`events.columns` takes."""

_SLIM: dict[type, type[Struct]] = {
    facts.Delivery: Delivery,
    facts.Conversion: Conversion,
    facts.Watermark: Watermark,
    facts.Tick: Tick,
}


def reader() -> msgspec.json.Decoder[Any]:
    """A decoder of one fact, or of a piece of NDJSON."""
    return msgspec.json.Decoder(_AnyFact)


def slim(fact: facts.Fact) -> Any:
    """``fact`` as this module has it: a struct, or the model itself for the rare kinds."""
    kind = _SLIM.get(type(fact))
    return fact if kind is None else kind(**{name: getattr(fact, name) for name in kind.__struct_fields__})
