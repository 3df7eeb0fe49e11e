"""Checks of what a tree did: nothing ran without a grant or past a person, and the bill is the sum. Pure."""

from callboard.audit.report import Report
from callboard.audit.tree import Tree
from callboard_contracts import approval, call, guard, ids, run

_PAUSED = "paused"


def granted(tree: Tree, report: Report) -> None:
    """Check that every call that brought a result had a grant before it, or was a question that a person closed."""
    grants: dict[str, int] = {}
    for logged, event in tree.events(guard.Granted):
        grants.setdefault(event.call.id, logged.seq)
    decided = {logged.run for logged, _ in tree.events(approval.Decided)}
    for seq, result in tree.results.items():
        if isinstance(result, call.Refused) or (result.call in decided and result.call not in grants):
            continue
        if not 0 < grants.get(result.call, 0) < seq:
            report.say("no_grant", f"the call {result.call} brought a result and was not granted before", seq=seq)
    report.count("grants", len(grants))


def approved(tree: Tree, report: Report) -> None:
    """Check that every call that was held for a person ran only as a person approved it."""
    held = {name for _, event in tree.events(guard.Held) if event.reason != _PAUSED for name in event.calls}
    wanted = [request for _, event in tree.events(guard.Held) for request in event.requests]
    asked = {logged.run: event.request for logged, event in tree.events(approval.Requested)}
    decided = {logged.run: event for logged, event in tree.events(approval.Decided)}
    for request in asked.values():
        if wanted and request not in wanted:
            report.say("not_approved", f"people were asked about {request.id}, which is not what the guard held")
    for logged, event in tree.events(guard.Granted):
        name = event.call.id
        if name in held or name in asked or event.approved:
            problem = _approval(event, asked.get(name), decided.get(name))
            if problem:
                report.say("not_approved", f"the call {name} was held for a person and {problem}", seq=logged.seq)
    report.count("approvals", len(decided))


def _approval(ran: guard.Granted, request: approval.Request | None, decided: approval.Decided | None) -> str:
    """Return what is wrong with how a call was approved; empty: nothing."""
    if request is None or decided is None:
        return "nobody decided it"
    if decided.outcome != "approved":
        return f"it was {decided.outcome}"
    if approval.binding(request, decided.arguments, edited=decided.edited) != decided.digest:
        return "what was approved is not what was asked"
    effective = decided.arguments if decided.edited else request.arguments
    ref = "" if decided.edited else request.arguments_ref
    made = ran.call
    if (made.tool, made.arguments_ref) != (request.tool, ref) or (not ref and made.arguments != effective):
        return "something else was granted"
    return "" if ran.approved == decided.digest else "its grant names another approval"


def billed(tree: Tree, report: Report) -> None:
    """Check that results cost what the run took them for, and that the bill is the sum of what was settled."""
    settled = 0
    for logged in tree.records:
        for event in logged.record.events:
            if isinstance(event, run.Took):
                for taken in event.results:
                    _cost(tree, taken, report)
            elif isinstance(event, guard.Settled):
                settled += sum(cost for _, cost, _ in event.entries)
            elif isinstance(event, guard.Closed) and event.run == ids.tree_of(event.run):
                report.closed = True
                if event.committed_micro_usd != settled:
                    detail = f"the bill is {event.committed_micro_usd:,} micro-USD, and its calls cost {settled:,}"
                    report.say("bill", detail, seq=logged.seq)
    report.count("micro_usd", settled)


def _cost(tree: Tree, taken: run.Taken, report: Report) -> None:
    result = tree.result_of(taken.seq, taken.call)
    if result is None or isinstance(result, call.Refused):
        return
    said = (result.usage.cost_micro_usd, result.usage.input_tokens, result.usage.output_tokens)
    if said != (taken.cost_micro_usd, taken.input_tokens, taken.output_tokens):
        report.say("result", f"the result {taken.seq} is not what the run took it for", seq=taken.seq)


def taken(tree: Tree, messages: set[int], report: Report) -> None:
    """Check that every message that a run took is there."""
    for logged, event in tree.events(run.Took):
        for one in event.results:
            if one.seq not in messages:
                report.say("gap", f"record {logged.seq} took message {one.seq}, which is missing", seq=one.seq)
