"""Facts as Parquet are the same facts as NDJSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.batch import Key, Keys
from events.codec import Decoded, Decoder, Reject
from events.errors import ForeignTable
from events.parquet import read, write
from events.simulator import World, simulate

AT = 1_767_571_200_000
COLUMNS = ("kind", "at_ms", "known_at_ms", "id_hash", "cost_micros", "impressions", "clicks", "conversions",
           "value_micros", "lag_ms")  # fmt: skip

_text = st.sampled_from(["a", "ä|b", "x" * 512, "c"])
_at = st.integers(AT, AT + 10**9)
_micros = st.integers(0, 10**15)
_count = st.one_of(st.integers(0, 10**9), st.floats(0, 10**9, allow_nan=False))
_currency = st.sampled_from(["EUR", "USD"])
_leg = st.sampled_from(["browser", "server", "backend", "platform"])


def _fact(kind: str, required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"fact": st.just(kind), "at": _at, **required}, optional=optional or {})


_common = {"source": _text, "account": _text, "currency": _currency}
_later = {"known_at": _at, "device": _text, "country": _text, "ad_group": _text}
_delivery = _fact(
    "delivery",
    {**_common, "id": _text, "campaign": _text, "cost_micros": _micros, "impressions": _count, "clicks": _count},
    _later,
)
_conversion = _fact(
    "conversion",
    {**_common, "id": _text, "name": _text, "value_micros": _micros},
    {**_later, "campaign": _text, "count": _count, "clicked_at": _at, "leg": _leg, "order_id": _text},
)
_watermark = _fact("watermark", {"source": _text, "account": _text})
_tick = _fact("tick", {})
_metric = _fact("metric", {"account": _text, "series": _text, "value": st.floats(-5, 5)}, {"x_mine": _text})
_snapshot = _fact(
    "snapshot",
    {**_common, "campaign": _text, "bucket": st.just("hour"), "revision": st.integers(0, 9)},
    {"known_at": _at, "conversions": _count},
)
_plain_kinds = st.one_of(_delivery, _conversion, _watermark, _tick)
_all_kinds = st.one_of(_plain_kinds, _metric, _snapshot)


def _lines(some: list[Any]) -> list[bytes]:
    return [msgspec.json.encode(fact, order="sorted") for fact in some]


def _flat(parts: list[Decoded]) -> dict[str, list[Any]]:
    """The facts of several batches as plain lists."""
    flat: dict[str, list[Any]] = {name: [] for name in (*COLUMNS, "keys", "rare", "line_of", "rejects")}
    for part in parts:
        for name in COLUMNS:
            flat[name] += getattr(part.batch, name).tolist()
        flat["rare"] += [(len(flat["keys"]) + row, fact) for row, fact in sorted(part.batch.rare.items())]
        flat["keys"] += _keys(part)
        flat["line_of"] += part.line_of.tolist()
        flat["rejects"] += [(reject.line, reject.reason, reject.detail) for reject in part.rejects]
    return flat


def _keys(decoded: Decoded) -> list[Key | None]:
    return [None if code < 0 else decoded.batch.keys.rows[code] for code in decoded.batch.key.tolist()]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(_all_kinds, max_size=40), group=st.integers(1, 50), rows=st.integers(1, 50))
def test_what_is_written_is_read_as_the_ndjson_is(tmp_path: Path, some: list[Any], group: int, rows: int) -> None:
    path = tmp_path / "facts.parquet"
    lines = _lines(some)
    assert write(path, lines, rows_per_group=group).facts == len(lines)
    assert _flat(list(read(path, rows_per_batch=rows))) == _flat([Decoder().decode(lines)])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(_plain_kinds, min_size=1, max_size=40), rows=st.integers(1, 50))
def test_a_file_of_another_hand_is_read_as_the_ndjson_is(tmp_path: Path, some: list[Any], rows: int) -> None:
    path = tmp_path / "foreign.parquet"
    _write_foreign(path, some)
    assert _flat(list(read(path, rows_per_batch=rows))) == _flat([Decoder().decode(_lines(some))])


_DAMAGE = st.sampled_from(
    [("cost_micros", -1), ("cost_micros", None), ("impressions", 2e9), ("clicks", -0.5), ("account", ""),
     ("account", "x" * 513), ("currency", "EUX"), ("at", 5), ("known_at", 5), ("id", ""), ("device", ""),
     ("name", "purchase"), ("leg", "fax"), ("fact", "click"), ("fact", None), ("count", 2.0), ("value_micros", 3)]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(some=st.lists(_all_kinds, min_size=1, max_size=20), damage=st.lists(_DAMAGE, max_size=3), data=st.data())
def test_odd_rows_of_another_hand_get_the_verdict_of_the_ndjson(
    tmp_path: Path, some: list[Any], damage: list[tuple[str, Any]], data: st.DataObject
) -> None:
    path = tmp_path / "foreign.parquet"
    some = [{key: value for key, value in fact.items() if key != "x_mine"} for fact in some]
    for key, value in damage:
        some[data.draw(st.integers(0, len(some) - 1))][key] = value
    some = [{key: value for key, value in fact.items() if value is not None} for fact in some]
    _write_foreign(path, [dict(fact) for fact in some])
    assert _flat(list(read(path))) == _flat([Decoder().decode(_lines(some))])


def test_what_is_no_number_is_no_count(tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    fact = {"fact": "conversion", "id": "1", "at": AT, "source": "meta", "account": "a", "name": "purchase",
            "currency": "EUR", "value_micros": 1}  # fmt: skip
    _write_foreign(path, [{**fact, "count": count} for count in (1.0, float("nan"), float("inf"))])
    (decoded,) = read(path)
    assert decoded.line_of.tolist() == [0]
    assert [(reject.line, reject.reason) for reject in decoded.rejects] == [(1, "wrong_type"), (2, "wrong_type")]


_TYPES = {
    "at": pa.timestamp("us", "Europe/Berlin"),
    **dict.fromkeys(("known_at", "clicked_at", "cost_micros", "value_micros", "revision"), pa.int64()),
    **dict.fromkeys(("impressions", "clicks", "count", "conversions", "value"), pa.float64()),
}


def _write_foreign(path: Path, some: list[dict[str, Any]]) -> None:
    names = sorted({"fact", "at"}.union(*some))
    columns = {}
    for name in names:
        values = [fact.get(name) for fact in some]
        if name == "at":
            values = [None if value is None else value * 1000 for value in values]
        columns[name] = pa.array(values, _TYPES.get(name, pa.string()))
    pq.write_table(pa.table(columns), path)


def test_a_seeded_history_is_the_same_on_both_roads(tmp_path: Path) -> None:
    lines = list(simulate(World(seed=1, days=3, ticks=True)))
    lines[100:100] = [b"broken", b""]
    written = write(tmp_path / "facts.parquet", lines, rows_per_group=10_000)
    ndjson = Decoder().decode(lines)
    assert written.facts == len(ndjson.batch)
    assert (
        written.rejects
        == ndjson.rejects
        == [Reject(100, "broken_json", "JSON is malformed: invalid character (byte 0)", b"broken")]
    )
    told, wanted = _flat(list(read(tmp_path / "facts.parquet", rows_per_batch=7_000))), _flat([ndjson])
    for name in (*COLUMNS, "keys", "rare"):
        assert told[name] == wanted[name], name
    assert told["line_of"] == list(range(len(lines) - 2))


def test_batches_of_several_files_share_the_keys_they_are_given(tmp_path: Path) -> None:
    keys = Keys()
    line = b'{"fact":"watermark","at":1767571200000,"source":"meta","account":"%s"}'
    for name in (b"a", b"b"):
        write(tmp_path / name.decode(), [line % name])
    codes = [int(part.batch.key[0]) for name in "ab" for part in read(tmp_path / name, keys)]
    assert codes == [0, 1]
    assert [key.account for key in keys.rows] == ["a", "b"]


def test_the_stored_hash_is_believed_only_in_a_file_that_bears_our_mark(tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    line = b'{"fact":"delivery","id":"1","at":1767571200000,"source":"meta","account":"a","campaign":"c",'
    write(path, [line + b'"currency":"EUR","cost_micros":1,"impressions":1,"clicks":1}'])
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({}), path)
    with pytest.raises(ForeignTable, match="must be a key of the contract"):
        list(read(path))


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        (pa.table({"fact": ["tick"]}), "column 'at': is missing"),
        (pa.table({"fact": ["tick"], "at": [AT], "cost": [1]}), "column 'cost' of type int64: must be a key"),
        (pa.table({"fact": ["tick"], "at": ["now"]}), "column 'at' of type string: must be integer milli"),
        (pa.table({"fact": ["tick"], "at": pa.array([AT], pa.timestamp("ms"))}), "with a time zone"),
        (pa.table({"fact": ["delivery"], "at": [AT], "cost_micros": [1.5]}), "'cost_micros' of type double"),
    ],
)
def test_columns_that_are_not_the_contracts_are_named(tmp_path: Path, table: pa.Table, complaint: str) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(table, path)
    with pytest.raises(ForeignTable, match=complaint) as caught:
        list(read(path))
    assert str(path) in str(caught.value)


def test_a_column_of_the_senders_own_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"fact": ["tick"], "at": [AT], "x_note": ["hello"]}), path)
    (decoded,) = read(path)
    assert (decoded.batch.at_ms.tolist(), decoded.rejects) == ([AT], [])


def test_a_broken_file_is_the_callers_fault(tmp_path: Path) -> None:
    path = tmp_path / "broken.parquet"
    path.write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(ForeignTable, match=r"broken\.parquet"):
        list(read(path))
    with pytest.raises(FileNotFoundError):
        list(read(tmp_path / "none.parquet"))


def test_an_empty_history_is_an_empty_file(tmp_path: Path) -> None:
    assert write(tmp_path / "empty.parquet", []).facts == 0
    assert sum(len(part.batch) for part in read(tmp_path / "empty.parquet")) == 0


def test_more_combinations_of_names_than_fit_a_table_are_still_told_apart(tmp_path: Path) -> None:
    line = b'{"fact":"delivery","id":"1","at":1767571200000,"source":"s%d","account":"a%d","campaign":"c%d",'
    lines = [
        line % (i % 211, i % 499, i) + b'"currency":"EUR","cost_micros":1,"impressions":1,"clicks":1}'
        for i in range(3000)
    ]
    write(tmp_path / "facts.parquet", lines)
    told = [key for part in read(tmp_path / "facts.parquet") for key in _keys(part)]
    assert told == _keys(Decoder().decode(lines))
    assert len(np.unique([key.campaign for key in told if key is not None])) == 3000
