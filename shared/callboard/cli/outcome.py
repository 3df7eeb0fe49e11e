"""What a run that failed leaves behind, as `runs show` lists it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from callboard.client import Run

_TITLES = {
    "done": ("Done", "green"),
    "failed": ("Failed", "red"),
    "not_started": ("Not started", "yellow"),
    "unknown": ("Outcome unknown", "red"),
}
_MOST = 20


def show_outcome(found: "Run") -> None:
    """List what was done, what failed, what never began and what nobody knows, and say how to take the run up."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    outcome: dict[str, list[dict[str, Any]]] = found.more.get("outcome") or {}
    for kind, (title, style) in _TITLES.items():
        if outcome.get(kind):
            console.print(f"{title}:", style=style)
            _calls(console, outcome[kind])
    if outcome:
        look = f"callboard runs retry {found.run}   takes it up again as a new run"
        console.print(look, style="dim", soft_wrap=True)


def _calls(console: "Console", calls: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from callboard.cli.story import brief

    for call in calls[:_MOST]:
        why = ": ".join(part for part in (call["code"], brief(call["message"])) if part)
        line = Text.assemble("  ", (call["tool"], "bold"), "  ", (call["call"], "dim"), f"  {why}" if why else "")
        console.print(line, soft_wrap=True)
    if len(calls) > _MOST:
        console.print(f"  and {len(calls) - _MOST} more", style="dim")
