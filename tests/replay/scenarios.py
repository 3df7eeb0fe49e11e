"""What is worth remembering: goals, the script of the model that works on them, and what is done to them."""

from typing import Any, Final

import anyio
import msgspec

from callboard.tools import Tool, ToolContext, tool
from callboard_contracts import approval
from callboard_contracts.goal import Limits
from callboard_contracts.policy import Policy, Rule
from tests.integration.system import asks, script

LARGE: Final = "".join(f"line {number:04}: twelve huts, two of them full\n" for number in range(800))
"""More than 32 KiB, so that nothing with it fits into a record."""
PRICES: Final = {"scripted:script.json": {"input": 1.0, "output": 2.0}}


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One tree to record."""

    goal: dict[str, Any]
    """Fields of `goal.Submit` beside the id."""
    skill: str = "_"
    cancel_at: int = 0
    """Cancel the root when this many model calls of its tree were granted; 0: leave it alone."""
    timeout_s: float = 30.0
    ballots: tuple["Ballot", ...] = ()
    """What people say, in this order."""


class Ballot(msgspec.Struct, frozen=True, kw_only=True):
    """What one person says about the request of this number, once it was made."""

    number: int
    choice: approval.Choice
    by: str = "ann"
    more: dict[str, Any] = {}
    """Fields of `approval.Vote` beside those."""
    refused: str = "counted"
    """The code with which it is to be refused."""


POLICY: Final = Policy(
    name="recorded",
    rules=(
        Rule(
            name="two",
            tool=("calc",),
            when={"properties": {"expression": {"pattern": "\\*"}}},
            approvers=("ann", "bob", "group:bosses"),
            quorum=2,
            reason="A product needs two people.",
        ),
    ),
)


@tool(name="replay.slow", effect="write", timeout_s=0.2, price_usd="0.002")
async def slow(context: ToolContext, note: str) -> str:  # noqa: ARG001 - a tool's
    """Write a note, and never come to an end."""
    await anyio.sleep(60)
    return note


@tool(name="replay.gone", effect="read", timeout_s=1.0, price_usd="0.003")
def gone(note: str) -> str:
    """Answer, if anyone is there to do it."""
    return note


SLOW: Final[Tool] = slow
GONE: Final[Tool] = gone

_sum = {"expression": "20+22"}
SCENARIOS: Final[dict[str, Scenario]] = {
    "plain": Scenario(goal={"objective": "Recorded as plain: write down a sum and read it back."}),
    "parallel": Scenario(
        goal={"objective": "Recorded as parallel: three sums at once.", "contract": {"type": "array"}}
    ),
    "agents": Scenario(goal={"objective": "Recorded as agents-root: share the work.", "contract": {"type": "array"}}),
    "failures": Scenario(goal={"objective": "Recorded as failures: whatever can fail in one turn."}),
    "rejected": Scenario(
        goal={"objective": "Recorded as rejected: a number, please.", "contract": {"type": "integer"}}
    ),
    "unachievable": Scenario(goal={"objective": "Recorded as unachievable: read what is not there."}),
    "money": Scenario(
        goal={"objective": "Recorded as money: go on for ever.", "limits": Limits(budget_micro_usd=14_000)}
    ),
    "cancelled": Scenario(goal={"objective": "Recorded as cancelled-root: wait for two."}, cancel_at=3),
    "long": Scenario(
        goal={"objective": "Recorded as long: add, add, add.", "input": {"rounds": 22}, "limits": Limits(max_turns=30)}
    ),
    "large": Scenario(goal={"objective": "Recorded as large: move a long text about."}),
    "refused": Scenario(goal={"objective": "Recorded as refused: nobody can start this."}, skill="no-such-skill"),
    "deferred": Scenario(goal={"objective": "Recorded as deferred: the provider fails at first."}),
    "crowd": Scenario(
        goal={"objective": "Recorded as crowd-root: two work side by side.", "contract": {"type": "array"}}
    ),
    "approvals": Scenario(
        goal={"objective": "Recorded as approvals-root: ask before you multiply.", "contract": {"type": "array"}},
        ballots=(
            Ballot(number=1, choice="approve", by="eve", refused="not_approver"),
            Ballot(number=1, choice="approve"),
            Ballot(number=1, choice="approve", more={"groups": ("bosses",)}, refused="already_voted"),
            Ballot(number=1, choice="edit", by="bob", more={"arguments": {"expression": "6*8"}}),
            Ballot(number=1, choice="delegate", more={"to": "eve"}),
            Ballot(number=1, choice="approve", by="eve"),
            Ballot(number=2, choice="deny", by="zoe", more={"groups": ("bosses",), "reason": "not today"}),
            Ballot(number=3, choice="answer", more={"answer": "blue"}),
        ),
    ),
    "withdrawn": Scenario(
        goal={"objective": "Recorded as withdrawn: a product that nobody waits for."},
        ballots=(Ballot(number=1, choice="approve"),),
        cancel_at=1,
    ),
    "unanswered": Scenario(goal={"objective": "Recorded as unanswered: ask one who left."}),
}

_STEPS: dict[str, list[Any]] = {
    "as plain:": [
        asks(("files.write", {"path": "sum.txt", "text": "42"})),
        {"text": "Let me see.", "asks": [{"tool": "files.read", "arguments": {"path": "sum.txt"}}]},
        {"output": "42"},
    ],
    "as parallel:": [
        asks(("calc", {"expression": "1+1"}), ("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"output": [{"$result": 0}, {"$result": 1}, {"$result": 2}]},
    ],
    "as agents-root:": [
        asks(
            ("agent.run", {"objective": "Recorded as agents-left: half of it.", "budget_usd": 0.2}),
            ("agent.run", {"objective": "Recorded as agents-right: the other half."}),
        ),
        {"output": [{"$result": 0}, {"$result": 1}]},
    ],
    "as agents-left:": [
        asks(("agent.run", {"objective": "Recorded as agents-leaf: a quarter."}), ("calc", _sum)),
        {"output": {"$result": 0}},
    ],
    "as agents-leaf:": [asks(("calc", _sum)), {"output": "a leaf"}],
    "as agents-right:": [{"give_up": "there is no other half"}],
    "as failures:": [
        asks(
            ("calc", {"expression": "1/0"}),
            ("no.such", {}),
            ("calc", {"wrong": 1}),
            ("replay.slow", {"note": "once"}),
        ),
        {"output": "four of four failed"},
    ],
    "as rejected:": [{"output": "forty-two"}, {"output": 42}],
    "as unachievable:": [
        asks(("files.read", {"path": "nowhere.txt"})),
        {"give_up": "there is no such file"},
    ],
    "as money:": [asks(("calc", _sum))] * 20,
    "as cancelled-root:": [
        asks(
            ("agent.run", {"objective": "Recorded as cancelled-child: the first."}),
            ("agent.run", {"objective": "Recorded as cancelled-child: the second."}),
        ),
        {"output": "never said"},
    ],
    "as cancelled-child:": [{"delay_s": 2.0, "output": "too late"}],
    "as long:": [*[asks(("calc", {"expression": f"{n}+{n}"})) for n in range(22)], {"output": "42"}],
    "as large:": [
        asks(("files.write", {"path": "long.txt", "text": LARGE})),
        asks(("files.read", {"path": "long.txt", "limit": 100_000})),
        {"output": LARGE},
    ],
    "as deferred:": [
        {"fail": {"code": "provider_error", "message": "out of order"}},
        {"output": "recovered"},
    ],
    "as crowd-root:": [
        asks(
            ("agent.run", {"objective": "Recorded as crowd-busy: work.", "tools": ["calc"], "budget_usd": 0.3}),
            ("agent.run", {"objective": "Recorded as crowd-idle: wait.", "tools": [], "budget_usd": 0.2}),
        ),
        {"output": [{"$result": 0}, {"$result": 1}]},
    ],
    "as crowd-busy:": [*[asks(("calc", _sum))] * 7, {"output": "42"}],
    "as crowd-idle:": [{"delay_s": 1.0, "output": "rested"}],
    "as approvals-root:": [
        asks(
            ("calc", {"expression": "6*7"}),
            ("calc", {"expression": "6+7"}),
        ),
        asks(("agent.run", {"objective": "Recorded as approvals-child: ask as well."})),
        {"output": [{"$result": 0}]},
    ],
    "as approvals-child:": [
        asks(("calc", {"expression": "7*7"})),
        asks(("human.ask", {"question": "Which colour?", "choices": ["red", "blue"]})),
        {"output": "blue"},
    ],
    "as withdrawn:": [asks(("calc", {"expression": "8*8"})), {"output": "never said"}],
    "as unanswered:": [
        asks(("replay.gone", {"note": "anyone?"}), ("calc", _sum)),
        {"output": "nobody answered"},
    ],
}
SCRIPT: Final = script(**_STEPS)
"""Which run follows which steps: by the words of its objective."""
