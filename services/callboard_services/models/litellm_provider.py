"""Asks whatever litellm can reach. litellm is imported when the first such prompt is asked: it takes seconds.

Only its reach is used: retries are off (one grant is one attempt), its own price is not believed over ours. It
makes up usage where a provider reports none, so `tokens` of this provider may be litellm's estimate.
"""

import json
import os
from contextlib import aclosing
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import httpx
import msgspec

from callboard_services.models import chat, shape
from callboard_services.models.completion import Chunk
from callboard_services.models.errors import ProviderError
from callboard_services.models.heard import Heard
from callboard_services.models.http_errors import from_status
from callboard_services.models.provider import Emit, Prompt, Reply


class LiteLLM:
    """A `Provider` for every model that litellm knows; keys are read by it from the environment.

    :param extra: further arguments of `litellm.acompletion`, such as `api_base`.
    """

    def __init__(self, **extra: Any) -> None:
        self._extra = extra

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        """See `Provider`."""
        litellm = await anyio.to_thread.run_sync(_imported)
        heard = Heard()
        try:
            with anyio.fail_after(request.timeout_s):
                await self._stream(litellm, request, heard, emit)
        except ProviderError:
            raise
        except TimeoutError:
            raise ProviderError("provider_timeout", f"no whole answer within {request.timeout_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - litellm raises its own, openai's, httpx's and plain ones
            raise mapped(error) from None
        raw = heard.raw()
        return Reply(answer=shape.read(raw, request.contract), tokens=raw.tokens, model=heard.model)

    async def aclose(self) -> None:
        """See `Provider`."""

    async def _stream(self, litellm: ModuleType, request: Prompt, heard: Heard, emit: Emit) -> None:
        given = chat.body(request) | {"timeout": request.timeout_s} | _QUIET | self._extra
        async with aclosing(await litellm.acompletion(**given)) as chunks:
            async for chunk in chunks:
                piece = msgspec.convert(chunk.model_dump(), Chunk, strict=False)
                if text := heard.take(piece, len(str(piece.choices))):
                    emit(text)


_QUIET = {"drop_params": True, "max_retries": 0, "num_retries": 0, "_skip_mcp_handler": True}
"""No parameter a model does not know, no retries, and no MCP client in the way of `tools`."""


_NAMED = {
    "Timeout": ("provider_timeout", False),
    "ContextWindowExceededError": ("context_overflow", True),
    "APIConnectionError": ("provider_error", False),
}
"""Exceptions whose name says more than their status: the code, and whether it cost nothing."""


def mapped(error: Exception) -> ProviderError:
    """Return what an exception of litellm means: by its cause, its name, and its HTTP status."""
    said = str(error).removeprefix("litellm.")
    chain = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError | httpx.ConnectError) for cause in chain):
        return ProviderError("provider_error", said, free=True)
    if any(isinstance(cause, json.JSONDecodeError | msgspec.DecodeError) for cause in chain):
        return ProviderError("provider_malformed", said)
    if (name := type(error).__name__) in _NAMED:
        code, free = _NAMED[name]
        return ProviderError(code, said, free=free)
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return from_status(status, _headers(error), said)
    return ProviderError("provider_error", f"{name}: {said}")


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _headers(error: Exception) -> Any:
    response = getattr(error, "response", None)
    return getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}


def _imported() -> ModuleType:
    """Import litellm without its downloads and its advice on standard output.

    :raises ProviderError: it is not installed.
    """
    # Read while it is imported; otherwise it fetches its price map from the network, with retries.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        import litellm
    except ImportError as error:
        said = f"litellm cannot be imported ({error}): pip install 'callboard[litellm]'"
        raise ProviderError("provider_error", said, retryable=False, free=True) from None
    litellm.suppress_debug_info = True
    found: ModuleType = litellm
    return found
