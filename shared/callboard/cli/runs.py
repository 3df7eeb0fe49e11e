"""`callboard runs`: what ran, how one went, and what one does now."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.filters import RunFilters
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from callboard.client import Run

app = App(name="runs", help="List, show, follow and control runs.")

_ANYWHERE = Where()
_ANY = RunFilters()
_LOOK = ("gateway", "ledger")
_GOAL = 12
"""The least room for a goal."""
_SPARED = ("TOOK", "TURNS")
"""What a narrow terminal does without."""
_COLORS = {
    "completed": "green",
    "running": "cyan",
    "queued": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "cancelled": "yellow",
}


@app.command(name="ls")
def list_(
    *,
    limit: Annotated[int, Parameter(help="How many. [default: 20]")] = 20,
    filters: RunFilters = _ANY,
    json: Annotated[bool, Parameter(help="One line of JSON per run.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """List runs, newest first."""
    return run_async(_list(where, min(200, max(1, limit)), filters, json=json))


async def _list(where: Where, limit: int, filters: RunFilters, *, json: bool) -> int:
    async with reach(where, only=_LOOK) as reached:
        found = await reached.client.runs(limit=limit, **filters.query())
    if json:
        import msgspec

        for row in found:
            print(msgspec.json.encode(_flat(row)).decode())
    elif not found and filters.words():
        print(f"No run fits {filters.words()}.")
    else:
        _table(found)
    return exits.OK


def _flat(row: "Run") -> dict[str, object]:
    import msgspec

    flat = msgspec.structs.asdict(row)
    return dict(flat.pop("more")) | flat


def _table(found: list["Run"]) -> None:
    from rich.text import Text

    from callboard.cli.story import brief
    from callboard.cli.tables import columns, console, print_table

    if not found:
        print('No runs yet. Start one: callboard run "Say hello"')
        return
    cells = {name: [tell(row) for row in found] for name, tell in _CELLS.items()}
    widths = {name: max(len(name), *map(len, texts)) + 2 for name, texts in cells.items()}
    if sum(widths.values()) + _GOAL > console().width:  # an id must not be cut
        for name in _SPARED:
            del cells[name], widths[name]
    room = max(8, console().width - sum(widths.values())) - 2
    table = columns(*cells, "GOAL", right=("TOOK", "TURNS", "COST"))
    for row, *texts in zip(found, *cells.values(), strict=True):
        status = Text(row.status, _COLORS.get(row.status, "red"))
        status.append(_filed(row), "dim")
        goal = brief(row.objective or row.skill, room)
        table.add_row(texts[0], status, *texts[2:], goal)
    print_table(table)


def _filed(row: "Run") -> str:
    return " archived" if row.more.get("archived") else ""


def _took(row: "Run") -> str:
    from callboard.cli.story import seconds

    return seconds((row.ended_ms - row.accepted_ms) / 1000) if row.ended_ms else ""


def _cost(row: "Run") -> str:
    from callboard.cli.story import money

    marks = ("?" if row.unpriced else "") + ("~" if row.more.get("estimated") else "")
    return money(row.more.get("tree_cost_micro_usd", round(row.cost_usd * 1_000_000))) + marks


def _when(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    moment = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    today = moment.date() == datetime.now().astimezone().date()
    return moment.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M")


_CELLS: "dict[str, Callable[[Run], str]]" = {
    "RUN": lambda row: row.run,
    "STATUS": lambda row: row.status + _filed(row),
    "STARTED": lambda row: _when(row.accepted_ms),
    "TOOK": _took,
    "TURNS": lambda row: str(row.turns),
    "COST": _cost,
}


@app.command
def show(
    run: Annotated[str, Parameter(help="The run's id, or its beginning.")],
    /,
    *,
    step: Annotated[
        int | None, Parameter(help="Only this step: what was decided, from what, and what came of it.")
    ] = None,
    turn: Annotated[int, Parameter(help="With --context: the turn, by its number. [default: the last]")] = 0,
    context: Annotated[bool, Parameter(help="What the model read in a turn, part by part.", negative="")] = False,
    messages: Annotated[bool, Parameter(help="With --context: the messages themselves.", negative="")] = False,
    trace: Annotated[bool, Parameter(help="Its spans over time; with --json as OTLP has them.", negative="")] = False,
    json: Annotated[bool, Parameter(help="All that is known, as one line of JSON.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Tell how a run went: its turns, its calls, its result."""
    if step is not None:
        from callboard.cli.step import show_step

        return run_async(show_step(where, run, step, json=json))
    if trace:
        from callboard.cli.trace import show_trace

        return run_async(show_trace(where, run, json=json))
    if context or turn or messages:
        return run_async(_show_window(where, run, turn, messages=messages, json=json))
    return run_async(_show(where, run, json=json))


