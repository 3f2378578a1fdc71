"""Alerts to tell, and the real parts to tell them through."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from alerts.change import AlertChange, Point, Turn, rfc3339
from notifiers.channel import Channel
from notifiers.fake_slack import Running, running
from notifiers.fake_slack_workspace import Workspace
from notifiers.ledger import Ledger
from notifiers.message import MessageSettings
from notifiers.observer import Observer, Silent
from notifiers.outbox import Outbox
from notifiers.relay import Relay
from notifiers.slack import SlackChannel, SlackSettings
from notifiers.store import BUSY_TIMEOUT_S, Store
from notifiers.tables import UNFINISHED

START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000
TOKEN = "xoxb-planted-secret-1"


def make_change(version: int = 1, **fields: Any) -> AlertChange:
    """A CPA spike of an agency's campaign; what matters to a test is given by name."""
    onset = START_MS + 30 * HOUR_MS
    told: dict[str, Any] = {
        "alert_id": "cpa_spike-00000000000000a1",
        "change": Turn.OPENED if version == 1 else Turn.WORSENED,
        "version": version,
        "signal": "cpa_spike",
        "severity": "warning",
        "account": "acme",
        "source": "meta",
        "campaign": "Brand | Search | DE",
        "at": rfc3339(onset + 2 * HOUR_MS + version * 600_000),
        "started_at": rfc3339(onset),
        "window": {"from": rfc3339(onset), "to": rfc3339(onset + 2 * HOUR_MS)},
        "measure": "cpa",
        "observed": 24.37,
        "expected": 9.8,
        "low": 7.1,
        "high": 13.2,
        "evidence": 4.2,
        "money_at_risk_micros": 118_500_000,
        "currency": "EUR",
        "cause": {"kind": "deploy", "what": "checkout 2.14", "at": rfc3339(onset - 600_000)},
        "action": "Compare landing page, bid and audience changes since the start.",
        "muted_by": None,
        "history": history(onset),
    }
    return AlertChange.model_validate(told | fields)


def history(onset_ms: int, hours: int = 34) -> tuple[Point, ...]:
    """Calm hours, one of them unknown, then the spike."""
    points = []
    for hour in range(hours):
        at_ms = START_MS + hour * HOUR_MS
        level = 9.8 + (hour % 6) * 0.3
        seen = None if hour == 12 else level + (hour % 5) * 0.4 - 0.8
        if at_ms >= onset_ms:
            seen = 21.0 + (hour % 3) * 2
        points.append(Point(at=rfc3339(at_ms), observed=seen, expected=level, low=level - 2.6, high=level + 3.2))
    return tuple(points)


@dataclass
class Clock:
    """A clock that only a test moves."""

    now: float = 1_767_340_800.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Desk:
    """A ledger, its store, and relays over channels; one clock for all."""

    store: Store
    clock: Clock
    ledger: Ledger
    relays: list[Relay] = field(default_factory=list)

    def relay(self, channel: Channel, observer: Observer | None = None, owner: str = "test", **more: Any) -> Relay:
        """A relay for ``channel``."""
        outbox = Outbox(self.store, channel.name, owner)
        relay = Relay(outbox, channel, MessageSettings(), self.clock, lambda: 0.5, observer or Silent(), **more)
        self.relays.append(relay)
        return relay

    def drain(self, relay: Relay, most_s: float = 100_000.0) -> float:
        """Step until nothing waits; the clock moves as the relay asks. How long it took on that clock."""
        begun = self.clock.now
        while any(state in UNFINISHED for _, state in self.ledger.counts()):
            assert self.clock.now - begun < most_s, self.ledger.counts()
            self.clock.now += max(0.01, relay.step())
        return self.clock.now - begun


@pytest.fixture
def change() -> Callable[..., AlertChange]:
    """Makes alert changes."""
    return make_change


@pytest.fixture
def clock() -> Clock:
    """A clock that only the test moves."""
    return Clock()


