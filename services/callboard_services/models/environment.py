"""Looks around: which keys are set, which servers answer, what is installed. Decides nothing."""

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec

from callboard import models_store
from callboard_contracts.errors import CallboardError
from callboard_services.models import known, prices

LOCAL = "callboard_services.models.local"
"""The module of the local model, and the package without which it cannot run."""
LOCAL_PACKAGE = "xllamacpp"
_PROBE_S = 1.0
_MOST_MODELS = 50


async def gather(
    variables: Mapping[str, str], table: prices.Prices, urls: Sequence[str] = known.SERVERS
) -> known.Environment:
    """Return what a choice of model depends on.

    :param variables: the process's environment. :param urls: servers to look for beside `OPENAI_BASE_URL`.
    """
    settings = {key: variables[key] for key in known.SETTINGS if variables.get(key)}
    own = settings.get("OPENAI_BASE_URL", "")
    found: dict[str, known.Server | None] = dict.fromkeys([own, *urls] if own else urls)

    async def look(url: str) -> None:
        found[url] = await _server(url, variables.get("OPENAI_API_KEY", "") if url == own else "")

    async with anyio.create_task_group() as tasks:
        for url in found:
            tasks.start_soon(look, url)
    return known.Environment(
        keys=frozenset(key for key in known.KEYS if variables.get(key)),
        settings=settings,
        servers=tuple(server for server in found.values() if server is not None),
        litellm=_installed("litellm"),
        providers=table.providers() if _installed("litellm") else frozenset(),
        local=_installed(LOCAL_PACKAGE) and _installed(LOCAL),
    )


async def read_prices(own: str) -> prices.Prices:
    """Return the tables of prices: the file that the operator names, and the one that litellm brings.

    :raises CallboardError: `invalid_request`, the operator's cannot be read.
    """
    try:
        mine = await anyio.Path(own).expanduser()
        mine_bytes = await mine.read_bytes() if own else b""
    except OSError as error:
        raise CallboardError("invalid_request", f"the table of prices {own} cannot be read: {error}") from None
    theirs = _litellm_table()
    return prices.parse(mine_bytes, await anyio.Path(theirs).read_bytes() if theirs else b"")


def _litellm_table() -> Path | None:
    """Find litellm's table without importing litellm, which takes seconds."""
    spec = importlib.util.find_spec("litellm")
    folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
    found = Path(folder) / "model_prices_and_context_window_backup.json" if folder else None
    return found if found and found.is_file() else None


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


async def _server(url: str, key: str) -> known.Server | None:
    """Ask a server for its models; None when it does not answer as one, or has none."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        async with httpx.AsyncClient(timeout=_PROBE_S) as client:
            answer = await client.get(f"{url.rstrip('/')}/models", headers=headers)
        listed = msgspec.json.decode(answer.content, type=_Listed) if answer.status_code == 200 else _Listed()
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, UnicodeDecodeError):
        return None
    found = tuple(known.Served(one.id, _context(one)) for one in (listed.data or [])[:_MOST_MODELS])
    return known.Server(url, found) if found else None


class _One(msgspec.Struct, frozen=True):
    id: str
    max_model_len: Any = None
    context_length: Any = None
    meta: Any = None


class _Listed(msgspec.Struct, frozen=True):
    data: list[_One] | None = None


def _context(one: _One) -> int:
    """Return how many tokens a model reads, in the words of vLLM, OpenRouter or llama.cpp; 0: it does not say."""
    told = one.meta.get("n_ctx") if isinstance(one.meta, dict) else None
    return next((size for size in (one.max_model_len, one.context_length, told) if isinstance(size, int)), 0)


def kept(data: Path | None) -> tuple[str, ...]:
    """Return the names of the model files in a data folder."""
    return tuple(f"local/{one.name}" for one in models_store.stored(data)) if data is not None else ()
