"""A vote: it counts, or it is refused with a code and changes nothing. What decides is recorded beside it. All pure."""

from typing import Any

import msgspec

from callboard.actor import SEEN, Dead, Decision, Input, violations
from callboard_contracts import approval, names
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Event
from callboard_contracts.registry import Facts
from callboard_contracts.wire import INLINE_BYTES
from callboard_services.approval import closing
from callboard_services.approval.evolve import evolve
from callboard_services.approval.state import State


def vote(state: State, body: approval.Vote, message: Input, facts: Facts) -> Decision:
    """Count a vote."""
    if message.id in state.heard:
        return SEEN
    if state.requested is None:
        if state.decided is None:
            return Dead("not_granted", f"nobody asked about {message.address.run}")
        return (_refused(body, message, closing.too_late(state.decided)),)
    over: list[Event] = []
    if state.decided is None and message.time_ms >= state.requested.expires_ms:
        over = [closing.expired(state, message.time_ms)]
        state = evolve(state, over[0])
    try:
        _check(state, body, facts)
    except CallboardError as error:
        return (*over, _refused(body, message, error))
    voted = _voted(state, body, message)
    return (voted, *_outcome(evolve(state, voted), voted, body, message))


def _refused(body: approval.Vote, message: Input, error: CallboardError) -> approval.VoteRefused:
    return approval.VoteRefused(
        id=message.id, principal=body.principal, code=error.code, message=str(error), at_ms=message.time_ms
    )


def _check(state: State, body: approval.Vote, facts: Facts) -> None:
    """Check that a vote counts.

    :raises CallboardError: why it does not.
    """
    if state.decided is not None:
        raise closing.too_late(state.decided)
    if not state.may_decide(body.principal, body.groups):
        who = ", ".join(state.approvers) or "whoever else has a key"
        gave = "delegated it" if body.principal in state.gave_away else "may not decide this"
        raise CallboardError("not_approver", f"{body.principal} {gave}; those who may: {who}")
    if body.digest != state.digest:
        what = "another person edited the arguments" if state.edited else "the vote names another digest"
        raise CallboardError("approval_changed", f"{what}: what would run now has the digest {state.digest}")
    _check_kind(state, body, facts)


def _check_kind(state: State, body: approval.Vote, facts: Facts) -> None:
    rule, tool = state.open.request.rule, state.open.request.tool
    match body.vote:
        case "answer":
            _check_answer(state, body.answer)
        case "approve" | "edit" if tool == names.ASK:
            raise CallboardError("vote_invalid", "it is a question: answer it, or deny it")
        case "approve" | "edit" if rule.four_eyes and body.principal == state.open.principal:
            raise CallboardError("four_eyes", f"{body.principal} started this run")
        case "approve" if body.principal in state.approvals:
            raise CallboardError(
                "already_voted", f"{body.principal} has approved; {len(state.approvals)} of {rule.quorum}"
            )
        case "edit":
            _check_edit(state, body.arguments, facts)
        case "delegate" if not body.to.strip() or body.to == body.principal:
            raise CallboardError("vote_invalid", "a delegation names somebody else in `to`")
        case _:
            return


def _check_answer(state: State, answer: Any) -> None:
    asked = state.open.request
    if asked.tool != names.ASK:
        raise CallboardError("vote_invalid", "it is no question: approve it, edit it, or deny it")
    if len(msgspec.json.encode(answer)) > INLINE_BYTES:
        raise CallboardError("vote_invalid", "an answer may have 32 KiB")
    question = asked.arguments
    choices, schema = question.get("choices"), question.get("schema")
    if choices and answer not in choices:
        raise CallboardError("vote_invalid", f"the answer is one of: {', '.join(choices)}")
    if problems := violations(schema or ({} if choices else {"type": "string", "minLength": 1}), answer):
        raise CallboardError("vote_invalid", "the answer: " + "; ".join(problems))


def _check_edit(state: State, arguments: Any, facts: Facts) -> None:
    request = state.open.request
    spec = facts.spec(request.tool)
    if spec is None or spec.version != request.version:
        raise CallboardError("approval_changed", f"{request.tool} {request.version} is there no more")
    if len(msgspec.json.encode(arguments)) > INLINE_BYTES:
        raise CallboardError("arguments_invalid", "edited arguments may have 32 KiB")
    if problems := violations(spec.input_schema, arguments):
        raise CallboardError("arguments_invalid", "; ".join(problems))


def _voted(state: State, body: approval.Vote, message: Input) -> approval.Voted:
    edit = body.vote == "edit"
    bound = approval.binding(state.open.request, body.arguments, edited=True) if edit else body.digest
    return approval.Voted(
        id=message.id,
        vote=body.vote,
        principal=body.principal,
        reason=body.reason[:2000],
        digest=bound,
        arguments=body.arguments if edit else None,
        to=body.to if body.vote == "delegate" else "",
        at_ms=message.time_ms,
    )


def _outcome(after: State, voted: approval.Voted, body: approval.Vote, message: Input) -> list[Event]:
    """Return the decision, if this vote was the one that it wanted."""
    now, by, reason = message.time_ms, (body.principal,), voted.reason
    match body.vote:
        case "deny":
            return [closing.decided(after, "denied", now, by=by, reason=reason)]
        case "answer":
            return [closing.decided(after, "answered", now, by=by, reason=reason, answer=body.answer)]
        case "approve" | "edit" if len(after.approvals) >= after.open.request.rule.quorum:
            return [closing.decided(after, "approved", now, by=after.approvals, reason=reason)]
        case _:
            return []
