"""`callboard up`: broker and services in one process, until Ctrl-C."""

import asyncio
import contextlib
import importlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import EMBEDDED, Data, Where, run_async, settings_of

if TYPE_CHECKING:
    from callboard.discovery import System

_PORT = 4222


def up(  # noqa: PLR0913 - the command's options
    *,
    data: Data = None,
    http: Annotated[str, Parameter(help="Where to listen for HTTP. [default: 127.0.0.1:8420]")] = "",
    port: Annotated[
        int | None, Parameter(help="Where the broker listens; 0: any. [default: 4222 if free, else any]")
    ] = None,
    nats: Annotated[str, Parameter(help="A broker that runs already: its URL. Then none is started.")] = "",
    skills: Annotated[
        list[Path] | None, Parameter(help="A folder of skill folders to deploy; may be repeated.")
    ] = None,
    model: Annotated[str, Parameter(help="The model to ask when a goal names none.")] = "",
    sync: Annotated[str, Parameter(help="`always`: all that is taken survives a power cut; else as `2m`.")] = "always",
    accept_loss: Annotated[
        bool, Parameter(help="Go on with a data folder of which records are gone; new ones take their numbers.")
    ] = False,
    json: Annotated[bool, Parameter(help="Print one line of JSON when ready.")] = False,
) -> int:
    """Start the broker and all services, until Ctrl-C.

    Everything that is taken is kept in the data folder, and goes on with the next `up`.
    """
    import msgspec

    from callboard.logs import configure_logging
    from callboard.models_store import config

    settings = settings_of(Where(data=data), http=http or None)
    model = model or settings.model or config(settings.data).model
    configure_logging(level="" if json else _level())
    embedded = importlib.import_module(EMBEDDED)
    options = embedded.Options(
        settings=msgspec.structs.replace(settings, model=model),
        nats=nats,
        port=_free(_PORT) if port is None else port,
        sync=sync,
        skills=tuple(skills or ()),
        accept_loss=accept_loss,
    )
    return run_async(_up(embedded, options, json=json))


def _level() -> str:
    """Return what is logged beside the ready line: what is wrong, unless the environment asks for more."""
    import os

    return os.environ.get("CALLBOARD_LOG", "warning")


async def _up(embedded: Any, options: Any, *, json: bool) -> int:
    stop = asyncio.Event()
    async with embedded.running(options) as running:
        _listen(stop, running.hurry)  # before anybody is told: who hears it may send a signal at once
        _say_ready(running.system, json=json)
        failure = await _stopped_or_failed(running, stop)
        if failure is None and not json:
            print("Stopping: what runs is finished or given back. Again to stop at once.", file=sys.stderr, flush=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # all is done: what is left of the process is not worth a signal
    if failure is not None:
        exits.report(failure)
        return exits.INTERNAL
    return exits.OK


def _listen(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """Stop in order at the first signal, at once at the second. Later ones, until the process has ended, are nothing.

    The loop's own handlers would go with it, and a third Ctrl-C then end in a stack trace.
    """
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: object) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe((hurry if stop.is_set() else stop).set)

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.remove_signal_handler(number)
        signal.signal(number, on_signal)


async def _stopped_or_failed(running: Any, stop: asyncio.Event) -> Exception | None:
    stopping, failing = asyncio.create_task(stop.wait()), asyncio.create_task(running.failure())
    await asyncio.wait({stopping, failing}, return_when=asyncio.FIRST_COMPLETED)
    failure = failing.result() if failing.done() and not stop.is_set() else None
    for task in (stopping, failing):
        task.cancel()
    return failure


def _say_ready(system: "System", *, json: bool) -> None:
    from callboard.bus import hide_password
    from callboard.discovery import FILE

    nats = hide_password(system.nats_client_url)
    if json:
        import msgspec

        line = {
            "http": system.http,
            "nats": nats,
            "data": str(system.data),
            "pid": system.pid,
            "version": system.version,
            "system": str(system.data / FILE),
        }
        print(msgspec.json.encode(line).decode(), flush=True)
        return
    _people(system, nats)


def _people(system: "System", nats: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text.assemble(("●", "green"), " ", ("Callboard", "bold"), f" {system.version} is ready"))
    table = Table.grid(padding=(0, 3))
    for what, where, note in (
        ("HTTP", system.http, "pages, API, /openapi.json"),
        ("NATS", nats, "goals on cb.default.goal._, events on cb.default.live.>"),
        ("Data", str(system.data), ""),
    ):
        table.add_row(f"  {what}", where, Text(note, "dim"))
    console.print(table)
    console.print()
    flag = "" if system.data == Path("~/.callboard").expanduser() else f" --data {system.data}"
    commands = Table.grid(padding=(0, 3))
    for command, note in (
        (f'callboard run{flag} "Say hello"', "run a goal and watch it"),
        (f"callboard runs ls{flag}", "what ran, and what it cost"),
        ("Ctrl-C", "stops; what runs goes on with the next `up`"),
    ):
        commands.add_row(Text(f"  {command}", "cyan"), Text(note, "dim"))
    console.print(commands)


def _free(port: int) -> int:
    import socket

    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return port
    return 0
