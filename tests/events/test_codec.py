"""The fast road accepts what the contract's models accept, with the same values, however lines are cut up."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import facts
from events.batch import Batch, Key, Keys, Kind
from events.codec import KEPT_RAW_BYTES, Decoded, Decoder, encode
from events.errors import MalformedFact, Reason
from events.facts import Fact, parse

AT = 1_767_571_200_000
COLUMNS = ("kind", "at_ms", "known_at_ms", "key", "id_hash", "cost_micros", "impressions", "clicks", "conversions",
           "value_micros", "lag_ms")  # fmt: skip

SAMPLES: dict[str, dict[str, Any]] = {
    "delivery": {"id": "1", "at": AT, "source": "meta", "account": "acme", "campaign": "brand", "currency": "EUR",
                 "cost_micros": 5, "impressions": 7, "clicks": 1.5, "known_at": AT + 9, "device": "phone"},
    "conversion": {"id": "1", "at": AT, "source": "meta", "account": "acme", "name": "purchase", "currency": "USD",
                   "value_micros": 9, "campaign": "brand", "count": 0.25, "clicked_at": "2026-01-04T22:00:00Z",
                   "leg": "server", "order_id": "7", "known_at": AT},
    "snapshot": {"at": AT, "bucket": "hour", "source": "meta", "account": "acme", "campaign": "c", "currency": "EUR",
                 "revision": 3, "cost_micros": 5, "conversions": 2.5, "time_zone": "Europe/Berlin", "known_at": AT},
    "metric": {"at": AT, "account": "acme", "series": "bounce", "value": -0.5, "unit": "%"},
    "state": {"at": AT, "source": "meta", "account": "acme", "campaign": "c", "status": "paused", "target_roas": 3.5},
    "change": {"at": AT, "account": "acme", "kind": "deploy", "what": "v5", "link": "https://example.org/5"},
    "consent": {"at": AT, "account": "acme", "shown": 10, "granted": 7},
    "watermark": {"at": AT, "source": "meta", "account": "acme"},
    "tick": {"at": AT},
}  # fmt: skip

ODD_VALUES = [
    b"1", b"1.0", b"1e3", b"-1", b"-0", b"-0.0", b"0", b"0.1234567", b"1e-400", b"1e400", b"NaN", b"Infinity",
    b"-Infinity", b"true", b"null", b"[]", b"{}", b"01", b"1000000000", b"1000000000.5", b"1000000000000000",
    b"1000000000000001", b"9223372036854775808", b"123456789012345678901234567890", b'""', b'"1"', b'"x"', b'"EUR"',
    b'"eur"', b'"XYZ"', b'"purchase"', b'"browser"', b'"hour"', b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"',
    b'"\xff"', b'"a\nb"', b'"' + b"x" * 512 + b'"', b'"' + b"x" * 513 + b'"', '"…"'.encode(),
    b"946684799999", b"946684800000", b"4102444800000", b"4102444800001", b"1767571200000.0",
    b'"2026-01-05T00:00:00Z"', b'"2026-01-05t00:00:00.5z"', b'"2026-01-05 00:00:00+01:00"', b'"2026-01-05"',
    b'"2026-01-05T00:00:00"', b'"2026-01-05T00:00Z"', b'"2026-01-05T00:00:00.1239Z"', b'"1999-12-31T23:59:59Z"',
    b'"2026-01-05T00:00:00.9999999Z"', b'"2026-01-05T00:00:00,5Z"', b'"2026-01-05T00:00:00+0130"',
    b'"2026-01-05T23:59:60Z"', b'"9999-12-31T23:59:59-10:00"', b'"0001-01-01T00:00:00+10:00"', b'"1767571200000"',
    b'"2100-01-01T00:00:00.0004Z"', b'"2100-01-01T00:00:00.001Z"', b'"2000-01-01T00:59:59+01:00"',
]  # fmt: skip
KEYS = sorted(
    {key for sample in SAMPLES.values() for key in sample} | {"fact", "x_mine", "x_", "X_", "extra", "ad_group"}
)

_NUMBERS = [value for value in ODD_VALUES if value[:1].isdigit() or value[:1] == b"-"]
_TIMES = [value for value in ODD_VALUES if value[:2] == b'"2' or len(value) == 13]
_TEXTS = [b'"x"', b'"\\ud83d\\ude00"', b'"%s"' % (b"x" * 512)]
_FITTING = {
    **dict.fromkeys((b"at", b"known_at", b"clicked_at"), _TIMES),
    **dict.fromkeys((b"cost_micros", b"value_micros", b"impressions", b"clicks", b"count", b"revision"), _NUMBERS),
    **dict.fromkeys((b"id", b"source", b"account", b"campaign"), _TEXTS),
    b"currency": [b'"USD"', b'"EUX"', b'"eur"'],
    b"leg": [b'"browser"', b"null"],
}
"""Odd values at the edge of what such a key may hold."""

Members = list[tuple[bytes, bytes]]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A fact, with up to three of its members replaced, taken away, said twice or added."""
    kind = draw(st.sampled_from(sorted(SAMPLES)))
    members: Members = [(b"fact", json.dumps(kind).encode())]
    members += [(key.encode(), json.dumps(value).encode()) for key, value in SAMPLES[kind].items()]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        place = draw(st.integers(0, len(members) - 1))
        odd = draw(st.sampled_from(_FITTING.get(members[place][0], ODD_VALUES) if draw(st.booleans()) else ODD_VALUES))
        action = draw(st.sampled_from(["replace", "replace", "replace", "drop", "again", "add"]))
        if action == "replace":
            members[place] = (members[place][0], odd)
        elif action == "drop" and len(members) > 1:
            del members[place]
        elif action == "again":
            members.append((members[place][0], odd))
        elif action == "add":
            members.append((draw(st.sampled_from(KEYS)).encode(), odd))
    if draw(st.booleans()):
        members = draw(st.permutations(members))
    body = b",".join(b'"%s":%s' % member for member in members)
    space = draw(st.sampled_from([b"", b"", b"", b" ", b"\t"]))
    return draw(st.sampled_from([*[b"{%s}%s"] * 12, b"{%s%s", b"[{%s}]%s"])) % (body, space)


