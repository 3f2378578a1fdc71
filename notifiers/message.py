"""What is said about an alert, free of any channel: for a tired person at three in the morning."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from babel.numbers import format_currency, format_decimal

from alerts.change import AlertChange, Severity, Turn

NAME_LIMIT = 80
"""Characters of a name that are shown; platforms allow far more than a header bears."""

RED, ORANGE, BLUE, GREEN = "#c62828", "#e8750a", "#5b7c99", "#2e9e5b"

_WHAT = {
    "cpa_spike": "CPA spike",
    "roas_drop": "ROAS drop",
    "tracking_outage": "Tracking outage",
    "account_anomaly": "Unusual account",
}
_SEVERITY = {
    Severity.CRITICAL: ("Critical", "▲", RED),
    Severity.WARNING: ("Warning", "◆", ORANGE),
    Severity.INFO: ("Notice", "●", BLUE),
}
_MEASURE = {
    "cpa": "Cost per conversion",
    "roas": "Return on ad spend",
    "conversions": "Conversions",
    "value_per_conversion": "Value per conversion",
}
_MONEY = ("cpa", "value_per_conversion")
# what turns the reading direction of the text around a name, or hides in it
_UNSEEN = {0x200B, 0x200E, 0x200F, 0x061C, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


@dataclass(frozen=True, slots=True)
class Message:
    """One state of one alert in words.

    ``title`` (``what`` and ``scope``) is the same over the alert's life and has neither state nor figures.  Names in
    ``scope``, ``sentence`` and ``cause`` are free of control characters and short, but still anybody's: each channel
    takes them through its own door.  ``sign`` and ``state`` say what ``colour`` says.
    """

    alert_id: str
    what: str
    scope: str
    state: str
    sign: str
    colour: str
    sentence: str
    since: str
    sure: str | None
    observed: str | None
    expected: str | None
    costs: str | None
    cause: str | None
    action: str
    link: str | None
    note: str | None

    @property
    def title(self) -> str:
        """What and where."""
        return f"{self.what} · {self.scope}"

    @property
    def headline(self) -> str:
        """The state, what and where, in one line."""
        return f"{self.sign} {self.state}: {self.title}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is known beside the sentence, as label and words, in the order of interest."""
        named = (
            ("Costs", self.costs),
            ("Since", self.since),
            ("Observed", self.observed),
            ("Expected", self.expected),
            ("How sure", self.sure),
        )
        return tuple((label, words) for label, words in named if words is not None)

    @property
    def text(self) -> str:
        """All of it as plain text."""
        rows = [self.headline, "", self.sentence, ""]
        rows += [f"{label}: {words}" for label, words in self.facts]
        rows += [f"{label}: {words}" for label, words in (("Possible cause", self.cause), ("Do", self.action)) if words]
        rows += ["", *(words for words in (self.note, self.link) if words is not None)]
        return "\n".join(rows).rstrip() + "\n"


def message_of(change: AlertChange, *, link: str | None, time_zone: str = "UTC", skipped: int = 0) -> Message:
    """The words for ``change``; times in ``time_zone`` (an IANA name, else :class:`zoneinfo.ZoneInfoNotFoundError`).

    ``skipped`` counts older states that the receiver never saw.
    """
    zone = ZoneInfo(time_zone)
    state, sign, colour = _state(change)
    over = change.change is Turn.RESOLVED
    return Message(
        alert_id=change.alert_id,
        what=_what(change),
        scope=" / ".join(clean(part) for part in (change.account, change.source, change.campaign) if part is not None),
        state=state,
        sign=sign,
        colour=colour,
        sentence=_over(change, zone) if over else _sentence(change),
        since=_time(change.started_at, zone),
        sure=None if over else sureness(change.evidence),
        observed=figure(change, change.observed),
        expected=_expected(change),
        costs=None if over else _costs(change),
        cause=_cause(change, zone),
        action=clean(change.action, 600),
        link=link,
        note=_note(skipped),
    )