async def _show_window(where: Where, run: str, turn: int, *, messages: bool, json: bool) -> int:
    from callboard.cli import window

    async with reach(where, only=(*_LOOK, "models")) as reached:
        return await window.show(reached, await whole_id(reached, run), turn, messages=messages, json=json)


async def _show(where: Where, run: str, *, json: bool) -> int:
    async with reach(where, only=_LOOK) as reached:
        found = await reached.client.get(await whole_id(reached, run))
        if json:
            import msgspec

            print(msgspec.json.encode(_flat(found)).decode())
        elif found.ended:
            await _retell(reached, found)
        else:
            _table([found])
            _next(found)
    return exits.OK


def _next(found: "Run") -> None:
    if found.status == "paused":
        print(f"It is paused: `callboard runs resume {found.run}` lets it go on.")
    elif found.status == "waiting":
        print(f"It waits for a person: `callboard approvals show {found.run}` shows what is to be decided.")
    else:
        print(f"It is not over: `callboard runs tail {found.run}` follows it.")
    print(f"`callboard runs why {found.run}` tells what it waits for.")


async def _retell(reached: Reached, found: "Run") -> None:
    from rich.console import Console

    from callboard.cli.outcome import show_outcome
    from callboard.cli.run import show_ending
    from callboard.cli.screen import print_line
    from callboard.cli.step import show_waste
    from callboard.cli.story import Story

    story, console = Story(found.run, found.more.get("from_turn", 0)), Console(stderr=True, highlight=False)
    async for event in reached.client.events(found.run):
        for line in story.take(event.kind, event.data):
            print_line(console, line)
    show_ending(reached, found, json=False)
    show_outcome(found)
    await show_waste(reached, found.run, console)
    if found.more.get("archived"):
        console.print("archived: told from the ledger's files", style="dim")
    for file in await reached.client.files(found.run):
        console.print(f"file {file['path']}  {file['bytes']:,} bytes", style="dim", soft_wrap=True)


async def whole_id(reached: Reached, given: str) -> str:
    """Return the id that begins as given, so that nobody has to copy 26 letters.

    :raises CallboardError: `unknown_run`, none or several do.
    """
    from callboard_contracts import ids
    from callboard_contracts.errors import CallboardError

    text = given.strip().upper()
    if ids.is_run(text):
        return text
    found = [row.run for row in await reached.client.runs(limit=200) if text and row.run.startswith(text)]
    if len(found) != 1:
        several = f"{len(found)} of the latest runs begin with" if found else "no run is called"
        raise CallboardError("unknown_run", f"{several} {given!r}")
    return found[0]


@app.command
def tail(
    run: Annotated[str, Parameter(help="The run's id, or its beginning.")],
    /,
    *,
    json: Annotated[bool, Parameter(help="End with one line of JSON on standard output.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Follow a run until it ends. The exit code is the run's."""
    try:
        return run_async(_tail(where, run, json=json))
    except KeyboardInterrupt:
        import sys

        print("The run goes on.", file=sys.stderr)
        return exits.INTERRUPTED


async def _tail(where: Where, run: str, *, json: bool) -> int:
    from callboard.cli.run import watch

    async with reach(where) as reached:
        ended = await watch(reached, await whole_id(reached, run), json=json)
        return exits.of_status(ended.status, ended.code)


_CONTROL = (
    ("why", "why:why", "Tell what a run waits for, whoever is dead."),
    ("pause", "control:pause", "Stop a run and its sub-agents at their next step."),
    ("resume", "control:resume", "Let a run that was paused go on."),
    ("steer", "control:steer", "Tell a run's model something."),
    ("cancel", "control:cancel", "End a run and all its sub-agents."),
    ("retry", "control:retry", "Take up a run that ended, or make a failed call of a live one again."),
)
for _name, _target, _text in _CONTROL:
    app.command(f"callboard.cli.{_target}", name=_name, help=_text)
