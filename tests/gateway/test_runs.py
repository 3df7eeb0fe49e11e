"""What is told of runs, files, tools, skills and health."""

import asyncio
import base64
import secrets
from contextlib import AsyncExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from callboard.bus import layout, reader, registry
from callboard.bus.objects import get_blob, put_blob, put_file
from callboard.server import start_server
from callboard.server.config import Plan
from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import dead, goal, guard, ids, run, subjects, wire
from callboard_contracts.skill import Skill
from callboard_contracts.tool import Entry, Model, Spec
from callboard_services.gateway.routes import ROUTES
from tests.gateway.conftest import Site, eventually, site_on

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
CHILD = ids.call_id(ROOT, 2, 0)


async def test_a_finished_run_is_told_with_its_output_and_what_each_call_cost(site: Site) -> None:
    play = Play(BusSink(site.bus))
    submitted = goal.Submit(id=ROOT, objective="Find it.", labels={"team": "x"}, principal="ada")
    await play.accept(ROOT, submit=submitted)
    await play.write(CHILD, rounds=2, costs=Costs(model=100, tool=7))
    await play.end(ROOT, "completed", {"total": 128.5}, 0, [])
    told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
    assert (told["status"], told["output"], told["labels"], told["principal"]) == (
        "completed", {"total": 128.5}, {"team": "x"}, "ada",
    )  # fmt: skip
    assert told["tree_totals"]["cost_micro_usd"] == 214
    assert [(child["run"], child["cost_micro_usd"]) for child in told["children"]] == [(CHILD, 214)]
    child = (await site.http.get(f"/v1/runs/{CHILD}")).json()
    assert child["totals"]["cost_micro_usd"] == sum(one["cost_micro_usd"] for one in child["breakdown"]) == 214
    first = child["breakdown"][0]
    assert (first["tool"], first["model"], first["status"], first["input_tokens"]) == (
        "model",
        "stub",
        "completed",
        310,
    )


async def test_an_unreachable_goal_tells_its_reason(site: Site) -> None:
    await Play(BusSink(site.bus)).write(ROOT, status="unachievable")
    told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
    assert (told["status"], told["code"], told["output"]) == ("unachievable", "gave_up", None)
    assert told["reason"]


async def test_a_large_output_is_fetched_by_its_digest(site: Site) -> None:
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    digest = await put_blob(site.bus, msgspec.json.encode({"text": "x" * 50_000}))
    await play.record("run", ROOT, run.Ended(status="completed", output_ref=digest))
    told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
    assert told["output"] == {"text": "x" * 50_000}


async def test_a_goal_that_waits_is_queued_and_another_id_is_unknown(site: Site) -> None:
    for number in range(30):
        await site.post({"objective": f"goal {number}"})
    found = (await site.post({"objective": "mine"})).json()["run"]
    old = ids.ulid(1_000_000_000_000, b"9876543210")
    await site.post({"objective": "mine", "id": old})
    assert (await site.http.get(f"/v1/runs/{found}")).json()["status"] == "queued"
    assert (await site.http.get(f"/v1/runs/{old}")).json()["status"] == "queued"
    missing = await site.http.get(f"/v1/runs/{ROOT}")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_run")


async def test_runs_are_listed_filtered_and_paged(site: Site) -> None:
    play = Play(BusSink(site.bus))
    found: list[str] = []
    for number in range(5):
        run_id = ids.ulid(1_767_225_600_000 + number, secrets.token_bytes(10))
        await play.write(run_id, skill="totals" if number % 2 else "", status="completed" if number else "failed")
        await site.http.get(f"/v1/runs/{run_id}")
        found.insert(0, run_id)
    page = (await site.http.get("/v1/runs?limit=2")).json()
    assert [row["run"] for row in page["runs"]] == found[:2]
    rest = (await site.http.get(f"/v1/runs?limit=200&before={page['next']}")).json()
    assert ([row["run"] for row in rest["runs"]], rest["next"]) == (found[2:], None)
    failed = (await site.http.get("/v1/runs?status=failed")).json()
    assert [row["run"] for row in failed["runs"]] == found[-1:]
    assert len((await site.http.get("/v1/runs?skill=totals")).json()["runs"]) == 2
    assert (await site.http.get("/v1/runs?limit=0")).json()["code"] == "invalid_request"
    assert (await site.http.get("/v1/runs?statuss=x")).json()["code"] == "invalid_request"


