"""Over HTTP: a tree as a bundle that verifies wherever it is kept, what was done in a period, a step, and waste."""

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callboard.audit.act import COLUMNS
from callboard.audit.verify import verify
from callboard.bus import layout, objects
from callboard.bus.purge import purge
from callboard.testing.records import BusSink, Costs, Play, taken_of
from callboard_contracts import approval, call, goal, guard, ids, run, subjects
from callboard_services.gateway.audit.messages import messages
from callboard_services.gateway.house import House
from tests.audit.test_grants import PAY, RULE
from tests.gateway.conftest import Site, site_on
from tests.ledger.archive import left

NOW_MS = 1_767_225_600_000
RUN, OTHER, GATED = (ids.ulid(NOW_MS + n, n.to_bytes(10, "big")) for n in range(3))


@pytest.fixture
async def told(site: Site) -> Site:
    """A gateway, and three runs: Carol's, Dan's, and one of Carol's in which a person decided."""
    play = Play(BusSink(site.bus))
    await play.write(RUN, submit=_goal(RUN, "carol"), costs=Costs(model=120, tool=3))
    await play.write(OTHER, submit=_goal(OTHER, "dan"), rounds=1)
    await write_gated(play)
    return site


def _goal(name: str, principal: str) -> goal.Submit:
    return goal.Submit(id=name, objective="Find the total.", principal=principal)


async def write_gated(play: Play) -> None:
    """Write a run that ended after a person had denied a payment."""
    held = ids.call_id(GATED, 1, 0)
    wanted = msgspec.structs.replace(PAY, id=held)
    await play.accept(GATED, submit=_goal(GATED, "carol"))
    source = await play.record("run", GATED, run.Called(turn=1, at_ms=1, calls=(wanted,)))
    await play.record("tree", GATED, guard.Held(run=GATED, turn=1, source=source, calls=(held,), reason="approval"))
    request = approval.Request(
        id=held, run=GATED, tool="pay.send", version="1.0.0", effect="irreversible", arguments=PAY.arguments,
        rule=RULE, policy="policy:money", digest="",
    )  # fmt: skip
    request = msgspec.structs.replace(request, digest=approval.binding(request))
    await play.record("approval", held, approval.Requested(request=request, at_ms=1, expires_ms=9))
    vote = approval.Voted(id="v", vote="deny", principal="ann", digest=request.digest, at_ms=2, reason="too much")
    decided = approval.Decided(outcome="denied", digest=request.digest, by=("ann",), reason="too much", at_ms=2)
    await play.record("approval", held, vote, decided)
    refusal = guard.Refused(call=held, tool="pay.send", code="tool_not_allowed", message="too much")
    await play.record("tree", GATED, refusal)
    result = call.Refused(call=held, code="tool_not_allowed", message="too much")
    await play.record("run", GATED, run.Took(results=(taken_of(result, "pay.send", await play.result(result)),)))
    await play.end(GATED, "completed", "not paid", 0, [])


