"""The compiled road: that usual lines take it, and that it reads numbers, times and texts as the models do."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Batch, Keys, Kind
from events.codec import Decoder
from events.columns import Coder
from events.errors import MalformedFact
from events.facts import EARLIEST_MS, LATEST_MS, Delivery, parse
from events.ids import hash_ids
from events.plain import Lines, PlainReader
from events.words import PADDING, hash_of

AT = 1_767_571_200_000
DELIVERY: dict[str, Any] = {
    "fact": "delivery", "id": "d-1", "at": AT, "source": "meta", "account": "acme", "campaign": "Brand | Exact",
    "currency": "EUR", "cost_micros": 1_250_000, "impressions": 310, "clicks": 4,
}  # fmt: skip
CONVERSION: dict[str, Any] = {
    "fact": "conversion", "id": "c-1", "at": AT, "source": "meta", "account": "acme", "name": "purchase",
    "currency": "EUR", "value_micros": 49_900_000, "campaign": "Brand | Exact", "leg": "server",
}  # fmt: skip


def _read(lines: list[bytes]) -> tuple[Batch, list[bool]]:
    keys = Keys()
    ends = np.cumsum([len(line) + 1 for line in lines]) - 1
    starts = ends - [len(line) for line in lines]
    batch, plain = PlainReader(keys, Coder(keys).code).read(Lines(b"\n".join(lines), starts, ends))
    return batch, plain.tolist()


def _is_plain(line: bytes) -> bool:
    return _read([line])[1][0]


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(DELIVERY).encode(),
        json.dumps(DELIVERY, separators=(",", ":")).encode() + b"\r",
        json.dumps({**DELIVERY, "campaign": "Männer – Schuhe 🥾"}, ensure_ascii=False).encode(),
        json.dumps({**DELIVERY, "at": "2026-01-05T00:00:00.25+01:00", "known_at": "2026-01-05T00:00:01Z"}).encode(),
        json.dumps({**DELIVERY, "known_at": None, "device": None, "impressions": 0.5, "x_mine": "a", "x_": 7}).encode(),
        json.dumps({**CONVERSION, "count": 0.25, "clicked_at": AT - 1, "order_id": "7", "country": "DE"}).encode(),
        json.dumps({**CONVERSION, "campaign": None, "leg": None, "clicked_at": None}).encode(),
        json.dumps({"fact": "watermark", "at": AT, "source": "meta", "account": "acme"}).encode(),
        b'\t{ "at" : 1767571200000 , "fact" : "tick" } ',
    ],
)
def test_lines_as_producers_write_them_are_plain(line: bytes) -> None:
    assert _is_plain(line)
    decoded = Decoder(few_lines=0).decode([line])
    assert (len(decoded.batch), decoded.rejects) == (1, [])


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"{}", b"[]", b'{"fact":"tick","at":1767571200000', b'{"fact":"tick","at":1767571200000}}',
        b'{"fact":"tick","at":1767571200000,}', b'{"fact":"tick" "at":1767571200000}', b'{"fact":"tick","at":}',
        b'{"fact":"tick","fact":"tick","at":1767571200000}', b'{"fact":"tick","at":01767571200000}',
        b'{"fact":"tick","at":1767571200000,"leg":null}', b'{"fact":"tick","at":null}', b'{"fact":"tick","at":"',
        json.dumps({**DELIVERY, "currency": "EUX"}).encode(), json.dumps({**CONVERSION, "leg": "fax"}).encode(),
        json.dumps({**DELIVERY, "campaign": 'a "b"'}).encode(), json.dumps({**DELIVERY, "campaign": "ä"}).encode(),
        json.dumps({**DELIVERY, "campaign": "a\tb"}, ensure_ascii=False).encode().replace(b"\\t", b"\t"),
        json.dumps(DELIVERY).encode().replace(b"Brand", b"Br\xffand"),
    ],
)  # fmt: skip
def test_other_lines_are_left_to_the_slower_roads(line: bytes) -> None:
    assert not _is_plain(line)
    # neighbours are read none the worse
    plain = json.dumps(DELIVERY).encode()
    assert _read([plain, line, plain])[1] == [True, False, True]


_numbers = st.one_of(
    st.decimals(0, 10**9, places=6, allow_nan=False, allow_infinity=False).map(str),
    st.from_regex(r"\A[0-9]{1,12}(\.[0-9]{1,12})?\Z"),
    st.floats(0, 10**9).map(repr),
)


@settings(max_examples=500, deadline=None)
@given(text=_numbers)
def test_a_count_is_the_double_nearest_to_it_in_millionths(text: str) -> None:
    line = json.dumps({**DELIVERY, "clicks": "?"}).replace('"?"', text).encode()
    batch, plain = _read([line])
    if plain[0]:
        fact = parse(line)
        assert isinstance(fact, Delivery)
        assert batch.clicks[0] == round(fact.clicks * 1_000_000)
    elif "e" not in text and len(text) <= 15:
        with pytest.raises(MalformedFact):
            parse(line)


_moments = st.datetimes(datetime.fromisoformat("1999-12-30"), datetime.fromisoformat("2100-01-03"))
_zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@settings(max_examples=500, deadline=None)
@given(moment=_moments, zone=_zones, spec=st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_a_time_is_read_to_the_millisecond(moment: datetime, zone: timezone, spec: str) -> None:
    aware = moment.replace(tzinfo=zone)
    line = json.dumps({"fact": "tick", "at": aware.isoformat(timespec=spec)}).encode()
    batch, plain = _read([line])
    at_ms = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    if spec == "seconds":
        at_ms -= at_ms % 1000
    if plain[0]:
        assert batch.at_ms[0] == at_ms
    else:
        assert not EARLIEST_MS <= at_ms <= LATEST_MS or moment.year not in range(2000, 2100)


@settings(max_examples=300, deadline=None)
@given(cut=st.integers(0, 300), other=st.integers(0, 300))
def test_a_line_that_was_cut_off_does_not_run_into_the_next(cut: int, other: int) -> None:
    whole = json.dumps({**DELIVERY, "known_at": "2026-01-05T00:00:00Z", "device": None}).encode()
    lines = [whole[:cut], whole[other:], whole]
    assert _read(lines)[1] == [cut >= len(whole), other == 0, True]


@settings(max_examples=200, deadline=None)
@given(ids=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=20))
def test_the_hash_of_an_id_depends_on_its_bytes_alone(ids: list[str]) -> None:
    texts = [each.encode("utf-8", "surrogatepass") for each in ids if each.isprintable()]
    if not texts:
        return
    hashes = hash_ids([text.decode() for text in texts])
    for text, hashed in zip(texts, hashes.tolist(), strict=True):
        array = np.frombuffer(b"x" * 5 + text + b"yz" + PADDING, np.uint8)
        assert int(hash_of(array, 5, 5 + len(text))) == hashed
    assert len(set(hashes.tolist())) == len(set(texts))


def test_thousands_of_keys_are_told_apart() -> None:
    lines = [json.dumps({**DELIVERY, "campaign": f"campaign {i}", "id": str(i)}).encode() for i in range(5000)]
    decoder = Decoder()
    for _ in range(2):
        batch = decoder.decode(lines).batch
        assert [batch.keys.rows[code].campaign for code in batch.key.tolist()] == [f"campaign {i}" for i in range(5000)]
    assert len(batch.keys) == 5000
    assert set(batch.kind.tolist()) == {Kind.DELIVERY}


def test_thousands_of_lines_with_keys_that_are_not_allowed_hide_no_good_one() -> None:
    foreign = [json.dumps({**DELIVERY, "campaign": f"c{n}", "currency": "EUX"}).encode() for n in range(3000)]
    plain = [json.dumps({**DELIVERY, "campaign": f"d{n}"}).encode() for n in range(3000)]
    assert _read([*foreign, *plain, *foreign])[1] == [False] * 3000 + [True] * 3000 + [False] * 3000
