"""Settings: YAML, then the environment, then secrets from files; composed of the owners' own settings types.

Every key can be set from the environment as ``ADWATCH_`` and its path in capitals joined by ``__``
(``ADWATCH_KAFKA__BOOTSTRAP_SERVERS``).  A key ``token`` can be given as ``token_file``, the path of a file that
holds it.  What is wrong is said with the name of the file (or variable) and the path of the key.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails

from notifiers.console import ConsoleSettings
from notifiers.email import SmtpSettings
from notifiers.message import MessageSettings
from notifiers.slack import SlackSettings
from service.errors import SettingsError
from streams.kafka_settings import KafkaSettings
from streams.settings import DetectionSettings

PREFIX = "ADWATCH_"


class HttpSettings(BaseModel):
    """Where the web page and the ingest listen."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(default=8080, ge=0, le=65535, description="0 takes any free port and says which.")
    metrics_port: int | None = Field(
        default=None, ge=0, le=65535, description="Where worker, intake and notify show /metrics; default: nowhere."
    )
    max_body_bytes: int = Field(default=64 << 20, gt=0, description="A larger POST is refused with 413.")
    ingest_token: SecretStr | None = Field(
        default=None, description="If set, POST /facts asks for `Authorization: Bearer` and this token."
    )


class StoreSettings(BaseModel):
    """Where alerts, receipts, the journal and snapshots are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    url: str | None = Field(
        default=None, description="SQLAlchemy URL; default: adwatch.sqlite beside the settings file."
    )
    directory: Path | None = Field(
        default=None,
        description="Journal and snapshots of `adwatch run`; default: adwatch-store beside the settings file.",
    )


class LogSettings(BaseModel):
    """How the process speaks to its operator."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class Settings(BaseModel):
    """All settings of the service; each section belongs to the room that reads it."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    detection: DetectionSettings = DetectionSettings()
    kafka: KafkaSettings = KafkaSettings()
    slack: SlackSettings = SlackSettings()
    smtp: SmtpSettings = SmtpSettings()
    console: ConsoleSettings = ConsoleSettings()
    message: MessageSettings = MessageSettings()
    http: HttpSettings = HttpSettings()
    store: StoreSettings = StoreSettings()
    log: LogSettings = LogSettings()
    home: Path = Field(default_factory=Path, exclude=True, repr=False, json_schema_extra={"readOnly": True})

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL of the store."""
        return self.store.url or f"sqlite:///{(self.home / 'adwatch.sqlite').absolute()}"

    @property
    def store_directory(self) -> Path:
        """The directory of journal and snapshots."""
        return self.store.directory or self.home / "adwatch-store"


def load(path: Path | None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``path`` (none: all defaults) and the environment. Raises :class:`SettingsError`."""
    named = os.environ if environ is None else environ
    tree = {} if path is None else _read_yaml(path)
    origin = _overlay(tree, named)
    file = str(path) if path is not None else "settings"
    if "home" in tree:
        raise SettingsError(f"{file}: home: unknown key")
    _resolve_secret_files(tree, Settings, file)
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsError("\n".join(_finding(e, file, origin) for e in error.errors())) from None
    return settings.model_copy(update={"home": path.parent if path is not None else Path()})


def schema() -> dict[str, Any]:
    """The JSON Schema of the settings file."""
    tree = Settings.model_json_schema(by_alias=True)
    tree["properties"].pop("home")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **tree, "title": "adwatch settings"}


def keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    """The dotted path of every key there is.

    >>> sorted(k for k in keys() if k.startswith("http."))
    ['http.host', 'http.ingest_token', 'http.max_body_bytes', 'http.metrics_port', 'http.port']
    """
    for name, field in model.model_fields.items():
        if model is Settings and name == "home":
            continue
        shown = field.alias or name
        section = _section(field.annotation)
        if section is None:
            yield prefix + shown
        else:
            yield from keys(section, f"{prefix}{shown}.")


def _section(annotation: Any) -> type[BaseModel] | None:
    for kind in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsError(f"{path}: cannot be read: {reason}") from None
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise SettingsError(f"{path}{where}: not YAML: {getattr(error, 'problem', None) or error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsError(f"{path}: settings are keys and values, this is a {type(tree).__name__}")
    return tree


def _overlay(tree: dict[str, Any], environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Lay ``ADWATCH_…`` variables over ``tree``; returns which key came from which variable."""
    origin: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX):
            continue
        path = tuple(part.lower() for part in name.removeprefix(PREFIX).split("__"))
        node = tree
        for part in path[:-1]:
            below = node.get(part)
            if not isinstance(below, dict):
                below = node[part] = {}
            node = below
        node[path[-1]] = _value(environ[name])
        origin[path] = name
    return origin


def _value(text: str) -> Any:
    """Lists and objects are written as YAML; everything else is text, which the settings types read.

    >>> _value("[a, b]"), _value("8080"), _value("1 per month")
    (['a', 'b'], '8080', '1 per month')
    """
    if text[:1] in "[{" and text:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text


def _resolve_secret_files(tree: dict[str, Any], model: type[BaseModel], file: str, path: str = "") -> None:
    """Replace every ``x_file`` whose ``x`` is a key by the content of that file."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for key in list(tree):
        below = tree[key]
        section = _section(fields[key].annotation) if key in fields else None
        if section is not None and isinstance(below, dict):
            _resolve_secret_files(below, section, file, f"{path}{key}.")
        wanted = str(key).removesuffix("_file")
        if key in fields or wanted == key or wanted not in fields:
            continue
        if wanted in tree:
            raise SettingsError(f"{file}: {path}{key}: {path}{wanted} is given as well; give one of the two")
        try:
            tree[wanted] = Path(str(tree.pop(key))).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise SettingsError(f"{file}: {path}{key}: {below}: {reason}") from None


def _finding(error: ErrorDetails, file: str, origin: Mapping[tuple[str, ...], str]) -> str:
    """One validation error in words: where it stands, what is wrong, and what may have been meant."""
    parts = tuple(str(part) for part in error["loc"])
    place = next((origin[parts[:n]] for n in range(len(parts), 0, -1) if parts[:n] in origin), None)
    where = f"{place} ({'.'.join(parts)})" if place is not None else f"{file}: {'.'.join(parts)}"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(".".join(parts), list(keys()) + _sections(), n=1, cutoff=0.6)
        return f"{where}: unknown key" + (f"; did you mean {near[0]}?" if near else "")
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}"


def _sections() -> list[str]:
    return [name for name in Settings.model_fields if name != "home"]
