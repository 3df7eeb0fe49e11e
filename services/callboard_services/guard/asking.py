"""What follows when people are asked, answer, or need not answer any more."""

from collections.abc import Iterable
from typing import assert_never

from callboard.actor import Command
from callboard_contracts import approval, guard, ids, run, subjects
from callboard_contracts.call import Completed
from callboard_services.guard.telling import tell

_Event = guard.Held | guard.Answered | guard.Withdrawn | guard.Waiting


def commands(address: subjects.Address, event: _Event) -> Iterable[Command]:
    """Return what is sent: requests and withdrawals, answers as results, and to each run what it waits for."""
    match event:
        case guard.Held():
            return [_beside(address, one.id, "held", one) for one in event.requests]
        case guard.Withdrawn():
            reason = event.reason
            words = {call: approval.Withdraw(request=call, reason=reason) for call in event.calls}
            return [_beside(address, call, "withdrawn", word) for call, word in words.items()]
        case guard.Answered():
            body = Completed(call=event.call, output={"answer": event.answer, "by": event.by})
            where = subjects.Address.of_run(address.tenant, ids.run_of(event.call)).at("in", "answer")
            return [Command(str(where), event.call, body)]
        case guard.Waiting():
            return [
                tell(address, w.run, f"park:{event.nth}", run.Park(nth=event.nth, calls=w.calls)) for w in event.runs
            ]
        case _:
            assert_never(event)


def _beside(address: subjects.Address, call: str, kind: str, body: approval.Request | approval.Withdraw) -> Command:
    where = subjects.Address.of_tree(address.tenant, ids.run_of(call)).at("send", f"{kind}.{call}")
    return Command(str(where), f"{kind}:{call}", body, once=True)