async def bundle(site: Site, name: str, **query: str) -> bytes:
    answer = await site.http.get(f"/v1/audit/{name}", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return answer.content


async def log(site: Site, **query: str) -> list[dict[str, Any]]:
    answer = await site.http.get("/v1/audit", params=query)
    assert answer.status_code == 200, answer.text
    return [msgspec.json.decode(line) for line in answer.content.splitlines()]


async def refused(site: Site, path: str, **query: str) -> tuple[int, str]:
    answer = await site.http.get(path, params=query)
    return answer.status_code, answer.json()["code"]


# ── Bundles ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_bundle_verifies_with_the_systems_key_and_is_the_same_each_time(told: Site) -> None:
    data = await bundle(told, RUN)
    key = (await told.http.get("/v1/audit/key")).json()["key"]
    report = verify(data, [key])
    assert report.ok, report.problems
    assert (report.tenant, report.tree, report.closed, report.known_key) == ("default", RUN, True, True)
    assert report.summary["principal"] == "carol"
    assert await bundle(told, RUN) == data


async def test_a_record_that_is_gone_from_the_end_of_the_journal_is_named(told: Site) -> None:
    assert verify(await bundle(told, RUN)).ok
    ended = str(subjects.Address.of_run("default", RUN).at("log", "ended"))
    assert await purge(told.bus, layout.journal_of(RUN, 2), ended) == 1
    report = verify(await bundle(told, RUN))
    assert {problem.code for problem in report.problems} == {"cut"}
    assert report.first_bad_seq > 0


async def test_the_bundle_of_a_run_that_goes_on_verifies_and_says_so(told: Site) -> None:
    going = ids.ulid(NOW_MS + 9, bytes(10))
    await Play(BusSink(told.bus)).accept(going)
    report = verify(await bundle(told, going))
    assert (report.ok, report.closed) == (True, False)


async def test_what_is_recorded_after_the_signature_is_not_in_the_bundle(told: Site) -> None:
    house = House(told.bus, 2, "default", registry=None, keys=None, loopback=True)  # type: ignore[arg-type]
    every = [one.seq async for one in messages(house, RUN)]
    assert [one.seq async for one in messages(house, RUN, upto=every[-2])] == every[:-1]


async def test_contents_are_put_in_when_they_are_asked_for(told: Site) -> None:
    name = ids.ulid(NOW_MS + 8, bytes(10))
    digest = await objects.put_blob(told.bus, b'{"invoice":7}')
    play = Play(BusSink(told.bus))
    await play.accept(name)
    wanted = msgspec.structs.replace(PAY, id=ids.call_id(name, 1, 0))
    source = await play.record("run", name, run.Called(turn=1, at_ms=1, calls=(wanted,)))
    await play.record("tree", name, guard.Granted(call=wanted, source=source, expires_ms=9))
    result = call.Completed(call=wanted.id, output_ref=digest, output_bytes=13)
    await play.record("run", name, run.Took(results=(taken_of(result, "pay.send", await play.result(result)),)))
    bare, whole = await bundle(told, name), await bundle(told, name, contents="true")
    assert (b'"base64":"eyJpbnZvaWNlIjo3fQ=="' in bare, b'"base64":"eyJpbnZvaWNlIjo3fQ=="' in whole) == (False, True)
    assert digest.encode() in bare
    assert verify(bare).ok
    assert verify(whole).ok


async def test_an_archived_tree_gives_the_same_bundle(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path / "data") as site:
        await Play(BusSink(site.bus)).write(RUN)
        before = await bundle(site, RUN)
        acts = await log(site)
    async with site_on(fresh_broker, tmp_path / "data", retention_s=0.2) as site:
        await site.bus.publish(f"$O.{layout.ARTIFACTS}.C.{RUN}.claim.x", b"mark")
        await left(site.bus, RUN)
        assert await bundle(site, RUN) == before
        assert await log(site) == acts
        assert (await site.http.get(f"/v1/runs/{RUN}/steps/1")).json()["text"] == "I need the file."


async def test_what_cannot_be_exported_is_told(told: Site) -> None:
    unknown = ids.ulid(NOW_MS + 7, bytes(10))
    assert await refused(told, f"/v1/audit/{unknown}") == (404, "unknown_run")
    assert await refused(told, "/v1/audit/nonsense") == (404, "unknown_run")
    assert await refused(told, f"/v1/audit/{RUN}", contents="perhaps") == (400, "invalid_request")


# ── The log of a period ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_tells_every_act_of_every_tree(told: Site) -> None:
    found = await log(told)
    assert {act["run"] for act in found} == {RUN, OTHER, GATED}
    assert {act["kind"] for act in found} == {"goal", "call", "vote", "decision", "ending"}
    read = next(act for act in found if act["run"] == RUN and act["tool"] == "files.read")
    assert (read["principal"], read["by"], read["decision"], read["outcome"]) == (
        "carol",
        "agent",
        "granted",
        "completed",
    )
    assert (read["arguments"], read["cost_micro_usd"]) == ('{"path":"invoice-7.txt"}', 3)
    assert len(read["arguments_digest"]) == len(read["output_digest"]) == 64


async def test_the_log_tells_who_decided_what_and_when(told: Site) -> None:
    found = [act for act in await log(told, tool="pay.send") if act["kind"] != "goal"]
    assert [(act["kind"], act["decision"], act["by"]) for act in found] == [
        ("call", "refused", "agent"),
        ("vote", "deny", "ann"),
        ("decision", "denied", "ann"),
    ]
    assert {act["run"] for act in found} == {GATED}
    assert found[0]["rule"] == found[2]["rule"] == "policy:money/large"
    assert all(act["time_ms"] > NOW_MS for act in found)  # by the broker, which stored it now


async def test_the_log_is_filtered_by_user_run_and_time(told: Site) -> None:
    assert {act["run"] for act in await log(told, user="dan")} == {OTHER}
    assert {act["run"] for act in await log(told, run=GATED)} == {GATED}
    assert {act["run"] for act in await log(told, since="1h")} == {RUN, OTHER, GATED}
    assert await log(told, until="2026-01-01") == []
    assert await log(told, user="nobody") == []


async def test_the_log_as_csv_has_every_column_and_no_formulas(told: Site) -> None:
    name = ids.ulid(NOW_MS + 6, bytes(10))
    await Play(BusSink(told.bus)).accept(
        name, submit=goal.Submit(id=name, objective='=HYPERLINK("x")', principal="eve")
    )
    answer = await told.http.get("/v1/audit", params={"format": "csv", "user": "eve"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(answer.text))
    assert header == list(COLUMNS)
    assert dict(zip(header, row, strict=True))["arguments"] == '\'=HYPERLINK("x")'


async def test_a_filter_that_makes_no_sense_is_told(told: Site) -> None:
    wrong: list[tuple[dict[str, str], tuple[int, str]]] = [
        ({"since": "yesterday"}, (400, "invalid_request")),
        ({"until": "2026-13-01"}, (400, "invalid_request")),
        ({"since": "2026-02-01", "until": "2026-01-01"}, (400, "invalid_request")),
        ({"format": "xml"}, (400, "invalid_request")),
        ({"nonsense": "1"}, (400, "invalid_request")),
        ({"run": "nonsense"}, (404, "unknown_run")),
        ({"run": ids.ulid(NOW_MS + 5, bytes(10))}, (404, "unknown_run")),
    ]
    for query, expected in wrong:
        assert await refused(told, "/v1/audit", **query) == expected, query


# ── Steps and waste ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_step_tells_what_was_decided_and_what_came_of_it(told: Site) -> None:
    step = (await told.http.get(f"/v1/runs/{RUN}/steps/2")).json()
    assert (step["step"], step["steps"], step["text"], step["decided"]) == (2, 2, "I need the file.", "calls")
    assert [(made["tool"], made["outcome"]) for made in step["calls"]] == [("files.read", "completed")]
    assert step["cost_micro_usd"] == 123
    assert step["prompt"] is None
    assert step["prompt_problem"]["code"] == "unavailable"


async def test_waste_is_named_over_http(told: Site) -> None:
    found = (await told.http.get(f"/v1/runs/{RUN}/waste")).json()
    assert [one["kind"] for one in found["waste"]] == ["same_call"]
    assert (await told.http.get(f"/v1/runs/{OTHER}/waste")).json()["waste"] == []


async def test_a_step_that_there_is_not_is_told(told: Site) -> None:
    for number, status, code in (
        ("0", 404, "unknown_step"),
        ("3", 404, "unknown_step"),
        ("x", 400, "invalid_request"),
        ("1" * 30, 400, "invalid_request"),
    ):
        assert await refused(told, f"/v1/runs/{RUN}/steps/{number}") == (status, code)
    unknown = ids.ulid(NOW_MS + 4, bytes(10))
    assert await refused(told, f"/v1/runs/{unknown}/steps/1") == (404, "unknown_run")
    assert await refused(told, f"/v1/runs/{unknown}/waste") == (404, "unknown_run")
