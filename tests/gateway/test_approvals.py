"""A person sees exactly what will run, decides under the key's name, and is told what came of it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callboard.bus import layout, reader, registry
from callboard.testing.records import BusSink, Play
from callboard_contracts import approval, call, ids, names, run, subjects, wire
from callboard_contracts.policy import Rule
from callboard_contracts.tool import Entry
from tests.conftest import empty_broker
from tests.gateway.asking import REFUND, RULE, Desk, desk_on, new_root
from tests.gateway.conftest import Site

UNKNOWN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    with empty_broker(folder / "nats") as url:
        async with desk_on(url, folder / "data") as desk:
            yield desk


@pytest.fixture
def desk(shared: Desk) -> Desk:
    """What all tests share, with a run of one's own."""
    return replace(shared, root=new_root())


@pytest.fixture
async def alone(fresh_broker: str, tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk where nobody else asks for anything."""
    async with desk_on(fresh_broker, tmp_path / "data") as desk:
        yield desk


async def eventually(desk: Desk, expected: list[str], who: str = "bob", **query: Any) -> None:
    async with asyncio.timeout(10):
        while (found := await desk.listed(who, **query)) != expected:  # noqa: ASYNC110 - of a ledger
            await asyncio.sleep(0.05)
    assert found == expected


async def test_a_request_shows_exactly_what_will_run_why_for_whom_and_what_led_here(desk: Desk) -> None:
    play = Play(BusSink(desk.site.bus))
    seq = await play.accept(desk.root)
    earlier = call.Call(id=ids.call_id(desk.root, 1, 0), tool="orders.read", arguments={"order": "4711"})
    await play.record("run", desk.root, run.Called(turn=1, at_ms=1, calls=(earlier,)))
    taken = run.Taken(call=earlier.id, tool="orders.read", status="failed", seq=1, message="it took 3 tries")
    await play.record("run", desk.root, run.Took(results=(taken,)))
    desk.accepted[desk.root] = seq
    request = await desk.hold(worst_micro_usd=20_000)
    told = await desk.get(f"/v1/approvals/{request}", "bob")
    assert (told["tool"], told["version"], told["effect"]) == (REFUND.name, REFUND.version, "irreversible")
    assert told["arguments"] == {"amount": 80}
    assert (told["worst_usd"], told["reason"], told["rule"]) == (0.02, RULE.reason, "large")
    assert (told["status"], told["quorum"], told["approvers"]) == ("open", 1, ["group:finance", "cat"])
    assert told["you"] == {"principal": "bob", "groups": ["finance", "ops"], "may_decide": True}
    assert (await desk.get(f"/v1/approvals/{request}", "ann"))["you"]["may_decide"] is False
    assert told["steps"] == [
        {
            "call": earlier.id,
            "tool": "orders.read",
            "arguments": '{"order":"4711"}',
            "status": "failed",
            "message": "it took 3 tries",
        }
    ]


async def test_an_approval_counts_under_the_keys_name_whatever_the_body_says(desk: Desk) -> None:
    request = await desk.hold()
    answer = await desk.vote(request, "bob", "approve", reason="looks right")
    assert (answer.status_code, answer.json()["counted"], answer.json()["status"]) == (200, True, "approved")
    told = await desk.get(f"/v1/approvals/{request}", "ann")
    assert told["decision"]["by"] == ["bob"]
    assert [(vote["principal"], vote["reason"]) for vote in told["votes"]] == [("bob", "looks right")]
    forged = await desk.vote(await desk.hold(1), "ann", "approve", principal="bob")
    assert (forged.status_code, forged.json()["code"]) == (400, "invalid_request")


async def test_who_may_not_decide_is_told_so_and_changes_nothing(desk: Desk) -> None:
    request = await desk.hold()
    answer = await desk.vote(request, "ann", "approve")
    assert (answer.status_code, answer.json()["code"]) == (403, "not_approver")
    assert "group:finance" in answer.json()["detail"]
    assert (await desk.get(f"/v1/approvals/{request}", "ann"))["status"] == "open"


async def test_two_of_three_must_approve_and_one_person_counts_once(desk: Desk) -> None:
    rule = Rule(name="two", approvers=("ann", "bob", "cat"), quorum=2)
    request = await desk.hold(rule=rule)
    first = await desk.vote(request, "ann", "approve")
    assert (first.json()["status"], first.json()["approved_by"]) == ("open", ["ann"])
    again = await desk.vote(request, "ann", "approve")
    assert (again.status_code, again.json()["code"]) == (409, "already_voted")
    second = await desk.vote(request, "cat", "approve")
    assert (second.json()["status"], second.json()["decision"]["by"]) == ("approved", ["ann", "cat"])


async def test_deciding_late_is_a_safe_no_op_that_says_by_whom_it_was_decided(desk: Desk) -> None:
    request = await desk.hold()
    await desk.vote(request, "bob", "deny", reason="too much")
    late = await desk.vote(request, "cat", "approve")
    assert (late.status_code, late.json()["code"]) == (409, "approval_decided")
    assert "denied by bob" in late.json()["detail"]
    assert (await desk.get(f"/v1/approvals/{request}", "cat"))["decision"]["outcome"] == "denied"


async def test_a_vote_after_the_expiry_is_refused_and_the_request_is_expired_not_denied(desk: Desk) -> None:
    request = await desk.hold(rule=Rule(name="soon", expires_s=0.3))
    await desk.recorded(request, approval.Decided)
    late = await desk.vote(request, "bob", "approve")
    assert (late.status_code, late.json()["code"], late.json()["status"]) == (409, "approval_decided", "expired")
    assert (await desk.get(f"/v1/approvals/{request}", "bob"))["decision"]["outcome"] == "expired"


async def test_a_vote_for_other_bytes_than_those_that_would_run_is_refused(desk: Desk) -> None:
    request = await desk.hold(rule=Rule(name="two", quorum=2))
    seen = (await desk.get(f"/v1/approvals/{request}", "bob"))["digest"]
    edited = await desk.vote(request, "ann", "edit", arguments={"amount": 40})
    assert (edited.json()["status"], edited.json()["approved_by"]) == ("open", ["ann"])
    stale = await desk.vote(request, "bob", "approve", digest=seen)
    assert (stale.status_code, stale.json()["code"]) == (409, "approval_changed")
    fresh = await desk.vote(request, "bob", "approve")
    assert fresh.json()["decision"]["arguments"] == {"amount": 40}
    told = await desk.get(f"/v1/approvals/{request}", "bob")
    assert (told["proposed"], told["arguments"], told["edited_by"]) == ({"amount": 80}, {"amount": 40}, "ann")


@pytest.mark.parametrize("arguments", [{"amount": 0}, {"amount": 5, "to": "me"}, [], None])
async def test_edited_arguments_must_fit_the_tools_schema(desk: Desk, arguments: object) -> None:
    request = await desk.hold()
    answer = await desk.vote(request, "bob", "edit", arguments=arguments)
    assert (answer.status_code, answer.json()["code"]) == (422, "arguments_invalid")
    assert (await desk.get(f"/v1/approvals/{request}", "bob"))["votes"] == []


async def test_a_question_is_answered_with_one_of_its_choices(desk: Desk) -> None:
    request = await desk.ask_a_person(question="Which account?", choices=["main", "savings"])
    wrong = await desk.vote(request, "ann", "answer", answer="both")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "vote_invalid")
    approved = await desk.vote(request, "ann", "approve")
    assert approved.json()["code"] == "vote_invalid"
    answer = await desk.vote(request, "ann", "answer", answer="main")
    assert (answer.json()["status"], answer.json()["decision"]["answer"]) == ("answered", "main")


async def test_who_delegates_may_decide_no_more_and_the_other_may(desk: Desk) -> None:
    request = await desk.hold()
    passed = await desk.vote(request, "cat", "delegate", to="ann")
    assert (passed.status_code, passed.json()["status"]) == (200, "open")
    refused = await desk.vote(request, "cat", "approve")
    assert refused.json()["code"] == "not_approver"
    assert (await desk.get(f"/v1/approvals/{request}", "cat"))["you"]["may_decide"] is False
    assert (await desk.vote(request, "ann", "approve")).json()["status"] == "approved"


async def test_a_vote_sent_twice_with_one_idempotency_key_is_one_vote_with_one_answer(desk: Desk) -> None:
    request = await desk.hold(rule=Rule(name="two", quorum=2))
    answers = await asyncio.gather(*(desk.vote(request, "bob", "approve", key="k") for _ in range(4)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len((await desk.get(f"/v1/approvals/{request}", "bob"))["votes"]) == 1
    other = await desk.vote(request, "bob", "deny", key="k")
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


async def test_of_two_who_decide_at_once_one_does_and_the_other_hears_of_it(desk: Desk) -> None:
    request = await desk.hold()
    digest = (await desk.get(f"/v1/approvals/{request}", "bob"))["digest"]
    answers = await asyncio.gather(
        desk.vote(request, "bob", "approve", digest=digest), desk.vote(request, "cat", "deny", digest=digest)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    outcome = (await desk.get(f"/v1/approvals/{request}", "bob"))["decision"]["outcome"]
    counted = next(answer for answer in answers if answer.status_code == 200)
    assert counted.json()["status"] == outcome


BAD = [
    ({"decision": "maybe"}, "decision"),
    ({"decision": "approve"}, "digest"),
    ({"decision": "edit", "digest": "d"}, "arguments"),
    ({"decision": "answer", "digest": "d"}, "answer"),
    ({"decision": "delegate"}, "to"),
    ({"decision": "approve", "digest": "d", "groups": ["finance"]}, "groups"),
]


@pytest.mark.parametrize(("body", "field"), BAD, ids=[field for _, field in BAD])
async def test_a_malformed_vote_is_refused_with_the_field_that_is_wrong(desk: Desk, body: Any, field: str) -> None:
    request = await desk.hold()
    headers = {"authorization": f"Bearer {desk.tokens['bob']}"}
    answer = await desk.site.http.post(f"/v1/approvals/{request}/votes", json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert field in answer.json()["detail"]


@pytest.mark.parametrize("name", ["x", UNKNOWN, f"{UNKNOWN}-9-9", "1" * 300])
async def test_an_unknown_request_says_so(desk: Desk, name: str) -> None:
    headers = {"authorization": f"Bearer {desk.tokens['bob']}"}
    for answer in (
        await desk.site.http.get(f"/v1/approvals/{name}", headers=headers),
        await desk.site.http.post(f"/v1/approvals/{name}/votes", json={"decision": "deny"}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_approval")


async def test_without_keys_whoever_is_there_belongs_to_no_group(fresh_broker: str, tmp_path: Path) -> None:
    async with desk_on(fresh_broker, tmp_path / "data", people=False) as desk:
        refused = await desk.vote(await desk.hold(), "", "approve")
        assert (refused.status_code, refused.json()["code"]) == (403, "not_approver")
        anybody = await desk.vote(await desk.hold(1, rule=Rule(name="any")), "", "approve")
        assert anybody.json()["decision"]["by"] == ["local"]


async def test_requests_are_listed_newest_first_by_status_run_group_and_who_may_decide(alone: Desk) -> None:
    large = await alone.hold()
    question = await alone.ask_a_person(1, question="Why?")
    other = await alone.hold(root=new_root(), rule=Rule(name="ops", approvers=("group:ops",)))
    await eventually(alone, [other, question, large])
    await eventually(alone, [other, question, large], mine=True)
    assert await alone.listed("ann", mine=True) == [question]
    assert await alone.listed("ann", group="finance") == [large]
    assert await alone.listed("ann", run=alone.root) == [question, large]
    await alone.vote(large, "cat", "delegate", to="ann")
    await eventually(alone, [question, large], "ann", mine=True)
    await eventually(alone, [question], "cat", mine=True)
    await alone.vote(large, "ann", "deny", reason="no")
    await eventually(alone, [other, question], status="open")
    assert await alone.listed("ann", status="decided") == await alone.listed("ann", status="denied") == [large]
    (row,) = (await alone.get("/v1/approvals", "ann", status="denied"))["approvals"]
    assert (row["decided_by"], row["comment"], row["tool"]) == (["ann"], "no", REFUND.name)


async def test_a_list_is_read_in_pages_that_miss_and_repeat_nothing(alone: Desk) -> None:
    requests = [await alone.hold(n) for n in range(5)]
    await eventually(alone, requests[::-1])
    seen: list[str] = []
    before = ""
    while True:
        page = await alone.get("/v1/approvals", "bob", limit=2, before=before)
        seen += [row["request"] for row in page["approvals"]]
        if not page["next"]:
            break
        before = page["next"]
    assert seen == requests[::-1]


@pytest.mark.parametrize("query", ["status=maybe", "limit=0", "before=x", "before=1.x", "colour=red", "mine=perhaps"])
async def test_a_malformed_filter_is_refused(desk: Desk, query: str) -> None:
    headers = {"authorization": f"Bearer {desk.tokens['bob']}"}
    answer = await desk.site.http.get(f"/v1/approvals?{query}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


async def test_what_happens_to_a_request_is_in_its_runs_events(desk: Desk) -> None:
    request = await desk.hold()
    await desk.vote(request, "bob", "approve")
    await desk.recorded(request, approval.Decided)
    allowed = f"Bearer {desk.tokens['bob']}"
    events = await desk.site.events(f"/v1/runs/{desk.root}/events", most=4, authorization=allowed)
    about = [event for event in events if event.data["actor"] == "approval"]
    assert [event["type"] for one in about for event in one.data["events"] if "armed" not in event["type"]] == [
        "approval.requested.v1", "approval.voted.v1", "approval.decided.v1",
    ]  # fmt: skip
    assert {one.data["run"] for one in about} == {request}


async def test_arguments_that_are_too_large_for_a_record_are_shown_whole(desk: Desk) -> None:
    from callboard.bus.objects import put_blob

    large = {"amount": 80, "note": "x" * 50_000}
    ref = await put_blob(desk.site.bus, msgspec.json.encode(large))
    request = await desk.hold(arguments=None, arguments_ref=ref)
    told = await desk.get(f"/v1/approvals/{request}", "bob")
    assert (told["arguments"], told["arguments_ref"]) == (large, ref)
    assert told["arguments_bytes"] == len(msgspec.json.encode(large))


async def test_a_vote_that_nobody_counts_is_stored_and_says_so(site: Site) -> None:
    desk = Desk(site)
    seq = await desk.begin()
    request = approval.Request(
        id=f"{desk.root}-2-0", run=desk.root, tool=names.ASK, version="1", arguments={"question": "?"},
        rule=Rule(name="ask"), digest="d", accepted=seq, root=seq,
    )  # fmt: skip
    await registry.put_tool(site.bus, REFUND.name, Entry(spec=REFUND, instances=1))
    where = subjects.Address.of_request("default", request.id)
    requested = approval.Requested(request=request, at_ms=1, expires_ms=2**50)
    await Play(BusSink(site.bus)).record("approval", request.id, requested)
    answer = await desk.vote(request.id, "", "answer", answer="42")
    assert (answer.status_code, answer.json()["counted"]) == (202, None)
    stored = await reader.last(site.bus, layout.journal_of(desk.root, 2), str(where.at("in", "vote")))
    assert stored is not None
    said = wire.decode(stored.body, approval.Vote)
    assert (said.principal, said.groups, said.answer) == ("local", (), "42")
