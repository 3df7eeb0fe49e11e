"""A stage for people: a tool that pays, requests as the journal has them, and votes as the gateway publishes them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from callboard.bus import Bus
from callboard.bus.registry import put_policy
from callboard.tools import ToolContext, serving, tool
from callboard_contracts import approval, subjects, wire
from callboard_contracts.policy import Policy, Rule
from tests.integration.stage import journal, recorded
from tests.integration.system import GROUPS, System

LARGE = Rule(
    name="large",
    tool=("pay",),
    when={"properties": {"amount": {"exclusiveMinimum": 50}}},
    reason="Large payments need a person.",
)


class Till:
    """What was paid, by call."""

    def __init__(self) -> None:
        self.paid: dict[str, int] = {}
        self._moved = asyncio.Condition()

    async def was_paid(self, call: str) -> None:
        """Wait until a call was paid."""
        async with asyncio.timeout(15), self._moved:
            await self._moved.wait_for(lambda: call in self.paid)

    @asynccontextmanager
    async def serve(self, url: str) -> AsyncIterator[None]:
        """Serve the tool `pay` from a connection of its own."""

        @tool(effect="irreversible", timeout_s=5)
        async def pay(context: ToolContext, amount: int, note: str = "") -> str:  # noqa: ARG001 - a tool's
            """Pay an amount."""
            assert context.call not in self.paid, "paid twice"
            async with self._moved:
                self.paid[context.call] = amount
                self._moved.notify_all()
            return f"paid {amount}"

        async with await Bus.connect(url, name="tool") as bus, serving(bus, GROUPS, [pay]):
            yield


async def apply(system: System, *rules: Rule, name: str = "test") -> None:
    """Put a policy in force, as the gateway does."""
    await put_policy(system.bus, Policy(name=name, rules=rules))


async def request(system: System, tree: str, *, number: int = 1) -> approval.Requested:
    """Wait until people are asked so often in a tree, and return what."""
    found: approval.Requested = (await recorded(system, tree, approval.Requested, number=number)).event
    return found


async def vote(
    system: System,
    asked: approval.Requested,
    choice: approval.Choice,
    *,
    principal: str = "ann",
    cause: str = "",
    digest: str = "",
    **more: Any,
) -> str:
    """Vote as the gateway does, and return the code of the refusal; `counted` when there is none."""
    where = subjects.Address.of_request("default", asked.request.id)
    cause = cause or f"vote:{asked.request.id}:{principal}:{choice}:{digest[:8]}"
    body = approval.Vote(vote=choice, digest=digest or asked.request.digest, principal=principal, **more)
    headers = {wire.ID: cause, wire.TYPE: wire.type_of(approval.Vote)}
    await system.bus.publish(str(where.at("in", "vote")), wire.encode(body), headers)
    async with asyncio.timeout(15):
        while True:
            for seen in await journal(system, where.tree):
                if isinstance(seen.event, approval.Voted) and seen.event.id == cause:
                    return "counted"
                if isinstance(seen.event, approval.VoteRefused) and seen.event.id == cause:
                    return seen.event.code
            await asyncio.sleep(0.02)
