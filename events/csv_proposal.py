"""A first mapping for an export nobody has described yet, guessed from its header and its first rows.

A guess is only made where the file supports it; the rest stands as ``?`` in the YAML, which no import accepts, and is
named in :attr:`Proposal.unsure` in words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from events.csv_cells import is_nothing, number
from events.csv_mapping import UNKNOWN, FileShape, ImportFault, Numbers
from events.csv_table import Row, delimiters, is_total, plain, read_text, split
from events.facts import currencies

_READ = 200
_WORDS: dict[str, tuple[str, ...]] = {
    "time": (
        r"(reporting starts|day|date|datum|tag|fecha|jour|data|time|timestamp|time ?period|gregorian date|by day)",
        r"(stat[_ ]time[_ ](day|hour)|start date.*|date ?hour.*|date \+ hour.*|event[_ ](date|time|timestamp)|"
        r"created at|created|paid at|order date|date[_ ]start|bestelldatum)",
    ),
    "hour": (r"(hour|hour of (the )?day|time of day.*|stunde|hora|heure)",),
    "account": (
        r"(account|account[_ ]?name|customer|advertiser[_ ]name|kontoname|konto)",
        r"(account|customer)[_ ]?id.*",
    ),
    "source": (r"(source|platform|network|channel|session source( */ *medium)?|source[_ ]medium|kanal|quelle)",),
    "campaign": (
        r"(session )?(campaign|campaign[_ ]?name|kampagne|kampagnenname|campaña|campagne)",
        r"campaign[_ ]?id",
    ),
    "currency": (r"(currency|currency[_ ]?code|account currency|währung|währungscode|moneda|devise)",),
    "name": (r"(conversion (action|name|type)|event[_ ]name|goal|conversion-aktion)",),
    "cost": (
        r"(cost|spend|amount spent|total spent|spent|ad cost|ads cost|advertiser cost|kosten|ausgaben|coste|coût)",
        r"(cost|spend|amount spent|total spent|ausgegebener betrag|costo|kosten)[ _]?\(.+\)|cost[_ ]micros|"
        r"cost in local currency",
    ),
    "impressions": (r"(impressions?|impr\.?|impressionen|impresiones)",),
    "clicks": (r"(clicks?|link clicks|klicks|clics|clicks \(all\)|clicks \(destination\))",),
    "conversions": (
        r"(conversions?|conv\.?|purchases?|website purchases|ecommerce purchases|transactions|orders)",
        r"(results|key events|total conversions|complete payment.*|konversionen|conversies|conversiones|leads)",
    ),
    "value": (
        r"(conv\. value|conversion value|conversions value|purchases? conversion value|revenue|total revenue|sales)",
        r"(purchase revenue|total conversion value|total|value|total purchase value|conv\.-wert|umsatz|order total)",
        r".*conversion value.*|total conversion value.*|revenue.*",
    ),
    "id": (r"(order[_ ]id|transaction[_ ]id|event[_ ]id|id|order|order number|bestellnummer)",),
    "metric": (r"(metric|measure|metric[_ ]name|kennzahl)",),
    "amount": (r"(amount|metric[_ ]value|wert)",),
    "ad_group": (r"(ad group|ad[_ ]?set[_ ]name|adgroup[_ ]name|ad group name|anzeigengruppe)",),
    "device": (r"(device|device type|gerät)",),
    "country": (r"(country|country code|land|billing country)",),
}
_METRICS = {"cost", "impressions", "clicks", "conversions", "value"}
_FORMATS = (
    "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%d-%m-%Y", "%b %d, %Y",
    "%B %d, %Y", "%d %b %Y", "%Y%m%d%H",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M:%S %p", " %I:%M %p")
_SIGNS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "₽": "RUB", "zł": "PLN", "Kč": "CZK", "R$": "BRL"}
_HINTS = {
    "google": r"conv\. value|impr\.|avg\. cpc|campaign state|search impr",
    "meta": r"amount spent|reporting starts|ad set name|link clicks",
    "microsoft": r"gregorian date|timeperiod|microsoft|bid strategy type|current max cpc",
    "tiktok": r"by day|stat_time_day|complete payment|clicks \(destination\)|cost per result",
    "linkedin": r"total spent|account name.*campaign group|start date \(in utc\)|total engagements",
    "ga4": r"key events|session source|engaged sessions|ecommerce purchases",
    "shop": r"financial status|fulfillment status|lineitem|bestellnummer",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping as YAML, and in words what could not be guessed or wants a look. ``usable``: no ``?`` is left."""

    text: str
    unsure: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether the mapping can be used as it stands."""
        return f"'{UNKNOWN}'" not in self.text


def propose(path: Path) -> Proposal:
    """A mapping for ``path``. Raises :class:`ImportFault` where no row of it looks like a header."""
    text, _ = read_text(path)
    rows, header = max((_headed(path, text, delimiter) for delimiter in delimiters(text)), key=_known)
    if header is None or len(_columns(header)) < 2:
        raise ImportFault(f"{path}: no row looks like a header with a date and a measure; write a mapping by hand")
    body = [row for row in rows if row.line > header.line and sum(map(bool, row.cells)) > 1]
    samples = [row for row in body if not is_total(row, FileShape())]
    if not samples:
        raise ImportFault(f"{path}:{header.line}: holds a header and no rows")
    return _Guess(path, header, samples).propose()


def _headed(path: Path, text: str, delimiter: str) -> tuple[list[Row], Row | None]:
    """The first rows as a delimiter cuts them, and the one of them that looks most like a header."""
    try:
        rows = list(islice(split(text, delimiter, str(path)), _READ))
    except ImportFault:
        return [], None
    return rows, max(rows, key=lambda row: len(_columns(row)), default=None)


def _known(headed: tuple[list[Row], Row | None]) -> int:
    return 0 if headed[1] is None else len(_columns(headed[1]))


def _columns(header: Row) -> dict[str, str]:
    """The name of the column that fits each key best; a column serves one key only."""
    names = [cell.replace("\ufeff", "").strip() for cell in header.cells]
    found: dict[str, str] = {}
    for rank in range(3):
        for key, patterns in _WORDS.items():
            if key in found or rank >= len(patterns):
                continue
            free = (n for n in names if n not in found.values() and re.fullmatch(patterns[rank], plain(n)))
            if name := next(free, None):
                found[key] = name
    return found


class _Guess:
    """What is guessed of one file, and what is not."""

    def __init__(self, path: Path, header: Row, samples: Sequence[Row]) -> None:
        self.path, self.header, self.samples = path, header, samples
        self.columns = _columns(header)
        self.unsure: list[str] = []
        names = [cell.replace("\ufeff", "").strip() for cell in header.cells]
        self.cells = {
            key: [row.cells[at].strip() for row in samples if at < len(row.cells) and not is_nothing(row.cells[at])]
            for key, name in self.columns.items()
            for at in [names.index(name)]
        }

    def propose(self) -> Proposal:
        data: dict[str, Any] = {"shape": "long" if {"metric", "amount"} <= set(self.columns) else "wide"}
        if data["shape"] == "wide":
            self.columns.pop("metric", None)
            self.columns.pop("amount", None)
        formats, sample = self._times()
        data |= {"granularity": self._granularity(sample), "time_zone": UNKNOWN}
        self.unsure.append("time_zone: the file does not say in which time zone its days begin (such as Europe/Berlin)")
        if formats:
            data["time_formats"] = formats
        data["numbers"] = self._numbers()
        if data["shape"] == "long":
            data["metrics"] = self._metrics()
        data |= {"columns": self._kept(data["granularity"]), "constants": self._constants(data["granularity"])}
        return Proposal(self._text(data), tuple(self.unsure))

    def _times(self) -> tuple[list[str], datetime | None]:
        """The formats that read every sample (none where ISO 8601 does), and one moment read."""
        cells = [cell.partition("|")[0].strip() for cell in self.cells.get("time", [])]
        if not cells:
            self.columns.setdefault("time", UNKNOWN)
            self.unsure.append("columns.time: no column looks like a date")
            return [], None
        if sample := _read_all(cells, None):
            return [], sample
        forms = [day + at for day in _FORMATS for at in _TIMES if not (at and "%H" in day)]
        fitting = [(form, read) for form in forms if (read := _read_all(cells, form))]
        if not fitting:
            self.unsure.append(f"time_formats: {cells[0]!r} is in no form known here; write it as strptime does")
            return [UNKNOWN], None
        if len({read for _, read in fitting}) > 1:
            choices = " or ".join(form for form, _ in fitting)
            self.unsure.append(f"time_formats: {cells[0]!r} can be read as {choices}; the first is taken")
        return [fitting[0][0]], fitting[0][1]

    def _granularity(self, sample: datetime | None) -> str:
        if "id" in self.columns and "cost" not in self.columns:
            return "event"
        if "hour" in self.columns or any("|" in cell for cell in self.cells.get("time", [])):
            return "hour"
        cells = [cell for cell in self.cells.get("time", []) if ":" in cell or re.fullmatch(r"\d{10}", cell)]
        if sample is None or not cells:
            return "day"
        minutes = {found[1] for cell in cells if (found := re.search(r"\d{1,2}:(\d{2})", cell))}
        hours = {found[1] for cell in cells if (found := re.search(r"(\d{1,2}):\d{2}", cell))}
        if minutes - {"00"}:
            self.unsure.append(
                "granularity: rows have minutes; 'minute' if a row sums up a minute, 'event' if it is one"
            )
            return "minute" if "cost" in self.columns else "event"
        return "day" if hours <= {"00"} and not re.fullmatch(r"\d{10}", cells[0]) else "hour"

    def _numbers(self) -> dict[str, str]:
        cells = [cell for key in (*_METRICS, "amount") for cell in self.cells.get(key, [])]
        choices = (Numbers(), Numbers(decimal=",", thousands="."), Numbers(decimal=",", thousands=" "),
                   Numbers(decimal=".", thousands="'"))  # fmt: skip
        fitting = [choice for choice in choices if _reads(cells, choice)]
        if not fitting:
            self.unsure.append("numbers: some cell of a measure is no number in any usual form")
            fitting = [choices[0]]
        elif fitting[0] is choices[0] and choices[1] in fitting and any(re.search("[.,]", cell) for cell in cells):
            self.unsure.append("numbers: '.' and ',' could both be the decimal sign; '.' is taken")
        chosen = fitting[0].model_dump()
        if plain(self.columns.get("cost", "")).endswith("micros"):
            chosen["money"] = "micros"
        return {key: value for key, value in chosen.items() if key != "money" or value != "major"}

    def _metrics(self) -> dict[str, str]:
        known = {}
        for word in dict.fromkeys(self.cells.get("metric", [])):
            fits = (key for key in sorted(_METRICS) if any(re.fullmatch(p, plain(word)) for p in _WORDS[key]))
            if key := next(fits, None):
                known[word] = key
            else:
                self.unsure.append(f"metrics: {word!r} is none of {', '.join(sorted(_METRICS))} and is left out")
        return known

    def _kept(self, granularity: str) -> dict[str, str]:
        finer = {"ad_group", "device", "country"} if granularity != "event" else set()
        missing = [key for key in ("cost", "conversions", "value") if key not in self.columns]
        if missing and "metric" not in self.columns and granularity != "event":
            self.unsure.append(f"columns: nothing looks like {', '.join(missing)}")
        if "campaign" not in self.columns and granularity != "event":
            self._campaign()
        return {key: self.columns[key] for key in _WORDS if key in self.columns and key not in finer}

    def _campaign(self) -> None:
        """A lone column that nothing else wants is what the rows are about."""
        rest = {cell.replace("\ufeff", "").strip() for cell in self.header.cells} - set(self.columns.values()) - {""}
        if len(rest) == 1:
            self.columns["campaign"] = rest.pop()
            self.unsure.append(f"columns.campaign: {self.columns['campaign']!r} is the only column left over")
        elif rest:
            self.unsure.append(f"columns.campaign: could be one of {', '.join(map(repr, sorted(rest)))}")

    def _constants(self, granularity: str) -> dict[str, str]:
        said: dict[str, str] = {}
        if "source" not in self.columns:
            said["source"] = self._source()
        for key, what in (("account", "whose account this is"), ("campaign", "which campaign this is")):
            if key not in self.columns and (key == "account" or granularity != "event"):
                said[key] = UNKNOWN
                self.unsure.append(f"constants.{key}: no column says {what}")
        if "currency" not in self.columns:
            said["currency"] = self._currency()
        named = "conversions" in self.columns or granularity in ("event", "minute")
        if "name" not in self.columns and named:
            said["name"] = "purchase"
            self.unsure.append("constants.name: conversions are taken for purchases (or: lead, sign_up, install)")
        return said

    def _source(self) -> str:
        names = " | ".join(plain(cell) for cell in self.header.cells)
        for source, hint in _HINTS.items():
            if re.search(hint, names):
                self.unsure.append(f"constants.source: the header looks like an export of {source}")
                return source
        self.unsure.append("constants.source: the header does not look like a platform known here")
        return UNKNOWN

    def _currency(self) -> str:
        columns = [name.upper() for key in ("cost", "value") if (name := self.columns.get(key))]
        codes = [code for name in columns for code in re.findall(r"\b[A-Z]{3}\b", name) if code in currencies()]
        if codes:
            return str(codes[0])
        cells = " ".join(cell for key in ("cost", "value", "amount") for cell in self.cells.get(key, []))
        signs = {code for sign, code in _SIGNS.items() if sign in cells}
        signs |= {code for code in re.findall(r"\b[A-Z]{3}\b", cells) if code in currencies()}
        if len(signs) == 1:
            return signs.pop()
        self.unsure.append("constants.currency: nothing says the currency (such as EUR)")
        return UNKNOWN

    def _text(self, data: dict[str, Any]) -> str:
        words = "".join(f"#   {line}\n" for line in self.unsure)
        head = "# A proposal: what stands as '?' must be filled in, and these want a look:\n" + words
        return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, default_flow_style=False)


def _read_all(cells: Sequence[str], form: str | None) -> datetime | None:
    """The first cell as a time, if all can be read in ``form`` (``None``: ISO 8601)."""
    try:
        read = [
            datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d{2}:?\d{2}$)|\s*UTC$", "", cell))
            if form is None
            else datetime.strptime(cell, form)  # noqa: DTZ007 - only whether it can be read
            for cell in cells
        ]
    except ValueError:
        return None
    return read[0].replace(tzinfo=None)


def _reads(cells: Sequence[str], numbers: Numbers) -> bool:
    try:
        for cell in cells:
            number(cell, numbers)
    except ValueError:
        return False
    return True
