"""`just bench`: run W1 and print a table, then one line of JSON."""

import argparse
import asyncio
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from callboard.logs import configure_logging
from tests.bench import w1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="just bench", description=w1.__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--groups", type=int, default=2)
    options = parser.parse_args()
    configure_logging(level="warning")
    found = asyncio.run(_all(options.runs, options.at_once, options.groups))
    for line in found["w1"]:
        print(_row(line), file=sys.stderr)
    print(json.dumps(found))


async def _all(runs: int, at_once: int, groups: int) -> dict[str, Any]:
    lines = []
    for sync in ("always", "100ms"):
        with tempfile.TemporaryDirectory() as folder:
            floor = await w1.floor(Path(folder), sync, groups, runs, at_once)
            line = await w1.work(Path(folder), sync, groups, runs, at_once)
        ratio = line["steps_per_s"] / floor["steps_per_s"]
        lines.append(line | {"floor": floor, "throughput_to_floor": round(ratio, 3)})
    return {"machine": platform.platform(), "runs": runs, "at_once": at_once, "groups": groups, "w1": lines}


def _row(line: dict[str, Any]) -> str:
    return (
        f"sync {line['sync']:>6}: {line['steps_per_s']:>6} steps/s ({line['throughput_to_floor']:.2f} of the floor), "
        f"p50 {line['p50_ms']} ms, p99 {line['p99_ms']} ms, {line['cpu_s_per_1000_steps']} CPU s / 1,000 steps, "
        f"{line['messages_per_activity']} messages an activity, {line['bytes_per_step']} bytes a step"
    )


if __name__ == "__main__":
    main()
