"""A gateway and a ledger on a broker, and a client."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from callboard.bus import Bus, layout, registry
from callboard.service import Context, Serve
from callboard.settings import Settings
from callboard_contracts import names
from callboard_contracts.tool import Entry, Model, Spec
from callboard_services.gateway.serve import listen
from callboard_services.gateway.serve import serve as gateway
from callboard_services.ledger.serve import serve as ledger


@dataclass
class Event:
    """One server-sent event."""

    id: str
    kind: str
    data: dict[str, Any]


@dataclass
class Site:
    """A running gateway with its ledger."""

    url: str
    bus: Bus
    settings: Settings
    http: httpx.AsyncClient
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        """Send a goal."""
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return await self.http.post(
            "/v1/goals", content=content, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    async def goals(self) -> int:
        """Return how many goals wait."""
        return int((await self.bus.api(f"STREAM.INFO.{layout.GOALS}"))["state"]["messages"])

    async def events(self, path: str, *, most: int = 10_000, **headers: str) -> list[Event]:
        """Read a stream of events to its end, or until it brought so many."""
        found: list[Event] = []
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.stream("GET", path, headers=given) as answer:
            answer.raise_for_status()
            async for event in read(answer):
                found.append(event)
                if len(found) == most:
                    break
        return found


async def read(answer: httpx.Response) -> AsyncIterator[Event]:
    """Yield the events of a response."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
            continue
        if "data" in fields:
            yield Event(fields.get("id", ""), fields["event"], msgspec.json.decode(fields["data"]))
        fields = {}


@asynccontextmanager
async def running(serve: Serve, url: str, settings: Settings, name: str, stop: asyncio.Event) -> AsyncIterator[None]:
    """Run a service with a connection of its own."""
    started = asyncio.Event()
    async with await Bus.connect(url, name=name) as bus:
        task = asyncio.ensure_future(serve(Context(bus, 2, settings, stop, started.set)))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        try:
            yield
        finally:
            stop.set()
            await task


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds, at most ten seconds."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.02)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with listen("127.0.0.1:0") as found:
        return int(found.getsockname()[1])


MODEL = Spec(name=names.MODEL, description="A model.", input_schema={"type": "object"}, models=(Model(name="m"),))


@asynccontextmanager
async def site_on(
    url: str,
    data: Path,
    *,
    http: str = "",
    ledgers: int = 1,
    url_of: Callable[[str], str] | None = None,
    retention_s: float = 0,
) -> AsyncIterator[Site]:
    """Run a gateway and a ledger on a broker."""
    address = http or f"127.0.0.1:{free_port()}"
    settings = Settings(nats=url, data=data, http=address, retention_s=retention_s)
    base = f"http://127.0.0.1:{address.rpartition(':')[2]}"
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(await Bus.connect(url, name="test"))
        await layout.provision(bus, 2)
        await registry.put_tool(bus, names.MODEL, Entry(spec=MODEL, instances=1))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
        site = Site(base, bus, settings, client)
        for number in range(ledgers):
            own = msgspec.structs.replace(settings, data=data / f"ledger-{number}")
            await stack.enter_async_context(
                running(ledger, url_of("ledger") if url_of else url, own, "ledger", asyncio.Event())
            )
        await stack.enter_async_context(
            running(gateway, url_of("gateway") if url_of else url, settings, "gateway", site.stop)
        )
        yield site


@pytest.fixture
async def site(fresh_broker: str, tmp_path: Path) -> AsyncIterator[Site]:
    """A gateway on loopback without keys."""
    async with site_on(fresh_broker, tmp_path / "data") as site:
        yield site
