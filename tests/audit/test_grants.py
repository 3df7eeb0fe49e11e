"""Nothing ran without its grant or past a person, and the bill is the sum: what is not so is found in any tree."""

from typing import Any

import msgspec
import pytest

from callboard.audit import tree
from callboard.audit.acts import acts
from callboard.audit.message import Message
from callboard.audit.verify import verify
from callboard.testing.records import Play, taken_of
from callboard_contracts import approval, call, goal, guard, ids, run
from callboard_contracts.policy import Rule
from tests.audit.kit import RUN, Memory, bundle

CALL = ids.call_id(RUN, 1, 0)
PAY = call.Call(id=CALL, tool="pay.send", arguments={"to": "bob", "amount": 80})
RULE = Rule(name="large", tool=("pay.*",), approvers=("group:finance",), quorum=2, reason="above 50")


def request(**more: Any) -> approval.Request:
    found = approval.Request(
        id=CALL, run=RUN, tool="pay.send", version="1.0.0", effect="irreversible", arguments=PAY.arguments, rule=RULE,
        policy="policy:money", policy_digest="d" * 64, digest="",
    )  # fmt: skip
    found = msgspec.structs.replace(found, **more)
    return msgspec.structs.replace(found, digest=approval.binding(found))


async def gated(
    *,
    outcome: approval.Outcome = "approved",
    edited: Any = None,
    digest: str = "",
    ran: call.Call = PAY,
    asked: bool = True,
    shown: approval.Request | None = None,
    named: str = "",
    bill: int = 5,
) -> list[Message]:
    """Return a tree in which a person decided about a payment."""
    memory = Memory()
    play = Play(memory)
    await play.accept(RUN, submit=goal.Submit(id=RUN, objective="Pay Bob.", principal="carol"))
    source = await play.record("run", RUN, run.Called(turn=1, at_ms=1, calls=(PAY,)))
    wanted = request()
    held = guard.Held(run=RUN, turn=1, source=source, calls=(CALL,), reason="approval", requests=(wanted,))
    await play.record("tree", RUN, held)
    bound = digest or approval.binding(wanted, edited, edited=edited is not None)
    if asked:
        await play.record(
            "approval", CALL, approval.Requested(request=shown or wanted, at_ms=1, expires_ms=9, principal="carol")
        )
        for name in ("ann", "bob"):
            vote = approval.Voted(id=name, vote="approve", principal=name, digest=wanted.digest, at_ms=2, reason="fine")
            await play.record("approval", CALL, vote)
        decided = approval.Decided(
            outcome=outcome, digest=bound, by=("ann", "bob"), edited=edited is not None, arguments=edited, at_ms=3
        )
        await play.record("approval", CALL, decided)
    grant = guard.Granted(call=ran, source=source, expires_ms=9, reserved_micro_usd=10, approved=named or bound)
    await play.record("tree", RUN, grant)
    result = call.Completed(call=CALL, output={"paid": True}, usage=call.Usage(cost_micro_usd=5))
    taken = taken_of(result, "pay.send", await play.result(result))
    ended = run.Ended(status="completed", output="paid", settled=((CALL, 5, 0),))
    await play.record("run", RUN, run.Took(results=(taken,)), ended)
    closed = guard.Closed(run=RUN, committed_micro_usd=bill)
    await play.record("tree", RUN, guard.Settled(entries=((CALL, 5, 0),)), closed)
    return memory.messages


def codes(messages: list[Message]) -> set[str]:
    return {problem.code for problem in verify(bundle(messages)).problems}


async def test_what_a_person_approved_is_verified_and_the_log_names_who() -> None:
    messages = await gated()
    assert codes(messages) == set()
    found = acts(tree.read(messages), {})
    paid = next(act for act in found if act.kind == "call")
    assert (paid.principal, paid.decision, paid.rule, paid.approvers) == (
        "carol",
        "granted",
        "policy:money/large",
        "ann bob",
    )
    assert (paid.effect, paid.outcome, paid.cost_micro_usd) == ("irreversible", "completed", 5)
    assert [(act.by, act.decision) for act in found if act.kind == "vote"] == [("ann", "approve"), ("bob", "approve")]
    assert [(act.by, act.decision, act.rule) for act in found if act.kind == "decision"] == [
        ("ann bob", "approved", "policy:money/large")
    ]


