"""The connection of one service to the broker: publish, request, subscribe, pull, read. Nothing else knows NATS."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Callable
from typing import Any, Self

import msgspec
import structlog
from nats import errors as nats_errors

from callboard.bus.client import Handler, LeanClient
from callboard.bus.errors import BusError, Conflict, NoAnswer, NobodyListens, PublishRefused, PublishTimeout
from callboard.bus.message import Delivery, encode_headers, status
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

_SWEEP_S = 0.25
_PUBLISH_S = 5.0
_CONFLICTS = frozenset({10071, 10164})
_FOR_NOW = frozenset({10008, 10023, 10047, 10077, 503})
"""Broker errors that pass: cluster not available, insufficient resources, storage full, limits reached."""


class _ApiError(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class PubAck(msgspec.Struct):
    """The broker's word that a message is stored."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _ApiError | None = None


_puback = msgspec.json.Decoder(PubAck)


class _Asked:
    """A request that waits for its answer, and what is told of it: the answer, or why there is none."""

    __slots__ = ("subject", "then", "until")

    def __init__(self, subject: str, until: float, then: "_Then") -> None:
        self.subject = subject
        self.until = until
        self.then = then


_Then = Callable[[Delivery | NoAnswer], None]


class Bus:
    """One connection. Create it with `connect`; use it as an async context manager."""

    def __init__(self, client: LeanClient, name: str) -> None:
        self.client = client
        self.name = name
        self.prefix = f"_INBOX.{name}.{secrets.token_hex(8)}"
        self.on_reconnect: list[Callable[[], None]] = []
        self.refused: list[str] = []
        self._waiting: dict[str, _Asked] = {}
        """Requests that wait, by the inbox of their answer."""
        self._sweeping: asyncio.TimerHandle | None = None
        self._counter = 0

    @classmethod
    async def connect(cls, url: str, *, name: str, connect_timeout_s: int = 5) -> Self:
        """Connect to a broker; `url` may carry a user and password, and be several of a cluster, with commas.

        `name` is the service's.

        :raises CallboardError: `broker_unreachable`, or `broker_refused` for wrong credentials.
        """
        client = LeanClient()
        bus = cls(client, name)
        try:
            await client.connect(
                url.split(","),
                name=f"callboard-{name}",
                inbox_prefix=f"_INBOX.{name}".encode(),
                connect_timeout=connect_timeout_s,
                allow_reconnect=False,  # while connecting for the first time: fail with the reason
                max_reconnect_attempts=1,
                reconnect_time_wait=1,
                error_cb=bus._on_error,
                reconnected_cb=bus._on_reconnected,
                pending_size=64 * 1024 * 1024,
            )
        except (OSError, nats_errors.Error, TimeoutError, ValueError) as error:
            await _quietly_close(client)
            raise _connect_error(url, error) from None
        client.options |= {"allow_reconnect": True, "max_reconnect_attempts": -1, "reconnect_time_wait": 0.2}
        await client.listen(f"{bus.prefix}.*", bus._on_reply)
        return bus

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Send what is queued and close. Never raises."""
        if self._sweeping is not None and not self._waiting:
            self._sweeping.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.client.flush(), 2)
        await _quietly_close(self.client)

    @property
    def connected(self) -> bool:
        """Whether the connection is up right now."""
        return bool(self.client.is_connected)

    async def _on_error(self, error: Exception) -> None:
        text = str(error)
        if "ermissions" in text:
            self.refused.append(text)
            del self.refused[:-20]
            log.warning("broker refused", service=self.name, detail=text)
            self._fail_refused(text)
        elif not isinstance(error, (nats_errors.UnexpectedEOF, ConnectionError, OSError)):
            log.warning("bus error", service=self.name, detail=text or type(error).__name__)

    def _fail_refused(self, text: str) -> None:
        """End the wait for what was refused: the broker says so in passing, and never answers."""
        refused = [reply for reply, asked in self._waiting.items() if f'"{asked.subject.lower()}"' in text.lower()]
        for reply in refused:
            self._waiting.pop(reply).then(NoAnswer(text))

    async def _on_reconnected(self) -> None:
        log.info("reconnected", service=self.name)
        for callback in list(self.on_reconnect):
            callback()

    def _on_reply(self, reply: Delivery) -> None:
        asked = self._waiting.pop(reply.subject, None)
        if asked is not None:
            asked.then(reply)

    def send(self, subject: str, body: bytes, headers: dict[str, str] | None = None, reply: str = "") -> None:
        """Send on core NATS: at most once, nobody answers."""
        self.client.write(subject, reply, body, encode_headers(headers) if headers else b"")

    async def request(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, timeout_s: float = 5.0
    ) -> Delivery:
        """Send and wait for one answer.

        :raises NoAnswer: nobody is there, or not in time; a refused permission is named.
        :raises PublishRefused: the message is larger than the broker takes.
        """
        future: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
        reply = self._ask(subject, body, headers, timeout_s, lambda answer: _tell(future, answer))
        try:
            answer = await future
        finally:
            self._waiting.pop(reply, None)
        if status(answer.block) == 503 and not answer.body:
            raise NobodyListens(f"nobody listens on {subject}")
        return answer

    def _ask(self, subject: str, body: bytes, headers: dict[str, str] | None, timeout_s: float, then: _Then) -> str:
        block = encode_headers(headers) if headers else b""
        if len(body) + len(block) > self.client.max_payload:  # sent all the same, it would cost the connection
            raise PublishRefused(0, f"{len(body)} bytes are more than the broker takes", retry=False)
        self._counter += 1
        reply = f"{self.prefix}.{self._counter}"
        self._waiting[reply] = _Asked(subject, asyncio.get_running_loop().time() + timeout_s, then)
        self.client.write(subject, reply, body, block)
        if self._sweeping is None or timeout_s < _SWEEP_S:
            self._sweep()
        return reply

    def _sweep(self) -> None:
        """End the waits that are over, all with one timer: a timer for each cost a tenth of a publish."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        over = [reply for reply, asked in self._waiting.items() if asked.until <= now]
        for reply in over:
            asked = self._waiting.pop(reply)
            asked.then(NoAnswer(self._why(asked.subject)))
        next_s = min((asked.until - now for asked in self._waiting.values()), default=0.0)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._sweeping = loop.call_later(min(next_s, _SWEEP_S), self._sweep) if self._waiting else None

    def _why(self, subject: str) -> str:
        refused = next((text for text in reversed(self.refused) if subject.lower() in text.lower()), "")
        return refused or f"no answer from {subject}"

    async def publish(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None, *, timeout_s: float = 5.0
    ) -> PubAck:
        """Publish into JetStream and wait until it is stored.

        :raises Conflict: the fence refused it. :raises PublishTimeout: it may be stored or not.
        :raises PublishRefused: the broker said no.
        """
        try:
            answer = await self.request(subject, body, headers, timeout_s=timeout_s)
        except NoAnswer as error:
            raise PublishTimeout(str(error)) from None
        return _stored(answer)

    def publish_then(
        self, subject: str, body: bytes, headers: dict[str, str], then: Callable[[PubAck | BusError], None]
    ) -> None:
        """Publish into JetStream and call `then` from the reader with what `publish` would return or raise.

        :raises PublishRefused: the message is larger than the broker takes; `then` is not called.
        """
        self._ask(subject, body, headers, _PUBLISH_S, lambda answer: then(_outcome(answer)))

    async def gather(self, subject: str, body: bytes, *, window_s: float) -> list[Delivery]:
        """Send and collect every answer that arrives within a window, such as discovery's."""
        found: list[Delivery] = []
        self._counter += 1
        reply = f"_INBOX.{self.name}.{secrets.token_hex(8)}"  # whoever answers must not learn the other inboxes
        sid = await self.client.listen(reply, lambda answer: found.append(answer) if answer.body else None)
        try:
            self.client.write(subject, reply, body)
            await asyncio.sleep(window_s)
        finally:
            await self.client.unlisten(sid)
        return found

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Callable[[], Any]:
        """Call a handler, which must not block, for every message on core NATS. Returns what stops it."""
        sid = await self.client.listen(subject, handler, queue)
        await self.flush()
        return lambda: self.client.unlisten(sid)

    async def flush(self) -> None:
        """Wait until the broker has seen everything that was sent.

        :raises NoAnswer: it did not answer.
        """
        try:
            await self.client.flush(timeout=5)
        except (nats_errors.Error, TimeoutError) as error:
            raise NoAnswer(f"no answer from the broker: {error}") from None

    async def api(self, path: str, body: object = None, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """Ask JetStream's API, `$JS.API.<path>`.

        :raises PublishRefused: it answered with an error. :raises NoAnswer: it did not answer.
        """
        answer = await self.request(
            f"$JS.API.{path}", b"" if body is None else msgspec.json.encode(body), timeout_s=timeout_s
        )
        found: dict[str, Any] = msgspec.json.decode(answer.body)
        if "error" in found:
            error = found["error"]
            raise PublishRefused(error.get("err_code", 0), error.get("description", ""), retry=False)
        return found


def _tell(future: asyncio.Future[Delivery], answer: Delivery | NoAnswer) -> None:
    if future.done():
        return
    if isinstance(answer, NoAnswer):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def _outcome(answer: Delivery | NoAnswer) -> PubAck | BusError:
    if isinstance(answer, NoAnswer) or not answer.body:
        return PublishTimeout(str(answer) if isinstance(answer, NoAnswer) else "no stream takes it now")
    try:
        return _stored(answer)
    except BusError as error:
        return error


def _stored(answer: Delivery) -> PubAck:
    """Return the broker's word, or raise what it says is wrong."""
    ack = _puback.decode(answer.body)
    if ack.error is None:
        return ack
    if ack.error.err_code in _CONFLICTS:
        raise Conflict(ack.error.description)
    raise PublishRefused(ack.error.err_code, ack.error.description, retry=ack.error.err_code in _FOR_NOW)


async def _quietly_close(client: LeanClient) -> None:
    with contextlib.suppress(Exception):
        await asyncio.shield(client.close())


def _connect_error(url: str, error: Exception) -> CallboardError:
    shown = hide_password(url)
    if "uthorization" in str(error):
        return CallboardError("broker_refused", f"{shown} did not accept the user and password")
    return CallboardError("broker_unreachable", f"{shown}: {str(error) or type(error).__name__}")


def hide_password(url: str) -> str:
    """Return a URL as it may be shown."""
    scheme, _, rest = url.rpartition("://")
    return f"{scheme or 'nats'}://{rest.rpartition('@')[2]}"


def default_url() -> str:
    """Return the broker that the environment names, the usual local one otherwise."""
    return os.environ.get("CALLBOARD_NATS", "") or os.environ.get("NATS_URL", "") or "nats://127.0.0.1:4222"


__all__ = ["Bus", "BusError", "Conflict", "Delivery", "NoAnswer", "PubAck", "PublishRefused", "PublishTimeout"]
