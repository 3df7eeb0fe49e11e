"""Asks any server that speaks OpenAI's chat completions, over HTTP alone: no SDK, no retries, every fault by name.

It streams where the server does and reads whole answers where it does not. What a server refuses in words (a
parameter it does not know) is left out and asked again, once each, for a refusal costs nothing.
"""

from typing import Any

import anyio
import httpx

from callboard_contracts import wire
from callboard_services.models import chat, reading, shape
from callboard_services.models.errors import ProviderError
from callboard_services.models.heard import Heard
from callboard_services.models.http_errors import from_status
from callboard_services.models.known import OPENAI_URL
from callboard_services.models.provider import Emit, Prompt, Reply

_CONNECT_S = 10.0
_ERROR_BYTES = 4_000
_ADAPTATIONS = 3


class OpenAI:
    """A `Provider` for one server.

    :param url: up to and with `/v1`. :param key: sent as a bearer token, never shown. :param idle_s: the longest
        silence within an answer that has begun; before it begins only the call's own time counts.
    """

    def __init__(self, url: str, key: str = "", *, idle_s: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(None, connect=_CONNECT_S)
        self._client = httpx.AsyncClient(headers=headers, timeout=timeout)
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._key = key
        self._limit = chat.LIMITS[1] if url.rstrip("/") == OPENAI_URL else chat.LIMITS[0]
        self._idle_s = idle_s

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        """See `Provider`."""
        heard = Heard()
        try:
            await self._within(request, heard, emit)
            raw = heard.raw()
            answer = shape.read(raw, request.contract)
        except ProviderError as error:
            raise error.without(self._key) from None
        return Reply(answer=answer, tokens=raw.tokens, cost_micro_usd=heard.cost, model=heard.model)

    async def aclose(self) -> None:
        """See `Provider`."""
        await self._client.aclose()

    async def _within(self, request: Prompt, heard: Heard, emit: Emit) -> None:
        try:
            with anyio.fail_after(request.timeout_s):
                await self._adapting(chat.body(request, self._limit), heard, emit)
        except TimeoutError:
            raise ProviderError("provider_timeout", f"no whole answer within {request.timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise _broken(error, begun=heard.begun) from None

    async def _adapting(self, body: dict[str, Any], heard: Heard, emit: Emit) -> None:
        for _ in range(_ADAPTATIONS):
            try:
                return await self._ask(body, heard, emit)
            except ProviderError as error:
                less = chat.adapted(body, error.message) if error.code == "provider_error" and error.free else None
                if less is None:
                    raise
                body = less
        return await self._ask(body, heard, emit)

    async def _ask(self, body: dict[str, Any], heard: Heard, emit: Emit) -> None:
        headers = {"content-type": "application/json", "accept": "text/event-stream, application/json"}
        content = wire.encode(body)
        async with self._client.stream("POST", self._url, content=content, headers=headers) as response:
            if response.status_code != 200:
                text = await reading.body(response, self._idle_s, _ERROR_BYTES)
                raise from_status(response.status_code, response.headers, text.decode("utf-8", "replace"))
            heard.begun = True
            await reading.answer(response, heard, emit, self._idle_s)


def _broken(error: httpx.HTTPError, *, begun: bool) -> ProviderError:
    """Return what a broken connection means: before it stood, nothing was asked and nothing spent."""
    said = f"{type(error).__name__}: {error}"
    match error:
        case httpx.ConnectTimeout():
            return ProviderError("provider_timeout", said, free=True)
        case httpx.ConnectError():
            return ProviderError("provider_error", said, free=True)
        case httpx.UnsupportedProtocol():
            return ProviderError("provider_error", said, retryable=False, free=True)
        case _:
            return ProviderError("provider_malformed" if begun else "provider_error", said)
