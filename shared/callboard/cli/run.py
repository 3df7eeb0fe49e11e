"""`callboard run`: a goal from the command line to its result, watched on the way."""

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from callboard.client import Goal, Run
    from callboard.skills import Folder

_ANYWHERE = Where()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the run may use."""

    budget_usd: Annotated[str, Parameter(help="The most it may cost. [default: 1.00]")] = ""
    max_turns: Annotated[int | None, Parameter(help="How often the model may be asked. [default: 20]")] = None
    timeout: Annotated[str, Parameter(help="The most time: 90, 10m, 2h. [default: 10m]")] = ""

    start_timeout: Annotated[str, Parameter(help="How long it may wait to be begun. [default: no limit]")] = ""

    def limits(self) -> dict[str, Any]:
        """Return the limits that are set.

        :raises CallboardError: `invalid_request`, one cannot be.
        """
        from callboard.cli import wish
        from callboard_contracts.errors import CallboardError

        found: dict[str, Any] = {}
        if self.budget_usd:
            found["budget_usd"] = wish.budget(self.budget_usd)
        if self.max_turns is not None:
            if self.max_turns < 1:
                raise CallboardError("invalid_request", f"--max-turns {self.max_turns} is less than 1")
            found["max_turns"] = self.max_turns
        if self.timeout:
            found["timeout_s"] = wish.duration(self.timeout)
        if self.start_timeout:
            found["start_timeout_s"] = wish.duration(self.start_timeout, "--start-timeout")
        return found


@dataclass(frozen=True, kw_only=True)
class Order:
    """All that is to be done, checked as far as it can be without a system."""

    goal: "Goal"
    folder: "Folder | None" = None
    files: dict[str, bytes] = field(default_factory=dict)
    json: bool = False
    detach: bool = False
    check: Callable[["Run"], int] | None = None
    """What to do with a run that completed, beside showing it; returns the exit code."""


def run(  # noqa: PLR0913 - the command's options
    goal: Annotated[str, Parameter(help="What is to be achieved, in words.")] = "",
    /,
    *,
    skill: Annotated[str, Parameter(help="A skill's name, or its folder.")] = "",
    input: Annotated[str, Parameter(help="The skill's input: JSON, a file of it, or - for standard input.")] = "",  # noqa: A002
    file: Annotated[list[Path] | None, Parameter(help="A file or folder to attach; may be repeated.")] = None,
    contract: Annotated[str, Parameter(help="JSON Schema of what must come out: JSON, or a file of it.")] = "",
    tools: Annotated[list[str] | None, Parameter(help="The tools that may be used: names with commas.")] = None,
    grounded: Annotated[bool, Parameter(help="Accept only what the tools returned.")] = False,
    model: Annotated[str, Parameter(help="The model to ask.")] = "",
    tag: Annotated[list[str] | None, Parameter(help="A label to find it by, NAME:VALUE; may be repeated.")] = None,
    bounds: Bounds = Bounds(),
    json: Annotated[bool, Parameter(help="End with one line of JSON on standard output.")] = False,
    detach: Annotated[bool, Parameter(help="Only hand the goal in; needs a running system.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Run a goal and watch it.

    The result goes to standard output, everything else to standard error. Without a running system, one is started
    for as long as the run takes.
    """
    from callboard.cli import wish
    from callboard.client import Goal
    from callboard_contracts.errors import CallboardError

    name, folder = wish.skill(skill)
    if not goal.strip() and not name:
        raise CallboardError("empty_goal", 'give a goal, as in `callboard run "Say hello"`, or a --skill')
    asked = Goal(
        objective=goal,
        skill=name,
        input=wish.read_json(input, "--input") if input else None,
        contract=wish.contract(contract) if contract else None,
        tools=wish.tools(tools),
        model=model,
        limits=bounds.limits(),
        grounded=grounded,
        labels=wish.labels(tag or []),
    )
    order = Order(goal=asked, folder=folder, files=wish.attachments(file or []), json=json, detach=detach)
    return perform(order, where)


def perform(order: Order, where: Where) -> int:
    """Do what was ordered, and return the exit code."""
    told: list[str] = []
    try:
        return run_async(_perform(order, where, told))
    except KeyboardInterrupt:
        for line in told or ["Interrupted: nothing was started."]:
            print(line, file=sys.stderr)
        return exits.INTERRUPTED


