"""What follows from a decision of people. All pure.

A decision is bound to bytes: from the run's own record and today's registry the same digest must come out again, or
the call is refused. Then every other check is made anew, with the arguments that people approved.
"""

from typing import assert_never

import msgspec

from callboard.actor import SEEN, Decision, Input
from callboard_contracts import approval, guard, ids, names
from callboard_contracts.call import Call
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts
from callboard_contracts.run import Called
from callboard_services.guard.checks import check
from callboard_services.guard.evolve import evolve
from callboard_services.guard.granting import arguments_of, grant, refusal
from callboard_services.guard.holding import request_of
from callboard_services.guard.rules import ruled
from callboard_services.guard.state import Asked, State


def decided(state: State, word: guard.Decide, message: Input, facts: Facts) -> Decision:
    """Act on a decision. Said again, or when nobody waits any more, it changes nothing."""
    asked = state.asked.get(word.call)
    if asked is None or asked.decision is not None:
        return SEEN
    match word.outcome:
        case "approved":
            paused = state.is_paused(ids.run_of(word.call))
            return (guard.Postponed(decision=word) if paused else approved(state, word, asked, message, facts),)
        case "answered":
            return (guard.Answered(call=word.call, answer=word.answer, by=", ".join(word.by)),)
        case "denied":
            by = f"denied by {', '.join(word.by)}" + (f": {word.reason}" if word.reason else "")
            return (_refused(word, asked, message, "approval_denied", by),)
        case "expired":
            refused = _refused(word, asked, message, "approval_expired", word.reason)
            return (msgspec.structs.replace(refused, ends=asked.fails),)
        case "withdrawn":
            return SEEN
        case _:
            assert_never(word.outcome)


def _refused(word: guard.Decide, asked: Asked, message: Input, code: str, why: str) -> guard.Refused:
    call = call_of(message.records.get(asked.source), word.call)
    return refusal(word.call, call.tool if call else "", CallboardError(code, why))


def approved(
    state: State, word: guard.Decide, asked: Asked, message: Input, facts: Facts
) -> guard.Granted | guard.Refused:
    """Make every check anew and grant what was approved, or refuse it with the reason."""
    call = call_of(message.records.get(asked.source), word.call)
    try:
        if call is None or call.tool == names.ASK:
            raise CallboardError("approval_mismatch", "nothing of what was approved is known any more")
        runs = call if not word.edited else msgspec.structs.replace(call, arguments=word.arguments, arguments_ref="")
        return _checked(state, word, asked, call, runs, message, facts)
    except CallboardError as error:
        return refusal(word.call, call.tool if call else "", error)


def _checked(
    state: State, word: guard.Decide, asked: Asked, call: Call, runs: Call, message: Input, facts: Facts
) -> guard.Granted:
    known = state.runs.get(ids.run_of(call.id))
    worst = check(state, known, runs, word.arguments if word.edited else arguments_of(call, message), facts)
    spec = facts.spec(call.tool)
    found = ruled(known, call, arguments_of(call, message), spec, facts) if known and spec else None
    if known is None or spec is None or found is None:
        raise CallboardError("approval_mismatch", "the rule that asked for people is there no more")
    today = request_of(state, known, call, worst, found, spec)
    if not same(today, word, asked):
        raise CallboardError("approval_mismatch", "the tool, its arguments or the rule changed after people were asked")
    given = grant(state, runs, asked.source, message, worst)
    return msgspec.structs.replace(given, approved=word.digest, approved_by=word.by, edited=word.edited)


def same(today: approval.Request, word: guard.Decide, asked: Asked) -> bool:
    """Tell whether what would run is, to the byte, what people were asked about and what they approved."""
    runs = approval.binding(today, word.arguments, edited=word.edited)
    return today.digest == asked.digest and runs == word.digest


def postponed(state: State, freed: State, name: str) -> dict[str, Asked]:
    """Return what was approved while a run was paused, and goes on when that pause is gone (`freed`)."""
    waiting = {call: one for call, one in state.asked.items() if one.decision is not None and name in ids.lineage(call)}
    return {call: one for call, one in waiting.items() if not freed.is_paused(ids.run_of(call))}


def call_of(record: Record | None, call: str) -> Call | None:
    """Return a call as the run's record proposes it."""
    events: tuple[Event, ...] = record.events if record is not None else ()
    every = (one for event in events if isinstance(event, Called) for one in event.calls)
    return next((one for one in every if one.id == call), None)


def resumed_approvals(state: State, freed: State, name: str, message: Input, facts: Facts) -> list[Event]:
    """Decide what was approved while a run was paused, now that it is not."""
    found: list[Event] = []
    after = freed
    for asked in postponed(state, freed, name).values():
        if asked.decision is not None:
            found.append(approved(after, asked.decision, asked, message, facts))
            after = evolve(after, found[-1])
    return found
