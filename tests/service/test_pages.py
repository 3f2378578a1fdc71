"""The pages in a real browser: what is shown, and that no name can run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from alerts.change import AlertChange, Point, Severity, Turn, Window
from service import server
from service.metrics import Metrics
from service.web.app import Site, new_app
from service.web.book import Told

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\"'><svg onload=alert(3)>{{7*7}}"
NOW = datetime(2026, 1, 5, 16, tzinfo=UTC)


def change(alert_id: str, **other: Any) -> AlertChange:
    history = tuple(
        Point(at=f"2026-01-05T{hour:02d}:00:00.000Z", observed=20.0 + 3 * hour, expected=20.0, low=15.0, high=27.5)
        for hour in range(14)
    )
    values: dict[str, Any] = {
        "alert_id": alert_id,
        "change": Turn.OPENED,
        "version": 1,
        "signal": "cpa_spike",
        "severity": Severity.WARNING,
        "account": "acme",
        "source": "meta",
        "campaign": "Brand – search",
        "at": "2026-01-05T14:00:00.000Z",
        "started_at": "2026-01-05T12:30:00.000Z",
        "window": Window.model_validate({"from": "2026-01-05T08:00:00.000Z", "to": "2026-01-05T14:00:00.000Z"}),
        "measure": "cpa",
        "observed": 61.2,
        "expected": 20.0,
        "low": 15.0,
        "high": 27.5,
        "evidence": 5.3,
        "money_at_risk_micros": 180_000_000,
        "currency": "EUR",
        "cause": None,
        "action": "Pause the campaign or lower its bids until the cause is known.",
        "muted_by": None,
        "history": history,
    }
    return AlertChange(**(values | other))


class Shelf:
    """A book in memory, the newest change of each alert last."""

    def __init__(self, changes: Sequence[AlertChange]) -> None:
        self.all = list(changes)

    def latest(self, limit: int) -> Sequence[AlertChange]:
        return list({one.alert_id: one for one in self.all}.values())[:limit]

    def changes(self, alert_id: str) -> Sequence[AlertChange]:
        return [one for one in self.all if one.alert_id == alert_id]

    def told(self, alert_id: str) -> Sequence[Told]:
        return [Told("slack #ads", "opened", "sent", 1, "2026-01-05 14:00 UTC")]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(
        [
            change("small", money_at_risk_micros=20_000_000, campaign="Small"),
            change("dear", severity=Severity.CRITICAL, money_at_risk_micros=900_000_000, campaign="Dear"),
            change("muted", muted_by="tracking outage of meta", money_at_risk_micros=5_000_000_000, campaign="Muted"),
            change("over", campaign="Over"),
            change("over", change=Turn.RESOLVED, version=2, campaign="Over", observed=21.0),
            change(
                "hostile", campaign=HOSTILE, account=HOSTILE, muted_by=HOSTILE, action=HOSTILE, cause={HOSTILE: HOSTILE}
            ),
        ]
    )


@pytest.fixture
def address(shelf: Shelf) -> Iterator[str]:
    metrics = Metrics()
    site = Site(shelf, metrics.exposition, ready=lambda: None, now=lambda: NOW)
    with server.served(new_app(site), server.listen("127.0.0.1", 0)) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test on a dialog, a script error or a breach of the policy."""
    context = browser.new_context()
    fresh = context.new_page()
    trouble: list[str] = []
    fresh.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    fresh.on("pageerror", lambda error: trouble.append(f"error: {error}"))
    fresh.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    yield fresh
    context.close()
    assert trouble == []


def test_open_alerts_come_first_the_dearest_on_top_and_muted_ones_after_them(page: Page, address: str) -> None:
    page.goto(address)
    assert page.locator("li.alert").evaluate_all("all => all.map(a => a.querySelector('a').pathname)") == [
        "/alerts/dear",
        "/alerts/small",
        "/alerts/muted",
        "/alerts/hostile",
        "/alerts/over",
    ]
    assert page.title() == "2 open, 2 muted · adwatch"


def test_severity_is_a_word_and_a_sign_and_not_only_a_colour(page: Page, address: str) -> None:
    page.goto(address)
    words = [text.split() for text in page.locator("li.alert .severity").all_inner_texts()]
    assert words[0] == ["▲▲", "Critical"]
    assert words[-1] == ["✓", "Resolved"]


def test_a_row_says_what_where_since_when_and_how_dear(page: Page, address: str) -> None:
    page.goto(address)
    text = page.locator("li.alert").first.inner_text()
    for part in (
        "CPA spike",
        "acme",
        "meta",
        "Dear",
        "€61.20",
        "expected €20.00",
        "€900 an hour",
        "Mon 5 Jan, 12:30 UTC",
    ):
        assert part in text


@pytest.mark.parametrize("path", ["/", "/alerts/hostile", "/status"])
def test_a_hostile_name_opens_no_dialog_and_is_shown_as_it_is(page: Page, address: str, path: str) -> None:
    page.goto(address + path)
    if path.startswith("/alerts/"):
        page.wait_for_selector("#chart[data-drawn=yes]", timeout=20_000)
    if path != "/status":
        assert page.locator("bdi").filter(has_text="{{7*7}}").first.inner_text() == HOSTILE
    assert page.locator("img[src=x], svg[onload]").count() == 0


def test_the_list_follows_without_a_reload(page: Page, address: str, shelf: Shelf) -> None:
    page.goto(address)
    shelf.all.append(change("new", campaign="Fresh", money_at_risk_micros=9_000_000_000))
    page.wait_for_selector("li.alert:first-child bdi:text('Fresh')", timeout=15_000)
    assert page.title() == "3 open, 2 muted · adwatch"


def test_the_chart_is_drawn_in_the_browser_under_a_policy_without_eval(page: Page, address: str) -> None:
    answer = page.goto(address + "/alerts/dear")
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    page.wait_for_selector("#chart[data-drawn=yes] canvas", timeout=20_000)


def test_without_scripts_the_chart_is_a_picture(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    still = context.new_page()
    still.goto(address + "/alerts/dear")
    assert still.locator("#chart img").evaluate("image => image.naturalWidth") > 100
    context.close()


@pytest.mark.parametrize("path", ["/", "/alerts/dear", "/alerts/hostile", "/status"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_scrolling_sideways(browser: Browser, address: str, path: str, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    phone = context.new_page()
    phone.goto(address + path)
    if path.startswith("/alerts/"):
        phone.wait_for_selector("#chart[data-drawn=yes]", timeout=20_000)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()


def test_an_unknown_alert_is_a_clear_404(address: str) -> None:
    answer = httpx.get(f"{address}/alerts/none")
    assert answer.status_code == 404
    assert "no such page or alert" in answer.text


def test_the_list_is_not_sent_again_while_nothing_changed(address: str) -> None:
    first = httpx.get(f"{address}/alerts")
    again = httpx.get(f"{address}/alerts", headers={"If-None-Match": first.headers["ETag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_health_and_readiness_answer(address: str) -> None:
    assert httpx.get(f"{address}/-/healthy").status_code == 200
    assert httpx.get(f"{address}/-/ready").text == "ready\n"


def test_every_answer_carries_the_security_headers(address: str) -> None:
    for path in ("/", "/nowhere", "/metrics", "/assets/page.css", "/alerts/dear/chart.json"):
        headers = httpx.get(address + path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
