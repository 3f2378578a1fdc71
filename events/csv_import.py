"""CSV exports as facts, in log order: ``import_csv`` reads files by a mapping and writes NDJSON.

Rows that are sums of a day or an hour become ``snapshot`` facts (revision 1, known at the end of their bucket), with a
``watermark`` per source and account behind each bucket, so that the bucket is complete exactly then.  Rows of a minute
become ``delivery`` and ``conversion`` facts, known at its end, with watermarks too; rows that are events become the
same at their own moment, without watermarks.  Ids derive from what the row says, so the same file gives the same facts.

Several rows of one file about the same bucket of the same series (because the export is split by device, say) are
added up; a later file that speaks of the bucket again replaces it.  Nothing is guessed: a cell that cannot be read
costs its row, which is reported with file, line and column.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import ValidationError

from events.csv_cells import Clock, Moment, Wall, count_millionths, is_nothing, money_micros
from events.csv_mapping import MEASURES, ImportFault, Mapping, Measure
from events.csv_table import Row, Table, is_total, read_table
from events.facts import Conversion, Delivery, Fact, Snapshot, Watermark, encode

_MONEY = frozenset({"cost", "value"})
_DELIVERED = frozenset({"cost", "impressions", "clicks"})
_CONVERTED = frozenset({"conversions", "value"})
_MILLION = 1_000_000
_LENGTH_MS = {"hour": 3_600_000, "minute": 60_000}


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that could not be read: where, which column (its name in the file), and why."""

    file: str
    line: int
    column: str
    detail: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: column {self.column!r}: {self.detail}"


@dataclass(slots=True)
class ImportReport:
    """What became of the rows. ``skipped`` counts by reason: blank, note, header, total,
    duplicate, where, repeated id.

    ``ambiguous`` and ``missing`` count local times that stood on the wall twice or never (the clocks were changed);
    ``rounded`` counts cells finer than a micro; ``replaced`` buckets that a later file spoke of again.
    """

    rows: int = 0
    facts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: list[RejectedRow] = field(default_factory=list)
    ambiguous: int = 0
    missing: int = 0
    rounded: int = 0
    replaced: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


class _Series(NamedTuple):
    source: str
    account: str
    campaign: str | None
    currency: str
    name: str | None


class _Bucket(NamedTuple):
    series: _Series
    start_ms: int
    end_ms: int


@dataclass(slots=True)
class _Sums:
    where: tuple[str, int]
    of: dict[Measure, int] = field(default_factory=dict)


class _Line(NamedTuple):
    """A fact in its place: by the moment it is known, watermarks behind the rest."""

    known_at_ms: int
    last: bool
    number: int
    text: bytes


class _CellFault(ValueError):
    def __init__(self, column: str, detail: str) -> None:
        super().__init__(detail)
        self.column, self.detail = column, detail


def import_csv(paths: Sequence[Path], mapping: Mapping, out: BinaryIO) -> ImportReport:
    """Read ``paths`` by ``mapping`` and write the facts in log order to ``out``.

    Raises :class:`ImportFault` naming file, line and column or key where a file is unreadable, lacks a column, or holds
    not one usable row.  Single bad rows are reported, not raised.
    """
    report = ImportReport()
    writer = _Writer(mapping, report)
    buckets: dict[_Bucket, _Sums] = {}
    ids: set[str] = set()
    for path in paths:
        file = _FileReader(read_table(path, mapping), mapping, report, writer, ids)
        file.read()
        report.replaced += sum(bucket in buckets for bucket in file.buckets)
        buckets.update(file.buckets)
    writer.write_buckets(buckets)
    if not writer.lines:
        raise ImportFault(_nothing(paths, report))
    for line in sorted(writer.lines):
        out.write(line.text)
    return report


def _nothing(paths: Sequence[Path], report: ImportReport) -> str:
    if report.rejected:
        return f"no row could be read; the first: {report.rejected[0]}"
    names = ", ".join(map(str, paths))
    return f"{names}: holds no rows of data" + (f" (skipped: {dict(report.skipped)})" if report.skipped else "")


