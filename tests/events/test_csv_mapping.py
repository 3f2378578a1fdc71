from __future__ import annotations

from pathlib import Path

import pytest

from events.csv_mapping import MappingError, load_mapping, parse_mapping

GOOD = """
granularity: day
time_zone: Europe/Berlin
columns: {time: Day, campaign: Campaign, cost: Cost}
constants: {account: acme, source: google, currency: EUR}
"""


def test_a_short_mapping_is_enough() -> None:
    mapping = parse_mapping(GOOD, "m.yml")
    assert (mapping.shape, mapping.columns.cost, mapping.numbers.decimal) == ("wide", ("Cost",), ".")


WRONG = [
    ("granularity: day", "granularity: week", "granularity: Input should be 'day'"),
    ("Europe/Berlin", "Europe/Atlantis", "time_zone: 'Europe/Atlantis' is no IANA time zone"),
    ("Europe/Berlin", "../../etc/passwd", "time_zone: .* is no IANA time zone"),
    ("Europe/Berlin", '"?"', r"time_zone: .* is no IANA time zone"),
    ("cost: Cost", "costs: Cost", "columns.costs: Extra inputs are not permitted"),
    ("cost: Cost", "cost: '?'", r"columns.cost: still says '\?'"),
    ("cost: Cost", "cost: []", "columns.cost: names no column"),
    (", cost: Cost", "", "none of cost, impressions, clicks, conversions, value is mapped"),
    ("account: acme, ", "", "neither columns.account nor constants.account says the account"),
    ("campaign: Campaign, ", "", "neither columns.campaign nor constants.campaign says the campaign"),
    ("currency: EUR", "currency: Euro", "constants.currency: String should match"),
    ("granularity: day", "granularity: day\nshape: long", "shape long needs columns.metric"),
    ("granularity: day", "granularity: day\noptional: [time]", "optional: 'time' is no column that may be missing"),
    ("granularity: day", "granularity: day\nnumbers: {decimal: ','}", "numbers: decimal and thousands are the same"),
    ("granularity: day", "granularity: day\ntime_formats: ['%d%d']", "time_formats.0: '%d%d' is no form"),
    ("granularity: day", "granularity: [", "is not YAML"),
    (GOOD, "just text", "valid dictionary"),
]


@pytest.mark.parametrize(("old", "new", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_what_is_wrong_is_named_by_file_and_key(old: str, new: str, said: str) -> None:
    with pytest.raises(MappingError, match=f"^m.yml: .*{said}"):
        parse_mapping(GOOD.replace(old, new), "m.yml")


def test_events_that_count_conversions_need_a_name_for_them() -> None:
    text = GOOD.replace("day", "event").replace("cost: Cost", "value: Total")
    with pytest.raises(MappingError, match="says the name"):
        parse_mapping(text, "m.yml")
    assert parse_mapping(text.replace("EUR", "EUR, name: lead"), "m.yml").constants.name == "lead"


def test_a_mapping_that_is_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "a.yml", tmp_path / "b.yml", tmp_path):
        with pytest.raises(MappingError, match=str(path)):
            load_mapping(path)
