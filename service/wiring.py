"""The one place where rooms meet outside things: where alert changes are kept, said and drawn."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, create_engine, func, select
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from alerts.change import AlertChange, Turn
from notifiers.message import MessageSettings
from service.errors import SettingsError, StoreError
from service.settings import Settings
from service.web import views
from service.web.book import Drawer, Told

_TABLES = MetaData()
_CHANGES = Table(
    "alert_changes",
    _TABLES,
    Column("alert_id", String(200), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("at", String(30), nullable=False, index=True),
    Column("is_open", Integer, nullable=False),
    Column("line", LargeBinary, nullable=False),
)


class Desk:
    """Keeps every alert change once, says it on the console, and lets the pages read."""

    def __init__(self, engine: Engine, drawer: Drawer, wording: MessageSettings, console: TextIO | None) -> None:
        self.drawer = drawer
        self._engine = engine
        self._console = console
        self._wording = wording
        self._lock = threading.Lock()

    def accept(self, change: AlertChange) -> None:
        """Keep ``change`` and say it; a repeat changes nothing. Raises :class:`StoreError` when the store refuses."""
        row = {
            "alert_id": change.alert_id,
            "version": change.version,
            "at": change.at,
            "is_open": int(change.change is not Turn.RESOLVED),
            "line": change.to_line(),
        }
        try:
            with self._lock, self._engine.begin() as connection:
                connection.execute(_CHANGES.insert().values(row))
        except IntegrityError:
            return
        except SQLAlchemyError as error:
            raise StoreError(f"{_shown(self._engine)}: {_reason(error)}") from error
        if self._console is not None:
            print(views.line(change, self._wording), file=self._console, flush=True)

    def latest(self, limit: int) -> Sequence[AlertChange]:
        """The newest change of each alert, open ones first, then by time; at most ``limit``."""
        newest = select(_CHANGES.c.alert_id, func.max(_CHANGES.c.version).label("version"))
        newest_rows = newest.group_by(_CHANGES.c.alert_id).subquery()
        both = (_CHANGES.c.alert_id == newest_rows.c.alert_id) & (_CHANGES.c.version == newest_rows.c.version)
        query = select(_CHANGES.c.line).join(newest_rows, both)
        return self._read(query.order_by(_CHANGES.c.is_open.desc(), _CHANGES.c.at.desc()).limit(limit))

    def changes(self, alert_id: str) -> Sequence[AlertChange]:
        """All changes of one alert in order."""
        return self._read(select(_CHANGES.c.line).where(_CHANGES.c.alert_id == alert_id).order_by(_CHANGES.c.version))

    def told(self, alert_id: str) -> Sequence[Told]:
        """What was said on the console."""
        if self._console is None:
            return []
        changes = self.changes(alert_id)
        return [Told("console", one.change.value, "sent", 1, one.at) for one in changes if one.muted_by is None]

    def _read(self, query: Any) -> list[AlertChange]:
        try:
            with self._engine.connect() as connection:
                return [AlertChange.from_line(line) for line in connection.execute(query).scalars()]
        except SQLAlchemyError as error:
            raise StoreError(f"{_shown(self._engine)}: {_reason(error)}") from error


class VegaDrawer:
    """Draws an alert's history with Vega-Lite: the expected range, what was expected, what was observed."""

    def spec(self, change: AlertChange) -> dict[str, Any]:
        """The Vega-Lite spec of the chart."""
        x = {"field": "at", "type": "temporal", "scale": {"type": "utc"}, "axis": {"title": None}}
        y = {"type": "quantitative", "axis": {"title": change.measure}}

        def layer(mark: dict[str, Any], field: str, **more: Any) -> dict[str, Any]:
            return {"mark": {"tooltip": True, **mark}, "encoding": {"x": x, "y": {"field": field, **y}, **more}}

        return {
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "data": {"values": [point.model_dump() for point in change.history]},
            "width": 560,
            "height": 240,
            "layer": [
                layer({"type": "area", "color": "#9db8d2", "opacity": 0.5}, "low", y2={"field": "high"}),
                layer({"type": "line", "color": "#5f7f9f", "strokeDash": [4, 3]}, "expected"),
                layer({"type": "line", "color": "#b3261e", "point": True}, "observed"),
            ],
        }

    def svg(self, change: AlertChange) -> str:
        """The chart as a picture."""
        import vl_convert

        return str(vl_convert.vegalite_to_svg(self.spec(change)))


@contextmanager
def open_desk(settings: Settings, console: TextIO | None = sys.stdout) -> Iterator[Desk]:
    """The desk over ``store.url``, its tables made. Raises :class:`StoreError` and :class:`SettingsError`."""
    engine = _engine(settings)
    try:
        _TABLES.create_all(engine)
        yield Desk(engine, VegaDrawer(), settings.message, console)
    except SQLAlchemyError as error:
        raise StoreError(f"{_shown(engine)}: {_reason(error)}") from error
    finally:
        engine.dispose()


def _engine(settings: Settings) -> Engine:
    try:
        return create_engine(make_url(settings.store_url))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
        raise SettingsError(f"store.url: {type(error).__name__}: not a database address that can be used") from None


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _reason(error: SQLAlchemyError) -> str:
    """The driver's own words in one line, without SQLAlchemy's statement and parameters."""
    return " ".join(str(getattr(error, "orig", None) or error).split())
