"""Embeddings from elsewhere, asked for in batches: an endpoint that speaks OpenAI's, or any provider of litellm."""

import asyncio
import importlib
import os
from collections.abc import Sequence
from typing import Any

import httpx
import msgspec

from callboard_contracts.errors import CallboardError
from callboard_services.memory import vector

_BATCH = 64
_TIMEOUT_S = 30.0


class Endpoint:
    """An HTTP endpoint that speaks OpenAI's embeddings."""

    def __init__(self, base: str, model: str, key: str = "") -> None:
        self.name = f"{model}@{httpx.URL(base).host}"
        self.dimensions = 0
        self._url = f"{base.rstrip('/')}/embeddings"
        self._model = model
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    async def embed(self, texts: Sequence[str]) -> list[str]:
        """Return the vectors of texts, asked for in batches."""
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, headers=self._headers) as client:
            found = [await self._asked(client, batch) for batch in batches]
        return [one for some in found for one in some]

    async def _asked(self, client: httpx.AsyncClient, texts: Sequence[str]) -> list[str]:
        try:
            answer = await client.post(self._url, json={"model": self._model, "input": list(texts)})
        except httpx.HTTPError as error:
            raise CallboardError("unavailable", f"{self.name} cannot be reached: {error!r}") from None
        if answer.status_code in (401, 403):
            raise CallboardError("provider_auth", f"{self.name} wants a key: set CALLBOARD_EMBEDDINGS_KEY")
        if answer.status_code >= 400:
            raise CallboardError("unavailable", f"{self.name} answered {answer.status_code}: {answer.text[:200]}")
        return _read(self.name, answer.content, len(texts))


class Litellm:
    """Any provider that litellm knows; its keys are in its own environment variables."""

    def __init__(self, model: str) -> None:
        self.name = model
        self.dimensions = 0

    async def embed(self, texts: Sequence[str]) -> list[str]:
        """Return the vectors of texts, asked for in batches."""
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # before the import, which would download it
        try:
            litellm = await asyncio.to_thread(importlib.import_module, "litellm")
        except ImportError:
            raise CallboardError(
                "unavailable", f"{self.name} needs litellm: pip install 'callboard[litellm]'"
            ) from None
        found: list[str] = []
        for start in range(0, len(texts), _BATCH):
            try:
                answer = await litellm.aembedding(self.name, list(texts[start : start + _BATCH]), max_retries=0)
            except Exception as error:  # noqa: BLE001 - each provider raises its own
                raise CallboardError("unavailable", f"{self.name}: {error}"[:500]) from None
            found += _vectors(self.name, answer.model_dump(), len(texts[start : start + _BATCH]))
        return found


def _read(name: str, body: bytes, count: int) -> list[str]:
    try:
        return _vectors(name, msgspec.json.decode(body), count)
    except msgspec.DecodeError as error:
        raise CallboardError("unavailable", f"{name} answered no JSON: {error}") from None


def _vectors(name: str, answer: Any, count: int) -> list[str]:
    try:
        data = sorted(answer["data"], key=lambda one: one["index"])
        vectors = [vector.pack(one["embedding"]) for one in data]
    except (KeyError, TypeError, ValueError) as error:
        raise CallboardError("unavailable", f"{name} answered no vectors: {error!r}") from None
    if len(vectors) != count:
        raise CallboardError("unavailable", f"{name} answered {len(vectors)} vectors for {count} texts")
    return vectors