@pytest.fixture
def new_desk(clock: Clock, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes desks; over SQLite unless a URL is given."""
    stores: list[Store] = []

    def make(*receivers: str, url: str | None = None, busy_timeout_s: float = BUSY_TIMEOUT_S) -> Desk:
        store = Store(url or f"sqlite:///{tmp_path / 'ledger.sqlite'}", busy_timeout_s)
        stores.append(store)
        return Desk(store, clock, Ledger(store, receivers, clock))

    yield make
    for store in stores:
        store.close()


@pytest.fixture(scope="session")
def slack_server() -> Iterator[Running]:
    """A fake Slack over real HTTP."""
    with running() as fake:
        yield fake


@pytest.fixture
def slack(slack_server: Running, clock: Clock) -> Running:
    """The fake Slack as new, on the test's clock."""
    slack_server.fake.start_anew(Workspace(clock), clock)
    return slack_server


@pytest.fixture
def slack_channel(slack: Running, clock: Clock) -> Callable[..., SlackChannel]:
    """Makes Slack channels that speak to the fake."""

    def make(**settings: Any) -> SlackChannel:
        asked: dict[str, Any] = {"base_url": slack.api, "token": TOKEN, "channel": "alerts", "chart": False}
        return SlackChannel(SlackSettings.model_validate(asked | settings), sleep=lambda _: None)

    return make


PASSWORD = "planted-secret-4"
GOES_AWAY = "goes away"


@dataclass
class Postbox:
    """A real SMTP server's inside: keeps mails, and answers as told.

    ``recipients`` maps an address to the answer it gets; ``answers`` are given to the next messages, in order:
    an SMTP answer refuses, ``GOES_AWAY`` takes the message and breaks the connection before it says so.
    """

    port: int
    ca_file: Path
    mails: list[bytes] = field(default_factory=list)
    recipients: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    reached: list[list[str]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.recipients:
            return self.recipients[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer == GOES_AWAY or answer.startswith("250"):
            self.mails.append(envelope.content)
            self.reached.append(list(envelope.rcpt_tos))
            self.was_encrypted.append(session.ssl is not None)
        if answer == GOES_AWAY:
            server.transport.abort()
        return answer

    def check(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        return AuthResult(success=login.password == PASSWORD.encode(), handled=False)

    def settings(self, **more: Any) -> dict[str, Any]:
        """Settings that reach it."""
        told: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "ca_file": self.ca_file,
            "user": "adwatch",
            "password": PASSWORD,
            "from": "adwatch@example.com",
            "to": "a@example.com,b@example.com",
            "chart": False,
            "timeout_s": 5,
        }
        return told | more


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    """A certificate authority of the test run's own, and its certificate as a file."""
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


@pytest.fixture
def new_postbox(authority: tuple[trustme.CA, Path]) -> Iterator[Callable[..., Postbox]]:
    """Makes real SMTP servers: STARTTLS and a login are needed, unless it is told to offer neither."""
    running_ones: list[Controller] = []

    def make(*, encrypts: bool = True, name: str = "127.0.0.1") -> Postbox:
        ca, path = authority
        box = Postbox(free_port(), path)
        options: dict[str, Any] = {}
        if encrypts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ca.issue_cert(name).configure_cert(context)
            options = {"tls_context": context, "require_starttls": True, "authenticator": box.check}
            options["auth_required"] = True
        controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
        controller.start()
        running_ones.append(controller)
        return box

    yield make
    for one in running_ones:
        one.stop()


def _postgres_bin() -> Path | None:
    for folder in [*sorted(glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ["PATH"].split(":")]:
        if (Path(folder) / "initdb").exists() and (Path(folder) / "postgres").exists():
            return Path(folder)
    return None


def _unprivileged() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A real PostgreSQL; gives the URL of a new database at each call."""
    found = _postgres_bin()
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no PostgreSQL; `make test` names the line that installs it")
        pytest.skip("no PostgreSQL on this machine")
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="adwatch-pg-"))
    if user is not None:
        shutil.chown(folder, user)
    initdb: list[str | Path] = [
        found / "initdb",
        "-D",
        folder / "data",
        "-U",
        "adwatch",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-locale",
        "-N",
    ]
    subprocess.run(initdb, user=user, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    serve: list[str | Path] = [found / "postgres", "-D", folder / "data", "-k", folder]
    serve += ["-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(serve, user=user, stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(folder, server)
        yield lambda: _new_database(folder)
    finally:
        server.send_signal(signal.SIGQUIT)  # nothing in it is needed any more
        server.wait(timeout=20)
        shutil.rmtree(folder, ignore_errors=True)


def _connect(folder: Path) -> psycopg.Connection[Any]:
    return psycopg.connect(host=str(folder), user="adwatch", dbname="postgres", autocommit=True)


def _wait_for(folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _connect(folder).close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)


def _new_database(folder: Path) -> str:
    name = f"t{uuid.uuid4().hex[:12]}"
    with _connect(folder) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql+psycopg://adwatch:planted-secret-2@/{name}?host={folder}"


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each database in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'both.sqlite'}"
    new_database: Callable[[], str] = request.getfixturevalue("postgres")
    return new_database()
