"""The way to one webhook."""

import asyncio

import httpx

from callboard_contracts import notice
from callboard_services.gateway.posting import PostError, post
from callboard_services.gateway.webhooks import Endpoint

_AT_ONCE = 4


class Lane:
    """The way to one webhook: a few postings at once, and those behind one that is not answered fail with it."""

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient, url: str, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._endpoint = endpoint
        self._client = client
        self._url = url
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._silent = 0
        """How often it did not answer."""

    async def post(self, said: notice.Notice) -> None:
        """Post, when it is this one's turn.

        :raises PostError: it was not taken.
        """
        before = self._silent
        async with self._free:
            if self._silent > before:
                raise PostError("no answer to another notice", silent=True)
            try:
                await post(self._client, self._endpoint, said, self._url, self._timeout_s)
            except PostError as error:
                self._silent += error.silent
                raise
