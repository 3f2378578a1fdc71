"""What a database that does not do its part is told as, and that nothing is lost by it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from alerts.change import AlertChange
from notifiers.errors import StoreError
from notifiers.ledger import Ledger
from notifiers.store import Store

Make = Callable[..., AlertChange]
SECRET = "planted-secret-3"
FULL = 1000


def fill(ledger: Ledger, change: Make) -> None:
    for number in range(FULL):
        ledger.accept(change(alert_id=f"a{number}"))


def test_sqlite_commits_are_on_disk_when_they_return(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.sqlite")
    with store.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path, change: Make) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.sqlite", busy_timeout_s=0.01)
    ledger = Ledger(store, ["slack"], lambda: 1.0)
    ledger.accept(change())
    with store.write() as connection:
        connection.execute(text("DELETE FROM alerts"))
        assert len(ledger.latest()) == 1


def test_a_full_database_is_named_and_takes_the_change_later(tmp_path: Path, change: Make) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.sqlite")
    ledger = Ledger(store, ["slack"], lambda: 1.0)
    with store.write() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    with pytest.raises(StoreError, match=f"sqlite:///{tmp_path}/a.sqlite: the disk is full"):
        fill(ledger, change)
    taken = len(ledger.latest(5000))
    assert taken < FULL
    assert sum(ledger.counts().values()) == taken
    with store.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 100000"))
    ledger.accept(change(alert_id=f"a{taken}"))
    assert len(ledger.latest(5000)) == taken + 1


def test_a_database_that_another_process_holds_is_named(tmp_path: Path, change: Make) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.sqlite", busy_timeout_s=0.01)
    other = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"a\.sqlite: another process holds it locked"):
        Ledger(store, ["slack"], lambda: 1.0).accept(change())
    other.close()


def test_a_read_only_database_is_named(tmp_path: Path, change: Make) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.sqlite")
    with store.read() as connection:
        connection.execute(text("PRAGMA query_only = ON"))
    with pytest.raises(StoreError, match=r"a\.sqlite: it is read-only"):
        Ledger(store, ["slack"], lambda: 1.0).accept(change())


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database at all, but long enough to be looked at" * 50)
    with pytest.raises(StoreError, match="the file is no SQLite database"):
        Store(f"sqlite:///{tmp_path}/a.sqlite")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nowhere/a\.sqlite: it cannot be opened"):
        Store(f"sqlite:///{tmp_path}/nowhere/a.sqlite")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite://", "SQLite needs a file"),
        ("sqlite:///:memory:", "SQLite needs a file"),
        (f"mysql://me:{SECRET}@host/db", "mysql is not supported"),
        (f"no url {SECRET}", "not an SQLAlchemy URL"),
    ],
)
def test_a_url_that_cannot_be_used_is_said_without_its_secret(url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as raised:
        Store(url)
    assert SECRET not in str(raised.value)


def test_a_postgres_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as raised:
        Store(f"postgresql://me:{SECRET}@/db?host={tmp_path}&password={SECRET}")
    assert "postgresql+psycopg://me:***@/db" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_two_processes_may_make_the_schema_at_once(store_url: str) -> None:
    code = "import sys; from notifiers.store import Store; Store(sys.argv[1])"
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    made: list[Any] = [subprocess.Popen([sys.executable, "-c", code, store_url], env=environment) for _ in range(2)]
    assert [one.wait(timeout=60) for one in made] == [0, 0]