async def test_files_are_attached_before_the_goal_and_read_back(site: Site) -> None:
    data = secrets.token_bytes(300_000)
    put = await site.http.put(f"/v1/goals/{ROOT}/files/in/räk ning.bin", content=data)
    assert put.status_code == 201
    assert (await site.http.get(put.json()["url"])).status_code in (200, 404)
    await Play(BusSink(site.bus)).accept(ROOT)
    listed = (await site.http.get(f"/v1/runs/{ROOT}/files")).json()["files"]
    assert [(file["path"], file["bytes"]) for file in listed] == [("in/räk ning.bin", 300_000)]
    got = await site.http.get(listed[0]["url"])
    assert got.content == data
    assert got.headers["content-disposition"].startswith("attachment")
    assert "sandbox" in got.headers["content-security-policy"]
    late = await site.http.put(f"/v1/goals/{ROOT}/files/b.txt", content=b"x")
    assert (late.status_code, late.json()["code"]) == (409, "conflict")


async def test_a_file_that_cannot_be_attached_is_refused(site: Site) -> None:
    assert (await site.http.put("/v1/goals/none/files/a", content=b"x")).json()["code"] == "invalid_id"
    up = await site.http.put(f"/v1/goals/{ROOT}/files/a/%2e%2e/%2e%2e/b", content=b"x")
    assert up.json()["code"] == "invalid_request"
    large = await site.http.put(f"/v1/goals/{ROOT}/files/a", content=bytes(65 << 20))
    assert (large.status_code, large.json()["code"]) == (413, "file_too_large")
    await put_file(site.bus, ROOT, "a.txt", b"there")
    assert (await site.http.get(f"/v1/runs/{ROOT}/files/b.txt")).json()["code"] == "not_found"


async def test_the_catalogue_shows_what_the_registry_has(site: Site) -> None:
    spec = Spec(name="files.read", description="Reads.", input_schema={"type": "object"})
    await registry.put_tool(site.bus, "files-read", Entry(spec=spec, instances=2))
    models = (Model(name="stub", input_micro_usd=5, scripted=True),)
    model = Spec(name="model", description="m", input_schema={}, hidden=True, models=models)
    await registry.put_tool(site.bus, "model", Entry(spec=model, instances=1))
    await registry.put_skill(site.bus, Skill(name="totals", description="d", prompt="secret sauce"))
    await site.bus.flush()
    tools = (await site.http.get("/v1/tools")).json()["tools"]
    assert [(tool["name"], tool["instances"], tool["effect"]) for tool in tools] == [("files.read", 2, "read")]
    models_ = (await site.http.get("/v1/models")).json()
    assert (models_["default"], models_["models"][0]["scripted"]) == ("stub", True)
    skills = (await site.http.get("/v1/skills")).json()["skills"]
    assert [skill["name"] for skill in skills] == ["totals"]


async def test_a_skill_is_deployed_with_its_files(site: Site) -> None:
    body = {
        "description": "Finds totals.",
        "prompt": "Read and answer.",
        "contract": {"type": "number"},
        "files": [{"path": "examples/a.txt", "base64": base64.b64encode(b"hello").decode()}],
    }
    first = (await site.http.put("/v1/skills/totals", json=body)).json()
    again = (await site.http.put("/v1/skills/totals", json=body)).json()
    assert first == again
    await site.bus.flush()
    listed = (await site.http.get("/v1/skills")).json()["skills"]
    assert listed[0]["digest"] == first["digest"]
    assert await get_blob(site.bus, listed[0]["files"][0]["digest"]) == b"hello"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("Bad_Name", {}),
        ("totals", {"contract": {"type": "nope"}}),
        ("totals", {"input_schema": {"$ref": "http://127.0.0.1:1/"}}),
        ("totals", {"description": ""}),
        ("totals", {"tools": ["Bad Tool"]}),
        ("totals", {"files": [{"path": "../x", "base64": ""}]}),
        ("totals", {"files": [{"path": "x", "base64": "not base64"}]}),
        ("totals", {"files": [{"path": "x", "base64": base64.b64encode(bytes(5 << 20)).decode()}]}),
        ("totals", {"prompt": "x" * (600 * 1024)}),
        ("totals", {"colour": "red"}),
    ],
)
async def test_a_skill_that_cannot_be_used_is_refused(site: Site, name: str, change: dict[str, Any]) -> None:
    answer = await site.http.put(f"/v1/skills/{name}", json={"description": "d", "prompt": "p", **change})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_skill")
    assert await reader.last(site.bus, f"KV_{layout.SKILLS}", f"$KV.{layout.SKILLS}.>") is None


