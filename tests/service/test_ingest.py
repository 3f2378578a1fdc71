"""Posting facts over HTTP: what is answered, and when nothing is taken."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from alerts.change import AlertChange
from service import server
from service.embedded import Embedded
from service.errors import PortError
from service.journal import Journal
from service.metrics import Metrics
from service.web.ingest import ingest_route
from streams.settings import DetectionSettings

GOOD = b'{"fact":"watermark","at":"2026-01-05T10:00:00Z","source":"meta","account":"acme"}\n'


@pytest.fixture
def embedded(tmp_path: Path) -> Embedded:
    delivered: list[AlertChange] = []
    return Embedded(DetectionSettings(), Journal(tmp_path), delivered.append, Metrics())


@pytest.fixture
def address(embedded: Embedded) -> Iterator[str]:
    app = Starlette(routes=[ingest_route(embedded.take, 1_000_000, "open sesame")])
    with server.served(app, server.listen("127.0.0.1", 0)) as url:
        yield f"{url}/facts"


def post(address: str, body: bytes, token: str = "open sesame") -> httpx.Response:
    return httpx.post(address, content=body, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_what_was_accepted_is_on_disk_when_the_answer_comes(address: str, embedded: Embedded) -> None:
    answer = post(address, GOOD * 3)
    assert answer.json() == {"accepted": 3, "rejected": 0, "rejects": []}
    assert b"".join(embedded.journal.read_from(0)) == GOOD * 3


def test_bad_lines_are_named_in_the_answer(address: str) -> None:
    answer = post(address, GOOD + b"{\n" + GOOD)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["rejected"]) == (2, 1)
    assert (body["rejects"][0]["line"], body["rejects"][0]["reason"]) == (2, "broken_json")


def test_answers_do_not_wait_for_the_acknowledgement_of_their_first_packet() -> None:
    """asyncio sends at once only on sockets whose protocol is named; on others each answer takes 40 ms."""
    with server.listen("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_only_the_first_hundred_refused_lines_are_named(address: str) -> None:
    body = post(address, b"x\n" * 150).json()
    assert (body["rejected"], len(body["rejects"])) == (150, 100)


def test_without_the_token_nothing_is_taken(address: str, embedded: Embedded) -> None:
    assert post(address, GOOD, token="guess").status_code == 401
    assert embedded.journal.position == 0


def test_a_post_beyond_the_limit_is_refused_whole(address: str, embedded: Embedded) -> None:
    answer = post(address, b"x" * 1_000_001)
    assert answer.status_code == 413
    assert "1000000 bytes" in answer.json()["error"]
    assert embedded.journal.position == 0


def test_a_full_disk_is_a_503_and_what_is_sent_again_is_taken(address: str) -> None:
    """The limit on a file's size makes the system refuse in the middle of a write, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        answer = post(address, GOOD * 5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert answer.status_code == 503
    assert "cannot write the journal" in answer.json()["error"]
    assert answer.headers["Retry-After"] == "5"
    assert post(address, GOOD * 5).json()["accepted"] == 5


def test_a_port_in_use_is_said_with_a_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortError, match=f"http.port {port}: Address already in use.*ADWATCH_HTTP__PORT"):
            server.listen("127.0.0.1", port)
