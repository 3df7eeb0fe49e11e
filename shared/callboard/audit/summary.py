"""What a bundle tells for people: a fold of its messages and of nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from callboard.audit.acts import acts
from callboard.audit.lines import Fact, Part
from callboard.audit.tree import Tree
from callboard_contracts import guard, run


def summary(tree: Tree, effects: Mapping[str, str]) -> dict[str, Any]:
    """Return who did what in a tree, how it ended and what it cost."""
    first = next((event for _, event in tree.events(run.Accepted)), None)
    root = first.goal.id if first is not None else ""
    ended = [event for logged, event in tree.events(run.Ended) if logged.run == root]
    bill = [event for _, event in tree.events(guard.Closed) if event.run == root]
    return {
        "objective": first.goal.objective[:2000] if first is not None else "",
        "principal": first.goal.principal if first is not None else "",
        "skill": first.skill if first is not None else "",
        "skill_digest": first.skill_digest if first is not None else "",
        "status": ended[-1].status if ended else "running",
        "bill_micro_usd": bill[-1].committed_micro_usd if bill else None,
        "acts": [msgspec.to_builtins(act) for act in acts(tree, effects)],
    }


def effects_of(parts: Sequence[Part]) -> dict[str, str]:
    """Return the effect class of each tool that a bundle names."""
    tools = [part for part in parts if isinstance(part, Fact) and part.about == "tool"]
    return {part.name: str((part.content or {}).get("effect", "read")) for part in tools}
