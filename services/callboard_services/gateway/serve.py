"""The gateway as a process: uvicorn on the address of the settings, until the context stops."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
from starlette.requests import Request

from callboard.bus.registry import Registry
from callboard.keys import KeyRing
from callboard.service import Context
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.app import application
from callboard_services.gateway.auth import is_loopback
from callboard_services.gateway.house import House
from callboard_services.gateway.notifier import Notifier
from callboard_services.gateway.webhooks import configured

log = structlog.get_logger()

_DRAIN_S = 5
_WAITING = 1024


async def serve(context: Context) -> None:
    """Serve until the context stops; streams end then, and their clients resume at the next gateway.

    :raises CallboardError: `invalid_request`, the address cannot be listened on, or the webhooks cannot be used.
    """
    endpoints = configured(context.settings)
    listening = listen(context.settings.http)
    registry, server = Registry(context.bus), Server(context.ready)
    notifier = Notifier(context.bus, endpoints, _url(context, listening))
    try:
        await registry.start()
        await notifier.start()
        house = House(
            bus=context.bus,
            groups=context.groups,
            tenant=context.settings.tenant,
            registry=registry,
            keys=KeyRing(context.settings.data),
            loopback=is_loopback(listening.getsockname()[0]),
            stop=context.stop,
            hang_up=server.hang_up,
        )
        server.config.app = application(house)
        await _until_stopped(server, listening, context)
    finally:
        listening.close()
        await notifier.stop()
        await registry.stop()


def _url(context: Context, listening: socket.socket) -> str:
    """Return where people reach the gateway."""
    host, port = listening.getsockname()[:2]
    return context.settings.url.rstrip("/") or f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _until_stopped(server: "Server", listening: socket.socket, context: Context) -> None:
    host, port = listening.getsockname()[:2]
    log.info("gateway listens", address=f"{host}:{port}")
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    stopping = asyncio.create_task(context.stop.wait())
    try:
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


def listen(http: str) -> socket.socket:
    """Return a socket that listens on `host:port`; port 0 takes a free one.

    :raises CallboardError: `invalid_request`, it is no address or cannot be had.
    """
    host, _, port = http.rpartition(":")
    host = host.strip("[]")
    try:
        found = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=_WAITING
        )
        # What it accepts inherits this: else an answer's second packet waits 40 ms for the first to be acknowledged.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return found
    except (OSError, ValueError, OverflowError) as error:
        raise CallboardError("invalid_request", f"cannot listen on {http!r}: {error}") from None


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for the application until it is there."""


class Server(uvicorn.Server):
    """uvicorn that leaves signals to whoever runs it, says when it is up, and can hang up."""

    def __init__(self, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                _nothing,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_DRAIN_S,
            )
        )
        self._ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the process is not ours."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell."""
        await super().startup(sockets)
        self._ready()

    def hang_up(self, request: Request) -> None:
        """Close a request's connection at once: what a client does not read would be kept for it for ever."""
        peer = tuple(request.client) if request.client else None
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None and tuple(getattr(connection, "client", None) or ()) == peer:
                transport.abort()
