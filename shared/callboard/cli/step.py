"""One step of a run on a terminal: what was decided, from what, what the guard said, and what came of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from callboard.cli import exits
from callboard.cli.story import brief, brief_arguments, money
from callboard.cli.where import Reached, Where, reach
from callboard.steps.step import Decision, Made, Step
from callboard_contracts import names
from callboard_contracts.errors import CallboardError

_ONLY = ("gateway", "ledger", "models")
_DECIDED = {"finish": "to finish", "give_up": "to give up", "calls": "to call tools", "": "nothing: it did not answer"}


async def show_step(where: Where, run: str, number: int, *, json: bool) -> int:
    """Print a step.

    :raises CallboardError: `unknown_run`, `unknown_step`.
    """
    from callboard.cli.runs import whole_id

    async with reach(where, only=_ONLY) as reached:
        name = await whole_id(reached, run)
        path = f"/v1/runs/{name}/steps/{number}"
        found = await reached.client.ask("GET", path, query={"contents": "true" if json else ""})
    if json:
        print(msgspec.json.encode(found).decode())
    else:
        _tell(Console(highlight=False, markup=False), found)
    return exits.OK


async def show_waste(reached: Reached, run: str, console: Console) -> None:
    """Print what was wasted in a run, if anything was; a system that cannot tell is no reason to fail."""
    try:
        found = (await reached.client.ask("GET", f"/v1/runs/{run}/waste"))["waste"]
    except CallboardError:
        return
    for one in found:
        cost = f"  {money(one['cost_micro_usd'])}" if one["cost_micro_usd"] else ""
        console.print(Text.assemble(("wasted ", "yellow"), one["sentence"], (cost, "dim")), soft_wrap=True)


def _tell(console: Console, found: dict[str, Any]) -> None:
    step = msgspec.convert(found, Step)
    console.print(
        Text.assemble((f"step {step.step} of {step.steps}", "bold"), (f"  run {step.run} · {step.model}", "dim"))
    )
    tokens = f" · {step.input_tokens:,} → {step.output_tokens:,} tokens" if step.input_tokens else ""
    whole = f"{_at(step.asked_ms)}{tokens} · {step.duration_ms:,} ms · {money(step.cost_micro_usd)} with its calls"
    _line(console, "asked", whole)
    _line(console, "guard", _guarded(step.asked.guard))
    _context(console, found)
    _line(console, "offered", ", ".join(step.offered) or "no tools")
    if step.asked.code:
        _line(console, "error", f"{step.asked.code}: {brief(step.asked.message, 400)}")
    _line(console, "said", step.text)
    _line(console, "decided", _decided(step))
    for made in step.calls:
        _call(console, made)
    for note in step.notes:
        _line(console, "note", brief(note, 400))
    if step.rejected:
        _line(console, "rejected", f"its answer was not accepted ({step.rejected})")
    _line(console, "retry", step.asked.retry.sentence)


def _decided(step: Step) -> str:
    output = (step.asked.output or {}).get("output") if isinstance(step.asked.output, dict) else None
    return _DECIDED[step.decided] + (f": {brief(output, 400)}" if step.decided == "finish" else "")


def _context(console: Console, found: dict[str, Any]) -> None:
    prompt = found.get("prompt")
    if not prompt:
        problem = found.get("prompt_problem") or {}
        _line(console, "context", f"not known: {problem.get('detail', '')}".rstrip(": "))
        return
    exact = "exactly what was sent" if prompt.get("exact") else "as today's code builds it; what was sent may differ"
    sent = f"{prompt.get('tokens', 0):,} of {prompt.get('window_tokens', 0):,} tokens, {exact}"
    _line(console, "context", sent)
    for part in prompt.get("parts", ()):
        state = part.get("state", "kept")
        about = f"{part['kind']:<11} {part.get('tokens', 0):>7,}  {'' if state == 'kept' else state + ' '}"
        console.print(Text(f"             {about}{brief(part.get('title', ''), 80)}", "dim"), soft_wrap=True)
    console.print(Text("             --json shows every message of it", "dim"))


def _call(console: Console, made: Made) -> None:
    arguments = f"({brief_arguments(made.arguments)})" if made.tool != names.MODEL else ""
    console.print(
        Text.assemble("  ▸ ", (f"{made.tool}{arguments}", "bold"), (f"  {made.effect}  {made.call}", "dim")),
        soft_wrap=True,
    )
    _line(console, "guard", _guarded(made.guard), 4)
    _line(console, "result", _result(made), 4)
    _line(console, "retry", ("safe. " if made.retry.safe else "not safe. ") + made.retry.sentence, 4)


def _result(made: Made) -> str:
    tried = f" · attempt {made.attempts}" if made.again else f" · made {made.attempts}×" if made.attempts > 1 else ""
    cost = f" · {money(made.cost_micro_usd, unpriced=made.unpriced)}"
    took = f" · {made.duration_ms:,} ms{cost}{tried}{' · late' if made.late else ''}"
    match made.outcome:
        case "":
            return "not yet"
        case "completed":
            return f"✓ {brief(made.output, 200) or made.output_ref}{took}"
        case _:
            return f"✗ {made.outcome}: {made.code}: {brief(made.message, 300)}{took}"


def _guarded(decision: Decision) -> str:
    """Return what the guard said, and how the tree stood."""
    budget = decision.budget_micro_usd
    of = f" of {money(budget)}" if budget is not None else ""
    stood = f"before it {money(decision.committed_micro_usd)}{of}, {decision.calls} of {decision.max_calls} calls"
    parts = [decision.decision]
    if decision.decision == "granted":
        parts.append(f"reserved {money(decision.reserved_micro_usd)}")
    if decision.rule:
        by = f" by {decision.by}" if decision.by else ""
        parts.append(f"rule {decision.rule}: {decision.approval or 'waits for a person'}{by}")
    if decision.code:
        parts.append(f"{decision.code}: {decision.message}")
    return " · ".join([*parts, stood] if decision.seq else parts) + (f"  [{decision.seq}]" if decision.seq else "")


def _line(console: Console, name: str, text: str, indent: int = 2) -> None:
    if text:
        console.print(Text.assemble(" " * indent, (f"{name:<9}", "dim"), text), soft_wrap=True)


def _at(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