def _ask_model(line: bytes) -> Fact | None:
    try:
        return parse(line)
    except MalformedFact:
        return None


def _same(one: Batch, other: Batch) -> None:
    """Equal facts, though the codes of the keys may differ."""
    for name in COLUMNS:
        if name != "key":
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert _keys(one) == _keys(other)
    assert one.rare == other.rare


def _keys(batch: Batch) -> list[Key | None]:
    return [None if code < 0 else batch.keys.rows[code] for code in batch.key.tolist()]


def _values_of(fact: Fact) -> dict[str, int]:
    count = getattr(fact, "count", None)
    clicked_at = getattr(fact, "clicked_at", None)
    common = isinstance(fact, facts.Delivery | facts.Conversion)
    known_at = getattr(fact, "known_at", None)
    return {
        "at_ms": fact.at,
        "known_at_ms": fact.at if known_at is None else known_at,
        "cost_micros": fact.cost_micros if isinstance(fact, facts.Delivery) else 0,
        "value_micros": fact.value_micros if isinstance(fact, facts.Conversion) else 0,
        "impressions": round(fact.impressions * 1_000_000) if isinstance(fact, facts.Delivery) else 0,
        "clicks": round(fact.clicks * 1_000_000) if isinstance(fact, facts.Delivery) else 0,
        "conversions": round((count or 0) * 1_000_000) if common else 0,
        "lag_ms": -1 if clicked_at is None or clicked_at > fact.at else fact.at - clicked_at,
    }


@settings(max_examples=1000, deadline=None)
@given(line=lines())
def test_the_fast_road_and_the_models_accept_the_same_and_read_the_same(line: bytes) -> None:
    model = _ask_model(line)
    decoded = Decoder(few_lines=0).decode([line])
    alone = Decoder().decode([line])
    _same(alone.batch, decoded.batch)
    assert alone.rejects == decoded.rejects
    assert len(decoded.batch) == (model is not None)
    assert len(decoded.rejects) == (model is None)
    if model is None:
        return
    batch = decoded.batch
    assert batch.kind[0] == Kind[model.fact.upper()]
    assert {name: int(getattr(batch, name)[0]) for name in _values_of(model)} == _values_of(model)
    key = _keys(batch)[0]
    for part in ("account", "source", "campaign", "currency", "leg"):
        if key is not None and part != "campaign":
            assert getattr(key, part) == getattr(model, part, None)
    assert (batch.id_hash[0] != 0) == hasattr(model, "id")
    assert batch.rare == ({0: model} if isinstance(model, facts.Rare) else {})


