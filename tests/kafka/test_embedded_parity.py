"""The world that goes over the broker, through the other shells: they tell the same, however it is cut."""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from adwatch_process import running
from kafka_parts import by_account

from alerts.change import AlertChange
from events.batch import Kind
from events.codec import Decoder
from streams.ticker import tick_line
from streams.ticks import with_ticks


@pytest.fixture(scope="session")
def log(world: list[bytes]) -> list[bytes]:
    """The world's lines with a tick a minute where a replay makes them."""
    decoded = Decoder().decode(world)
    assert not decoded.rejects
    batch, lines = with_ticks(decoded.batch), iter(world)
    return [
        tick_line(int(at_ms)) if kind == Kind.TICK else next(lines) + b"\n"
        for kind, at_ms in zip(batch.kind, batch.at_ms, strict=True)
    ]


@pytest.fixture(scope="session")
def real(told: list[bytes]) -> list[bytes]:
    """What the real pipeline says of the world, without the sums beside it."""
    return [line for line in told if b'"signal":"sum"' not in line]


def _cut(lines: list[bytes], sizes: list[int]) -> Iterator[bytes]:
    """Posts of so many facts each; of several sizes, a seeded mixture in which every size comes many times."""
    draw, start = random.Random(17), 0
    while start < len(lines):
        size = draw.choice(sizes)
        # a stretch of one size, so that small ones follow one another as they do in life
        for _ in range(1_000 // size + 1 if len(sizes) > 1 else 1):
            if start < len(lines):
                yield b"".join(lines[start : start + size])
                start += size


def _post(url: str, posts: Iterator[bytes]) -> tuple[int, int]:
    """Facts accepted and refused."""
    where = urlsplit(url)
    client = http.client.HTTPConnection(where.hostname or "", where.port, timeout=120)
    accepted = rejected = 0
    for body in posts:
        client.request("POST", "/facts", body)
        answer = client.getresponse()
        assert answer.status == 200
        counted = json.loads(answer.read())
        accepted, rejected = accepted + counted["accepted"], rejected + counted["rejected"]
    client.close()
    return accepted, rejected


def _kept(folder: Path) -> list[bytes]:
    """Every change in the store, by account, in the order in which they were decided."""
    with closing(sqlite3.connect(folder / "adwatch.sqlite")) as store:
        bodies = [body for (body,) in store.execute("SELECT body FROM changes ORDER BY rowid")]
    return _by_account(AlertChange.from_line(body if isinstance(body, bytes) else body.encode()) for body in bodies)


def _by_account(changes: Iterable[AlertChange]) -> list[bytes]:
    return by_account((change.account.encode(), change.to_line()) for change in changes)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([10_000], id="10000"),
        pytest.param([1, 7, 10_000], id="1,7,10000 mixed"),
        pytest.param([7], id="7", marks=pytest.mark.soak),
        pytest.param([1], id="1", marks=pytest.mark.soak),
    ],
)
def test_posts_to_the_embedded_service_tell_what_the_replay_tells(
    sizes: list[int], log: list[bytes], real: list[bytes], tmp_path: Path
) -> None:
    with running(tmp_path, "run") as process:
        assert _post(process.url(), _cut(log, sizes)) == (len(log), 0)
        assert process.end() == 0
    assert _kept(tmp_path) == real


def test_the_replay_command_tells_what_the_yardstick_tells(
    world: list[bytes], real: list[bytes], tmp_path: Path
) -> None:
    """The yardstick of the other shells is one feed of one batch; the command reads a file in blocks."""
    (tmp_path / "world.ndjson").write_bytes(b"\n".join(world) + b"\n")
    with running(tmp_path, "replay", "world.ndjson", "--alerts", "alerts.ndjson") as process:
        assert process.wait(120) == 0, process.err
    lines = (tmp_path / "alerts.ndjson").read_bytes().splitlines()
    assert _by_account(map(AlertChange.from_line, lines)) == real
    assert set(lines) == {line.rstrip(b"\n") for line in real}
