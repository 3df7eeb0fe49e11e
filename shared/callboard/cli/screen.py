"""The story on a terminal: what happened scrolls up, what is happening stays at the bottom. Plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from callboard.cli.story import Line, Story, brief, seconds
from callboard_contracts import names

_MARKS = {
    "goal": ("▸", "bold cyan"),
    "about": (" ", "dim"),
    "said": ("●", "cyan"),
    "done": ("✓", "green"),
    "wrong": ("✗", "red"),
    "note": ("!", "yellow"),
    "person": ("☞", "bold yellow"),
    "child": ("▸", "magenta"),
    "ended": ("╰", "magenta"),
}
_BODIES = {"goal": "bold", "about": "dim", "wrong": "red", "note": "yellow", "person": "yellow"}
_ENDINGS = {"completed": ("✓", "green"), "cancelled": ("■", "yellow")}
_MOST_OPEN = 8


class Screen:
    """Tells a story to standard error; standard output is for the result. A context manager."""

    def __init__(self, story: Story, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._story = story
        self._since = time.monotonic()
        self._spinner = Spinner("dots", style="cyan")
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self._now,
                console=self.console,
                refresh_per_second=10,
                transient=True,
                redirect_stdout=False,
            )
            self._live.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def tell(self, lines: list[Line]) -> None:
        """Show lines."""
        for line in lines:
            print_line(self.console, line)

    def _now(self) -> RenderableType:
        running = list(self._story.open.values())
        rows: list[RenderableType] = []
        width = max(20, self.console.width - 6)
        for call in running[:_MOST_OPEN]:
            what = "thinking" if call.tool == names.MODEL else f"{call.tool}({call.arguments})"
            heard = " ".join(call.heard.split())[-(width - len(what) - 3) :] if call.heard else ""
            rows.append(Text.assemble("    ", (brief(what, width), "dim"), "  ", (heard, "italic"), no_wrap=True))
        if len(running) > _MOST_OPEN:
            rows.append(Text(f"    and {len(running) - _MOST_OPEN} more", "dim"))
        self._spinner.update(text=Text(f" {self.sums()}", "dim"))
        return Group(*rows, self._spinner)

    def sums(self) -> str:
        """Return the totals so far."""
        story = self._story
        return f"{totals(story.turns, story.calls, story.cost)} · {seconds(time.monotonic() - self._since)}"


def print_line(console: Console, line: Line) -> None:
    """Print a line: wrapped behind its mark on a terminal, else on one line however long it is."""
    head, body = _parts(line)
    if not console.is_terminal:
        console.print(head + body, soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(head, body)
    console.print(grid)


def styled(line: Line) -> Text:
    """Return a line as it is shown."""
    head, body = _parts(line)
    return head + body


def _parts(line: Line) -> tuple[Text, Text]:
    mark, style = _MARKS[line.kind]
    head = Text("  " * line.depth)
    if line.kind == "said" or (line.kind == "wrong" and line.number):
        head.append(f"{line.number:>2} ", "dim")
        head.append(f"{mark} ", style)
    else:
        head.append(f"{mark} " if line.kind in ("goal", "about") else f"   {mark} ", style)
    body = Text(
        line.text,
        _BODIES.get(line.kind, ""),
    )
    return head, body.append(f"  {line.aside}", "dim") if line.aside else body


def totals(turns: int, calls: int, cost: str) -> str:
    """Return sums in words."""
    return f"{turns} turn{'' if turns == 1 else 's'} · {calls} call{'' if calls == 1 else 's'} · {cost}"


def ending(status: str, sums: str, why: str) -> Text:
    """Return the last line of a run."""
    mark, style = _ENDINGS.get(status, ("✗", "red"))
    text = Text.assemble((f"{mark} {status}", f"bold {style}"), ("  " + sums, "dim"))
    return text.append(f"\n  {why}") if why else text


def print_output(output: object) -> None:
    """Print a result to standard output: text as it is, anything else as JSON."""
    import msgspec

    if output is None:
        return
    text = output if isinstance(output, str) else msgspec.json.format(msgspec.json.encode(output), indent=2).decode()
    if not isinstance(output, str) and sys.stdout.isatty():
        Console(highlight=False).print_json(text)
        return
    print(text, flush=True)
