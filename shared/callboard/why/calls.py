"""What one open call waits for: its answer to be taken, the guard, an executor, or the work itself. Pure."""

from typing import Any

from callboard.why import fold, people
from callboard.why.facts import Came, Durable, Facts
from callboard.why.reason import Reason
from callboard.why.words import at, count, lives, one_of
from callboard_contracts import names

_RESULTS = frozenset({"result", "child", "answer"})


def told(facts: Facts, asked: fold.Asked, tree: fold.Tree) -> Reason:
    """Return what a call that has not answered waits for."""
    call = asked.call.id
    answer = next((came for came in facts.came if came.call == call and came.kind in _RESULTS), None)
    if answer is not None:
        return _stored(facts, asked, answer)
    if call in tree.refused:
        return _refusal(facts, asked, tree.refused[call])
    if call in tree.granted:
        return _granted(facts, asked, tree)
    if call in tree.asked:
        return people.waited_for(facts, *tree.asked[call])
    if call in tree.held:
        return _held(facts, asked, tree.held[call])
    return _proposed(facts, asked)


def _what(asked: fold.Asked) -> str:
    return "The question to its model" if asked.call.tool == names.MODEL else f"The call of {asked.call.tool}"


def _base(facts: Facts, asked: fold.Asked) -> dict[str, Any]:
    return {"run": facts.run, "tool": asked.call.tool, "call": asked.call.id}


def _stored(facts: Facts, asked: fold.Asked, answer: Came) -> Reason:
    alive = lives(facts, "planner")
    rest = "its planner is about to take it" if alive else "no planner lives to take it"
    return Reason(
        waiting_for="planner",
        sentence=f"{_what(asked)} was answered at {at(facts, answer.time_ms)}; {rest}.",
        since_ms=answer.time_ms,
        advice="" if alive else "Start a planner.",
        **_base(facts, asked),
    )


def _refusal(facts: Facts, asked: fold.Asked, since_ms: int) -> Reason:
    alive = lives(facts, "guard")
    rest = "its answer is on the way" if alive else "no guard lives to say so"
    return Reason(
        waiting_for="guard",
        sentence=f"{_what(asked)} was refused at {at(facts, since_ms)}; {rest}.",
        since_ms=since_ms,
        advice="" if alive else "Start a guard.",
        **_base(facts, asked),
    )


def _held(facts: Facts, asked: fold.Asked, since_ms: int) -> Reason:
    return Reason(
        waiting_for="resume",
        sentence=f"{_what(asked)} is held since {at(facts, since_ms)}, because the run is paused.",
        since_ms=since_ms,
        **_base(facts, asked),
    )


def _proposed(facts: Facts, asked: fold.Asked) -> Reason:
    alive = lives(facts, "guard")
    rest = "the guard has not decided it yet" if alive else "no guard lives to decide it"
    return Reason(
        waiting_for="guard",
        sentence=f"{_what(asked)} was proposed at {at(facts, asked.at_ms)}, and {rest}.",
        since_ms=asked.at_ms,
        advice="" if alive else "Start a guard; until then nothing runs and nothing is spent.",
        **_base(facts, asked),
    )


def _granted(facts: Facts, asked: fold.Asked, tree: fold.Tree) -> Reason:
    grant, since_ms, _ = tree.granted[asked.call.id]
    base = _base(facts, asked) | {"since_ms": since_ms, "until_ms": grant.expires_ms}
    tool = asked.call.tool
    if tool == names.AGENT:
        return _sub_agent(facts, asked, base)
    executors, queue = facts.executors.get(tool, 0), facts.queues.get(tool, Durable())
    delivered = 0 < facts.granted_at.get(asked.call.id, 0) <= queue.delivered
    base |= {"executors": executors}
    if not executors:
        return _nobody(facts, asked, base, delivered=delivered)
    if delivered:
        return Reason(
            waiting_for="result" if tool != names.MODEL else "model",
            sentence=f"{_what(asked)} was granted at {at(facts, since_ms)}, is with {one_of(executors)} of {tool}, "
            f"and has until {at(facts, grant.expires_ms)}.",
            **base,
        )
    return _waits(facts, asked, base, queue, executors)


def _nobody(facts: Facts, asked: fold.Asked, base: dict[str, Any], *, delivered: bool) -> Reason:
    tool = asked.call.tool
    what = "No models service lives" if tool == names.MODEL else f"No executor of {tool} lives"
    known = "" if tool in facts.known else f"; {tool} is not in the registry"
    if delivered:
        known += "; one had taken the call, and it is given to another when one starts"
    advice = "Start the models service." if tool == names.MODEL else f"Start a process that serves {tool}."
    return Reason(
        waiting_for="model" if tool == names.MODEL else "executor",
        sentence=f"{what} to answer {asked.call.id}, granted at {at(facts, base['since_ms'])}{known}.",
        detail=facts.problems.get(tool, ""),
        advice=advice,
        **base,
    )


def _waits(facts: Facts, asked: fold.Asked, base: dict[str, Any], queue: Durable, executors: int) -> Reason:
    """Nobody has it yet: because all are at work, or because it comes this very moment."""
    tool = asked.call.tool
    if queue.pulls:
        rest = "and is about to be taken"
    else:
        rest = f"at work on {count(queue.unanswered, 'call')}, with {queue.pending} in the queue"
    return Reason(
        waiting_for="model" if tool == names.MODEL else "executor",
        sentence=f"{_what(asked)} was granted at {at(facts, base['since_ms'])} and waits for "
        f"{one_of(executors)} of {tool}, {rest}.",
        detail="" if queue.pulls else "saturated",
        advice="" if queue.pulls else f"Another process that serves {tool} shares the work.",
        **base,
    )


def _sub_agent(facts: Facts, asked: fold.Asked, base: dict[str, Any]) -> Reason:
    if asked.call.id in facts.children and facts.children[asked.call.id].records:
        sentence = f"It waits for its sub-agent {asked.call.id}."
        return Reason(waiting_for="sub_agent", sentence=sentence, **base)
    alive = lives(facts, "planner")
    rest = "a planner is about to take it" if alive else "no planner lives to take it"
    return Reason(
        waiting_for="planner",
        sentence=f"Its sub-agent {asked.call.id} was granted at {at(facts, base['since_ms'])} and has not begun; "
        f"{rest}.",
        advice="" if alive else "Start a planner.",
        **base,
    )
