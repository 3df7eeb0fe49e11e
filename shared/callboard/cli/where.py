"""Which system a command speaks to: the one that is named, the one that runs, or one just for the command."""

import asyncio
import importlib
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from cyclopts import Parameter

if TYPE_CHECKING:
    from callboard.client import Client
    from callboard.settings import Settings

T = TypeVar("T")
EMBEDDED = "callboard_services.embedded.run"
"""Named and not imported: the services stand above this package, and only a system of one's own needs them."""

_DRAIN_S = 2.0
"""Who interrupts a command does not want to wait; what was running is delivered again."""

Url = Annotated[str, Parameter(env_var="CALLBOARD_URL", help="A system elsewhere: its HTTP URL.")]
Data = Annotated[Path | None, Parameter(env_var="CALLBOARD_DATA", help="The data folder. [default: ~/.callboard]")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Where:
    """Which system."""

    url: Url = ""
    data: Data = None


@dataclass(frozen=True)
class Reached:
    """A system that answers."""

    client: "Client"
    data: Path
    mine: bool = False
    """It was started for this command and ends with it."""

    def page(self, run: str) -> str:
        """Return where a run can be looked at, empty when its page goes with the command."""
        return "" if self.mine else f"{self.client.url}/runs/{run}"


def settings_of(where: Where, **given: object) -> "Settings":
    """Return the settings.

    :raises CallboardError: `invalid_request`, one cannot be read.
    """
    from callboard.settings import from_environment

    data = where.data.expanduser().absolute() if where.data else None
    return from_environment(None, data=data, **given)


@asynccontextmanager
async def reach(
    where: Where, *, only: tuple[str, ...] = (), model: str = "", start: bool = True
) -> AsyncIterator[Reached]:
    """Connect to the system that is named or runs; else start one of one's own, with `only` some services.

    :raises CallboardError: `not_running`, there is none and none may be started; what could not be started.
    """
    from callboard.client import Client
    from callboard.discovery import system
    from callboard_contracts.errors import CallboardError

    settings = settings_of(where)
    found = system(settings.data) if not where.url else None
    key = os.environ.get("CALLBOARD_KEY", "")
    if where.url or found is not None:
        async with Client(where.url or (found.http if found else ""), key=key) as client:
            yield Reached(client, settings.data)
        return
    if not start:
        raise CallboardError("not_running", f"no system runs with the data folder {settings.data}")
    async with own_system(settings, only=only, model=model) as started, Client(started.system.http, key=key) as client:
        yield Reached(client, settings.data, mine=True)


@asynccontextmanager
async def own_system(settings: "Settings", *, only: tuple[str, ...] = (), model: str = "") -> AsyncIterator[Any]:
    """Run a system for the length of a command, on ports of its own; its log goes to `<data>/callboard.log`."""
    import msgspec

    from callboard.models_store import config

    model = model or settings.model or config(settings.data).model
    own = msgspec.structs.replace(settings, http="127.0.0.1:0", model=model)
    log_to(settings.data)
    embedded = importlib.import_module(EMBEDDED)
    options = embedded.Options(settings=own, nats=_broker(), only=frozenset(only), drain_s=_DRAIN_S)
    async with embedded.running(options) as started:
        yield started


def _broker() -> str:
    """Return the broker that the environment names, empty for one of one's own."""
    return os.environ.get("CALLBOARD_NATS", "") or os.environ.get("NATS_URL", "")


def log_to(data: Path) -> None:
    """Write the services' log to a file: the terminal belongs to the command."""
    import structlog

    from callboard.logs import configure_logging
    from callboard_contracts.errors import CallboardError

    configure_logging()
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = (data / "callboard.log").open("a")
    except OSError as error:
        raise CallboardError("invalid_request", f"the data folder {data} cannot be used: {error}") from None
    processors = [*structlog.get_config()["processors"][:-1], structlog.processors.JSONRenderer()]
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory(file))


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; Ctrl-C and SIGTERM cancel it, so that it can end in order.

    :raises KeyboardInterrupt: it was interrupted, and has ended in order.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_with_sigterm(work))


async def _with_sigterm(work: Coroutine[Any, Any, T]) -> T:
    task = asyncio.current_task()
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        if task is not None:
            task.cancel()

    with suppress(NotImplementedError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await work
    except asyncio.CancelledError:
        if terminated:
            raise KeyboardInterrupt from None
        raise


def _loop_factory() -> Any:
    with suppress(ImportError):
        return importlib.import_module("uvloop").new_event_loop
    return None
