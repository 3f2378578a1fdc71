"""A CSV export as a table: encoding, delimiter, the header somewhere below a preamble, rows with their line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from events.csv_mapping import Column, Columns, FileShape, ImportFault, Mapping

_DELIMITERS = (",", ";", "\t", "|")
_SEARCHED = 60
"""How many rows are searched for the header."""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line on which it begins (from 1) and its cells."""

    line: int
    cells: tuple[str, ...]


@dataclass(slots=True)
class Table:
    """A file read: its header, where the mapped columns stand, and an iterator over the rows below."""

    name: str
    encoding: str
    delimiter: str
    header: Row
    rows: Iterator[Row]
    at: dict[str, int] = field(default_factory=dict)
    currency: str | None = None
    """What the ``*`` of a money column stood for."""


def read_table(path: Path, mapping: Mapping) -> Table:
    """The table of an export. Raises :class:`ImportFault` where it has no header with the mapped columns."""
    text, encoding = read_text(path, mapping.file.encoding)
    told = mapping.file.delimiter
    faults = []
    for delimiter in delimiters(text) if told == "auto" else (told,):
        try:
            return _table(path, text, encoding, delimiter, mapping)
        except ImportFault as fault:
            faults.append(fault)
    raise faults[0]


def _table(path: Path, text: str, encoding: str, delimiter: str, mapping: Mapping) -> Table:
    rows = split(text, delimiter, str(path))
    wanted = mapped(mapping.columns)
    needed = {key for key in wanted if key not in mapping.optional}
    best: tuple[Row, dict[str, int]] | None = None
    for _, row in zip(range(_SEARCHED), rows, strict=False):
        found = locate(row.cells, wanted)
        if best is None or len(found) > len(best[1]):
            best = (row, found)
        if needed <= set(found):
            where = _where(mapping, row, str(path))
            table = Table(str(path), encoding, delimiter, row, rows, found | where)
            table.currency = _starred(mapping, table)
            return table
    raise ImportFault(_no_header(str(path), wanted, needed, best))


def mapped(columns: Columns) -> dict[str, Column]:
    """The columns that a mapping names, by key."""
    return {key: names for key in Columns.model_fields if (names := getattr(columns, key)) is not None}


def locate(header: Sequence[str], wanted: dict[str, Column]) -> dict[str, int]:
    """Where the wanted columns stand in a header; those that it lacks are left out."""
    names = [plain(cell) for cell in header]
    found = {}
    for key, alternatives in wanted.items():
        for name in alternatives:
            place = next((at for at, cell in enumerate(names) if _matches(name, cell)), None)
            if place is not None:
                found[key] = place
                break
    return found


def plain(cell: str) -> str:
    """A header's cell without case, quotes and needless space.

    >>> plain('\\ufeff "Amount  spent (EUR)" ')
    'amount spent (eur)'
    """
    return " ".join(cell.replace("\ufeff", "").replace("\u00a0", " ").strip().strip('"').split()).casefold()


def _matches(name: str, cell: str) -> bool:
    if "*" not in name:
        return plain(name) == cell
    return _star(name).fullmatch(cell) is not None


def _star(name: str) -> re.Pattern[str]:
    return re.compile("(.+?)".join(re.escape(part) for part in plain(name).split("*")))


def _starred(mapping: Mapping, table: Table) -> str | None:
    """The currency that stands in the header of a money column."""
    for key in ("cost", "value"):
        for name in getattr(mapping.columns, key) or ():
            found = _star(name).fullmatch(plain(table.header.cells[table.at[key]])) if key in table.at else None
            if found and found.groups() and re.fullmatch("[a-z]{3}", found[1]):
                return found[1].upper()
    return None


def _where(mapping: Mapping, header: Row, name: str) -> dict[str, int]:
    wanted: dict[str, Column] = {f"where.{column}": (column,) for column in mapping.where}
    found = locate(header.cells, wanted)
    for key, column in wanted.items():
        if key not in found:
            raise ImportFault(f"{name}:{header.line}: where: there is no column {column[0]!r}; {_has(header)}")
    return found


def _no_header(name: str, wanted: dict[str, Column], needed: set[str], best: tuple[Row, dict[str, int]] | None) -> str:
    if best is None:
        return f"{name}: is empty"
    row, found = best
    missing = [f"columns.{key}: there is no column {' or '.join(map(repr, wanted[key]))}" for key in wanted]
    missing = [text for key, text in zip(wanted, missing, strict=True) if key in needed and key not in found]
    return f"{name}:{row.line}: {'; '.join(missing)}; {_has(row)}"


def _has(row: Row) -> str:
    return "the header has " + ", ".join(repr(cell.strip()) for cell in row.cells[:40])


def read_text(path: Path, encoding: str = "auto") -> tuple[str, str]:
    """A file's text and its encoding: by byte order mark, else UTF-8, else Windows' Latin-1."""
    try:
        data = path.read_bytes()
        if not data.strip():
            raise ImportFault(f"{path}: is empty")
        return _decode(data, encoding)
    except OSError as error:
        raise ImportFault(f"{path}: {error.strerror or error}") from error
    except LookupError as error:
        raise ImportFault(f"file.encoding: {encoding!r} is no encoding") from error
    except UnicodeError as error:
        raise ImportFault(f"{path}: is not text in {encoding}: {error}") from error


def _decode(data: bytes, encoding: str) -> tuple[str, str]:
    if encoding != "auto":
        return data.decode(encoding), encoding
    for bom, name in _BOMS:
        if data.startswith(bom):
            return data.decode(name), name
    sample = data[:4096]
    if sample[1::2].count(0) > len(sample) // 4:
        return data.decode("utf-16-le"), "utf-16-le"
    if b"\0" in sample:
        raise UnicodeError("it holds zero bytes; is it a spreadsheet or an archive?")
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        try:
            return data.decode("cp1252"), "cp1252"
        except UnicodeDecodeError:
            return data.decode("latin-1"), "latin-1"


def delimiters(text: str) -> list[str]:
    """All delimiters, the likeliest first: the one that cuts most of the first lines alike, into more than one cell.

    >>> delimiters("a;b;c\\n1,5;2;3\\n2,5;3;4\\n")[0]
    ';'
    """
    lines = text[:65_536].splitlines()[:_SEARCHED]

    def weight(delimiter: str) -> tuple[int, int]:
        try:
            widths = Counter(len(cells) for cells in csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            return (0, 0)
        width, times = max(((w, n) for w, n in widths.items() if w > 1), key=lambda p: (p[1], p[0]), default=(0, 0))
        return (times, width)

    return sorted(_DELIMITERS, key=weight, reverse=True)


def split(text: str, delimiter: str, name: str) -> Iterator[Row]:
    """The rows of ``text``. Raises :class:`ImportFault` naming the line where a quote is never closed."""
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    except TypeError as error:
        raise ImportFault(f"file.delimiter: {delimiter!r} is not one sign") from error
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise ImportFault(f"{name}:{line}: {error}; is a quote not closed?") from error
        yield Row(line, tuple(cells))
        line = reader.line_num + 1


def is_total(row: Row, shape: FileShape) -> bool:
    """Whether a row is a sum of others."""
    words = shape.total_rows
    return any(_begins(plain(cell), word) for cell in row.cells[:8] if cell for word in words)


def _begins(cell: str, word: str) -> bool:
    word = plain(word)
    return (
        cell == word
        or cell.startswith((f"{word}:", f"{word} -", f"{word} –"))
        or (" " in word and cell.startswith(word))
    )
