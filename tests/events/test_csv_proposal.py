from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from events.csv_import import import_csv
from events.csv_mapping import ImportFault, MappingError, parse_mapping
from events.csv_proposal import Proposal, propose

GOOGLE = """Campaign report
"January 1, 2026 - January 2, 2026"
Day,Campaign,Currency code,Cost,Impr.,Clicks,Conversions,Conv. value
2026-01-01,Brand,EUR,"1,234.56","10,000",120,3.50,700.00
Total: Account, --,EUR,"1,234.66","10,012",120,3.50,700.00
"""
META = """Reporting starts,Reporting ends,Campaign name,Impressions,Link clicks,Amount spent (USD),Purchases
2026-01-01,2026-01-01,Prospecting,1000,10,55.5,2
"""
GERMAN = "Tag;Kampagne;Kosten;Klicks;Konversionen;Umsatz\n31.01.2026;Marke;1.234,56 €;5;2;99,90 €\n"
MICROSOFT = (
    'Report Name: x\n\n"TimePeriod","CampaignName","Spend","Clicks","Conversions","Revenue"\n2026-01-01|7,B,1,2,3,4\n'
)
SHOP = """Name,Financial Status,Created at,Currency,Total,Order ID
#1,paid,2026-01-01 09:00:00 +0100,EUR,49.90,7
"""
LONG = "Date,Campaign,Metric,Amount\n2026-01-01,a,Cost,1.5\n2026-01-01,a,Clicks,3\n2026-01-01,a,Bounce,3\n"
TIKTOK = (
    "Campaign name,By Day,Cost,Impressions,Clicks (destination),Complete payment,Currency\nS,2026-01-01,1.0,2,3,4,EUR\n"
)
LINKEDIN = (
    "Start Date (in UTC),Account Name,Campaign Name,Total Spent,Impressions,Clicks,Leads\n01/31/2026,A,B,1.5,2,3,1\n"
)
GA4 = "# x\nSession campaign,Date,Ads cost,Ecommerce purchases,Purchase revenue\nbrand,20260101,5.5,3,60.5\n"
GEO = '"date","geo","sales","cost"\n2015-01-05,"1",7227.32,0\n'

CASES = [
    ("google", GOOGLE, {"granularity: day", "source: google", "value: Conv. value", "currency: Currency code"}),
    ("meta", META, {"source: meta", "cost: Amount spent (USD)", "currency: USD", "conversions: Purchases"}),
    ("german", GERMAN, {"- '%d.%m.%Y'", "decimal: ','", "thousands: .", "currency: EUR", "value: Umsatz"}),
    ("microsoft", MICROSOFT, {"granularity: hour", "source: microsoft", "campaign: CampaignName"}),
    ("shop", SHOP, {"granularity: event", "id: Order ID", "value: Total", "source: shop", "time: Created at"}),
    ("long", LONG, {"shape: long", "Cost: cost", "Clicks: clicks", "amount: Amount"}),
    ("tiktok", TIKTOK, {"time: By Day", "source: tiktok", "conversions: Complete payment"}),
    ("linkedin", LINKEDIN, {"- '%m/%d/%Y'", "source: linkedin", "cost: Total Spent", "account: Account Name"}),
    ("ga4", GA4, {"campaign: Session campaign", "source: ga4", "conversions: Ecommerce purchases"}),
    ("geo", GEO, {"value: sales", "cost: cost", "campaign: geo", "source: '?'"}),
]


def proposal(path: Path, text: str) -> Proposal:
    path.write_text(text, encoding="utf-8")
    return propose(path)


@pytest.mark.parametrize(("case", "text", "said"), CASES, ids=[case for case, _, _ in CASES])
def test_what_the_file_shows_is_proposed(tmp_path: Path, case: str, text: str, said: set[str]) -> None:
    lines = {line.strip() for line in proposal(tmp_path / f"{case}.csv", text).text.splitlines()}
    assert said <= lines


@pytest.mark.parametrize(("case", "text", "said"), CASES, ids=[case for case, _, _ in CASES])
def test_what_could_not_be_guessed_is_named_and_no_import_accepts_it(
    tmp_path: Path, case: str, text: str, said: set[str]
) -> None:
    made = proposal(tmp_path / f"{case}.csv", text)
    assert any(line.startswith("time_zone:") for line in made.unsure)
    assert all(f"#   {line}" in made.text for line in made.unsure)
    assert not made.usable
    with pytest.raises(MappingError, match="time_zone"):
        parse_mapping(made.text, "m.yml")


@pytest.mark.parametrize(("case", "text", "said"), CASES, ids=[case for case, _, _ in CASES])
def test_filled_in_a_proposal_reads_the_file_it_was_made_for(
    tmp_path: Path, case: str, text: str, said: set[str]
) -> None:
    path = tmp_path / f"{case}.csv"
    made = (
        proposal(path, text).text.replace("time_zone: '?'", "time_zone: UTC").replace("currency: '?'", "currency: EUR")
    )
    mapping = parse_mapping(made.replace("'?'", "mine"), "m.yml")
    out = io.BytesIO()
    report = import_csv([path], mapping, out)
    assert report.rejected == []
    assert sum(json.loads(line)["fact"] in ("snapshot", "conversion") for line in out.getvalue().splitlines()) == 1


def test_a_date_that_can_be_read_two_ways_is_said_to_be(tmp_path: Path) -> None:
    made = proposal(tmp_path / "a.csv", "Day,Campaign,Cost,Clicks\n03/04/2026,a,1,1\n")
    assert any("can be read as %m/%d/%Y or %d/%m/%Y" in line for line in made.unsure)


def test_numbers_that_can_be_read_two_ways_are_said_to_be(tmp_path: Path) -> None:
    made = proposal(tmp_path / "a.csv", 'Day,Campaign,Cost,Clicks\n2026-01-01,a,"1,234",1\n')
    assert any(line.startswith("numbers:") for line in made.unsure)


def test_columns_that_could_be_the_campaign_are_named(tmp_path: Path) -> None:
    made = proposal(tmp_path / "a.csv", "Day,Store,Region,Cost,Clicks\n2026-01-01,a,b,1,1\n")
    assert "columns.campaign: could be one of 'Region', 'Store'" in made.unsure
    assert "campaign: '?'" in made.text


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "hello\n", "Day,Campaign,Cost\n"])
def test_a_file_without_a_header_or_rows_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ImportFault, match=r"a\.csv"):
        proposal(tmp_path / "a.csv", text)
