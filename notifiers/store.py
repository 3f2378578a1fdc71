"""The database behind the ledger: SQLite in a file (WAL, on disk at every commit), or PostgreSQL.

Whatever the database refuses is a :class:`~notifiers.errors.StoreError` that names the store without its password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from notifiers.errors import StoreError
from notifiers.tables import metadata

BUSY_TIMEOUT_S = 5.0
"""How long to wait for another writer on SQLite."""
_SCHEMA_LOCK = 0x6164_7761
_REASONS = (
    ("disk is full", "the disk is full"),
    ("No space left", "the disk is full"),
    ("is locked", "another process holds it locked"),
    ("readonly database", "it is read-only"),
    ("read-only", "it is read-only"),
    ("unable to open", "it cannot be opened"),
    ("not a database", "the file is no SQLite database"),
    ("malformed", "the file is damaged"),
    ("disk I/O", "the disk does not answer"),
)


class Store:
    """One database. Thread-safe; transactions that write are serial on SQLite."""

    def __init__(self, url: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        """Open ``url`` (SQLAlchemy; ``sqlite:///file`` or ``postgresql://…``) and create what is missing."""
        self._url = _parsed(url)
        self.shown = self._url.set(query={}).render_as_string(hide_password=True)
        self._engine = _engine(self._url, busy_timeout_s)
        with self.write() as connection:
            if self.is_postgres:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
            metadata.create_all(connection)

    @property
    def is_postgres(self) -> bool:
        """Whether rows can be locked one by one."""
        return self._engine.dialect.name == "postgresql"

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that may write; committed at the end, or nothing of it happened."""
        with self._said(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One transaction that only reads; on SQLite it waits for no writer."""
        with self._said(), self._engine.connect().execution_options(adwatch_reads=True) as connection:
            yield connection

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except PoolTimeout:
            raise StoreError(f"{self.shown}: too many at once wait for it") from None
        except DBAPIError as error:
            raise StoreError(f"{self.shown}: {self._reason(error)}") from error.orig
        except SQLAlchemyError as error:
            raise StoreError(f"{self.shown}: {type(error).__name__}") from None

    def _reason(self, error: DBAPIError) -> str:
        words = str(error.orig).strip()
        for sign, reason in _REASONS:
            if sign in words:
                return reason
        line = words.splitlines()[0] if words else type(error.orig).__name__
        secret = self._url.password
        return line.replace(str(secret), "***") if secret else line


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError("store.url: not an SQLAlchemy URL, such as sqlite:////var/lib/adwatch.sqlite") from None
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        raise StoreError(f"store.url: {backend} is not supported; SQLite and PostgreSQL are")
    if parsed.database in (None, "", ":memory:"):
        raise StoreError("store.url: SQLite needs a file: what is only in memory does not survive")
    return parsed


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 10}, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s}, hide_parameters=True)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: Any) -> None:
    """Python's driver is to begin nothing by itself; a commit is on disk when it returns."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin(connection: Connection) -> None:
    """A writer takes the lock at once: one that took it halfway could not wait for it."""
    reads = connection.get_execution_options().get("adwatch_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")