def clean(name: str, limit: int = NAME_LIMIT) -> str:
    r"""``name`` on one line, without control, direction and invisible characters, at most ``limit`` long.

    >>> clean("Brand\x1b[31m\r\nBcc: me\x00")
    'Brand[31m Bcc: me'
    >>> clean("x" * 100, 5)
    'xxxx…'
    """
    kept = "".join(_kept(character) for character in name[: 20 * limit])
    words = " ".join(kept.split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def sureness(evidence: float) -> str:
    """The log10 odds against chance in plain words.

    >>> sureness(4.3)
    'Very sure: odds of 20,000 to 1 against chance'
    >>> sureness(12)
    'As good as certain: odds of more than a million to 1 against chance'
    """
    if not evidence >= 1.0:
        return "A hint only: it may well be chance"
    if evidence >= 6.0:
        return "As good as certain: odds of more than a million to 1 against chance"
    odds = 10.0**evidence
    rounded = round(odds, -int(math.log10(odds)))
    return f"{'Very sure' if evidence >= 3.0 else 'Fairly sure'}: odds of {rounded:,.0f} to 1 against chance"


def money(amount: float, currency: str) -> str:
    """An amount in units of ``currency``, as precise as a person needs it.

    >>> money(42.104, "EUR"), money(1234.5, "USD"), money(0.0312, "EUR"), money(1234, "JPY")
    ('€42.10', '$1,234', '€0.0312', '¥1,234')
    """
    if 0.0 < abs(amount) < 0.1:
        return str(format_currency(amount, currency, "¤0.0000", locale="en_US", currency_digits=False))
    if abs(amount) >= 100.0:
        return str(format_currency(amount, currency, "¤#,##0", locale="en_US", currency_digits=False))
    return str(format_currency(amount, currency, locale="en_US"))


def number(value: float) -> str:
    """A number with as many digits as matter.

    >>> number(1234567.0), number(41.2), number(3.0), number(0.00123)
    ('1,234,567', '41.2', '3', '0.00123')
    """
    if not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return str(format_decimal(round(value, digits), "#,##0." + "#" * max(digits, 1), locale="en_US"))


def figure(change: AlertChange, value: float | None) -> str | None:
    """``value`` in the unit of the change's measure."""
    if value is None:
        return None
    if change.measure in _MONEY and change.currency is not None:
        return money(value, clean(change.currency))
    return number(value)


def measure_name(change: AlertChange) -> str:
    """What the figures are, in words.

    A metric's own name is anybody's text.
    """
    return _MEASURE.get(change.measure) or clean(change.measure.replace("_", " "))


def _kept(character: str) -> str:
    if ord(character) in _UNSEEN:
        return ""
    category = unicodedata.category(character)
    if category in ("Zl", "Zp") or character in "\t\n\r\x0b\x0c\x85":
        return " "
    return "" if category in ("Cc", "Cs") else character


def _state(change: AlertChange) -> tuple[str, str, str]:
    if change.change is Turn.RESOLVED:
        return "Resolved", "✔", GREEN
    word, sign, colour = _SEVERITY[change.severity]
    return (f"Worse, now {word.lower()}" if change.change is Turn.WORSENED else word), sign, colour


def _what(change: AlertChange) -> str:
    if change.signal == "metric_anomaly":
        return f"Unusual {measure_name(change)}"
    return _WHAT.get(change.signal) or clean(change.signal.replace("_", " ")).capitalize()


def _sentence(change: AlertChange) -> str:
    observed, expected = figure(change, change.observed), figure(change, change.expected)
    about = f" instead of about {expected}" if expected is not None else ""
    if change.measure == "conversions":
        return _conversions(change, expected)
    if change.measure == "cpa":
        return _cpa(observed, expected, about)
    if observed is None:
        return f"{measure_name(change)} is not known{', about ' + expected + ' was expected' if expected else ''}."
    if change.measure == "roas":
        return f"Each {_unit(change)} of ad spend brings back {observed}{about}."
    return f"{measure_name(change)} stands at {observed}{about}."


def _conversions(change: AlertChange, expected: str | None) -> str:
    due = f" where about {expected} were expected" if expected is not None else ""
    if change.observed is None or change.observed == 0.0:
        return f"Not one conversion arrived{due}."
    return f"Only {number(change.observed)} conversions arrived{due}."


def _cpa(observed: str | None, expected: str | None, about: str) -> str:
    if observed is None:
        usual = f"; one usually costs about {expected}" if expected is not None else ""
        return f"Money is spent without a single conversion{usual}."
    return f"A conversion costs {observed}{about}."


def _unit(change: AlertChange) -> str:
    return clean(change.currency) if change.currency is not None else "unit"


def _over(change: AlertChange, zone: ZoneInfo) -> str:
    started, ended = datetime.fromisoformat(change.started_at), datetime.fromisoformat(change.at)
    minutes = max(0, round((ended - started).total_seconds() / 60))
    return f"Over since {_time(change.at, zone)}, after {_lasted(minutes)}."


def _lasted(minutes: int) -> str:
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _time(at: str, zone: ZoneInfo) -> str:
    """An RFC 3339 time as a person says it, with its zone."""
    local = datetime.fromisoformat(at).astimezone(zone)
    return f"{format_datetime(local, 'EEE d MMM, HH:mm', tzinfo=zone, locale='en_US')} {local:%Z}"


def _expected(change: AlertChange) -> str | None:
    expected, low, high = (figure(change, value) for value in (change.expected, change.low, change.high))
    if expected is None:
        return None
    if low is not None and high is not None:
        return f"{expected} (usually {low} to {high})"
    if low is not None or high is not None:
        return f"{expected} (usually {'at least ' + low if low is not None else 'at most ' + str(high)})"
    return expected


def _costs(change: AlertChange) -> str | None:
    micros, currency = change.money_at_risk_micros, change.currency
    if micros is None or micros <= 0 or currency is None:
        return None
    return f"about {money(micros / 1e6, clean(currency))} an hour while it goes on"


def _cause(change: AlertChange, zone: ZoneInfo) -> str | None:
    if not change.cause:
        return None
    kind, what, at = (change.cause.get(key) for key in ("kind", "what", "at"))
    said = ": ".join(clean(str(part)) for part in (str(kind or "change").replace("_", " ").capitalize(), what) if part)
    try:
        return said if at is None else f"{said} ({_time(str(at), zone)})"
    except ValueError:
        return said


def _note(skipped: int) -> str | None:
    if skipped <= 0:
        return None
    states = "1 earlier state was" if skipped == 1 else f"{skipped} earlier states were"
    return f"{states} not delivered here in time; this is the newest."
