"""The ingest of the embedded service: ``POST /facts`` with NDJSON; 200 once the facts are on disk."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import asdict

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service.embedded import Taken
from service.errors import StoreError


def ingest_route(take: Callable[[bytes], Taken], max_body_bytes: int, token: str | None) -> Route:
    """The route. Bad lines are named in the answer and never stop the good ones."""

    async def post(request: Request) -> Response:
        if not _allowed(request, token):
            return _problem(401, "Authorization: Bearer and http.ingest_token are needed")
        try:
            body = await _body(request, max_body_bytes)
        except ClientDisconnect:
            return _problem(400, "the request ended before its body did")
        if body is None:
            return _problem(413, f"more than {max_body_bytes} bytes in one post; send several")
        try:
            taken = await run_in_threadpool(take, body)
        except StoreError as error:
            return _problem(503, str(error), {"Retry-After": "5"})
        rejects = [asdict(reject) for reject in taken.rejects]
        return JSONResponse({"accepted": taken.accepted, "rejected": taken.rejected, "rejects": rejects})

    return Route("/facts", post, methods=["POST"])


def _allowed(request: Request, token: str | None) -> bool:
    if token is None:
        return True
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return hmac.compare_digest(given.encode(), token.encode())


async def _body(request: Request, max_bytes: int) -> bytes | None:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            return None
        parts.append(part)
    return b"".join(parts)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": detail}, status, headers=headers)
