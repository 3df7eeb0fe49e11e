"""What a run waits for, as a chain: the run itself, then each sub-agent that it waits for, down to the leaves. Pure."""

from collections.abc import Iterator
from typing import Final

from callboard.why import calls, fold
from callboard.why.facts import Facts
from callboard.why.reason import Reason
from callboard.why.words import at, by, lives
from callboard_contracts import guard, run
from callboard_contracts.errors import CATALOGUE

MOST_CALLS: Final = 32
"""How many open calls of one run are told."""


def why(facts: Facts) -> tuple[Reason, ...]:
    """Return what a run waits for, the run's own reasons first."""
    return tuple(_reasons(facts))


def _reasons(facts: Facts) -> Iterator[Reason]:
    own, tree = fold.own(facts.records), fold.tree(facts.tree)
    yield from _letters(facts)
    if own.ended is not None:
        yield from _ended(facts, own, tree)
        return
    if cancelled := tree.cancel_of(facts.run):
        yield _cancelled(facts, *cancelled)
    elif pause := tree.pause_of(facts.run):
        yield _paused(facts, pause)
    elif own.paused is not None:
        yield _paused(facts, fold.Paused(facts.run, own.paused.at_ms, own.paused.reason, own.paused.principal))
    if not own.begun:
        yield _queued(facts)
    elif own.deferred is not None and not own.open:
        yield _deferred(facts, own.deferred, own)
    elif own.open:
        yield from _open(facts, own, tree)
    elif not (own.paused or cancelled):
        yield _untaken(facts, own)


def _open(facts: Facts, own: fold.Own, tree: fold.Tree) -> Iterator[Reason]:
    for call in list(own.open)[:MOST_CALLS]:
        told = calls.told(facts, own.open[call], tree)
        yield told
        if call in facts.children and told.waiting_for == "sub_agent":
            yield from _reasons(facts.children[call])
    if (left := len(own.open) - MOST_CALLS) > 0:
        yield Reason(run=facts.run, waiting_for="result", sentence=f"It waits for {left} more calls.")
    if own.refused:
        yield _refused(facts, own.refused)


def _queued(facts: Facts) -> Reason:
    alive = lives(facts, "goals")
    goals = facts.lanes.get("goals")
    ahead = goals.pending if goals is not None else 0
    since = facts.queued_ms or 0
    if facts.queued_ms is None:
        sentence = f"Its first record is not written yet{'' if alive else ', and no planner takes goals'}."
    elif alive:
        sentence = f"Its goal waits in the queue since {at(facts, since)}; a planner lives and is about to take it."
    else:
        sentence = f"Its goal waits in the queue since {at(facts, since)}, and no planner takes goals."
    return Reason(
        run=facts.run,
        waiting_for="planner",
        sentence=sentence,
        detail=f"{ahead} goals wait" if ahead > 1 else "",
        since_ms=since,
        advice="" if alive else "Start a planner; `callboard doctor` tells what runs.",
    )


def _paused(facts: Facts, pause: fold.Paused) -> Reason:
    whose = "It" if pause.run == facts.run else f"The run {pause.run}, to which it belongs,"
    said = f": {pause.reason}" if pause.reason else ""
    return Reason(
        run=facts.run,
        waiting_for="resume",
        sentence=f"{whose} was paused{by(pause.principal)} at {at(facts, pause.at_ms)}{said}.",
        detail=pause.reason,
        since_ms=pause.at_ms,
        advice=f"`callboard runs resume {pause.run}` lets it go on.",
    )


def _cancelled(facts: Facts, event: guard.Cancelled, at_ms: int) -> Reason:
    alive = lives(facts, "planner")
    rest = "and its planner is about to write its ending" if alive else "and no planner lives to write its ending"
    return Reason(
        run=facts.run,
        waiting_for="planner",
        sentence=f"It was cancelled{by(event.principal)} at {at(facts, at_ms)}, {rest}.",
        detail=event.reason,
        since_ms=at_ms,
        advice="" if alive else "Start a planner.",
    )


def _deferred(facts: Facts, event: run.Deferred, own: fold.Own) -> Reason:
    code = event.code or "the last attempt failed"
    alive = lives(facts, "planner")
    late = facts.now_ms > event.until_ms + 5_000
    rest = " That time is over, and no planner lives to take the timer." if late and not alive else ""
    return Reason(
        run=facts.run,
        waiting_for="retry_delay" if alive or not late else "planner",
        sentence=f"It asks its model again at {at(facts, event.until_ms)}, after {code}.{rest}",
        detail=event.message,
        since_ms=own.last_ms,
        until_ms=event.until_ms,
        tool="model",
        advice="" if alive or not late else "Start a planner.",
    )


def _untaken(facts: Facts, own: fold.Own) -> Reason:
    alive = lives(facts, "planner")
    return Reason(
        run=facts.run,
        waiting_for="planner",
        sentence="Every call has answered; " + ("its planner decides." if alive else "no planner lives to go on."),
        since_ms=own.last_ms,
        advice="" if alive else "Start a planner.",
    )


def _ended(facts: Facts, own: fold.Own, tree: fold.Tree) -> Iterator[Reason]:
    ended = own.ended
    code = ended.code if ended is not None else ""
    status = own.status()
    said = ended.reason if isinstance(ended, run.Ended) else ended.message if ended is not None else ""
    entry = CATALOGUE.get(code)
    because = f", {code}" + (f": {said}" if said else "") if code and code != status else f": {said}" if said else ""
    yield Reason(
        run=facts.run,
        waiting_for="nothing",
        sentence=f"It ended {status} at {at(facts, own.ended_ms)}{because.rstrip('.')}.",
        detail=code,
        since_ms=own.ended_ms,
        advice=entry.advice if entry is not None else "",
    )
    closing = tree.closing.get(facts.run)
    if closing is not None and facts.run not in tree.closed:
        yield Reason(
            run=facts.run,
            waiting_for="late_results",
            sentence=f"{len(closing.calls)} of its calls have not answered; what they cost is settled when they do, "
            f"and in full at {at(facts, closing.until_ms)}.",
            detail=", ".join(closing.calls),
            since_ms=own.ended_ms,
            until_ms=closing.until_ms,
        )


def _refused(facts: Facts, refused: tuple[run.Taken, ...]) -> Reason:
    codes = ", ".join(dict.fromkeys(one.code for one in refused))
    many = "1 call of this turn was" if len(refused) == 1 else f"{len(refused)} calls of this turn were"
    entry = CATALOGUE.get(refused[0].code)
    return Reason(
        run=facts.run,
        waiting_for="model",
        sentence=f"{many} refused ({codes}); the model reads it when the others have answered.",
        detail=refused[0].message,
        call=refused[0].call,
        tool=refused[0].tool,
        advice=entry.advice if entry is not None else "",
    )


def _letters(facts: Facts) -> Iterator[Reason]:
    for letter in facts.letters:
        yield Reason(
            run=facts.run,
            waiting_for="operator",
            sentence=f"A message for it could not be handled by {letter.service} ({letter.code}): "
            f"{letter.reason.rstrip('.')}.",
            detail=letter.subject,
            advice="Look at it at /v1/dead.",
        )
