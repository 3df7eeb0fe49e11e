"""`callboard demo`: the shipped example, with whatever model there is."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from callboard.cli.where import Where

_ANYWHERE = Where()
_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def demo(
    *,
    model: Annotated[str, Parameter(help="The model to ask.")] = "",
    json: Annotated[bool, Parameter(help="End with one line of JSON on standard output.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Run the shipped example: a question about the tables in its folder."""
    import msgspec

    from callboard.cli.run import Order, perform
    from callboard.client import Goal
    from callboard.skills import load
    from callboard_contracts.errors import CallboardError

    found = sorted(_EXAMPLES.glob("*/SKILL.md"))
    if not found:
        raise CallboardError("unknown_skill", f"this installation has no example in {_EXAMPLES}")
    folder = load(found[0].parent)
    questions = _questions(folder.contents)
    goal = Goal(skill=folder.skill.name, model=model)
    goal = msgspec.structs.replace(goal, **questions)
    print(f"The example is {found[0].parent}", file=sys.stderr)
    return perform(Order(goal=goal, folder=folder, json=json), where)


def _questions(contents: dict[str, bytes]) -> dict[str, object]:
    """Return the first of the goals that the example brings in `questions.json`: objects with `objective`, `input`."""
    import msgspec

    for path, content in contents.items():
        if path.endswith("questions.json"):
            first = msgspec.json.decode(content)[0]
            if isinstance(first, str):
                return {"objective": first}
            return {name: first[name] for name in ("objective", "input") if name in first}
    return {}
