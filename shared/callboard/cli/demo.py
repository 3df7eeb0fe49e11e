"""`callboard demo`: the shipped example with whatever model there is, its answer checked against the files."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Where

if TYPE_CHECKING:
    from callboard.client import Run

_ANYWHERE = Where()
_EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "hut-desk"


def demo(
    question: Annotated[str, Parameter(help="A question of your own about the example's tables.")] = "",
    /,
    *,
    model: Annotated[str, Parameter(help="The model to ask.")] = "",
    json: Annotated[bool, Parameter(help="End with one line of JSON on standard output.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Ask the shipped example a question: an agent reads its tables with tools and answers from them."""
    from functools import partial

    from callboard.cli.run import Order, perform
    from callboard.client import Goal
    from callboard.skills import load

    folder = load(_EXAMPLE)
    shipped = _shipped(folder.contents)
    wish = {"input": {"question": question}} if question else shipped
    print(f"The example: {_EXAMPLE}", file=sys.stderr)
    goal = Goal(skill=folder.skill.name, input=wish["input"], model=model)
    check = partial(_check, wish["check"]) if "check" in wish else None
    return perform(Order(goal=goal, folder=folder, json=json, check=check), where)


def _shipped(contents: dict[str, bytes]) -> dict[str, Any]:
    """Return the first question that the example brings, with where its answer stands."""
    import msgspec

    found: list[dict[str, Any]] = msgspec.json.decode(contents["questions.json"])
    return found[0]


def _check(where: dict[str, str], ended: "Run") -> int:
    """Compare the answer with what the file says, read here and now by other means than the agent's."""
    import csv

    with (_EXAMPLE / where["file"]).open(newline="") as file:
        row = max(csv.DictReader(file), key=lambda row: float(row[where["highest"]]))
    expected = row[where["column"]]
    if ended.output == expected:
        print(f"Checked: {where['file']} says {expected!r} too.", file=sys.stderr)
        return exits.OK
    print(f"Checked: {where['file']} says {expected!r}, so the answer is wrong.", file=sys.stderr)
    return exits.FAILED
