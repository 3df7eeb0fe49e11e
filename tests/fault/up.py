"""`callboard up` as a process: started as a person starts it, with a scripted model."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CALLBOARD = str(Path(sys.executable).parent / "callboard")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("CALLBOARD_", "NATS_"))}
CLEAN["CALLBOARD_LOG"] = "error"


def command(data: Path, *more: str) -> list[str]:
    """Return the command; the script of its model lies beside the data."""
    model = f"scripted:{data.parent / 'script.json'}"
    address = ("--http", "127.0.0.1:0", "--port", "0")
    return [CALLBOARD, "up", "--data", str(data), *address, "--json", "--model", model, *more]


@contextmanager
def up(data: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `callboard up` and yield it with its address."""
    with subprocess.Popen(command(data, *more), stdout=subprocess.PIPE, text=True, env=CLEAN) as process:
        assert process.stdout is not None
        try:
            yield process, json.loads(process.stdout.readline())["http"]
        finally:
            process.kill()
