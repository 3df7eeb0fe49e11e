"""Tables as all commands print them: plain columns, cut to the terminal, and never cut where nobody looks."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 250


def columns(*names: str, right: tuple[str, ...] = (), free: str = "") -> "Table":
    """Return an empty table. `right` are numbers; `free` is the one column that may wrap."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in names:
        table.add_column(name, no_wrap=name != free, justify="right" if name in right else "left")
    return table


def print_table(table: "Table") -> None:
    """Print a table to standard output."""
    console().print(table)


def console() -> "Console":
    """Return standard output: as wide as the terminal, and as wide as need be when it is a file or a pipe."""
    from rich.console import Console

    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_WIDE)
