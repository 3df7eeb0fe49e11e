"""Write contracts/schemas and contracts/asyncapi.json, or with `--check` say what is not as it would be written."""

import json
import sys
from pathlib import Path
from typing import Any

from callboard.contracts_export import asyncapi, schemas
from callboard_contracts import wire

CONTRACTS = Path(__file__).parents[3] / "contracts"


def examples() -> dict[str, Any]:
    """Return the golden examples by wire type. Each is written by hand, once, and never edited."""
    return {path.stem: json.loads(path.read_bytes()) for path in sorted((CONTRACTS / "examples").glob("*.json"))}


def generated() -> dict[Path, str]:
    """Return every generated file with its text."""
    every = schemas.components()
    names = [wire.type_of(message) for message in wire.MESSAGES]
    files = {CONTRACTS / "schemas" / f"{name}.json": schemas.standalone(name, every) for name in names}
    files[CONTRACTS / "asyncapi.json"] = asyncapi.document(names, every, examples())
    return {path: json.dumps(body, indent=2, ensure_ascii=False) + "\n" for path, body in files.items()}


def stale(files: dict[Path, str]) -> list[Path]:
    """Return the files that differ from what would be written, and schemas of messages that are no more."""
    differing = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    return differing + [path for path in (CONTRACTS / "schemas").glob("*.json") if path not in files]


def main() -> None:
    """Write, or check."""
    files = generated()
    wrong = stale(files)
    if "--check" in sys.argv[1:] and wrong:
        names = ", ".join(str(path.relative_to(CONTRACTS)) for path in wrong)
        sys.exit(f"contracts: {names}: not what `just contracts` would write")
    for path in wrong:
        path.parent.mkdir(exist_ok=True)
        if path in files:
            path.write_text(files[path], "utf-8")
        else:
            path.unlink()


if __name__ == "__main__":
    main()
