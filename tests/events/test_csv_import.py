from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.csv_import import ImportReport, import_csv
from events.csv_mapping import ImportFault, Mapping, load_mapping
from events.facts import parse

EXAMPLES = Path(__file__).parents[2] / "examples"
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
MIDNIGHT_MS = 1_767_222_000_000
"""2026-01-01 in Berlin."""

WIDE: dict[str, Any] = {
    "granularity": "day",
    "time_zone": "Europe/Berlin",
    "columns": {"time": "Day", "campaign": "Campaign", "cost": "Cost", "conversions": "Conv.", "value": "Value"},
    "constants": {"account": "acme", "source": "google", "currency": "EUR"},
}


def mapping(**changes: Any) -> Mapping:
    return Mapping.model_validate(WIDE | changes)


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def imported(paths: Path | Sequence[Path], by: Mapping) -> tuple[list[dict[str, Any]], ImportReport]:
    out = io.BytesIO()
    report = import_csv([paths] if isinstance(paths, Path) else paths, by, out)
    lines = out.getvalue().splitlines()
    for line in lines:
        parse(line)
    return [json.loads(line) for line in lines], report


def of_kind(facts: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [fact for fact in facts if fact["fact"] == kind]


def test_a_wide_daily_export_becomes_snapshots_and_watermarks_behind_each_day(tmp_path: Path) -> None:
    text = 'Day,Campaign,Cost,Conv.,Value\n2026-01-02,b,3,1.5,7\n2026-01-01,a,"1,234.56",2,0\n2026-01-01,b,0,--,--\n'
    facts, report = imported(write(tmp_path / "a.csv", text), mapping())
    assert [fact["fact"] for fact in facts] == ["snapshot", "snapshot", "watermark", "snapshot", "watermark"]
    first = facts[0]
    assert (first["at"], first["known_at"], first["cost_micros"]) == (MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, 1_234_560_000)
    assert (first["campaign"], first["conversions"], first["value_micros"], first["revision"]) == ("a", 2, 0, 1)
    assert "conversions" not in facts[1], "a dash says nothing, which is not zero"
    assert facts[2] == {"fact": "watermark", "at": MIDNIGHT_MS + DAY_MS, "source": "google", "account": "acme"}
    assert facts[3]["conversions"] == 1.5
    assert report.facts == {"snapshot": 3, "watermark": 2}
    assert (report.first_ms, report.last_ms) == (MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS)


def test_rows_of_one_bucket_are_added_up_and_rows_repeated_to_the_letter_are_dropped(tmp_path: Path) -> None:
    text = "Day,Campaign,Cost,Conv.,Value,Device\n2026-01-01,a,1,1,2,m\n2026-01-01,a,2,,3,d\n2026-01-01,a,2,,3,d\n"
    facts, report = imported(write(tmp_path / "a.csv", text), mapping())
    assert (facts[0]["cost_micros"], facts[0]["conversions"], facts[0]["value_micros"]) == (3_000_000, 1, 5_000_000)
    assert report.skipped == {"duplicate": 1}


def test_two_exports_pasted_together_are_one(tmp_path: Path) -> None:
    head = "Day,Campaign,Cost,Conv.,Value\n"
    path = write(tmp_path / "a.csv", head + "2026-01-01,a,1,1,1\n\n" + head + "2026-01-02,a,1,1,1\n")
    facts, report = imported(path, mapping())
    assert (len(of_kind(facts, "snapshot")), report.skipped) == (2, {"blank": 1, "header": 1})


def test_a_later_file_replaces_the_buckets_it_speaks_of_again(tmp_path: Path) -> None:
    head = "Day,Campaign,Cost,Conv.,Value\n"
    old = write(tmp_path / "old.csv", head + "2026-01-01,a,1,1,1\n2026-01-02,a,1,1,1\n")
    new = write(tmp_path / "new.csv", head + "2026-01-02,a,5,1,1\n2026-01-03,a,1,1,1\n")
    facts, report = imported([old, new], mapping())
    assert [fact["cost_micros"] for fact in of_kind(facts, "snapshot")] == [1_000_000, 5_000_000, 1_000_000]
    assert report.replaced == 1


def test_a_long_export_is_put_together_by_its_metric_column(tmp_path: Path) -> None:
    text = "Day;Campaign;Metric;Amount\n01.01.2026;a;Kosten;1.234,50 €\n01.01.2026;a;Käufe;3\n01.01.2026;a;CTR;2,5 %\n"
    by = mapping(
        shape="long",
        time_formats=["%d.%m.%Y"],
        columns={"time": "Day", "campaign": "Campaign", "metric": "Metric", "amount": "Amount"},
        metrics={"Kosten": "cost", "Käufe": "conversions"},
        numbers={"decimal": ",", "thousands": "."},
    )
    facts, _ = imported(write(tmp_path / "a.csv", text, "cp1252"), by)
    assert (facts[0]["cost_micros"], facts[0]["conversions"]) == (1_234_500_000, 3)
    assert "value_micros" not in facts[0]


def test_minutes_become_deliveries_and_conversions_known_at_their_end(tmp_path: Path) -> None:
    text = "Day,Campaign,Cost,Conv.,Value\n2026-01-01 00:05,a,2,3,9\n2026-01-01 00:06,a,2,0,0\n"
    constants = WIDE["constants"] | {"name": "purchase"}
    facts, _ = imported(write(tmp_path / "a.csv", text), mapping(granularity="minute", constants=constants))
    kinds = [(fact["fact"], fact["at"] - MIDNIGHT_MS) for fact in facts]
    minute = 60_000
    assert kinds == [
        ("delivery", 5 * minute), ("conversion", 5 * minute), ("watermark", 6 * minute),
        ("delivery", 6 * minute), ("watermark", 7 * minute),
    ]  # fmt: skip
    assert (facts[1]["count"], facts[1]["value_micros"], facts[1]["known_at"]) == (3, 9_000_000, facts[2]["at"])


ORDERS: dict[str, Any] = {
    "granularity": "event",
    "columns": {"time": "At", "id": "Order", "value": "Total", "currency": "Cur"},
    "constants": {"account": "acme", "source": "shop", "name": "purchase"},
}


def test_orders_become_conversions_in_the_order_of_time_and_further_lines_of_an_order_are_left_out(
    tmp_path: Path,
) -> None:
    text = (
        "Order,At,Total,Cur,Article\n#2,2026-01-02 10:00:00 +0100,20.00,EUR,x\n#2,,,,y\n"
        "#1,2026-01-01 10:00:00 +0100,10.00,EUR,x\n"
    )
    facts, report = imported(write(tmp_path / "a.csv", text), mapping(**ORDERS))
    assert [(fact["id"], fact["value_micros"]) for fact in facts] == [("#1", 10_000_000), ("#2", 20_000_000)]
    assert facts[0]["at"] == MIDNIGHT_MS + 10 * HOUR_MS
    assert (report.rejected, report.skipped) == ([], {"repeated id": 1})


def test_events_without_an_id_get_one_from_what_they_say_and_equal_rows_stay_apart(tmp_path: Path) -> None:
    by = mapping(**ORDERS | {"columns": {"time": "At", "value": "Total", "currency": "Cur"}})
    row = "2026-01-01T10:00:00Z,10.00,EUR\n"
    facts, _ = imported(write(tmp_path / "a.csv", "At,Total,Cur\n" + row * 3), by)
    again, _ = imported(write(tmp_path / "b.csv", "At,Total,Cur\n" + row * 3), by)
    assert len({fact["id"] for fact in facts}) == 3
    assert facts == again


def test_an_order_without_a_total_is_rejected_unless_it_may_lack_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Order,At,Total,Cur\n#1,2026-01-01T10:00Z,,EUR\n#2,2026-01-01T11:00Z,1,EUR\n")
    facts, report = imported(path, mapping(**ORDERS))
    assert [str(one) for one in report.rejected] == [f"{path}:2: column 'Total': is blank"]
    facts, report = imported(path, mapping(**ORDERS, optional=["value"]))
    assert ([fact["value_micros"] for fact in facts], report.rejected) == ([0, 1_000_000], [])


def test_the_day_the_clocks_change_has_its_23_or_25_hours(tmp_path: Path) -> None:
    text = "Day,Campaign,Cost,Conv.,Value\n2026-03-29,a,1,1,1\n2026-10-25,a,1,1,1\n2026-11-01,a,1,1,1\n"
    facts, _ = imported(write(tmp_path / "a.csv", text), mapping())
    hours = [(fact["known_at"] - fact["at"]) / HOUR_MS for fact in of_kind(facts, "snapshot")]
    assert hours == [23, 25, 24]


@pytest.mark.parametrize(("ambiguous", "offset_h"), [("earlier", 2), ("later", 1)])
def test_an_hour_that_was_on_the_wall_twice_is_read_as_told_and_counted(
    tmp_path: Path, ambiguous: str, offset_h: int
) -> None:
    text = "Day,Hour,Campaign,Cost,Conv.,Value\n2026-10-25,2,a,1,1,1\n2026-03-29,2,a,1,1,1\n"
    by = mapping(granularity="hour", ambiguous=ambiguous, columns=WIDE["columns"] | {"hour": "Hour"})
    facts, report = imported(write(tmp_path / "a.csv", text), by)
    autumn = of_kind(facts, "snapshot")[1]
    assert autumn["at"] == 1_792_886_400_000 + (2 - offset_h) * HOUR_MS
    assert (report.ambiguous, report.missing) == (1, 1)


GOOGLE = """Campaign report
"January 1, 2026 - January 2, 2026"
Day,Campaign,Campaign state,Currency code,Cost,Impr.,Clicks,Conversions,Conv. value
2026-01-01,Brand | DE,Enabled,EUR,"1,234.56","10,000",120,3.50,700.00
2026-01-02,Brand | DE,Enabled,EUR,0.10,12, --,0.00, --
Total: Campaigns, --, --,EUR,"1,234.66","10,012",120,3.50,700.00
Total: Account, --, --,EUR,"1,234.66","10,012",120,3.50,700.00
"""
META = """Reporting starts,Campaign name,Impressions,Link clicks,Amount spent (USD),Purchases,Purchases conversion value
2026-01-01,Prospecting,1000,10,55.5,2,120
2026-01-01,,1000,10,55.5,2,120
"""
MICROSOFT = """"Report Name: Campaign_Performance"
"Report Time: 1/1/2026"
"Time Zone: (GMT)"
"Rows: 2"

"TimePeriod","AccountName","CampaignName","CurrencyCode","Spend","Impressions","Clicks","Conversions","Revenue"
"2026-01-01|7","Acme","Brand","GBP","12.34","100","5","1","50.00"
"2026-01-01|8","Acme","Brand","GBP","0.00","0","0","0","0.00"

"©2026 Microsoft Corporation. All rights reserved. "
"""
TIKTOK = """Campaign name,By Day,Cost,Impressions,Clicks (destination),Conversions,Currency
Spark,2026-01-01 00:00:00,10.00,100,3,1,EUR
Total of 1 campaign,-,10.00,100,3,1,EUR
Total,-,10.00,100,3,1,EUR
"""
LINKEDIN = """Campaign Performance Report (in UTC)
Report Start: January 1, 2026

Start Date (in UTC)\tAccount Name\tCurrency\tCampaign Name\tTotal Spent\tImpressions\tClicks\tConversions\tLeads
01/02/2026\tAcme\tEUR\tB2B\t99.10\t10\t1\t2\t1
"""
GA4 = """# ----------------------------------------
# Explore: free form
# 20260101-20260102
# ----------------------------------------
Session campaign,Date,Ads cost,Ecommerce purchases,Purchase revenue
,,5.5,3,60.5,Grand total
brand,20260101,5.5,3,60.499999999
"""
SHOPIFY = """Name,Email,Financial Status,Paid at,Currency,Total,Lineitem name,Billing Country,Created at
#1001,a@example.com,paid,2026-01-01 09:00:00 +0100,EUR,49.90,Shirt,DE,2026-01-01 08:59:00 +0100
#1001,a@example.com,,,,,Socks,,2026-01-01 08:59:00 +0100
#1002,b@example.com,voided,,EUR,10.00,Shirt,DE,2026-01-01 10:00:00 +0100
"""


def tabbed(text: str) -> str:
    """The same table with tabs, as Google writes it in UTF-16."""
    out = io.StringIO()
    csv.writer(out, delimiter="\t").writerows(csv.reader(text.splitlines()))
    return out.getvalue()


EXPORTS = [
    ("google_ads", GOOGLE, "utf-8-sig", 2, (1_234_560_000, 10_000, 120, 3.5, 700_000_000, "EUR"), {"total": 2}),
    ("google_ads", tabbed(GOOGLE), "utf-16", 2, (1_234_560_000, 10_000, 120, 3.5, 700_000_000, "EUR"), None),
    ("meta_ads", META, "utf-8", 1, (55_500_000, 1000, 10, 2, 120_000_000, "USD"), {}),
    ("microsoft_ads", MICROSOFT, "utf-8-sig", 2, (12_340_000, 100, 5, 1, 50_000_000, "GBP"), {"blank": 1, "note": 1}),
    ("tiktok_ads", TIKTOK, "utf-8", 1, (10_000_000, 100, 3, 1, None, "EUR"), {}),
    ("linkedin_ads", LINKEDIN, "utf-16", 1, (99_100_000, 10, 1, 2, None, "EUR"), {}),
    ("ga4", GA4, "utf-8", 1, (5_500_000, None, None, 3, 60_500_000, "EUR"), {"total": 1}),
]


@pytest.mark.parametrize(("example", "text", "encoding", "rows", "said", "skipped"), EXPORTS)
def test_the_example_reads_the_export_it_is_for(
    tmp_path: Path, example: str, text: str, encoding: str, rows: int, said: tuple[Any, ...] | None,
    skipped: dict[str, int] | None,
) -> None:  # fmt: skip
    facts, report = imported(write(tmp_path / "a.csv", text, encoding), load_mapping(EXAMPLES / f"{example}.yml"))
    snapshots = of_kind(facts, "snapshot")
    assert len(snapshots) == rows
    if said is not None:
        keys = ("cost_micros", "impressions", "clicks", "conversions", "value_micros", "currency")
        assert tuple(snapshots[0].get(key) for key in keys) == said
    if skipped:
        assert report.skipped == skipped


def test_shopify_orders_are_read_once_each_and_only_where_money_came(tmp_path: Path) -> None:
    facts, report = imported(write(tmp_path / "a.csv", SHOPIFY), load_mapping(EXAMPLES / "shopify_orders.yml"))
    assert [(fact["id"], fact["order_id"], fact["value_micros"], fact["country"]) for fact in facts] == [
        ("#1001", "#1001", 49_900_000, "DE")
    ]
    assert report.skipped == {"where": 2}
    assert b"example.com" not in json.dumps(facts).encode()


def test_the_geo_example_makes_up_no_conversions(tmp_path: Path) -> None:
    text = '"date","geo","sales","cost"\n2015-01-05,"1",7227.32,0\n2015-01-05,"10",1827.21,12.5\n'
    facts, _ = imported(write(tmp_path / "a.csv", text), load_mapping(EXAMPLES / "geox.yml"))
    assert [(fact["campaign"], fact["cost_micros"], fact["value_micros"]) for fact in facts[:2]] == [
        ("1", 0, 7_227_320_000),
        ("10", 12_500_000, 1_827_210_000),
    ]
    assert not any("conversions" in fact for fact in facts)


def test_every_example_is_read_by_some_test_here() -> None:
    tested = {row[0] for row in EXPORTS} | {"geox", "shopify_orders"}
    mappings = {path.stem for path in EXAMPLES.glob("*.yml") if "columns:" in path.read_text(encoding="utf-8")}
    assert mappings == tested


BAD_CELLS = [
    ("2026-01-01,a,oops,1,1", "Cost", "'oops' is no number"),
    ("2026-01-01,a,-1,1,1", "Cost", "is negative"),
    ("2026-01-01,a,nan,1,1", "Cost", "is no number"),
    ('2026-01-01,a,"1,5",1,1', "Cost", "with decimal '.' and thousands ','"),
    ("2026-01-01,a,1,1e30,1", "Conv.", "is too large"),
    ("01.02.2026,a,1,1,1", "Day", "is no ISO date"),
    ("2026-01-01 10:00,a,1,1,1", "Day", "is not the start of a day"),
    ("2026-01-01,,1,1,1", "Campaign", "is blank"),
    ("1815-01-01,a,1,1,1", "Day", "is not between 2000 and 2100"),
    ("2026-01-01," + "a" * 600 + ",1,1,1", "campaign", "at most 512"),
]


@pytest.mark.parametrize(("row", "column", "why"), BAD_CELLS, ids=[row[0] for row in BAD_CELLS])
def test_a_cell_that_cannot_be_read_costs_its_row_and_is_named(tmp_path: Path, row: str, column: str, why: str) -> None:
    path = write(tmp_path / "a.csv", f"Day,Campaign,Cost,Conv.,Value\n2026-01-01,ok,1,1,1\n{row}\n")
    facts, report = imported(path, mapping())
    assert len(of_kind(facts, "snapshot")) == 1
    (rejected,) = report.rejected
    assert (rejected.file, rejected.line, rejected.column) == (str(path), 3, column)
    assert why in rejected.detail


def test_a_quoted_name_over_several_lines_does_not_upset_the_line_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'Day,Campaign,Cost,Conv.,Value\n2026-01-01,"a\nb",1,1,1\n2026-01-01,c,x,1,1\n')
    _, report = imported(path, mapping())
    assert [one.line for one in report.rejected] == [4]


