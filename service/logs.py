"""Logs: an event's name and key-value pairs, as text for people or as JSON lines; secrets never pass.

Normal work is silent.  A repeated failure is the caller's to log on change.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, SecretStr

HIDDEN = "[secret]"
# What looks like a credential is hidden even where no setting told us about it.
_LIKE_A_SECRET = re.compile(
    r"xox[a-z]-[A-Za-z0-9-]+|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)|(?i:bearer)\s+[A-Za-z0-9._~+/=-]{8,}"
    r"|https://hooks\.slack\.com/services/\S+"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Redactor(logging.Filter):
    """Hides secrets: those the settings hold, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True)

    def clean(self, text: str) -> str:
        """``text`` without secrets.

        >>> Redactor(["hunter22"]).clean("login hunter22 at postgresql://me:pw@db/x")
        'login [secret] at postgresql://[secret]@db/x'
        """
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _LIKE_A_SECRET.sub(HIDDEN, text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean ``record`` in place."""
        record.msg = self.clean(record.getMessage())
        record.args = ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = self.clean(logging.Formatter().formatException(record.exc_info))
        return True


class TextFormat(logging.Formatter):
    """One line for people; control characters of untrusted names are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC)
        words = _CONTROL.sub(lambda m: repr(m.group())[1:-1], record.getMessage())
        line = f"{at:%Y-%m-%dT%H:%M:%SZ} {record.levelname.lower():7} {record.name} {words}"
        return f"{line}\n{record.exc_text}" if record.exc_text else line


class JsonFormat(logging.Formatter):
    """One JSON object per line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_text:
            fields["error"] = record.exc_text
        return json.dumps(fields, ensure_ascii=False)


def set_up(level: str, style: str, secrets: Iterable[str] = ()) -> None:
    """Send all logs of this process to stderr, redacted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormat() if style == "json" else TextFormat())
    handler.addFilter(Redactor(secrets))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("kafka", "aiokafka", "faust", "mode", "urllib3", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING if level != "debug" else logging.INFO)


def event(name: str, **fields: object) -> str:
    """An event's name with its fields, for one log call.

    >>> event("store_failed", path="a b", tries=3)
    "store_failed path='a b' tries=3"
    """
    return " ".join([name, *(f"{key}={value!r}" for key, value in fields.items())])


def secrets_in(model: BaseModel) -> list[str]:
    """Every secret that settings hold, so that the logs can hide it."""
    found: list[str] = []
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            found.append(value.get_secret_value())
        elif isinstance(value, BaseModel):
            found.extend(secrets_in(value))
    return found
