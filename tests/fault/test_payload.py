"""A broker that takes no message over 64 KB: what is larger travels by reference, or is refused in words."""

from pathlib import Path

import httpx
import pytest

from callboard.bus import PublishRefused
from callboard.server import start_server
from callboard.server.config import Plan
from callboard_contracts import run
from callboard_contracts.goal import Submit
from callboard_services.gateway.serve import serve as gateway
from callboard_services.ledger.serve import serve as ledger
from tests.integration.system import CORE, asks, free_port, new_id, running, script

pytestmark = pytest.mark.anyio
LARGE = "the same words again and again " * 10_000
BIG = script(
    [
        asks(("files.write", {"path": "big.txt", "text": LARGE})),
        asks(("files.read", {"path": "big.txt"}), ("files.read", {"path": "big.txt"})),
        {"output": LARGE},
    ]
)


async def test_a_run_with_large_arguments_results_and_output_completes(tmp_path: Path) -> None:
    http = f"127.0.0.1:{free_port()}"
    plan = Plan(store=tmp_path / "nats", sync="2m", max_payload=64 * 1024)
    async with start_server(plan) as server:
        services = CORE | {"ledger": ledger, "gateway": gateway}
        async with running(server.url, tmp_path, BIG, services, http=http) as system:
            watched = await system.run(objective="work", contract={"type": "string"})
            assert (watched.ended.status, watched.ended.reason) == ("completed", "")
            statuses = [one.status for event in watched.events(run.Took) for one in event.results]
            assert statuses == ["completed"] * 6
            with pytest.raises(PublishRefused):
                await system.publish(Submit(id=new_id(), objective=LARGE))
            async with httpx.AsyncClient(base_url=f"http://{http}", timeout=20) as client:
                answer = await client.post("/v1/goals", json={"objective": "x" * 100_000})
                assert (answer.status_code, answer.json()["code"]) == (413, "goal_too_large"), answer.text
                whole = (await client.get(f"/v1/runs/{watched.tree}")).json()
            assert whole["status"] == "completed"
            assert (await system.run(objective="work")).ended.status == "completed"