class _Writer:
    """Turns what was read into facts that the contract accepts."""

    def __init__(self, mapping: Mapping, report: ImportReport) -> None:
        self.mapping, self.report = mapping, report
        self.lines: list[_Line] = []

    def write_buckets(self, buckets: dict[_Bucket, _Sums]) -> None:
        """Facts of all buckets, and the watermarks behind them."""
        written: dict[tuple[str, str, int], None] = {}
        for bucket, sums in buckets.items():
            facts = self._snapshot if self.mapping.granularity in ("day", "hour") else self._minute
            if self.write(sums.where, bucket.end_ms, *facts(bucket, sums)):
                written[bucket.series.source, bucket.series.account, bucket.end_ms] = None
        for source, account, end_ms in written:
            mark = {"fact": "watermark", "at": end_ms, "source": source, "account": account}
            self.write(("", 0), end_ms, (Watermark, mark), last=True)

    def _snapshot(self, bucket: _Bucket, sums: _Sums) -> Iterator[tuple[type[Fact], dict[str, Any]]]:
        yield (
            Snapshot,
            {
                "fact": "snapshot",
                "at": bucket.start_ms,
                "bucket": self.mapping.granularity,
                **bucket.series._asdict(),
                "revision": 1,
                **{_key(measure): _said(measure, value) for measure, value in sums.of.items()},
                "time_zone": self.mapping.time_zone,
                "known_at": bucket.end_ms,
            },
        )

    def _minute(self, bucket: _Bucket, sums: _Sums) -> Iterator[tuple[type[Fact], dict[str, Any]]]:
        row_id = _hash("minute", *map(str, bucket.series), str(bucket.start_ms))
        about = {"at": bucket.start_ms, "known_at": bucket.end_ms}
        yield from facts_of(row_id, bucket.series, sums.of, about)

    def write(
        self, where: tuple[str, int], known_at_ms: int, *facts: tuple[type[Fact], dict[str, Any]], last: bool = False
    ) -> bool:
        """Keep facts for writing; a fact that the contract refuses costs the row it came from."""
        try:
            ready = [model.model_validate(said) for model, said in facts]
        except ValidationError as error:
            first = error.errors()[0]
            column = ".".join(str(part) for part in first["loc"])
            self.report.rejected.append(RejectedRow(*where, column, f"{first['msg']}: {str(first['input'])[:80]!r}"))
            return False
        for fact in ready:
            self.lines.append(_Line(known_at_ms, last, len(self.lines), encode(fact)))
            self.report.facts[fact.fact] += 1
            if not last:
                self._saw(fact.at)
        return bool(ready)

    def _saw(self, at_ms: int) -> None:
        report = self.report
        report.first_ms = at_ms if report.first_ms is None else min(report.first_ms, at_ms)
        report.last_ms = at_ms if report.last_ms is None else max(report.last_ms, at_ms)


def facts_of(
    row_id: str, series: _Series, of: dict[Measure, int], about: dict[str, Any], order_id: str | None = None
) -> Iterator[tuple[type[Fact], dict[str, Any]]]:
    """The delivery and the conversion that measures of one moment amount to; a count of zero converts nothing."""
    where = series._asdict()
    name = where.pop("name")
    if _DELIVERED & set(of):
        measures = {_key(measure): _said(measure, of.get(measure, 0)) for measure in ("cost", "impressions", "clicks")}
        delivered = {key: value for key, value in about.items() if key != "clicked_at"}
        yield Delivery, {"fact": "delivery", "id": row_id, **delivered, **where, **measures}
    if _CONVERTED & set(of) and of.get("conversions", _MILLION):
        said = {"name": name, "value_micros": of.get("value", 0), "count": of.get("conversions", _MILLION) / _MILLION}
        yield Conversion, {"fact": "conversion", "id": row_id, **about, **where, **said, "order_id": order_id}


