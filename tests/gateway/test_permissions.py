"""All that the gateway and the ledger do, they can do with the broker's permissions for them alone."""

import asyncio
from pathlib import Path

from callboard.bus.users import users
from callboard.server import passwords, start_server
from callboard.server.config import Plan
from callboard.testing.records import BusSink, Play
from callboard_contracts import approval, ids, live, policy, subjects, wire
from tests.gateway.conftest import Site, site_on

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")


async def test_every_route_works_for_the_brokers_user_gateway(tmp_path: Path) -> None:
    found = passwords(tmp_path, [user.name for user in users()])
    async with (
        start_server(Plan(store=tmp_path / "nats", sync="2m", passwords=found)) as server,
        site_on(server.url_of("operator"), tmp_path / "data", url_of=server.url_of) as site,
    ):
        assert (await site.http.get("/readyz")).status_code == 200
        put = await site.http.put("/v1/skills/totals", json={"description": "d", "prompt": "p"})
        assert put.status_code == 200, put.text
        attached = await site.http.put(f"/v1/goals/{ROOT}/files/a.txt", content=b"x" * 300_000)
        assert attached.status_code == 201, attached.text
        posted = await site.post({"skill": "totals", "id": ROOT}, Idempotency_Key="one")
        assert posted.status_code == 202, posted.text
        assert (await site.post({"skill": "totals", "id": ROOT}, Idempotency_Key="one")).status_code == 202
        assert (await site.http.get(f"/v1/runs/{ROOT}")).json()["status"] == "queued"
        for verb in ("pause", "resume", "cancel"):
            said = await site.http.post(f"/v1/runs/{ROOT}/{verb}")
            assert said.status_code == 202, said.text
        assert (await site.http.get(f"/v1/runs/{ROOT}/why")).json()["chain"][0]["waiting_for"] == "planner"
        reading = asyncio.create_task(site.events(f"/v1/runs/{ROOT}/events?stream=tokens"))
        await asyncio.sleep(0.5)
        chunk = live.Chunk(call=ids.call_id(ROOT, 1, 0), text="The total")
        site.bus.send(subjects.stream("default", chunk.call), wire.encode(chunk))
        await Play(BusSink(site.bus)).write(ROOT, rounds=3, output="done")
        async with asyncio.timeout(5):
            kinds = [event.kind for event in await reading]
        assert (kinds[-1], "chunk" in kinds) == ("ended", True)
        told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
        assert (told["status"], told["output"], told["behind"]) == ("completed", "done", False)
        assert (await site.http.get(attached.json()["url"])).content == b"x" * 300_000
        asked = await _voted(site)
        for path in (
            "/v1/runs",
            "/v1/approvals",
            asked,
            "/v1/dead",
            "/v1/tools",
            "/v1/models",
            "/v1/skills",
        ):
            assert (await site.http.get(path)).status_code == 200


async def _voted(site: Site) -> str:
    """Vote about a request that nobody counts votes of, and return where it is told."""
    request = approval.Request(
        id=f"{ROOT}-9-0", run=ROOT, tool="pay", version="1", rule=policy.Rule(name="any"), digest="d"
    )
    opened = approval.Requested(request=request, at_ms=1, expires_ms=2**50)
    await Play(BusSink(site.bus)).record("approval", request.id, opened)
    voted = await site.http.post(f"/v1/approvals/{request.id}/votes", json={"decision": "deny"})
    assert (voted.status_code, voted.json()["counted"]) == (202, None)
    return f"/v1/approvals/{request.id}"
