"""Sends to a collector by OTLP over HTTP until it takes what it is sent. Nothing is given up while it may yet be taken.

A collector that is down, full, or wants another key is waited for, with one line in the log. What it can never take,
because it says that the data itself is wrong or too large, is halved until the one span is found, which is dropped.
"""

import asyncio
import gzip
import importlib.metadata
import ssl
from collections.abc import Callable, Sequence
from typing import Final

import httpx
import structlog

from callboard.traces.environment import Target
from callboard.traces.span import Span

log = structlog.get_logger()

_BATCH: Final = 256
_FIRST_S: Final = 0.5
_MOST_S: Final = 30.0
_WRONG: Final = (400, 413, 422)
_TYPES: Final = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}

Encode = Callable[[Sequence[Span]], bytes]


class NotTakenError(Exception):
    """The collector did not take what it was sent."""

    def __init__(self, reason: str, *, status: int = 0, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.status = status
        self.after_s = after_s
        """How long the collector asks to wait."""


class Sender:
    """The way of one signal to its collector. `aclose` it.

    :raises OSError: a certificate cannot be read.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._trouble = ""
        version = importlib.metadata.version("callboard")
        headers = {"user-agent": f"callboard/{version}", "content-type": _TYPES[target.protocol]} | target.headers
        timeout = httpx.Timeout(target.timeout_s)
        self._http = httpx.AsyncClient(headers=headers, timeout=timeout, verify=_trust(target))

    async def aclose(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()

    async def send(self, spans: Sequence[Span], encode: Encode) -> None:
        """Return when all spans were taken, or never can be."""
        for start in range(0, len(spans), _BATCH):
            await self._send(spans[start : start + _BATCH], encode)

    async def _send(self, spans: Sequence[Span], encode: Encode) -> None:
        try:
            await self._until_taken(_encoded(spans, encode))
        except NotTakenError as error:
            if len(spans) == 1:
                log.error("the collector refuses a span", span=spans[0].name, id=spans[0].span_id, reason=str(error))
                return
            middle = len(spans) // 2
            await self._send(spans[:middle], encode)
            await self._send(spans[middle:], encode)

    async def _until_taken(self, body: bytes) -> None:
        """Send until it is taken.

        :raises NotTakenError: the data is wrong, and would be the next time.
        """
        pause_s = _FIRST_S
        while True:
            try:
                await self.post(body)
                break
            except NotTakenError as error:
                if error.status in _WRONG:
                    raise
                wait_s = max(pause_s, error.after_s)
            await asyncio.sleep(wait_s)
            pause_s = min(_MOST_S, 2 * pause_s)

    async def post(self, body: bytes) -> None:
        """Send once.

        :raises NotTakenError: it was not taken.
        """
        try:
            await self._post(body)
        except NotTakenError as error:
            if not self._trouble:
                log.warning(
                    "the collector does not take it; trying again", url=_shown(self.target.url), reason=str(error)
                )
            self._trouble = str(error)
            raise
        if self._trouble:
            log.info("the collector takes it again", url=_shown(self.target.url))
            self._trouble = ""

    async def _post(self, body: bytes) -> None:
        zipped = gzip.compress(body, 5) if self.target.gzip else body
        headers = {"content-encoding": "gzip"} if self.target.gzip else {}
        try:
            answer = await self._http.post(self.target.url, content=zipped, headers=headers)
        except httpx.HTTPError as error:
            raise NotTakenError(str(error) or type(error).__name__) from None
        if answer.status_code >= 300:
            said = answer.headers.get("retry-after", "")
            after_s = min(300.0, float(said)) if said.isascii() and said.isdigit() else 0.0
            raise NotTakenError(f"it answers {answer.status_code}", status=answer.status_code, after_s=after_s)


def _encoded(spans: Sequence[Span], encode: Encode) -> bytes:
    """Return the body of an export.

    :raises NotTakenError: a span cannot be written, such as one with a number of more than 64 bits.
    """
    try:
        return encode(spans)
    except (ValueError, TypeError, OverflowError) as error:
        raise NotTakenError(f"it cannot be written: {error}", status=_WRONG[0]) from None


def _trust(target: Target) -> ssl.SSLContext | bool:
    if not target.certificate and not target.client_certificate:
        return True
    context = ssl.create_default_context(cafile=target.certificate or None)
    if target.client_certificate:
        context.load_cert_chain(target.client_certificate, target.client_key or None)
    return context


def _shown(url: str) -> str:
    """Return a URL as it may be logged: without a user and a password, and without a query."""
    found = httpx.URL(url)
    return str(found.copy_with(userinfo=b"", query=None))