FAULTS = [
    (b"", "is empty"),
    (b"  \n\n", "is empty"),
    (b"Day,Campaign,Conv.,Value\n", r":1: columns.cost: there is no column 'Cost'; the header has 'Day'"),
    (b"Day,Campaign,Cost,Conv.,Value\n", "holds no rows of data"),
    (b"Day,Campaign,Cost,Conv.,Value\nx,a,1,1,1\n", r"no row could be read; the first: .*:2: column 'Day'"),
    (b"PK\x03\x04\x00\x00\x00\x00", "is not text"),
    (b'Day,Campaign,Cost,Conv.,Value\n2026-01-01,"' + b"a" * 200_000, "is a quote not closed"),
]


@pytest.mark.parametrize(("data", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(ImportFault, match=said) as error:
        imported(path, mapping())
    assert "a.csv" in str(error.value)


def test_a_file_that_is_not_there_or_is_a_directory_is_named(tmp_path: Path) -> None:
    for path, said in [(tmp_path / "no.csv", "No such file"), (tmp_path, "directory")]:
        with pytest.raises(ImportFault, match=f"{path}: .*{said}"):
            imported(path, mapping())


def test_a_currency_that_nothing_says_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "Day,Campaign,Cost,Conv.,Value\n2026-01-01,a,1,1,1\n")
    by = mapping(constants={"account": "acme", "source": "google"})
    with pytest.raises(ImportFault, match=r"name it in constants\.currency"):
        imported(path, by)


amounts = st.decimals(0, 10_000_000, places=4, allow_nan=False, allow_infinity=False)
rows = st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc"), amounts), min_size=1, max_size=30)


@given(rows)
@settings(max_examples=40, deadline=None)
def test_not_a_micro_is_lost_or_made(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[int, str, Decimal]]
) -> None:
    lines = [f"2026-01-0{day},{name},{cost},1,1,{number}" for number, (day, name, cost) in enumerate(said)]
    path = write(tmp_path_factory.mktemp("x") / "a.csv", "Day,Campaign,Cost,Conv.,Value,N\n" + "\n".join(lines))
    facts, _ = imported(path, mapping())
    total = sum(fact["cost_micros"] for fact in of_kind(facts, "snapshot"))
    assert total == int(sum(cost for _, _, cost in said) * 1_000_000)
    known = [fact.get("known_at", fact["at"]) for fact in facts]
    assert known == sorted(known)
