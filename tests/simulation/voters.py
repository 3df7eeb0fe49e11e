"""The people who decide: they vote soon, late, twice, for bytes that nobody saw, and now and then somebody forges.

Which calls wait for them is a policy of the simulation's own, that `gated` says once more in other words.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import msgspec

from callboard_contracts import approval, guard, ids, names, subjects, wire
from callboard_contracts.call import Call
from callboard_contracts.journal import Record
from callboard_contracts.policy import Policy, Rule
from tests.simulation.controls import TENANT, Said, to_tree
from tests.simulation.load import People
from tests.simulation.streams import Stored, Stream

_EXPIRES_S = 15.0
_NAMED = ("ann", "bob", "dan")
POLICY = Policy(
    name="sim",
    rules=(
        Rule(
            name="launches",
            tool=("sim.launch",),
            approvers=_NAMED,
            quorum=2,
            expires_s=_EXPIRES_S,
            remind_after_s=4.0,
            escalate_after_s=6.0,
            escalate_to=("group:bosses",),
        ),
        Rule(
            name="large",
            tool=("sim.p*",),
            when={"properties": {"n": {"exclusiveMinimum": 70}}},
            approvers=("group:finance",),
            expires_s=_EXPIRES_S,
            on_expiry="fail",
        ),
        Rule(name="questions", tool=(names.ASK,), expires_s=_EXPIRES_S),
    ),
)
_PEOPLE: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ann", ()), ("bob", ()), ("dan", ()), ("eve", ("finance",)), ("zoe", ("finance", "bosses")), ("mallory", ()),
)  # fmt: skip


def gated(call: Call) -> bool:
    """Tell whether a call may not run before people approved it."""
    large = call.tool == "sim.pay" and isinstance(call.arguments, dict) and call.arguments.get("n", 0) > 70
    return call.tool == "sim.launch" or large


class Voters:
    """Sees every request, and votes on it; now and then somebody pauses the run meanwhile."""

    def __init__(self, people: People, dice: Callable[[str], Random]) -> None:
        self._people = people
        self._dice = dice
        self._digests: dict[str, str] = {}

    def see(self, _: Stream, stored: Stored) -> None:
        """Take note of a record of a request."""
        if stored.tokens[2:3] != ["approval"] or stored.tokens[6] != "log":
            return
        for event in wire.decode(stored.body, Record).events:
            if isinstance(event, approval.Requested):
                self._digests[event.request.id] = event.request.digest
                self._people.do(self._decide(event.request))
            elif isinstance(event, approval.Voted) and event.vote == "edit":
                self._digests[stored.tokens[5]] = event.digest

    async def _decide(self, request: approval.Request) -> None:
        chance = self._dice(request.id)
        paused = chance.random() < 0.15
        if paused:
            await self._people.say(to_tree(request.run, guard.Pause(run=request.run)))
        for nth in range(chance.choice((0, 1, 2, 3, 4, 6))):
            await asyncio.sleep(chance.choice((0.1, 0.5, 2.0, 6.0)) * chance.random() * 2)
            vote, cause = self._vote(request, chance), f"vote:{request.id}:{nth}"
            for _ in range(chance.choice((1, 1, 1, 2))):
                await self._people.publish(_to_request(request, "vote", vote), cause)
        if chance.random() < 0.1:
            await self._people.publish(_forged(request, chance), f"forged:{request.id}")
        if paused:
            await self._people.say(to_tree(request.run, guard.Resume(run=request.run)))

    def _vote(self, request: approval.Request, chance: Random) -> approval.Vote:
        principal, groups = chance.choice(_PEOPLE)
        seen = self._digests[request.id] if chance.random() < 0.8 else chance.choice((request.digest, "0" * 64))
        question = request.tool == names.ASK
        choice: Any = chance.choice(("answer", "answer", "deny", "delegate") if question else _CHOICES)
        return approval.Vote(
            vote=choice,
            digest=seen,
            principal=principal,
            groups=groups,
            reason="so it is",
            arguments={"n": chance.choice((1, 99, "many"))} if choice == "edit" else None,
            answer=chance.choice(("blue", 7)) if choice == "answer" else None,
            to=chance.choice(("eve", "ann", "group:bosses")) if choice == "delegate" else "",
        )


_CHOICES = ("approve",) * 6 + ("edit", "edit", "deny", "delegate", "answer")


def _to_request(request: approval.Request, kind: str, body: msgspec.Struct) -> Said:
    return Said(0.0, str(subjects.Address.of_request(TENANT, request.id).at("in", kind)), body)


def _forged(request: approval.Request, chance: Random) -> Said:
    """Return what somebody says to the guard who could publish decisions and never asked anybody."""
    edited = chance.random() < 0.5
    word = guard.Decide(
        call=request.id,
        outcome="approved",
        digest="f" * 64,
        by=("mallory",),
        edited=edited,
        arguments={"n": 98} if edited else None,
    )
    where = subjects.Address.of_tree(TENANT, ids.run_of(request.id)).at("in", "decided")
    return Said(0.0, str(where), word)
