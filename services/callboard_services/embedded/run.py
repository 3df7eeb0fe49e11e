"""Start everything, say so, and drain in order. If one service dies, all stop and it is said which and why.

The services are named and not imported: none knows another, and neither does this module before it runs them.
"""

import asyncio
import contextlib
import importlib
import importlib.metadata
import importlib.util
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import structlog

from callboard import collector, service, skills
from callboard.bus import Bus, layout, reader
from callboard.bus.users import OPERATOR, users
from callboard.discovery import System, announce, described, withdraw
from callboard.server import FolderLock, Server, marks, passwords, start_server
from callboard.server.config import Plan
from callboard.settings import Settings
from callboard_contracts import names, tool, wire
from callboard_contracts.errors import CallboardError

log = structlog.get_logger()

WAVES: Final = (("gateway",), ("models", "tools", "memory"), ("planner", "guard", "approval"), ("ledger",))
"""The order in which services stop: nothing new is taken, what runs finishes, then those that record it."""

_EXTRAS: Final = {"memory": "lancedb"}
"""Services that are started only where what they need is installed."""

READY_S = 60.0
DRAIN_S = 20.0
ADMITTED_S = 3.0
_MODELS: Final = f"$SRV.INFO.{names.token(names.MODEL)}"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an embedded system may be told."""

    settings: Settings
    nats: str = ""
    """A broker that runs already; empty: start one."""
    port: int = 0
    """Where the broker that is started listens; 0: any free port."""
    sync: str = "always"
    accept_loss: bool = False
    """Go on with a store of which stored records are gone, instead of refusing it."""
    skills: tuple[Path, ...] = ()
    """Folders of skill folders to deploy."""
    only: frozenset[str] = frozenset()
    """The services to run, all when empty: to look at what is recorded, planner and guard are not needed."""
    drain_s: float = DRAIN_S
    """How long each service may take to finish what it runs; what does not finish is delivered again."""


class Running:
    """A system that runs. `system` says where; `failure` waits until a service dies."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.hurry = asyncio.Event()
        """Set it to wait for nothing any more."""
        self.services: dict[str, _Service] = {}

    async def failure(self) -> CallboardError:
        """Wait until a service ends that was not asked to, and say why."""
        tasks = {running.task: name for name, running in self.services.items()}
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return _died(tasks[first := next(iter(done))], first)


class _Service:
    """One service: its task, how to tell it to stop, and whether it is ready."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.stop = asyncio.Event()
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(self._run(settings), name=name)

    async def _run(self, settings: Settings) -> None:
        structlog.contextvars.bind_contextvars(service=self.name)
        serve = importlib.import_module(f"callboard_services.{self.name}.serve").serve
        await service.run(self.name, serve, settings, self.stop, self.ready.set)


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    """Run the system until the block ends, then drain it.

    :raises CallboardError: what could not be started, and why.
    """
    loaded = [found for folder in options.skills for found in skills.load_all(folder)]
    settings = msgspec.structs.replace(options.settings, http=_address(options.settings.http))
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(FolderLock(settings.data))
        url_of = await _broker(stack, options, lock.handle)
        await _prepare(url_of(OPERATOR), settings, loaded)
        system = described(settings, url_of)
        found = Running(system)
        try:
            _start(found, options.only, settings, url_of)
            await _all_ready(found)
            await _models_admitted(url_of(OPERATOR))
            announce(system)
            collector.calm()
            yield found
        finally:
            withdraw(system)
            await asyncio.shield(_drain(found, options.drain_s))


def _address(http: str) -> str:
    """Return where the gateway is to listen: port 0 becomes one that is free now, since its URL must be known.

    :raises CallboardError: `invalid_request`, it is no address.
    """
    host, _, port = http.rpartition(":")
    if not host or not port.isdecimal():
        raise CallboardError("invalid_request", f"--http {http!r} is not host:port")
    if port != "0":
        return http
    with socket.create_server((host, 0)) as free:
        return f"{host}:{free.getsockname()[1]}"


async def _broker(stack: AsyncExitStack, options: Options, lock: int) -> Callable[[str], str]:
    """Return what gives the broker's URL with the credentials of a user."""
    if options.nats:
        return lambda _: options.nats
    data = options.settings.data
    plan = Plan(
        store=data / "nats",
        port=options.port,
        sync=options.sync,
        passwords=passwords(data, [user.name for user in users()]),
        tenant=options.settings.tenant,
    )
    server: Server = await stack.enter_async_context(start_server(plan, inherit=lock))
    keeping = marks.keeping(server.url_of(OPERATOR), data, accept_loss=options.accept_loss)
    await stack.enter_async_context(keeping)
    return server.url_of


