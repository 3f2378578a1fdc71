from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.csv_cells import Clock, Wall, count_millionths, epoch_ms, hour, is_nothing, money_micros, number
from events.csv_mapping import Numbers

POINT, COMMA = Numbers(), Numbers(decimal=",", thousands=".")
SPACE, SWISS = Numbers(decimal=",", thousands=" "), Numbers(decimal=".", thousands="'")

READ = [
    ("1,234.56", POINT, "1234.56"),
    ("$1,234,567", POINT, "1234567"),
    ("US$ 5", POINT, "5"),
    ("12.5 %", POINT, "0.125"),
    ("(3.50)", POINT, "-3.50"),
    ("-0", POINT, "0"),
    (".5", POINT, "0.5"),
    ("1e-3", POINT, "0.001"),
    ("€1.234,56", COMMA, "1234.56"),
    ("1.234 €", COMMA, "1234"),
    ("1\u202f234,5 EUR", SPACE, "1234.5"),
    ("1\u00a0234\u00a0567 kr", SPACE, "1234567"),
    ("CHF 1'234.50", SWISS, "1234.50"),
    ("1’234.50", SWISS, "1234.50"),
]


@pytest.mark.parametrize(("cell", "numbers", "value"), READ)
def test_a_number_is_read_as_it_is_written_there(cell: str, numbers: Numbers, value: str) -> None:
    assert number(cell, numbers) == Decimal(value)


@pytest.mark.parametrize(
    ("cell", "numbers"),
    [("1,5", POINT), ("1.5", COMMA), ("1,23,456", POINT), ("1.234.5", COMMA), ("abc", POINT), ("", POINT),
     ("1 2", POINT), ("NaN", POINT), ("inf", POINT), ("1.2.3", POINT), ("--1", POINT), ("٣", Numbers(thousands=""))],
)  # fmt: skip
def test_a_number_that_is_written_another_way_is_refused(cell: str, numbers: Numbers) -> None:
    with pytest.raises(ValueError, match="is no number"):
        number(cell, numbers)


@given(st.integers(0, 10**15), st.sampled_from([POINT, COMMA, SPACE, SWISS]))
def test_money_written_with_all_its_digits_is_read_to_the_micro(micros: int, numbers: Numbers) -> None:
    whole, rest = divmod(micros, 1_000_000)
    grouped = f"{whole:,}".replace(",", numbers.thousands)
    assert money_micros(f"{grouped}{numbers.decimal}{rest:06d} €", numbers) == (micros, False)


def test_money_finer_than_a_micro_is_rounded_and_said_to_be() -> None:
    assert money_micros("0.1234565", POINT) == (123456, True)
    assert money_micros("12", Numbers(money="micros")) == (12, False)
    assert count_millionths("0.3333333", POINT) == (333333, True)


@pytest.mark.parametrize(
    ("cell", "value"), [("0", 0), ("07", 7), ("23:00", 23), ("9 - 10", 9), ("12 PM", 12), ("1 a.m.", 1)]
)
def test_an_hour_is_read(cell: str, value: int) -> None:
    assert hour(cell) == value


@pytest.mark.parametrize("cell", ["24", "", "noon", "-1"])
def test_what_is_no_hour_is_refused(cell: str) -> None:
    with pytest.raises(ValueError, match="is no hour"):
        hour(cell)


def test_dashes_and_blanks_are_nothing_but_zero_is_something() -> None:
    assert [is_nothing(cell) for cell in ("", " -- ", "—", "N/A", "0", "0.00")] == [True] * 4 + [False] * 2


FORMS = [
    ("2026-01-05T13:00:00Z", (), "2026-01-05T13:00:00+00:00"),
    ("2026-01-05 13:00:00 +0100", (), "2026-01-05T12:00:00+00:00"),
    ("2026-01-05 13:00:00 UTC", (), "2026-01-05T13:00:00+00:00"),
    ("20260105", (), "2026-01-04T23:00:00+00:00"),
    ("2026-01-05|7", (), "2026-01-05T06:00:00+00:00"),
    ("1/5/2026 12:00:00 AM|7", ("%m/%d/%Y %I:%M:%S %p",), "2026-01-05T06:00:00+00:00"),
    ("05.01.2026", ("%Y-%m-%d", "%d.%m.%Y"), "2026-01-04T23:00:00+00:00"),
    ("2026010507", ("%Y%m%d%H",), "2026-01-05T06:00:00+00:00"),
]


@pytest.mark.parametrize(("cell", "forms", "moment"), FORMS)
def test_a_time_is_read_in_its_zone(cell: str, forms: tuple[str, ...], moment: str) -> None:
    assert Clock("Europe/Berlin", forms).read(cell, None).at_ms == epoch_ms(datetime.fromisoformat(moment))


zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"])


@given(
    st.datetimes(datetime.fromisoformat("2001-01-01"), datetime.fromisoformat("2037-01-01")),
    zones,
    st.sampled_from([0, 1]),
)
def test_a_local_time_and_back_is_the_same_unless_it_never_was(written: datetime, zone: str, fold: int) -> None:
    written = written.replace(microsecond=0)
    moment = Clock(zone, fold=fold).moment(written)
    back = datetime.fromtimestamp(moment.at_ms / 1000, UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    assert (back == written) == (moment.wall is not Wall.MISSING)


def test_the_two_hours_of_a_repeated_time_are_an_hour_apart() -> None:
    at = [Clock("Europe/Berlin", fold=fold).read("2026-10-25 02:30", None) for fold in (0, 1)]
    assert at[1].at_ms - at[0].at_ms == 3_600_000
    assert {one.wall for one in at} == {Wall.AMBIGUOUS}