async def test_an_edited_call_ran_as_it_was_edited() -> None:
    smaller = {"to": "bob", "amount": 40}
    ran = msgspec.structs.replace(PAY, arguments=smaller)
    messages = await gated(edited=smaller, ran=ran)
    assert codes(messages) == set()
    paid = next(act for act in acts(tree.read(messages), {}) if act.kind == "call")
    assert paid.arguments == '{"to":"bob","amount":40}'


@pytest.mark.parametrize("outcome", ["denied", "expired", "withdrawn"])
async def test_a_call_that_ran_though_nobody_approved_it_is_found(outcome: approval.Outcome) -> None:
    assert codes(await gated(outcome=outcome)) == {"not_approved"}


async def test_a_call_that_ran_with_other_arguments_than_were_approved_is_found() -> None:
    more = msgspec.structs.replace(PAY, arguments={"to": "bob", "amount": 8000})
    assert codes(await gated(ran=more)) == {"not_approved"}
    assert codes(await gated(edited={"to": "bob", "amount": 40})) == {"not_approved"}


async def test_a_held_call_that_nobody_was_asked_about_is_found() -> None:
    assert codes(await gated(asked=False)) == {"not_approved"}


async def test_an_approval_of_something_else_is_found() -> None:
    assert codes(await gated(digest="0" * 64)) == {"not_approved"}


async def test_a_grant_that_names_another_approval_is_found() -> None:
    assert codes(await gated(named="0" * 64)) == {"not_approved"}


async def test_people_who_were_shown_something_else_than_was_held_approved_nothing() -> None:
    harmless = request(effect="read")  # which is in no digest
    assert codes(await gated(shown=harmless)) == {"not_approved"}


async def test_a_bill_that_is_not_the_sum_is_found() -> None:
    assert codes(await gated(bill=4)) == {"bill"}


async def test_a_result_without_a_grant_is_found() -> None:
    memory = Memory()
    play = Play(memory)
    await play.accept(RUN)
    await play.record("run", RUN, run.Called(turn=1, at_ms=1, calls=(PAY,)))
    seq = await play.result(call.Completed(call=CALL, output=1))
    report = verify(bundle(memory.messages))
    assert [(problem.code, problem.seq) for problem in report.problems] == [("no_grant", seq)]


async def test_a_result_that_is_not_what_the_run_took_is_found() -> None:
    messages = await gated()
    place = next(n for n, one in enumerate(messages) if one.lane == "in")
    dearer = messages[place].body.replace(b'"cost_micro_usd":5', b'"cost_micro_usd":6')
    messages[place] = msgspec.structs.replace(messages[place], body=dearer)
    assert codes(messages) == {"result"}


async def test_who_stopped_and_steered_a_run_is_told() -> None:
    memory = Memory()
    play = Play(memory)
    await play.accept(RUN, submit=goal.Submit(id=RUN, objective="Wait.", principal="carol"))
    await play.record("tree", RUN, guard.Paused(id="p", run=RUN, nth=1, principal="ann", reason="lunch"))
    await play.record("tree", RUN, guard.Resumed(id="r", run=RUN, nth=2, principal="bob"))
    await play.record("tree", RUN, guard.Steered(id="s", run=RUN, text="Hurry.", principal="dan"))
    await play.record("tree", RUN, guard.Cancelled(run=RUN, reason="too late", principal="eve"))
    told = [(act.tool, act.by, act.principal, act.reason) for act in acts(tree.read(memory.messages), {})][1:]
    assert told == [
        ("pause", "ann", "carol", "lunch"),
        ("resume", "bob", "carol", ""),
        ("steer", "dan", "carol", "Hurry."),
        ("cancel", "eve", "carol", "too late"),
    ]