async def _perform(order: Order, where: Where, told: list[str]) -> int:
    import msgspec

    from callboard_contracts import ids

    async with AsyncExitStack() as stack:
        with starting(order):
            entering = reach(where, model=order.goal.model, start=not order.detach)
            reached = await stack.enter_async_context(entering)
        client, goal = reached.client, order.goal
        if order.folder is not None:
            from callboard.skills import deployment

            await client.put_skill(goal.skill, deployment(order.folder))
        goal = msgspec.structs.replace(goal, id=ids.ulid(time.time_ns() // 1_000_000, secrets.token_bytes(10)))
        for path, data in order.files.items():
            await client.attach(goal.id, path, data)
        taken = await client.submit(goal)
        told.append(_if_interrupted(reached, taken.run))
        if order.detach:
            return _detached(taken.run, reached, json=order.json)
        ended = await watch(reached, taken.run, json=order.json)
        code = exits.of_status(ended.status, ended.code)
        return order.check(ended) if order.check and code == exits.OK else code


@contextmanager
def starting(order: Order) -> Iterator[None]:
    """Show that something is being done while a system is found or started."""
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not order.detach:
        with console.status("starting", spinner="dots"):
            yield
    else:
        yield


def _if_interrupted(reached: Reached, run: str) -> str:
    if reached.mine:
        return f"Stopped. The run is kept in {reached.data} and goes on with `callboard up`: {run}"
    return f"The run goes on. Watch it with `callboard runs tail {run}`."


def _detached(run: str, reached: Reached, *, json: bool) -> int:
    if json:
        import msgspec

        print(msgspec.json.encode({"run": run, "status": "queued", "url": reached.page(run)}).decode(), flush=True)
    else:
        print(run, flush=True)
        print(f"Watch it with `callboard runs tail {run}`, or at {reached.page(run)}", file=sys.stderr)
    return exits.OK


async def watch(reached: Reached, run: str, *, json: bool = False) -> "Run":
    """Tell a run's story until it ends, print its result, and return how it ended."""
    from callboard.cli.screen import Screen
    from callboard.cli.story import Story

    story = Story(run)
    with Screen(story) as screen:
        async for event in reached.client.events(run, tokens=screen.console.is_terminal):
            screen.tell(story.take(event.kind, event.data))
    ended = await reached.client.get(run)
    show_ending(reached, ended, json=json)
    return ended


def show_ending(reached: Reached, ended: "Run", *, json: bool) -> None:
    """Print how a run ended, and its result."""
    from rich.console import Console

    from callboard.cli.screen import ending, print_output, totals
    from callboard.cli.story import money, seconds

    console = Console(stderr=True, highlight=False)
    tree = _tree(ended)
    cost = money(round(tree["cost_usd"] * 1_000_000), unpriced=bool(tree["unpriced"]))
    took = f" · {seconds((ended.ended_ms - ended.accepted_ms) / 1000)}" if ended.ended_ms else ""
    why = ": ".join(part for part in (ended.code, ended.reason) if part)
    sums = totals(ended.turns, int(tree["calls"]), cost) + took
    console.print(ending(ended.status, sums, why), soft_wrap=True)
    if json:
        _print_json(reached, ended)
        return
    print_output(ended.output)
    page = reached.page(ended.run)
    flag = f" --data {reached.data}" if reached.data != Path("~/.callboard").expanduser() else ""
    look = f"callboard runs show {ended.run}{flag}" + (f"   {page}" if page else "")
    console.print(look, style="dim", soft_wrap=True)


def _tree(ended: "Run") -> dict[str, Any]:
    """Return the sums of the run with all its sub-agents, who spend the same money."""
    own = {"calls": ended.calls, "cost_usd": ended.cost_usd, "unpriced": ended.unpriced}
    return own | (ended.more.get("tree_totals") or {})


def _print_json(reached: Reached, ended: "Run") -> None:
    import msgspec

    tree = _tree(ended)
    told = {
        "run": ended.run,
        "status": ended.status,
        "output": ended.output,
        "cost_usd": tree["cost_usd"],
        "turns": ended.turns,
        "calls": tree["calls"],
        "code": ended.code,
        "reason": ended.reason,
        "model": ended.model,
        "unpriced": tree["unpriced"],
        "url": reached.page(ended.run),
    }
    print(msgspec.json.encode(told).decode(), flush=True)
