"""Requests to people, over HTTP: which are open, what one would run, and a vote.

async with Client("http://127.0.0.1:8420", key="cb_…") as client:
    for row in (await client.approvals.list(mine=True))["approvals"]:
        asked = await client.approvals.get(row["request"])
        await client.approvals.vote(asked["id"], "approve", digest=asked["digest"])
"""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

Send = Callable[..., Awaitable[httpx.Response]]


class Approvals:
    """What `Client.approvals` is. Every method raises `CallboardError` as the client's own do."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def list(self, **filters: str | int | bool) -> dict[str, Any]:
        """Return a page: `approvals`, newest first, and `next`, the `before` of the following one.

        Filters are `status` (`open`, `decided` or an outcome), `run`, `group`, `mine`, `before` and `limit`.
        """
        query = {name: str(value).lower() if value is True else value for name, value in filters.items() if value}
        return _read(await self._send("GET", "/v1/approvals", params=query))

    async def get(self, request: str) -> dict[str, Any]:
        """Return all about one request; `digest` is what a vote binds to."""
        return _read(await self._send("GET", _path(request)))

    async def vote(self, request: str, decision: str, **said: Any) -> dict[str, Any]:
        """Vote: `approve`, `deny`, `edit`, `answer` or `delegate`, with `digest` and what belongs to it.

        Return what came of it; `counted` is None when the vote is stored and nobody has counted it yet.
        """
        headers = {"idempotency-key": secrets.token_hex(16)}  # however often the connection carries it, it is one vote
        body = msgspec.json.encode({"decision": decision} | said)
        return _read(await self._send("POST", f"{_path(request)}/votes", content=body, headers=headers))


def _path(request: str) -> str:
    return f"/v1/approvals/{quote(request, safe='')}"


def _read(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(answer.content)
    return found
