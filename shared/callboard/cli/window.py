"""`callboard runs show RUN --turn N --context`: what a model read, part by part."""

from typing import TYPE_CHECKING, Any

from callboard.cli import exits

if TYPE_CHECKING:
    from rich.text import Text

    from callboard.cli.where import Reached

_BAR = 24
"""How wide the whole window is drawn."""
_STYLES = {"kept": "green", "cut": "yellow", "elided": "yellow", "dropped": "red", "summarised": "magenta"}
_NAMES = {"did": "done so far", "summary": "notes", "said": "a person", "gap": "…", "again": "made again"}
_TITLE = 60


async def show(reached: "Reached", run: str, turn: int, *, messages: bool, json: bool) -> int:
    """Print the window of a turn; of the last one when none is named."""
    if not turn:
        turn = max(1, (await reached.client.get(run)).turns)
    where = f"/v1/runs/{run}/turns/{turn}/context"
    found = await reached.client.ask("GET", where, query={"contents": "true" if messages else ""}, timeout_s=30)
    if json:
        import msgspec

        print(msgspec.json.encode(found).decode(), flush=True)
    else:
        _tell(found)
        _print_messages(found) if messages else None
    return exits.OK


def _tell(found: dict[str, Any]) -> None:
    from callboard.cli.story import brief
    from callboard.cli.tables import columns, console, print_table

    shown, window = console(), found["window_tokens"]
    for line in _about(found):
        shown.print(line, soft_wrap=True)
    table = columns("PART", "TOKENS", "WINDOW", "STATE", "WHAT", "FROM", right=("TOKENS",))
    room = _TITLE if not shown.is_terminal else max(12, min(_TITLE, shown.width - 85))
    for part in found.get("parts", []):
        state = part.get("state", "kept")
        table.add_row(
            _NAMES.get(part["kind"], part["kind"]),
            f"{part.get('tokens', 0):,}" if part.get("tokens") else "",
            _bar(part.get("tokens", 0), window, sent=state not in ("dropped", "summarised"), style=_STYLES[state]),
            _state(part, state),
            brief(part.get("title", ""), room),
            _sources(part.get("sources", [])),
        )
    print_table(table)


def _about(found: dict[str, Any]) -> "list[Text]":
    from rich.text import Text

    used, room = found.get("tokens", 0), found["window_tokens"] - found["answer_tokens"]
    share = f"{used:,} of {room:,} tokens by estimate, {found['answer_tokens']:,} more are kept for the answer"
    counted = f"; the provider counted {found['counted_tokens']:,}" if found.get("counted_tokens") else ""
    return [
        Text.assemble((f"turn {found['turn']}", "bold"), f" of {found['run']}", (f"  {found['model']}", "dim")),
        Text(f"{share}{counted}"),
        Text(*_exactness(found)),
    ]


def _exactness(found: dict[str, Any]) -> tuple[str, str]:
    if found.get("exact"):
        return f"exactly what was sent (digest {found['digest']})", "green"
    if not found.get("result"):
        return "what is being asked, as it is built from the records: there is no result yet to compare it with", "dim"
    if not found.get("recorded"):
        return "built from the records as it would be today; no digest was recorded for this turn", "dim"
    return "not what was sent: tools or code have changed since, or the skill is gone", "yellow"


def _bar(tokens: int, window: int, *, sent: bool, style: str) -> "Text":
    from rich.text import Text

    width = max(1, round(_BAR * tokens / window)) if tokens else 0
    return Text(("█" if sent else "░") * min(_BAR, width), style)


def _state(part: dict[str, Any], state: str) -> "Text":
    from rich.text import Text

    steps = part.get("steps", 0)
    several = f" {steps} turns" if steps > 1 or (state in ("dropped", "summarised") and steps) else ""
    return Text(state + several, _STYLES[state] if state != "kept" else "dim")


def _sources(sources: list[int]) -> str:
    shown = " ".join(map(str, sources[:3]))
    return f"{shown} …" if len(sources) > 3 else shown


def _print_messages(found: dict[str, Any]) -> None:
    for part in found.get("parts", []):
        for message in part.get("messages", []):
            print(f"\n── {_speaker(message)} " + "─" * 20)
            if message.get("content"):
                print(message["content"])
            for call in message.get("calls", []):
                import msgspec

                print(f"→ {call['tool']} {msgspec.json.encode(call['arguments']).decode()}")
    if found.get("more"):
        print("\n(the rest is too large to be shown)")


def _speaker(message: dict[str, Any]) -> str:
    return f"result of {message['tool']}" if message.get("tool") else str(message["role"])
