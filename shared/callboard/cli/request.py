"""Requests to people as a terminal shows them. What would run is shown whole, and nothing in it is hidden."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from callboard.cli.plain import plain
from callboard.cli.story import brief, money, seconds
from callboard.cli.tables import columns, console, print_table
from callboard.keys import LOCAL

if TYPE_CHECKING:
    from rich.text import Text

_GOAL = 12
"""The least room for a goal."""
_SPARED = ("WHO", "EXPIRES")
"""What a narrow terminal does without."""
_OUTCOMES = {"approved": "green", "answered": "green", "denied": "red", "expired": "yellow", "withdrawn": "dim"}
_WORDS = {
    "approved": "Approved: the call runs as soon as every other check has passed again.",
    "answered": "Answered: the model reads it next.",
    "denied": "Denied: the model reads the reason and may go another way.",
}


def print_list(rows: Sequence[Mapping[str, Any]], filters: Mapping[str, Any], *, more: bool) -> None:
    """Print a table of requests, or why there is none."""
    if not rows:
        _print_none(filters)
        return
    cells = {
        "REQUEST": [str(row["request"]) for row in rows],
        "STATUS": [str(row["status"]) for row in rows],
        "TOOL": [str(row["tool"]) for row in rows],
        "ASKED": [_ago(row["requested_ms"]) for row in rows],
        "EXPIRES": [_left(row) for row in rows],
        "VOTES": [f"{len(row['approved_by'])} of {row['quorum']}" for row in rows],
        "WHO": [brief(_deciders(row), 30) for row in rows],
    }
    widths = {name: max(len(name), *map(len, texts)) + 2 for name, texts in cells.items()}
    for name in _SPARED:
        if sum(widths.values()) + _GOAL > console().width:  # an id must not be cut
            del cells[name], widths[name]
    table = columns(*cells, "GOAL", right=("VOTES",))
    room = max(8, console().width - sum(widths.values())) - 2
    for row, *texts in zip(rows, *cells.values(), strict=True):
        table.add_row(*texts, plain(brief(row["objective"] or row["skill"], room)))
    print_table(table)
    if more:
        print("There are more: `--limit 200`, or filter by --run, --group, --mine.")


def _deciders(row: Mapping[str, Any]) -> str:
    """Return who may decide, or has decided."""
    if row["status"] == "open":
        return ", ".join(row["approvers"]) or "anybody"
    return ", ".join(row["decided_by"]) or "nobody"


def _print_none(filters: Mapping[str, Any]) -> None:
    if any(filters.get(name) for name in ("run", "group", "mine")):
        print("No request fits. `callboard approvals ls --status all` lists all of them.")
    elif filters["status"] == "open":
        print("Nothing waits for a person. `callboard approvals ls --status all` lists what was decided.")
    else:
        print("There is no such request. A policy says which calls wait for a person: `callboard policy show`.")


def print_request(found: Mapping[str, Any], page: str) -> None:
    """Print one request: what would run first, then why and who, then what led here, then what to do."""
    from rich.padding import Padding

    screen = console()
    screen.print(_headline(found), soft_wrap=not screen.is_terminal)
    for title, lines in _sections(found):
        screen.print(f"\n{title}", style="bold")
        for line in lines:
            screen.print(Padding(line, (0, 0, 0, 2)) if screen.is_terminal else "  " + line, markup=False)
    screen.print()
    for line in _next(found, page):
        screen.print(line, style="dim", markup=False, soft_wrap=True)


def _headline(found: Mapping[str, Any]) -> "Text":
    from rich.text import Text

    status = str(found["status"])
    what = "A question" if found["question"] else f"{found['tool']} {found['version']} · {found['effect']}"
    worst = "" if found["question"] else f" · costs at most {money(found['worst_micro_usd'])}"
    return Text.assemble(
        (f"{status}  ", f"bold {_OUTCOMES.get(status, 'yellow')}"), (what, "bold"), worst, (f"  {_when(found)}", "dim")
    )


def _when(found: Mapping[str, Any]) -> str:
    decided = found.get("decision")
    if decided:
        return f"decided {_clock(decided['at_ms'])}"
    return f"asked {_ago(found['requested_ms'])} ago, expires in {_left(found)}"


def _sections(found: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    if found["question"]:
        yield "The question", _question(found["arguments"])
    else:
        yield "What would run" if found["status"] == "open" else "What was asked for", _json(_asked_for(found))
    if found.get("edited_by") and not _told_below(found):
        yield f"What was proposed, before {found['edited_by']} edited it", _json(found["proposed"])
    if found.get("decision"):
        yield "The decision", _decision(found["decision"])
    yield "Why a person", [_why(found)]
    yield "For", [_goal(found)]
    yield "Who may decide", [_who(found)]
    if found["votes"]:
        yield "Votes", [_vote(vote) for vote in found["votes"]]
    if found["steps"]:
        yield "What the run did lately", [_step(step) for step in found["steps"]]


def _told_below(found: Mapping[str, Any]) -> bool:
    """Tell whether the decision says what runs instead of what was proposed."""
    return bool(found.get("decision", {}).get("edited"))


def _asked_for(found: Mapping[str, Any]) -> Any:
    return found["proposed"] if _told_below(found) else found["arguments"]


def _json(value: Any) -> list[str]:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    return plain(text).split("\n")


def _question(asked: Any) -> list[str]:
    asked = asked if isinstance(asked, dict) else {}
    lines = plain(str(asked.get("question", ""))).split("\n")
    if asked.get("choices"):
        lines += ["", "one of: " + plain(" · ".join(map(str, asked["choices"])))]
    if asked.get("schema"):
        lines += ["", "as JSON that fits:", *_json(asked["schema"])]
    if asked.get("context"):
        lines += ["", *plain(str(asked["context"])).split("\n")]
    return lines


def _decision(decision: Mapping[str, Any]) -> list[str]:
    by = f" by {', '.join(decision['by'])}" if decision.get("by") else ""
    lines = [f"{decision['outcome']}{by}" + (f": {plain(decision['reason'])}" if decision.get("reason") else "")]
    if decision.get("edited"):
        lines += ["with these arguments:", *_json(decision.get("arguments"))]
    if decision["outcome"] == "answered":
        lines += _json(decision.get("answer"))
    return lines


def _why(found: Mapping[str, Any]) -> str:
    if not found["policy"]:
        return "the agent asks"
    return f"{plain(found['reason']) or 'a rule asks for it'}  (rule {found['rule']} of {found['policy']})"


def _goal(found: Mapping[str, Any]) -> str:
    parts = [f"run {found['run']}"]
    parts += [f"skill {found['skill']}"] if found["skill"] and found["skill"] != "_" else []
    parts += [f"started by {found['principal']}"] if found["principal"] else []
    return f"{plain(brief(found['objective'], 300))}  ({', '.join(parts)})"


def _who(found: Mapping[str, Any]) -> str:
    who = ", ".join(found["approvers"]) or "whoever has a key"
    if found["quorum"] > 1:
        has = f"; {', '.join(found['approved_by'])} did" if found["approved_by"] else ""
        who += f"; {found['quorum']} of them must approve{has}"
    you = found["you"]
    if you["may_decide"] or found["status"] != "open":
        return who
    if you["principal"] == LOCAL:
        return f"{who}; without a key you may not: callboard keys add NAME --group GROUP"
    return f"{who}; your key, {you['principal']}, may not"


def _vote(vote: Mapping[str, Any]) -> str:
    why = f": {plain(vote['reason'])}" if vote.get("reason") else ""
    if not vote["counted"]:
        return f"{_clock(vote['at_ms'])}  {vote['principal']}: did not count ({vote['code']})"
    to = f" to {vote['to']}" if vote.get("to") else ""
    return f"{_clock(vote['at_ms'])}  {vote['principal']}: {vote['vote']}{to}{why}"


def _step(step: Mapping[str, Any]) -> str:
    what = step["tool"] if step["tool"] == "model" else f"{step['tool']}({plain(brief(step['arguments'], 100))})"
    return f"{what}  {step['status']}" + (f": {plain(brief(step['message']))}" if step["message"] else "")


def _next(found: Mapping[str, Any], page: str) -> Iterator[str]:
    name = found["id"]
    if found["status"] == "open" and found["question"]:
        yield f'callboard approvals answer {name} "…"'
        yield f'callboard approvals deny {name} --reason "…"'
    elif found["status"] == "open":
        yield f"callboard approvals approve {name}" + (f" --digest {found['digest']}" if found.get("edited_by") else "")
        yield f'callboard approvals deny {name} --reason "…"'
        yield f"callboard approvals edit {name} --arguments '{{…}}'"
    else:
        yield f"callboard runs show {found['run']}"
    if page:
        yield page


def outcome(found: Mapping[str, Any], decision: str) -> str:
    """Return what came of a vote, in a sentence."""
    if found["counted"] is None:
        return "The vote is stored. It counts as soon as the approval service runs."
    if found["status"] in _WORDS:
        return _WORDS[found["status"]]
    if decision == "delegate":
        return "Passed on: you may not decide this any more."
    return f"Counted: {len(found['approved_by'])} of {found['quorum']} approvals."


def _ago(ms: int) -> str:
    return seconds(max(0.0, time.time() - ms / 1000)).replace(".0 s", " s")


def _left(row: Mapping[str, Any]) -> str:
    if row["status"] != "open":
        return ""
    left = row["expires_ms"] / 1000 - time.time()
    return "now" if left <= 0 else f"{left / 86_400:.0f} d" if left > 2 * 86_400 else seconds(left)


def _clock(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