class _FileReader:
    """Reads the rows of one file."""

    def __init__(self, table: Table, mapping: Mapping, report: ImportReport, writer: _Writer, ids: set[str]) -> None:
        self.table, self.mapping, self.report, self.writer = table, mapping, report, writer
        self.buckets: dict[_Bucket, _Sums] = {}
        self.ids = ids
        self.times: Counter[str] = Counter()
        self.clock = Clock(mapping.time_zone, mapping.time_formats, fold=int(mapping.ambiguous == "later"))
        self.day_ms = lru_cache(maxsize=4096)(self.clock.day_ms)
        self.drop = (mapping.duplicates or ("keep" if mapping.granularity == "event" else "drop")) == "drop"
        self.accepted = {key: {value.casefold() for value in values} for key, values in mapping.where.items()}

    def read(self) -> None:
        """Read all rows; what cannot be read is reported."""
        for row in self.table.rows:
            self.report.rows += 1
            reason = self._why_not(row)
            if reason is not None:
                self.report.skipped[reason] += 1
                continue
            try:
                self._take(row)
            except _CellFault as fault:
                self.report.rejected.append(RejectedRow(self.table.name, row.line, fault.column, fault.detail))

    def _why_not(self, row: Row) -> str | None:
        filled = sum(bool(cell.strip()) for cell in row.cells)
        if not filled:
            return "blank"
        if filled == 1 and len(self.table.header.cells) > 2:
            return "note"
        if row.cells == self.table.header.cells:
            return "header"
        if is_total(row, self.mapping.file):
            return "total"
        for column, accepted in self.accepted.items():
            if self._cell(row, f"where.{column}").casefold() not in accepted:
                return "where"
        digest = _hash(*row.cells)
        self.times[digest] += 1
        if self.drop and self.times[digest] > 1:
            return "duplicate"
        return "repeated id" if self.mapping.granularity == "event" and self._id(row) in self.ids else None

    def _id(self, row: Row) -> str:
        """The event's own id, or one that follows from what the row says and how often it has been said before."""
        digest = _hash(*row.cells)
        return self._cell(row, "id") or _hash(digest, str(self.times[digest]))

    def _take(self, row: Row) -> None:
        moment = self._moment(row)
        measures = self._measures(row)
        if self.mapping.granularity == "event":
            self._event(row, moment, measures)
            return
        bucket = _Bucket(self._series(row), *self._span(row, moment))
        sums = self.buckets.setdefault(bucket, _Sums((self.table.name, row.line)))
        for measure, value in measures.items():
            sums.of[measure] = sums.of.get(measure, 0) + value

    def _event(self, row: Row, moment: Moment, measures: dict[Measure, int]) -> None:
        row_id = self._id(row)
        if self.mapping.columns.value is not None and "value" not in measures and not self._may_lack("value"):
            raise _CellFault(self._name("value"), "is blank")
        if not measures and (self.mapping.columns.name is not None or self.mapping.constants.name is not None):
            measures = {"conversions": _MILLION}
        about: dict[str, Any] = {"at": moment.at_ms}
        for key in ("ad_group", "device", "country"):
            about[key] = self._cell(row, key) or None
        if not is_nothing(self._cell(row, "clicked_at")):
            about["clicked_at"] = self._moment(row, "clicked_at").at_ms
        order_id = self._cell(row, "order_id") or None
        facts = facts_of(row_id, self._series(row), measures, about, order_id)
        if self.writer.write((self.table.name, row.line), moment.at_ms, *facts):
            self.ids.add(row_id)

    def _may_lack(self, key: str) -> bool:
        return key in self.mapping.optional

    def _moment(self, row: Row, key: str = "time") -> Moment:
        hour_cell = self._cell(row, "hour") if key == "time" and "hour" in self.table.at else None
        try:
            moment = self.clock.read(self._cell(row, key), hour_cell)
        except (ValueError, OverflowError) as error:
            raise _CellFault(self._name(key), str(error)) from None
        self.report.ambiguous += moment.wall is Wall.AMBIGUOUS
        self.report.missing += moment.wall is Wall.MISSING
        return moment

    def _span(self, row: Row, moment: Moment) -> tuple[int, int]:
        """Start and end of the bucket that begins at a moment."""
        local, grain = moment.local, self.mapping.granularity
        finer = (local.second or local.microsecond, local.minute, local.hour)
        if any(finer[: {"minute": 1, "hour": 2, "day": 3}[grain]]):
            raise _CellFault(self._name("time"), f"{self._cell(row, 'time')!r} is not the start of a {grain}")
        if grain == "day":
            return self.day_ms(local.date())
        return moment.at_ms, moment.at_ms + _LENGTH_MS[grain]

    def _series(self, row: Row) -> _Series:
        needed = self.mapping.granularity != "event" or self.mapping.columns.cost is not None
        return _Series(
            self._text(row, "source"),
            self._text(row, "account"),
            self._text(row, "campaign") if needed else self._text_or_none(row, "campaign"),
            self._currency(row),
            self._text_or_none(row, "name"),
        )

    def _currency(self, row: Row) -> str:
        said = self._text_or_none(row, "currency") or self.table.currency
        if said is None:
            raise _CellFault(self._name("currency"), "nothing says the currency: name it in constants.currency")
        return said.upper()

    def _text(self, row: Row, key: str) -> str:
        said = self._text_or_none(row, key)
        if said is None:
            raise _CellFault(self._name(key), "is blank")
        return said

    def _text_or_none(self, row: Row, key: str) -> str | None:
        return self._cell(row, key) or getattr(self.mapping.constants, key)

    def _measures(self, row: Row) -> dict[Measure, int]:
        """What the row says, in micros and millionths; a blank cell says nothing."""
        if self.mapping.shape == "long":
            measure = self.mapping.metrics.get(self._cell(row, "metric"))
            return {} if measure is None else self._measure(row, "amount", measure)
        said: dict[Measure, int] = {}
        for measure in MEASURES:
            said |= self._measure(row, measure, measure)
        return said

    def _measure(self, row: Row, key: str, measure: Measure) -> dict[Measure, int]:
        cell = self._cell(row, key)
        if is_nothing(cell):
            return {}
        try:
            value, rounded = (money_micros if measure in _MONEY else count_millionths)(cell, self.mapping.numbers)
        except ValueError as error:
            raise _CellFault(self._name(key), str(error)) from None
        self.report.rounded += rounded
        return {measure: value}

    def _cell(self, row: Row, key: str) -> str:
        place = self.table.at.get(key)
        return row.cells[place].strip() if place is not None and place < len(row.cells) else ""

    def _name(self, key: str) -> str:
        place = self.table.at.get(key)
        return key if place is None else self.table.header.cells[place].strip()


def _key(measure: Measure) -> str:
    return f"{measure}_micros" if measure in _MONEY else measure


def _said(measure: Measure, value: int) -> int | float:
    return value if measure in _MONEY else value / _MILLION


def _hash(*parts: str) -> str:
    return hashlib.blake2b("\x1f".join(parts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
