"""Labels: incidents that are known to have happened, one JSON object a line, and whose fault a bad one is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = TypeAdapter(AwareDatetime)


class LabelError(ValueError):
    """A labels file cannot be used; the message names file, line and key."""


def moment_ms(value: Any) -> int:
    """RFC 3339 with offset, or epoch milliseconds (integer), as epoch milliseconds.

    >>> moment_ms("2026-01-01T01:00:00+01:00"), moment_ms(5)
    (1767225600000, 5)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not isinstance(value, str) or "-" not in value:
        raise ValueError("is neither RFC 3339 with offset nor epoch milliseconds")
    return (_MOMENT.validate_python(value) - _EPOCH) // timedelta(milliseconds=1)


Moment = Annotated[int, BeforeValidator(moment_ms)]


class Label(BaseModel):
    """One incident: what an alert about it must say, and between which moments (both included) it must open."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    incident_id: str = Field(min_length=1)
    signal: str = Field(min_length=1)
    account: str = Field(min_length=1)
    source: str | None = None
    campaign: str | None = None
    from_ms: Moment = Field(alias="from")
    to_ms: Moment = Field(alias="to")


def read_labels(path: Path) -> list[Label]:
    """The incidents of a labels file. Raises :class:`LabelError`."""
    try:
        with path.open("rb") as lines:
            return parse_labels(lines, str(path))
    except OSError as error:
        raise LabelError(f"{path}: {error.strerror or error}") from error


def parse_labels(lines: Iterable[bytes], name: str) -> list[Label]:
    """The incidents in ``lines`` of the file called ``name``; blank lines are skipped. Raises :class:`LabelError`."""
    labels: dict[str, Label] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label = _parse(line, f"{name}:{number}")
        if label.to_ms < label.from_ms:
            raise LabelError(f"{name}:{number}: to: lies before from")
        if label.incident_id in labels:
            raise LabelError(f"{name}:{number}: incident_id: {label.incident_id!r} stands twice")
        labels[label.incident_id] = label
    return list(labels.values())


def _parse(line: bytes, where: str) -> Label:
    try:
        return Label.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "line"
        raise LabelError(f"{where}: {key}: {first['msg']}") from error
