"""An audit as a person reads it: acts a line each, then whether they are proved."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.text import Text

from callboard.audit.act import Act
from callboard.audit.report import Report
from callboard.cli.story import brief, money

_MARKS = {"completed": "✓", "failed": "✗", "lost": "?", "refused": "✗", "cancelled": "■", "unachievable": "✗"}
_MOST = 20


def tell_acts(summary: dict[str, Any]) -> None:
    """Print what a bundle tells."""
    console = _console()
    who = f" for {summary['principal']}" if summary["principal"] else ""
    skill = f" · skill {summary['skill']}" if summary["skill"] else ""
    bill = summary["bill_micro_usd"]
    cost = f" · {money(bill)}" if bill is not None else ""
    console.print(Text(brief(summary["objective"] or summary["skill"]), "bold"))
    console.print(Text(f"{summary['status']}{who}{skill}{cost}", "dim"))
    for act in summary["acts"]:
        console.print(Text(one(msgspec.convert(act, Act))), soft_wrap=True)


def tell_act(line: bytes) -> str:
    """Return a line of the log as a person reads it."""
    act = msgspec.json.decode(line, type=Act)
    return f"{one(act)}  [{act.run}]"


def one(act: Act) -> str:
    """Return an act in one line: when, who, what, by which decision, what came of it."""
    mark = _MARKS.get(act.outcome, " ")
    who = f"{act.by} for {act.principal}" if act.principal and act.by not in ("", act.principal) else act.by or "agent"
    what = f"{act.tool}({act.model or brief(act.arguments, 60)})" if act.kind == "call" else _what(act)
    why = " · ".join(part for part in _why(act) if part)
    return f"{_when(act.time_ms)}  {mark} {who}  {what}" + (f"  {why}" if why else "")


def _what(act: Act) -> str:
    match act.kind:
        case "goal":
            return f"goal: {brief(act.arguments, 80)}"
        case "vote":
            return f"votes {act.decision} on {act.call}"
        case "decision":
            return f"{act.call} is {act.decision}"
        case "control":
            return f"{act.tool} {act.call}".strip()
        case _:
            return act.outcome


def _why(act: Act) -> tuple[str, ...]:
    decision = "" if act.decision in ("granted", "accepted") and not act.rule else act.decision
    return (
        act.effect,
        decision if act.kind in ("call", "goal") else "",
        f"rule {act.rule}" if act.rule else "",
        f"approved by {act.approvers}" if act.approvers and act.kind == "call" else "",
        act.code,
        money(act.cost_micro_usd) if act.cost_micro_usd else "unpriced" if act.unpriced else "",
        brief(act.reason, 80),
    )


def _when(milliseconds: int) -> str:
    if not milliseconds:
        return "never              "
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def proof(report: Report) -> None:
    """Print what was proved, and what was not."""
    console = _console()
    counts = report.counts
    told = ("messages", "records", "grants", "approvals")
    checked = ", ".join(f"{counts[what]:,} {what}" for what in told if counts.get(what))
    console.print(Text.assemble(("✓ verified  ", "bold green"), checked))
    if report.closed:
        console.print(
            f"  the tree is closed, and its bill of {money(counts.get('micro_usd', 0))} is the sum of its calls"
        )
    else:
        console.print("  the tree was not over: what came after the signature is not in it")
    console.print(f"  signed {_when(report.signed_ms)} UTC by {report.key}", soft_wrap=True)
    if report.known_key is None:
        console.print(
            "  compare this key with the system's own (`callboard audit key`), or give it with --key", style="yellow"
        )


def problems(report: Report) -> None:
    """Print what is wrong, the first message of it first."""
    console = _console()
    where = f": message {report.first_bad_seq} is the first that is wrong" if report.first_bad_seq else ""
    console.print(Text(f"✗ not verified{where}", "bold red"))
    for problem in report.problems[:_MOST]:
        line = f"line {problem.line}: " if problem.line else ""
        console.print(f"  {problem.code:<12} {line}{problem.detail}", soft_wrap=True, markup=False)
    if len(report.problems) > _MOST:
        console.print(f"  and {len(report.problems) - _MOST:,} more (--json tells all)")


def _console() -> Console:
    return Console(highlight=False, markup=False)
