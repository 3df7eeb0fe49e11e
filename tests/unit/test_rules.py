"""Which calls a rule concerns: all its conditions hold, the first rule counts, and a skill can only add."""

from typing import Any

import msgspec
import pytest

from callboard_contracts import guard, ids
from callboard_contracts.call import Call
from callboard_contracts.policy import Rule
from callboard_contracts.skill import Skill
from tests.unit.asking import RULE, HeldOf, pay, requested
from tests.unit.given import RUN, results_of


def echo(turn: int = 2, index: int = 0) -> Call:
    return Call(id=ids.call_id(RUN, turn, index), tool="echo", arguments={"text": "hi"})


@pytest.mark.parametrize(
    "rule",
    [
        {"tool": ("echo",)},
        {"effect": ("write", "read")},
        {"skill": ("bills",)},
        {"agent": "sub"},
        {"when": {"properties": {"amount": {"exclusiveMinimum": 80}}}},
    ],
)
def test_every_condition_of_a_rule_must_hold(rule: dict[str, Any]) -> None:
    tree = HeldOf(msgspec.structs.replace(RULE, **({"tool": ("*",), "when": None} | rule)))
    assert results_of(tree.asks(pay())) == ["granted"]


def test_a_condition_that_cannot_be_evaluated_counts_as_met() -> None:
    tree = HeldOf(msgspec.structs.replace(RULE, when={"$ref": "#/nowhere"}))
    assert requested(tree.asks(pay())).rule.name == "large"


def test_the_first_rule_that_fits_counts_and_a_skill_can_only_add() -> None:
    first = msgspec.structs.replace(RULE, name="first", quorum=3)
    tree = HeldOf(first, RULE)
    weaker = Rule(name="weaker", tool=("payments.*", "echo"))
    skill = Skill(name="bills", description="d", prompt="p", rules=(weaker,))
    tree.facts = msgspec.structs.replace(tree.facts, versions={"v1": skill})
    named = msgspec.structs.replace(tree.state.runs[RUN], skill_digest="v1")
    tree.state = msgspec.structs.replace(tree.state, runs={RUN: named})
    found = tree.asks(pay(), echo(index=1))
    requests = [event.requests[0] for event in found if isinstance(event, guard.Held)]
    assert [(one.rule.name, one.policy) for one in requests] == [
        ("first", "policy:payments"),
        ("weaker", "skill:bills"),
    ]
