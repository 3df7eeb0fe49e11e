"""Files of a run: attach them before the goal is sent, list and download them at any time. They belong to the tree."""

import asyncio
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from callboard.bus import reader
from callboard.bus.objects import MAX_FILE_BYTES, clean_path, get_file, list_files, put_file
from callboard_contracts import ids, subjects
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.bodies import json, read
from callboard_services.gateway.house import house_of
from callboard_services.gateway.runs import check_known, run_of

_uploads = asyncio.Semaphore(4)
"""Uploads are held in memory while they are stored: at most this many at once."""


async def attach(request: Request) -> Response:
    """Store a file for a goal that is not sent yet."""
    house, goal = house_of(request), str(request.path_params["ulid"])
    if not ids.is_ulid(goal):
        raise CallboardError("invalid_id", f"{goal[:80]!r} is not a ULID.")
    path = clean_path(request.path_params["path"])
    fence = subjects.Address.of_run(house.tenant, goal).fence
    if await reader.last(house.bus, house.journal_of(goal), fence) is not None:
        raise CallboardError("conflict", f"The run {goal} has begun: what it works on does not change any more.")
    too_large = CallboardError("file_too_large", f"A file may have {MAX_FILE_BYTES:,} bytes.")
    async with _uploads:
        stored = await put_file(house.bus, goal, path, await read(request, MAX_FILE_BYTES, too_large))
    where = f"/v1/runs/{goal}/files/{quote(stored.path)}"
    return json({"path": stored.path, "bytes": stored.bytes, "sha256": stored.digest, "url": where}, 201)


async def index(request: Request) -> Response:
    """List the files of a run's tree."""
    house, run = house_of(request), run_of(request)
    found = await list_files(house.bus, ids.tree_of(run))
    if not found:
        await check_known(house, run)
    shown = [
        {
            "path": file.path,
            "bytes": file.bytes,
            "sha256": file.digest,
            "url": f"/v1/runs/{run}/files/{quote(file.path)}",
        }
        for file in found
    ]
    return json({"files": shown})


async def download(request: Request) -> Response:
    """Return a file, as a download: a browser must not run what a run wrote."""
    house, run = house_of(request), run_of(request)
    path = clean_path(request.path_params["path"])
    data = await get_file(house.bus, ids.tree_of(run), path)
    name = quote(path.rsplit("/", 1)[-1])
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, 200, headers, "application/octet-stream")