async def _prepare(url: str, settings: Settings, loaded: Sequence[skills.Folder]) -> None:
    async with await Bus.connect(url, name=OPERATOR) as bus:
        groups = await layout.provision(bus, settings.groups)
        log.debug("provisioned", groups=groups)
        for folder in loaded:
            digest = await skills.deploy(bus, folder)
            log.info("skill deployed", skill=folder.skill.name, digest=digest[:12])


def _start(found: Running, only: frozenset[str], settings: Settings, url_of: Callable[[str], str]) -> None:
    wanted = (name for wave in reversed(WAVES) for name in wave if not only or name in only)
    for name in filter(_installed, wanted):
        own = msgspec.structs.replace(settings, nats=url_of(name))
        found.services[name] = _Service(name, own)


def _installed(name: str) -> bool:
    needed = _EXTRAS.get(name, "")
    if not needed or importlib.util.find_spec(needed) is not None:
        return True
    log.info("not started: it is not installed", service=name, install=f"pip install 'callboard[{name}]'")
    return False


async def _all_ready(found: Running) -> None:
    """Wait until every service is ready.

    :raises CallboardError: one died before, or is not ready in time.
    """
    waiting = asyncio.create_task(_each_ready(found))
    failing = asyncio.create_task(found.failure())
    try:
        async with asyncio.timeout(READY_S):
            await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            raise failing.result()
    except TimeoutError:
        late = ", ".join(name for name, running in found.services.items() if not running.ready.is_set())
        raise CallboardError("unavailable", f"not ready after {READY_S:.0f} s: {late}") from None
    finally:
        waiting.cancel()
        failing.cancel()


async def _each_ready(found: Running) -> None:
    for running in found.services.values():
        await running.ready.wait()


async def _models_admitted(url: str) -> None:
    """Wait until the registry holds the models that are announced, so that the first goal finds its model."""
    async with await Bus.connect(url, name=OPERATOR) as bus:
        announced = {_spec(answer.body) for answer in await bus.gather(_MODELS, b"", window_s=0.1)}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADMITTED_S if announced else 0):
                while await _registered(bus) not in announced:  # noqa: ASYNC110 - another process writes it
                    await asyncio.sleep(0.02)


def _spec(body: bytes) -> bytes:
    """Return how a service describes its tool."""
    told: str = msgspec.json.decode(body)["metadata"]["callboard.tool"]
    return wire.encode(wire.decode(told.encode(), tool.Spec))


async def _registered(bus: Bus) -> bytes:
    found = await reader.last(bus, f"KV_{layout.REGISTRY}", f"$KV.{layout.REGISTRY}.tool.{names.token(names.MODEL)}")
    return wire.encode(wire.decode(found.body, tool.Entry).spec) if found is not None else b""


async def _drain(found: Running, drain_s: float) -> None:
    """Stop wave by wave. Whoever does not stop in time is cancelled: what it held is delivered again."""
    for wave in WAVES:
        leaving = [found.services[name] for name in wave if name in found.services]
        for one in leaving:
            one.stop.set()
        await _gone([one.task for one in leaving], found.hurry, drain_s)


async def _gone(tasks: list[asyncio.Task[None]], hurry: asyncio.Event, drain_s: float) -> None:
    hurrying = asyncio.create_task(hurry.wait())
    ended = asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.wait((hurrying, ended), timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    for task in tasks:
        if task.cancel():
            log.info("service cancelled", name=task.get_name())
    await asyncio.gather(*tasks, return_exceptions=True)


def _died(name: str, task: asyncio.Task[None]) -> CallboardError:
    error = None if task.cancelled() else task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, CallboardError):
        return CallboardError(error.code, f"{name}: {error.detail}")
    if error is not None:
        log.error("service died", name=name, exc_info=error)
    return CallboardError("internal", f"the service {name} died: {error or 'it ended by itself'}")
