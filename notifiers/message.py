"""A message free of channel, made from an alert change: what a tired person needs at three in the morning.

All texts are plain: names in it have passed :func:`notifiers.names.plain`, and every channel escapes for its own
output.  Sentences are English; money and numbers follow the locale.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alerts.change import AlertChange, Severity, Turn
from notifiers import figures, moments
from notifiers.names import plain

GREEN, RED, ORANGE, BLUE = "#2eb67d", "#d32f2f", "#e8830c", "#3d7bd9"
_COLOURS = {Severity.CRITICAL: RED, Severity.WARNING: ORANGE, Severity.INFO: BLUE}
_SIGNS = {Severity.CRITICAL: "🔴", Severity.WARNING: "🟠", Severity.INFO: "🔵"}
_TITLES = {
    "cpa_spike": "CPA spike",
    "cpa_drop": "CPA drop",
    "roas_drop": "ROAS drop",
    "roas_rise": "ROAS rise",
    "tracking_outage": "Tracking outage",
    "implausibly_good": "Implausibly good",
    "account_anomaly": "Unusual account",
}
LONGEST_WORDS = 600
_MOMENT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)


class MessageSettings(BaseModel):
    """How messages are worded."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    time_zone: str = Field(default="UTC", description="Zone of the times in messages, such as Europe/Berlin.")
    locale: str = Field(default="en", description="How money and numbers are written, such as de_DE.")
    link: str | None = Field(
        default=None, description="Address of the page as people reach it; each message links to its alert there."
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        moments.zone(name)
        return name

    @field_validator("locale")
    @classmethod
    def _known_locale(cls, name: str) -> str:
        return figures.known_locale(name)

    @field_validator("link")
    @classmethod
    def _web_address(cls, link: str | None) -> str | None:
        if link is not None and not re.fullmatch(r"https?://[^\s\x00-\x1f]{1,1000}", link):
            raise ValueError("must begin with http:// or https:// and have no spaces and at most 1,000 characters")
        return link


@dataclass(frozen=True, slots=True)
class Message:
    """One state of one alert in plain words. Texts that do not apply are ``None``.

    ``subject`` stays the same over the life of an alert.  ``status`` is a word for what ``colour`` and ``sign`` show.
    ``notes`` is what to know about the telling itself, such as a delay; ``zone`` is the zone of all times.
    """

    alert_id: str
    version: int
    turn: Turn
    severity: Severity
    title: str
    subject: str
    where: tuple[str, ...]
    status: str
    sign: str
    colour: str
    sentence: str
    since: str
    sure: str | None
    observed: str
    expected: str
    cost: str | None
    cause: str | None
    action: str | None
    link: str | None
    decided: str
    notes: tuple[str, ...] = field(default=())
    zone: str = "UTC"

    @property
    def headline(self) -> str:
        """One line that says all: for a phone's lock screen."""
        return f"{self.sign} {self.status}: {self.subject}"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is known beside the sentence: label and words, in the order in which a person should look."""
        named = (
            ("Costs", self.cost),
            ("Lasted" if self.turn is Turn.RESOLVED else "Since", self.since),
            ("Observed", self.observed),
            ("Expected", self.expected),
            ("How sure", self.sure),
            ("Possible cause", self.cause),
        )
        return tuple((label, words) for label, words in named if words is not None)


def compose(change: AlertChange, settings: MessageSettings, notes: Sequence[str] = ()) -> Message:
    """The message for ``change``. Never raises for what an alert may hold."""
    zone = moments.zone(settings.time_zone)
    over = change.change is Turn.RESOLVED
    return Message(
        alert_id=change.alert_id,
        version=change.version,
        turn=change.change,
        severity=change.severity,
        title=title(change),
        subject=f"{title(change)} · {' / '.join(_where(change))}",
        where=_where(change),
        status=_status(change),
        sign="✅" if over else _SIGNS[change.severity],
        colour=GREEN if over else _COLOURS[change.severity],
        sentence=_sentence(change, settings.locale),
        since=_since(change, zone),
        sure=None if over else sureness(change.evidence),
        observed=figures.figure(change, change.observed, settings.locale),
        expected=figures.expectation(change, settings.locale),
        cost=None if over else figures.cost_per_hour(change, settings.locale),
        cause=_cause(change, zone),
        action=None if over else _advice(change, zone),
        link=_link(change, settings.link),
        decided=moments.shown(change.at, zone),
        notes=tuple(notes),
        zone=settings.time_zone,
    )


def title(change: AlertChange) -> str:
    """The signal's name for people; any string is a signal.

    >>> from types import SimpleNamespace as A
    >>> title(A(signal="cpa_spike", measure="cpa")), title(A(signal="new_odd_signal", measure="x"))
    ('CPA spike', 'New odd signal')
    >>> title(A(signal="metric_anomaly", measure="bounce_rate"))
    'Unusual bounce rate'
    """
    if change.signal == "metric_anomaly":
        return f"Unusual {_measure(change)}"
    words = plain(change.signal.replace("_", " "), 60)
    return _TITLES.get(change.signal, words[:1].upper() + words[1:])


def sureness(evidence: float) -> str:
    """log10 odds against chance in plain words.

    >>> sureness(2.1)
    'likely real: chance alone does this about once in 130 times'
    >>> sureness(7.5)
    'as good as certain: chance alone does this less than once in a million times'
    >>> sureness(float("nan"))
    'weak: this may well be chance'
    """
    if not evidence >= 1:
        return "weak: this may well be chance"
    if evidence >= 6:
        return "as good as certain: chance alone does this less than once in a million times"
    word = "very likely real" if evidence >= 3 else "likely real"
    return f"{word}: chance alone does this about once in {figures.rounded(10**evidence):,} times"


def _where(change: AlertChange) -> tuple[str, ...]:
    part = part_words(change.part)
    names = (change.account, change.source, change.campaign, part[0] if part else None)
    return tuple(plain(name) for name in names if name is not None)


def part_words(part: dict[str, str] | None) -> tuple[str, bool] | None:
    """A leg or a conversion name in words, and whether they are a plural; any mapping is a part.

    >>> part_words({"leg": "browser"}), part_words({"name": "add_to_cart"}), part_words(None)
    (('browser leg', False), ('add_to_cart events', True), None)
    """
    if not part:
        return None
    kind, text = next(iter(part.items()))
    return (f"{text} events", True) if kind == "name" else (f"{text} {kind}", False)


def _scope(change: AlertChange) -> str:
    """What it is about, as the subject of a sentence."""
    account = plain(change.account)
    part = part_words(change.part)
    if part is not None:
        of = "" if change.source is None else f" of {plain(change.source)}"
        return f"The {plain(part[0])}{of} ({account})"
    if change.campaign is not None:
        on = "" if change.source is None else f" on {plain(change.source)}"
        return f"Campaign “{plain(change.campaign)}”{on} ({account})"
    return account if change.source is None else f"{account} on {plain(change.source)}"


def _measure(change: AlertChange) -> str:
    return plain(change.measure.replace("_", " "), 60)


def _status(change: AlertChange) -> str:
    if change.change is Turn.RESOLVED:
        return "Resolved"
    worse = ", worse" if change.change is Turn.WORSENED else ""
    return f"{change.severity.value.capitalize()}{worse}"


def _sentence(change: AlertChange, locale: str) -> str:
    if change.change is Turn.RESOLVED:
        why = f" {plain(change.action, LONGEST_WORDS)}" if change.action.strip() else ""
        return f"{_scope(change)}: over after {moments.lasted(change.started_at, change.at)}.{why}"
    return f"{_scope(change)} {_predicate(change, locale)}."


def _predicate(change: AlertChange, locale: str) -> str:
    observed = figures.figure(change, change.observed, locale)
    due = "" if change.expected is None else figures.figure(change, change.expected, locale)
    was = f", where {due} was expected" if due else ""
    if change.measure == "cpa":
        if change.observed is None:
            return "spends without a conversion" + (f", where one usually costs {due}" if due else "")
        return f"pays {observed} per conversion{was}"
    if change.measure == "value_per_conversion":
        return f"sells for {observed} per conversion{was}"
    if change.measure == "roas":
        return f"has a ROAS of {observed}{was}"
    if change.measure == "conversions":
        part = part_words(change.part)
        if part and part[1]:
            had = f"have come only {observed} times" if change.observed else "have not come once"
        else:
            had = f"has had {observed} conversions" if change.observed else "has had no conversions"
        about = "" if change.expected is None else figures.about(change.expected, locale)
        within = moments.lasted(change.window.from_, change.window.to)
        return f"{had} in {within}" + (f", where about {about} were expected" if about else "")
    return f"has {_measure(change)} at {observed}{was}"


def _since(change: AlertChange, zone: ZoneInfo) -> str:
    lasted = moments.lasted(change.started_at, change.at)
    start = moments.shown(change.started_at, zone)
    if change.change is Turn.RESOLVED:
        return f"{start} until {moments.shown(change.at, zone)} ({lasted})"
    return f"{start} (for {lasted})"


def _cause(change: AlertChange, zone: ZoneInfo) -> str | None:
    if not change.cause:
        return None
    kind = plain(str(change.cause.get("kind", "change")).replace("_", " "), 60)
    what = plain(str(change.cause.get("what", "")), 200)
    at = change.cause.get("at")
    when = f" at {moments.shown(at, zone)}" if isinstance(at, str) and moments.is_moment(at) else ""
    return f"{kind}: {what}{when}"


def _advice(change: AlertChange, zone: ZoneInfo) -> str | None:
    """What to do; moments in it are told as everywhere else in the message."""
    told = _MOMENT.sub(lambda found: moments.shown(found[0], zone), change.action)
    return plain(told, LONGEST_WORDS) if told.strip() else None


def _link(change: AlertChange, base: str | None) -> str | None:
    return None if base is None else f"{base.rstrip('/')}/alerts/{quote(change.alert_id[:200], safe='')}"