@settings(max_examples=100, deadline=None)
@given(
    some=st.lists(st.one_of(lines(), st.sampled_from([b"", b"  ", b"\r"])), max_size=30),
    cuts=st.lists(st.integers(0, 30), max_size=4),
)
def test_lines_give_the_same_facts_however_they_are_cut_up(some: list[bytes], cuts: list[int]) -> None:
    some = [line.replace(b"\n", b" ") for line in some]
    whole = Decoder().decode(some)
    block = Decoder().decode_block(b"\n".join(some))
    _same(block.batch, whole.batch)
    assert block.line_of.tolist() == whole.line_of.tolist()
    assert block.rejects == whole.rejects
    one_by_one = Decoder(few_lines=0)
    _in_order(whole, [one_by_one.decode([line]) for line in some])
    edges = [0, *sorted(min(cut, len(some)) for cut in cuts), len(some)]
    pieces = Decoder()
    _in_order(whole, [pieces.decode(some[a:b]) for a, b in itertools.pairwise(edges)])


def _in_order(whole: Decoded, parts: list[Decoded]) -> None:
    for name in COLUMNS:
        if name != "key":
            joined = [value for part in parts for value in getattr(part.batch, name).tolist()]
            assert joined == getattr(whole.batch, name).tolist(), name
    assert [key for part in parts for key in _keys(part.batch)] == _keys(whole.batch)
    said = [(reject.reason, reject.detail) for part in parts for reject in part.rejects]
    assert said == [(reject.reason, reject.detail) for reject in whole.rejects]


@settings(max_examples=300, deadline=None)
@given(line=lines())
def test_an_encoded_fact_is_read_as_the_same_fact(line: bytes) -> None:
    fact = _ask_model(line)
    if fact is not None:
        assert parse(encode(fact)) == fact
        assert encode(fact).endswith(b"\n")
        assert encode(fact).count(b"\n") == 1


def _line(kind: str, **change: Any) -> bytes:
    members = {"fact": kind, **SAMPLES[kind], **change}
    return json.dumps({key: value for key, value in members.items() if value is not None}).encode()


@pytest.mark.parametrize(
    ("line", "reason", "key"),
    [
        (b"{", Reason.BROKEN_JSON, None),
        (b'{"fact":"tick","at":1767571200000,"x_a":NaN}', Reason.BROKEN_JSON, None),
        (b"[" * 200_000, Reason.BROKEN_JSON, None),
        (b"[1]", Reason.NOT_AN_OBJECT, None),
        (b'{"fact":"click"}', Reason.UNKNOWN_KIND, "fact"),
        (b'{"at":5}', Reason.MISSING_KEY, "fact"),
        (_line("delivery", campaign=None), Reason.MISSING_KEY, "campaign"),
        (_line("delivery", costs=1), Reason.UNKNOWN_KEY, "costs"),
        (_line("delivery", cost_micros="1"), Reason.WRONG_TYPE, "cost_micros"),
        (_line("delivery", cost_micros=1.0), Reason.WRONG_TYPE, "cost_micros"),
        (_line("delivery", cost_micros=-1), Reason.OUT_OF_RANGE, "cost_micros"),
        (_line("conversion", value_micros=10**15 + 1), Reason.OUT_OF_RANGE, "value_micros"),
        (_line("conversion", leg="fax"), Reason.NOT_ALLOWED, "leg"),
        (_line("conversion", currency="EUX"), Reason.UNKNOWN_CURRENCY, "currency"),
        (_line("delivery", currency="eur"), Reason.UNKNOWN_CURRENCY, "currency"),
        (_line("delivery", at="2026-01-05T00:00:00"), Reason.BAD_TIME, "at"),
        (_line("delivery", at="2260-01-05T00:00:00Z"), Reason.BAD_TIME, "at"),
        (_line("conversion", clicked_at=5), Reason.BAD_TIME, "clicked_at"),
        (_line("delivery", account="x" * 513), Reason.TOO_LONG, "account"),
        (_line("delivery", account=""), Reason.EMPTY, "account"),
        (_line("snapshot", time_zone="Mars/Base"), Reason.NOT_ALLOWED, "time_zone"),
        (_line("snapshot", time_zone="../../etc/passwd"), Reason.NOT_ALLOWED, "time_zone"),
    ],
)
def test_a_refusal_names_reason_and_key(line: bytes, reason: Reason, key: str | None) -> None:
    with pytest.raises(MalformedFact) as caught:
        parse(line)
    assert (caught.value.reason, caught.value.key) == (reason, key)
    reject = Decoder().decode([_line("tick"), line]).rejects[0]
    assert (reject.line, reject.reason, reject.raw) == (1, reason, line[:KEPT_RAW_BYTES])
    assert key is None or reject.detail.startswith(f"{key}: ")


