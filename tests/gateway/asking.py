"""Requests to people without a run: held calls as the guard would send them, and keys to vote with."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from callboard import keys
from callboard.bus import layout, reader, registry
from callboard.testing.records import BusSink, Play
from callboard_contracts import approval, goal, ids, names, subjects, wire
from callboard_contracts.approval import Request, binding
from callboard_contracts.policy import Rule
from callboard_contracts.tool import Entry, Spec
from callboard_services.approval.serve import serve as approval_service
from tests.gateway.conftest import Site, running, site_on

REFUND = Spec(
    name="payments.refund",
    description="Pay back.",
    input_schema={
        "type": "object",
        "properties": {"amount": {"type": "integer", "minimum": 1}, "note": {"type": "string"}},
        "required": ["amount"],
        "additionalProperties": False,
    },
    effect="irreversible",
)
RULE = Rule(name="large", reason="refunds above 50 dollars", approvers=("group:finance", "cat"))


def new_root() -> str:
    """Return the id of a run that no other test has."""
    return ids.ulid(time.time_ns() // 1_000_000, os.urandom(10))


@dataclass
class Desk:
    """A gateway, a ledger and the approval service; people with keys; one run, unless another is named."""

    site: Site
    root: str = field(default_factory=new_root)
    tokens: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)

    def person(self, name: str, *groups: str) -> None:
        """Make a key."""
        self.tokens[name] = keys.add(self.site.settings.data, name, groups)

    def _as(self, who: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[who]}"} if who else {}

    async def begin(self, root: str = "", *, principal: str = "ann") -> int:
        """Begin a run, and return where its first record is."""
        root = root or self.root
        submitted = goal.Submit(id=root, objective="Settle ticket 4711", principal=principal)
        seq = await Play(BusSink(self.site.bus)).accept(root, submit=submitted, skill="refunds")
        self.accepted[root] = seq
        return seq

    async def hold(self, number: int = 0, *, root: str = "", rule: Rule = RULE, **more: Any) -> str:
        """Ask people about a call, as the guard does, and wait until the request is open. Returns its id."""
        root = root or self.root
        call = ids.call_id(root, 2, number)
        accepted = self.accepted.get(root) or await self.begin(root)
        given: dict[str, Any] = {
            "policy": "policy:finance",
            "tool": REFUND.name,
            "version": REFUND.version,
            "effect": REFUND.effect,
            "arguments": {"amount": 80},
        }
        request = Request(
            id=call, run=root, rule=rule, digest="", accepted=accepted, root=accepted,
            **(given | more),
        )  # fmt: skip
        request = msgspec.structs.replace(request, digest=binding(request))
        where = str(subjects.Address.of_tree("default", root).at("send", f"held.{call}"))
        await self.site.bus.publish(where, wire.encode(request), {wire.ID: f"held:{call}", wire.FENCE: "0"})
        await self.recorded(call, approval.Requested)
        return call

    async def ask_a_person(self, number: int = 0, **question: Any) -> str:
        """Ask a question, as an agent does."""
        rule = Rule(name=names.ASK)
        return await self.hold(
            number, tool=names.ASK, version="1", effect="read", rule=rule, policy="", arguments=question
        )

    async def recorded(self, request: str, type_: type[msgspec.Struct]) -> None:
        """Wait until a request's log holds an event of a type."""
        fence = subjects.Address.of_request("default", request).fence
        tag, start = wire.type_of(type_).encode(), 1
        async with asyncio.timeout(15):
            while True:
                found = await reader.following(self.site.bus, layout.journal_of(ids.tree_of(request), 2), fence, start)
                if found is not None and tag in found.body:
                    return
                start = found.seq + 1 if found is not None else start
                await asyncio.sleep(0.01)

    async def get(self, path: str, who: str = "", **query: Any) -> dict[str, Any]:
        """Read something as somebody."""
        answer = await self.site.http.get(path, params=query, headers=self._as(who))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def listed(self, who: str = "", **query: Any) -> list[str]:
        """Return the requests of a list, when the ledger has folded all that there is."""
        return [row["request"] for row in (await self.get("/v1/approvals", who, **query))["approvals"]]

    async def vote(self, request: str, who: str, decision: str, *, key: str = "", **said: Any) -> httpx.Response:
        """Vote as somebody, on what the request shows now unless a digest is given."""
        if "digest" not in said:
            said["digest"] = (await self.get(f"/v1/approvals/{request}", who))["digest"]
        headers = self._as(who) | ({"idempotency-key": key} if key else {})
        body = {"decision": decision} | said
        return await self.site.http.post(f"/v1/approvals/{request}/votes", json=body, headers=headers)


@asynccontextmanager
async def desk_on(url: str, data: Any, *, people: bool = True) -> AsyncIterator[Desk]:
    """Run what decides about requests, for three people unless nobody has a key."""
    async with site_on(url, data) as site:
        await registry.put_tool(site.bus, REFUND.name, Entry(spec=REFUND, instances=1))
        async with running(approval_service, url, site.settings, "approval", site.stop):
            desk = Desk(site)
            if people:
                desk.person("ann")
                desk.person("bob", "finance", "ops")
                desk.person("cat")
            yield desk
