"""The mapping of a CSV export: which column says what. Written as YAML, by hand or by the proposal."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from events.errors import EventsError

Measure = Literal["cost", "impressions", "clicks", "conversions", "value"]
MEASURES: tuple[Measure, ...] = ("cost", "impressions", "clicks", "conversions", "value")
UNKNOWN = "?"
"""What a proposal writes where the reader has to decide; no mapping that still holds it is accepted."""


class ImportFault(EventsError):
    """The caller's file or mapping cannot be used; the message names file, line, column or key."""


class MappingError(ImportFault):
    """The mapping is wrong; the message names the key."""


def _names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _settled(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or any(not name.strip() for name in names):
        raise ValueError("names no column")
    if UNKNOWN in names:
        raise ValueError("still says '?': write the name of the column, or take the line out")
    return names


def _decided(value: str) -> str:
    if value == UNKNOWN or not value.strip():
        raise ValueError("still says '?': write what is true of your data")
    return value


def _form(form: str) -> str:
    try:
        datetime.strptime(datetime(2026, 1, 5, tzinfo=UTC).strftime(_decided(form)), form)  # noqa: DTZ007 - only tried
    except (ValueError, re.error) as error:
        raise ValueError(f"{form!r} is no form that strptime reads") from error
    return form


def _zone(name: str) -> str:
    try:
        ZoneInfo(_decided(name))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is no IANA time zone, such as Europe/Berlin") from error
    return name


Column = Annotated[tuple[str, ...], BeforeValidator(_names), AfterValidator(_settled)]
"""One name, or several of which the first that the header has is taken; ``*`` stands for any text."""
Text = Annotated[str, AfterValidator(_decided)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Columns(_Part):
    """Column names. A ``*`` in a money column (``Amount spent (*)``) says the currency where nothing else does."""

    time: Column
    hour: Column | None = None
    account: Column | None = None
    source: Column | None = None
    campaign: Column | None = None
    currency: Column | None = None
    name: Column | None = None
    cost: Column | None = None
    impressions: Column | None = None
    clicks: Column | None = None
    conversions: Column | None = None
    value: Column | None = None
    id: Column | None = None
    order_id: Column | None = None
    clicked_at: Column | None = None
    ad_group: Column | None = None
    device: Column | None = None
    country: Column | None = None
    metric: Column | None = None
    amount: Column | None = None


class Constants(_Part):
    """What is true of every row, or of rows whose cell is blank."""

    account: Text | None = None
    source: Text | None = None
    campaign: Text | None = None
    currency: Annotated[Text, Field(pattern="^[A-Z]{3}$")] | None = None
    name: Text | None = None


class FileShape(_Part):
    """How the file is written. ``total_rows``: a row with a cell that begins so is a sum of others and left out."""

    encoding: str = "auto"
    delimiter: str = Field(default="auto", min_length=1)
    total_rows: tuple[str, ...] = ("total", "grand total", "totals", "summe", "gesamt", "results from")


class Numbers(_Part):
    """How numbers are written; ``money`` is ``major`` (12.34 euro) or ``micros`` (12340000)."""

    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'", ""] = ","
    money: Literal["major", "micros"] = "major"

    @model_validator(mode="after")
    def _differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError("decimal and thousands are the same sign")
        return self


class Mapping(_Part):
    """A whole mapping.

    ``shape``: ``wide`` (a row holds all measures) or ``long`` (a row holds one, named in ``columns.metric`` and
    translated by ``metrics``).  ``granularity``: a row is the sum of a ``day``, an ``hour`` or a ``minute``, or one
    ``event`` (an order, a click).  ``ambiguous``: which of the two hours a local time means when clocks are set back.
    ``duplicates``: whether a row that repeats another to the letter is dropped (default for sums) or kept (for events).
    ``where``: only rows whose column has one of these values are read.  ``optional``: columns that may be missing.
    """

    shape: Literal["wide", "long"] = "wide"
    granularity: Literal["day", "hour", "minute", "event"]
    time_zone: Annotated[str, AfterValidator(_zone)]
    time_formats: tuple[Annotated[str, AfterValidator(_form)], ...] = ()
    ambiguous: Literal["earlier", "later"] = "earlier"
    duplicates: Literal["drop", "keep"] | None = None
    columns: Columns
    constants: Constants = Constants()
    optional: tuple[str, ...] = ()
    metrics: dict[str, Measure] = Field(default_factory=dict)
    where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    file: FileShape = FileShape()
    numbers: Numbers = Numbers()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        self._says("account")
        self._says("source")
        if self.granularity != "event" or self.columns.cost is not None:
            self._says("campaign")
        if self.granularity in ("minute", "event") and self._counts_conversions():
            self._says("name")
        if self.shape == "long" and not (self.columns.metric and self.columns.amount and self.metrics):
            raise ValueError("shape long needs columns.metric, columns.amount and metrics")
        if self.shape == "wide" and not self._measured():
            raise ValueError("columns: none of cost, impressions, clicks, conversions, value is mapped")
        for name in self.optional:
            if name not in Columns.model_fields or name == "time":
                raise ValueError(f"optional: {name!r} is no column that may be missing")
        return self

    def _measured(self) -> bool:
        return any(getattr(self.columns, measure) is not None for measure in MEASURES)

    def _counts_conversions(self) -> bool:
        long = {"conversions", "value"} & set(self.metrics.values())
        return bool(long) or self.columns.conversions is not None or self.columns.value is not None

    def _says(self, key: str) -> None:
        if getattr(self.columns, key) is None and getattr(self.constants, key) is None:
            raise ValueError(f"neither columns.{key} nor constants.{key} says the {key}")


def load_mapping(path: Path) -> Mapping:
    """The mapping in a YAML file. Raises :class:`MappingError` naming file and key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """The mapping in ``text``, which stands in the file called ``name``. Raises :class:`MappingError`."""
    try:
        data = yaml.safe_load(text)
        return Mapping.model_validate(data)
    except yaml.YAMLError as error:
        raise MappingError(f"{name}: is not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        problems = "; ".join(_problem(one["loc"], one["msg"]) for one in error.errors())
        raise MappingError(f"{name}: {problems}") from error


def _problem(where: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in where)
    message = message.removeprefix("Value error, ")
    return f"{key}: {message}" if key else message
