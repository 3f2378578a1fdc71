from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.csv_import import import_csv
from events.csv_mapping import FileShape, ImportFault, Mapping
from events.csv_proposal import propose
from events.csv_table import Row, delimiters, is_total, locate, read_table, read_text, split

TEXT = "Day;Kampagne;Kosten\n2026-01-01;Größe;1,5\n"
BY: dict[str, Any] = {
    "granularity": "day",
    "time_zone": "UTC",
    "columns": {"time": "Day", "campaign": "Kampagne", "cost": "Kosten"},
    "constants": {"account": "a", "source": "s", "currency": "EUR"},
    "numbers": {"decimal": ",", "thousands": "."},
}
ENCODINGS = [
    ("utf-8", "utf-8"),
    ("utf-8-sig", "utf-8-sig"),
    ("utf-16", "utf-16"),
    ("utf-16-le", "utf-16-le"),
    ("cp1252", "cp1252"),
]


@pytest.mark.parametrize(("written", "found"), ENCODINGS)
def test_an_encoding_is_found_out(tmp_path: Path, written: str, found: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode(written))
    assert read_text(path) == (TEXT, found)


def test_an_encoding_that_is_said_is_taken_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(TEXT.encode("cp1250", "replace"))
    assert read_text(path, "cp1250")[1] == "cp1250"
    with pytest.raises(ImportFault, match="is not text in ascii"):
        read_text(path, "ascii")
    with pytest.raises(ImportFault, match=r"file\.encoding: 'klingon' is no encoding"):
        read_text(path, "klingon")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_out_below_a_preamble(delimiter: str) -> None:
    quoted = [delimiter.join((f'"{n},{n}"', f'"{n};{n}"', "x")) for n in range(5)]
    assert delimiters("\n".join(["Report of 1 January", "", *quoted]))[0] == delimiter


def test_a_delimiter_that_looks_likelier_gives_way_to_the_one_that_shows_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("All, really all, accounts\n" * 9 + "Day;Kampagne;Kosten\n2026-01-01;a,b;1,5\n")
    assert read_table(path, Mapping.model_validate(BY)).delimiter == ";"
    assert "campaign: Kampagne" in propose(path).text


def test_a_delimiter_of_two_signs_is_refused() -> None:
    with pytest.raises(ImportFault, match=r"file\.delimiter: '::' is not one sign"):
        list(split("a::b", "::", "a.csv"))


def test_columns_are_found_without_regard_to_case_space_and_byte_order_mark() -> None:
    header = ("\ufeff Day ", "AMOUNT  spent (EUR)", "Cost", "cost")
    wanted = {"time": ("day",), "cost": ("Spend", "Amount spent (*)"), "value": ("cost",), "clicks": ("Clicks",)}
    assert locate(header, wanted) == {"time": 0, "cost": 1, "value": 2}


@pytest.mark.parametrize(
    ("cell", "total"),
    [("Total", True), ("Total: Account", True), ("Grand total", True), ("Results from 3 campaigns", True),
     ("Summe", True), ("Total Recall", False), ("Totally", False), ("", False), ("A total", False)],
)  # fmt: skip
def test_sums_of_other_rows_are_told_from_campaigns(cell: str, total: bool) -> None:
    assert is_total(Row(1, ("2026-01-01", cell)), FileShape()) is total


def test_a_column_to_filter_by_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(TEXT)
    with pytest.raises(ImportFault, match=r"a\.csv:1: where: there is no column 'Status'"):
        read_table(path, Mapping.model_validate(BY | {"where": {"Status": ["paid"]}}))


cells = st.sampled_from(
    ["Day", "Kampagne", "Kosten", "2026-01-01", "1,5", "x", "", '"', "\x00", "\r", "Total", "9" * 40, "-"]
)
tables = st.lists(st.lists(cells, max_size=5).map(";".join), max_size=8).map(lambda rows: "\n".join(rows).encode())


@given(st.one_of(tables, st.binary(max_size=60), st.text(max_size=60).map(lambda text: TEXT.encode() + text.encode())))
@example(b"Day;Kampagne;Kosten\n0001-01-01;a;1\n9999-12-31;a;1\n")
@example(b"Day;Kampagne;Kosten\n2026-01-01;\xed\xa0\x80;1\n")
@settings(max_examples=300, deadline=None)
def test_whatever_a_file_holds_the_answer_is_facts_or_a_fault_that_names_it(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(data)
    for task in (lambda: import_csv([path], Mapping.model_validate(BY), io.BytesIO()), lambda: propose(path)):
        assert "any.csv" in (_fault(task) or "any.csv")


def _fault(task: Callable[[], object]) -> str | None:
    try:
        task()
    except ImportFault as fault:
        return str(fault)
    return None