def test_a_line_beyond_the_limit_is_refused_and_the_next_one_read() -> None:
    long = _line("change", what="x" * 500, x_blob="y" * 10_000_000)
    decoded = Decoder().decode_block(long + b"\n" + _line("tick") + b"\n")
    assert [(reject.line, reject.reason) for reject in decoded.rejects] == [(0, Reason.TOO_LONG)]
    assert len(decoded.rejects[0].raw) == KEPT_RAW_BYTES
    assert decoded.line_of.tolist() == [1]


def test_two_facts_on_one_line_are_refused_even_where_a_blank_line_makes_the_numbers_meet() -> None:
    tick = _line("tick")
    decoded = Decoder().decode_block(tick + tick + b"\n\n")
    assert len(decoded.batch) == 0
    assert [(reject.line, reject.reason) for reject in decoded.rejects] == [(0, Reason.BROKEN_JSON)]


def test_one_fact_over_several_lines_is_one_message_but_no_ndjson() -> None:
    message = json.dumps({"fact": "tick", "at": AT}, indent=2).encode()
    assert len(Decoder().decode([message]).batch) == 1
    assert len(Decoder().decode_block(message).rejects) == message.count(b"\n") + 1


def test_equal_ids_meet_only_within_a_source_of_an_account_and_a_kind() -> None:
    def hash_of(kind: str, **change: Any) -> int:
        return int(Decoder().decode([_line(kind, **change)]).batch.id_hash[0])

    same = hash_of("conversion")
    assert same == hash_of("conversion", leg="browser", at=AT + 1, value_micros=1, campaign="other")
    others = [hash_of("conversion", **change) for change in ({"account": "b"}, {"source": "tiktok"}, {"id": "2"})]
    assert len({same, *others, hash_of("delivery")}) == 5


def test_the_table_of_keys_lives_as_long_as_the_decoder_and_can_be_shared() -> None:
    keys = Keys()
    first, second = Decoder(keys), Decoder(keys)
    a = first.decode([_line("delivery")]).batch
    b = second.decode([_line("watermark"), _line("delivery")]).batch
    assert a.keys is b.keys is keys
    assert a.key[0] == b.key[1] != b.key[0]


def test_a_conversion_without_a_count_is_one() -> None:
    assert Decoder().decode([_line("conversion", count=None)]).batch.conversions.tolist() == [1_000_000]


def test_many_chunks_keep_lines_rejects_and_rare_facts_in_place() -> None:
    some = [_line("delivery", id=str(i)) for i in range(4000)]
    some[1700] = b"broken"
    some[3200] = _line("state")
    some[10] = b""
    for decoded in (Decoder().decode(some), Decoder().decode_block(b"\n".join(some))):
        assert decoded.line_of.tolist() == [i for i in range(4000) if i not in (10, 1700)]
        assert [reject.line for reject in decoded.rejects] == [1700]
        assert list(decoded.batch.rare) == [3198]
        assert decoded.batch.kind[3198] == Kind.STATE
