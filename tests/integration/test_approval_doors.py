"""Approval through the public doors, with each service a process: asked, told by a webhook, decided, and run once."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from callboard import keys
from callboard.bus.registry import put_policy
from callboard.client import Client, Goal
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import Policy, Rule
from tests.gateway.hook import hook
from tests.integration.people import Till
from tests.integration.processes import ALL, Host, hosting
from tests.integration.system import asks, script

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + base64.b64encode(b"twenty-four bytes or more").decode()
TWO = Rule(name="two", tool=("pay",), approvers=("group:finance",), quorum=2, reason="Two must agree.")
SCRIPT = script(steps=[asks(("pay", {"amount": 80})), {"output": {"$result": 0}}])


async def restarted(host: Host) -> None:
    """Kill every service, then start it again."""
    for process in list(host.processes):
        if process.alive:
            process._process.kill()
            await process.ended()
    for name in ALL:
        await host.start(name)


async def waiting(client: Client, run: str) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while True:
            try:
                rows = (await client.approvals.list(run=run, status="open"))["approvals"]
            except CallboardError as error:  # the ledger may not answer yet
                if error.code != "unavailable":
                    raise
                rows = []
            if rows:
                return dict(rows[0])
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_two_people_decide_while_every_service_dies_in_between_and_the_webhook_hears_of_it_once(
    fresh_broker: str, tmp_path: Path
) -> None:
    tokens = {name: keys.add(tmp_path, name, groups) for name, groups in (("ann", ["finance"]), ("bob", ["finance"]))}
    till = Till()
    async with hook(500, 204) as to:
        (tmp_path / "webhooks.toml").write_text(f'[[webhook]]\nname = "x"\nurl = "{to.url}"\nsecret = "{SECRET}"\n')
        async with hosting(fresh_broker, tmp_path, SCRIPT) as (host, system), till.serve(fresh_broker):
            await system.until_admitted("pay")
            await put_policy(system.bus, Policy(name="test", rules=(TWO,)))
            base = f"http://{host.http}"
            async with Client(base, key=tokens["ann"]) as ann, Client(base, key=tokens["bob"]) as bob:
                run = (await ann.submit(Goal(objective="pay", contract={"type": "string"}))).run
                request = (await waiting(ann, run))["request"]
                digest = (await ann.approvals.get(request))["digest"]
                first = await ann.approvals.vote(request, "approve", digest=digest)
                assert (first["status"], first["approved_by"]) == ("open", ["ann"])
                assert till.paid == {}
                await restarted(host)
                again = await waiting(bob, run)
                assert (again["request"], again["approved_by"]) == (request, ["ann"])
                second = await bob.approvals.vote(request, "approve", digest=digest)
                assert second["decision"]["by"] == ["ann", "bob"]
                async for _ in bob.events(run):
                    pass
                assert (await bob.get(run)).output == "paid 80"
                assert till.paid == {request: 80}
                received = await to.had(3, timeout_s=30)
    told = [Webhook(SECRET).verify(one.body, one.headers) for one in received]
    assert told[0]["data"]["link"] == f"{base}/approvals/{request}"
    assert {(one["type"], one["data"]["id"]) for one in told} == {
        ("approval.requested", f"{request}_requested_1"), ("approval.decided", f"{request}_decided_1"),
    }  # fmt: skip
