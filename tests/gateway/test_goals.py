"""A goal is validated, stored, and only then accepted; sent again it is the same goal."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from callboard.bus import layout, reader, registry
from callboard.testing.records import BusSink, Play
from callboard_contracts import ids, subjects, wire
from callboard_contracts.errors import CATALOGUE
from callboard_contracts.goal import Submit
from callboard_contracts.skill import Skill
from callboard_contracts.tool import Entry, Spec
from tests.gateway.conftest import Site, free_port

ULID = ids.ulid(1_767_225_600_000, b"0123456789")
GOAL = {"objective": "What is the total of invoice-7.txt?"}


async def test_a_goal_is_stored_before_it_is_accepted(site: Site) -> None:
    reads = Spec(name="files.read", description="Reads.", input_schema={"type": "object"})
    await registry.put_tool(site.bus, "files-read", Entry(spec=reads, instances=1))
    answer = await site.post(
        {
            **GOAL,
            "contract": {"type": "number"},
            "tools": ["files.read"],
            "limits": {"max_turns": 3, "budget_usd": 0.25},
            "labels": {"team": "finance"},
            "grounded": True,
        }
    )
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == body["status_url"] == f"/v1/runs/{body['run']}"
    stored = await reader.last(site.bus, layout.GOALS, "cb.default.goal._")
    assert stored is not None
    assert stored.id == body["run"]
    goal = wire.decode(stored.body, Submit)
    assert (goal.id, goal.principal, goal.grounded, goal.tools) == (body["run"], "local", True, ("files.read",))
    assert (goal.limits.max_turns, goal.limits.budget_micro_usd, goal.limits.timeout_s) == (3, 250_000, 600.0)


BAD: list[tuple[Any, str]] = [
    (b"not json", "invalid_json"),
    (b'{"input":' + b"[" * 100_000, "invalid_json"),
    (b"\xff\xfe", "invalid_json"),
    (b"", "invalid_json"),
    ([GOAL], "invalid_goal"),
    ({"objective": 7}, "invalid_goal"),
    ({**GOAL, "tools": "files.read"}, "invalid_goal"),
    ({**GOAL, "limits": {"max_turns": 0}}, "invalid_goal"),
    ({**GOAL, "limits": {"budget_usd": -1}}, "invalid_goal"),
    ({**GOAL, "limits": {"turns": 3}}, "invalid_goal"),
    ({**GOAL, "budget": 3}, "invalid_goal"),
    ({**GOAL, "principal": "root"}, "invalid_goal"),
    ({**GOAL, "labels": {"a": 1}}, "invalid_goal"),
    ({**GOAL, "contract": "string"}, "invalid_goal"),
    ({**GOAL, "id": "run-1"}, "invalid_id"),
    ({**GOAL, "contract": {"type": "nothing"}}, "invalid_contract"),
    ({**GOAL, "contract": {"$ref": "http://127.0.0.1:1/schema"}}, "invalid_contract"),
    ({**GOAL, "contract": {"$schema": "http://127.0.0.1:1/schema"}}, "invalid_contract"),
    ({**GOAL, "contract": {"$ref": "file:///etc/passwd"}}, "invalid_contract"),
    ({**GOAL, "tools": ["Shell; rm"]}, "unknown_tool"),
    ({**GOAL, "tools": ["no.such"]}, "unknown_tool"),
    ({**GOAL, "model": "no-such"}, "unknown_model"),
    ({**GOAL, "skill": "no-such-skill"}, "unknown_skill"),
    ({**GOAL, "skill": "a.b.>"}, "unknown_skill"),
    ({}, "empty_goal"),
    ({"objective": " \n"}, "empty_goal"),
    ({"objective": "x" * (256 * 1024)}, "goal_too_large"),
    ({"skill": "totals", "input": {"file": 7}}, "invalid_input"),
    ({"skill": "totals"}, "invalid_input"),
]


@pytest.fixture
async def skilled(site: Site) -> Site:
    """A site with a skill."""
    schema = {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]}
    await registry.put_skill(site.bus, Skill(name="totals", description="d", prompt="p", input_schema=schema))
    return site


async def test_what_is_wrong_is_named_and_nothing_is_published(skilled: Site) -> None:
    for body, code in BAD:
        answer = await skilled.post(body)
        found = answer.json()
        assert (found["code"], answer.status_code) == (code, CATALOGUE[code].status), body
        assert answer.headers["content-type"] == "application/problem+json"
        assert found["type"] == f"urn:callboard:error:{code}"
        assert found["detail"]
        assert found["advice"]
        assert "Traceback" not in answer.text
    assert await skilled.goals() == 0


async def test_the_wrong_field_is_named(site: Site) -> None:
    assert "limits.max_turns" in (await site.post({**GOAL, "limits": {"max_turns": "many"}})).json()["detail"]
    assert "objectiv" in (await site.post({"objectiv": "x"})).json()["detail"]


async def test_a_skill_deployed_a_moment_ago_can_be_named(skilled: Site) -> None:
    answer = await skilled.post({"skill": "totals", "input": {"file": "a.txt"}})
    assert answer.status_code == 202
    assert answer.json()["skill"] == "totals"
    assert await reader.last(skilled.bus, layout.GOALS, "cb.default.goal.totals") is not None


async def test_the_same_key_twice_is_one_run(site: Site) -> None:
    first = await site.post(GOAL, Idempotency_Key="order-7")
    again = await site.post(GOAL, Idempotency_Key="order-7")
    assert first.status_code == again.status_code == 202
    assert first.json() == again.json()
    stored = [m.id async for m in reader.scan(site.bus, layout.GOALS, "cb.default.goal.*")]
    assert set(stored) == {first.json()["run"]}


async def test_the_same_key_many_times_at_once_is_one_run(site: Site) -> None:
    answers = await asyncio.gather(*(site.post(GOAL, Idempotency_Key="order-8") for _ in range(20)))
    assert len({answer.json()["run"] for answer in answers}) == 1


async def test_the_same_key_with_another_body_is_a_conflict(site: Site) -> None:
    first = await site.post(GOAL, Idempotency_Key="order-9")
    other = await site.post({"objective": "Something else"}, Idempotency_Key="order-9")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert first.json()["run"] in other.json()["detail"]
    assert await site.goals() == 1


async def test_a_key_whose_run_has_begun_publishes_nothing_more(site: Site) -> None:
    run = (await site.post(GOAL, Idempotency_Key="order-10")).json()["run"]
    await site.bus.api(f"STREAM.PURGE.{layout.GOALS}")
    await Play(BusSink(site.bus)).accept(run)
    assert (await site.post(GOAL, Idempotency_Key="order-10")).json()["run"] == run
    assert await site.goals() == 0


async def test_a_key_that_is_no_key_is_refused(site: Site) -> None:
    assert (await site.post(GOAL, Idempotency_Key="x" * 300)).json()["code"] == "invalid_request"


async def test_an_id_that_was_used_for_another_goal_is_a_conflict(site: Site) -> None:
    await Play(BusSink(site.bus)).accept(ULID, submit=Submit(id=ULID, objective="The first", principal="local"))
    same = await site.post({"objective": "The first", "id": ULID})
    other = await site.post({"objective": "The second", "id": ULID})
    assert (same.status_code, other.status_code) == (202, 409)
    assert await site.goals() == 0


async def test_a_full_queue_is_told_as_unavailable(site: Site) -> None:
    config = (await site.bus.api(f"STREAM.INFO.{layout.GOALS}"))["config"]
    await site.bus.api(f"STREAM.UPDATE.{layout.GOALS}", {**config, "max_msgs": 2})
    answers = [await site.post(GOAL) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 503]
    assert answers[-1].headers["retry-after"]
    assert ids.is_ulid(answers[-1].json()["run"])


async def test_killed_between_claim_and_answer_the_retry_finds_the_same_run(
    fresh_broker: str, site: Site, tmp_path: Path
) -> None:
    runs = set()
    for point in ("gateway.after_claim", "gateway.before_publish", "gateway.after_publish", ""):
        address = f"127.0.0.1:{free_port()}"
        command = [sys.executable, "-m", "callboard_services.gateway", "--nats", fresh_broker, "--http", address]
        process = await asyncio.create_subprocess_exec(
            *command, "--data", str(tmp_path), env=os.environ | {"CRASH_AT": point}, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert b"ready" in await process.stdout.readline()
        async with httpx.AsyncClient(base_url=f"http://{address}") as client:
            try:
                answer = await client.post("/v1/goals", json=GOAL, headers={"Idempotency-Key": "crash"})
                assert answer.status_code == 202
                runs.add(answer.json()["run"])
            except httpx.RemoteProtocolError:
                assert point
        if process.returncode is None and not point:
            process.send_signal(signal.SIGTERM)
        await process.wait()
    stored = {m.id async for m in reader.scan(site.bus, layout.GOALS, str(subjects.Goal("default", "*")))}
    assert len(runs) == 1
    assert stored == runs


async def test_every_error_can_be_read_as_json(site: Site) -> None:
    for method, path in (("GET", "/nowhere"), ("DELETE", "/v1/runs"), ("GET", "/v1/runs/x"), ("PUT", "/v1/goals")):
        answer = await site.http.request(method, path)
        found = msgspec.json.decode(answer.content)
        assert answer.status_code == found["status"] == CATALOGUE[found["code"]].status
