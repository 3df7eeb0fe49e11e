"""What was spent, as tables people can read."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from callboard.cli.story import money
from callboard.cli.tables import columns, console, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

_BAR = 20
_PARTS = " ▏▎▍▌▋▊▉█"
_EMPTY = {"skill": "(no skill)", "user": "(nobody)", "model": "(no model)", "day": "(unknown)", "status": "(unknown)"}
_SPARED = ("CALLS", "TOKENS OUT", "TOKENS IN")
_NOTHING = 'Nothing was spent yet. Start a run: callboard run "Say hello"'


def show(found: dict[str, Any], filters: str) -> None:
    """Print sums with a bar each, their total, and what is not to be believed of them."""
    if not found["rows"]:
        print(f"No call fits {filters}." if filters else _NOTHING)
    else:
        _table(found)
    for line in _remarks(found):
        console().print(line, style="dim", soft_wrap=True)


def _table(found: dict[str, Any]) -> None:
    rows, totals, by = found["rows"], found["totals"], found["by"]
    cells = {
        name.upper(): [_key(name, row[name]) for row in rows] + (["total"] if name == by[0] else [""]) for name in by
    }
    every = [*rows, totals]
    cells["COST"] = [_marked(row) for row in every]
    most = max((row["cost_micro_usd"] for row in rows), default=0)
    cells[""] = [_bar(row["cost_micro_usd"], most) for row in rows] + [""]
    cells["BILLED"] = [money(row["billed_micro_usd"]) for row in every]
    for name, field in (("CALLS", "calls"), ("TOKENS IN", "input_tokens"), ("TOKENS OUT", "output_tokens")):
        cells[name] = [f"{row[field]:,}" for row in every]
    _fit(cells)
    table = columns(*cells, right=("COST", "BILLED", *_SPARED))
    for line in zip(*cells.values(), strict=True):
        table.add_row(*line)
    table.rows[-1].style = "bold"
    print_table(table)


def _fit(cells: dict[str, list[str]]) -> None:
    """Leave away what a narrow terminal has no room for."""

    def width() -> int:
        return sum(max(len(name), *map(len, texts)) + 2 for name, texts in cells.items())

    for name in (*_SPARED, ""):
        if width() > console().width:
            del cells[name]


def _key(name: str, value: Any) -> str:
    if name == "agent":
        skill = value["skill"] or _EMPTY["skill"]
        return f"{skill}, sub-agent {value['depth']} deep" if value["depth"] else skill
    return str(value) or _EMPTY.get(name, "")


def _marked(row: dict[str, Any]) -> str:
    """Return an amount; `?`: some of it has no price; `~`: some of it is estimated."""
    marks = ("?" if row["unpriced_calls"] else "") + ("~" if row["estimated_calls"] else "")
    return money(row["cost_micro_usd"]) + marks


def _bar(amount: int, most: int) -> str:
    eighths = round(8 * _BAR * amount / most) if most else 0
    if amount and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + _PARTS[eighths % 8].strip()


def _remarks(found: dict[str, Any]) -> "Sequence[str]":
    totals, lines = found["totals"], []
    if totals["unpriced_calls"]:
        tokens = f"{totals['unpriced_calls']:,} calls with {totals['unpriced_tokens']:,} tokens"
        lines.append(f"? {tokens} have no price: they count as nothing. CALLBOARD_PRICES names a table of prices.")
    if totals["estimated_calls"]:
        amount = money(totals["estimated_micro_usd"])
        lines.append(f"~ {totals['estimated_calls']:,} calls ({amount}) told no usage: what was reserved is charged.")
    if found["more"]:
        lines.append(f"--limit shows more than these {len(found['rows'])}, --csv all. The total is that of all.")
    if found["behind"]:
        lines.append("The ledger is catching up: there is more in the journal than it has added up.")
    return lines


def show_alerts(found: list[dict[str, Any]]) -> None:
    """Print spend alerts, the newest first."""
    if not found:
        print("No spend alerts. `alerts.toml` in the ledger's data folder says when there are any.")
        return
    table = columns("WHEN", "SCOPE", "WHOSE", "SPENT", "THRESHOLD", "WHY", right=("SPENT", "THRESHOLD"), free="WHY")
    for one in found:
        spent, threshold = money(one["spent_micro_usd"]), money(one["threshold_micro_usd"])
        table.add_row(_when(one["at_ms"]), one["scope"], one["key"], spent, threshold, one["reason"])
    print_table(table)


def show_prices(found: list[dict[str, Any]]) -> None:
    """Print the prices that were charged, of each model the newest first."""
    if not found:
        print("No call was charged by tokens yet. `callboard models ls` tells the prices that are in force.")
        return
    right = ("INPUT / 1M", "OUTPUT / 1M")
    table = columns("MODEL", *right, "SINCE", right=right)
    for one in found:
        table.add_row(one["model"], money(one["input"]), money(one["output"]), _when(one["since_ms"]))
    print_table(table)


def _when(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000).astimezone().strftime("%Y-%m-%d %H:%M")