async def test_dead_letters_are_listed_in_pages(site: Site) -> None:
    for tenant, number in (("default", 0), ("default", 1), ("other", 9), ("default", 2)):
        letter = dead.Letter(service="planner", subject=f"cb.{tenant}.goal.{number}", code="undecodable", reason="r")
        await site.bus.publish(subjects.dead(tenant, "planner"), wire.encode(letter))
    page = (await site.http.get("/v1/dead?limit=2")).json()
    rest = (await site.http.get(f"/v1/dead?after={page['next']}")).json()
    assert [one["subject"] for one in page["letters"] + rest["letters"]] == [f"cb.default.goal.{n}" for n in range(3)]


async def test_without_the_ledger_a_run_is_still_told_by_its_own_records(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "data", ledgers=0) as site:
        await Play(BusSink(site.bus)).write(ROOT, rounds=1, output="done")
        told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
        assert (told["status"], told["output"], told["behind"]) == ("completed", "done", True)
        answer = await site.http.get("/v1/runs")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"]


async def test_two_ledgers_on_one_broker_each_know_everything(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "data", ledgers=2) as site:
        play = Play(BusSink(site.bus))
        for number in range(12):
            run_id = ids.ulid(1_767_225_600_000 + number, b"0123456789")
            await play.write(run_id, rounds=1)
            told = (await site.http.get(f"/v1/runs/{run_id}")).json()
            assert (told["behind"], told["cost_micro_usd"]) == (False, 120)


async def test_ready_means_that_the_broker_stores(site: Site) -> None:
    assert (await site.http.get("/readyz")).status_code == 200
    await site.bus.api("STREAM.DELETE.KV_idempotency")
    assert (await site.http.get("/readyz")).status_code == 200, "the answer holds for a second"
    await asyncio.sleep(1.1)
    answer = await site.http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert (await site.http.get("/healthz")).json() == {"status": "ok", "broker": "connected"}


async def test_without_a_broker_everything_says_so_and_nothing_hangs(tmp_path: Path) -> None:
    async with AsyncExitStack() as outer:
        server = await outer.enter_async_context(start_server(Plan(store=tmp_path / "nats", sync="2m")))
        async with site_on(server.url, tmp_path / "data") as site:
            gone = outer.pop_all()
            await gone.aclose()
            await eventually(lambda: not site.bus.connected)
            for path in ("/v1/runs", f"/v1/runs/{ROOT}", "/readyz"):
                answer = await site.http.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert (await site.post({"objective": "x"})).status_code == 503
            assert (await site.http.get("/healthz")).status_code == 200


async def test_the_description_says_what_is_served(site: Site) -> None:
    document = (await site.http.get("/openapi.json")).json()
    described = {(method.upper(), path) for path, found in document["paths"].items() for method in found}
    assert described == {(route.method, route.path.replace(":path", "")) for route in ROUTES}
    schemas = {"$defs": document["components"]["schemas"]}
    text = msgspec.json.encode(schemas).replace(b"#/components/schemas/", b"#/$defs/")
    body = jsonschema_rs.validator_for(msgspec.json.decode(text) | {"$ref": "#/$defs/Goal"}, offline=True)
    for example in ({"objective": "x"}, {"objective": "x", "limits": {"budget_usd": None}}, {"objective": 7}, {"a": 1}):
        assert body.is_valid(example) == ((await site.post(example)).status_code == 202)


class Inline(HTMLParser):
    """Collects what a page would run or load."""

    def __init__(self) -> None:
        super().__init__()
        self.suspicious: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            outside = name in ("src", "href") and not str(value).startswith(("/", "data:,"))
            if name.startswith("on") or name == "style" or outside:
                self.suspicious.append(f"{tag} {name}={value}")


@pytest.mark.parametrize("path", ["/", f"/runs/{ROOT}", "/approvals", f"/approvals/{CHILD}"])
async def test_pages_bring_all_they_need_and_run_nothing_else(site: Site, path: str) -> None:
    answer = await site.http.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    found = Inline()
    found.feed(answer.text)
    assert found.suspicious == []
    for writing in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert writing not in answer.text


async def test_a_run_that_waits_or_runs_can_be_told_to_end_and_an_unknown_one_cannot(site: Site) -> None:
    run = (await site.post({"objective": "wait"})).json()["run"]
    answer = await site.http.post(f"/v1/runs/{run}/cancel", json={"reason": "enough"})
    assert (answer.status_code, answer.json()["run"]) == (202, run)
    control = str(subjects.Address.of_tree("default", run).at("in", "control"))
    stored = await reader.last(site.bus, layout.journal_of(run, 2), control)
    assert stored is not None
    assert wire.decode(stored.body, guard.Cancel) == guard.Cancel(run=run, reason="enough", principal="local")
    unknown = await site.http.post("/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV/cancel")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_run")
    wrong = await site.http.post(f"/v1/runs/{run}/cancel", json={"why": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_request")
