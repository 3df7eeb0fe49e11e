"""`just bench`: measure, print one table to standard error, then one line of JSON to standard output.

W1 runs of ten rounds (latency alone, throughput with 100 at once), W2 fan-out to 100 sub-agents, W3 resumption after a
kill, W4 delivery to a subscriber. A step is one stored result. Nothing is switched off: grants, budget, ledger, traces
and live events stay on. The floor is bare JetStream, one awaited publish a step; the chain is turn, grant and result
through three consumers without any logic. Both are measured in the same run.
"""

import argparse
import asyncio
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from callboard.logs import configure_logging
from tests.bench.report import Row, print_table
from tests.bench.works import WORKS, Where

_USUAL = ("w1", "w2", "w3", "w4")
_ONE_PROFILE = ("scale", "memory", "parked", "recall", "history")
"""They compare the system with itself: one profile says it."""
_GROUPS = {"always": 4}
"""Where every message is synced, four streams write half as much again as one."""
_WIDTH = 150


def main() -> None:
    """Measure and print."""
    options = _parser().parse_args()
    configure_logging(level="warning")
    console = Console(stderr=True)
    rows = asyncio.run(_all(options, console))
    if not console.is_terminal:
        console.width = _WIDTH
    print_table(rows, f"{platform.platform()}, {os.cpu_count()} cores", console)
    text = json.dumps(_as_json(options, rows))
    if options.json:
        options.json.write_text(text + "\n")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="just bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("works", nargs="*", choices=[*WORKS, []], metavar="work", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--runs", type=int, default=1000, help="runs of W1's throughput; others make at most so many")
    parser.add_argument("--profile", choices=("embedded", "services", "both"), default="both")
    parser.add_argument("--sync", default="always,100ms", help="sync intervals of the journal, by commas")
    parser.add_argument("--groups", type=int, help="journals; default: 4 with `always`, else 2")
    parser.add_argument("--repeat", type=int, default=1, help="measure each figure so often and take the median")
    parser.add_argument("--many", type=int, default=100_000, help="runs of `memory` and `parked`; `history`: ten times")
    parser.add_argument("--json", type=Path, help="write the JSON to a file as well")
    return parser


async def _all(options: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    for work in options.works or _USUAL:
        for sync in options.sync.split(","):
            for profile in _profiles(options, work):
                console.print(f"{work}, {profile}, sync {sync}", style="dim")
                rows.append(await _one(options, work, profile, sync))
    return rows


def _profiles(options: argparse.Namespace, work: str) -> tuple[Any, ...]:
    if options.profile != "both":
        return (options.profile,)
    return ("embedded",) if work in _ONE_PROFILE else ("embedded", "services")


async def _one(options: argparse.Namespace, work: str, profile: Any, sync: str) -> Row:
    with tempfile.TemporaryDirectory(prefix="callboard-bench-") as folder:
        where = Where(
            folder=Path(folder),
            profile=profile,
            sync=sync,
            groups=options.groups or _GROUPS.get(sync, 2),
            runs=options.runs,
            few=options.many // 10,
            many=options.many,
            repeat=options.repeat,
        )
        return await WORKS[work](where)


def _as_json(options: argparse.Namespace, rows: list[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": platform.platform(), "cores": os.cpu_count(), "runs": options.runs}
    for row in rows:
        found.setdefault(row.work, []).append(row.as_json())
    return found


if __name__ == "__main__":
    main()
