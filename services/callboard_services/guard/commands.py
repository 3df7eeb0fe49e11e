"""What follows from the guard's records: grants that share one, refusals, and the word to the runs that it concerns."""

from collections.abc import Iterable, Sequence

import msgspec

from callboard.actor import Command
from callboard_contracts import call as calls
from callboard_contracts import guard, ids, names, run, subjects
from callboard_contracts.journal import Event, Record
from callboard_services.guard import asking
from callboard_services.guard.telling import tell

_SHOWN = 4_000


def commands(address: subjects.Address, record: Record) -> list[Command]:
    """Return what is sent because of a record. A lone grant is not: its executors pull the record itself."""
    return [command for event in record.events for command in _follows(address, event, alone(record.events))]


def alone(events: Sequence[Event]) -> guard.Granted | None:
    """Return the grant that is command and record in one: the only one, and nothing said to people beside it."""
    granted = [event for event in events if isinstance(event, guard.Granted)]
    said = any(isinstance(event, guard.Cancelled | guard.Resumed | guard.Held) for event in events)
    return granted[0] if len(granted) == 1 and not said else None


def _follows(address: subjects.Address, event: Event, lone: guard.Granted | None) -> Iterable[Command]:
    match event:
        case guard.Granted():
            return ([_send(address, event)] if lone is None else []) + (
                [_edited(address, event)] if event.edited else []
            )
        case guard.Refused():
            body = calls.Refused(call=event.call, code=event.code, message=event.message, ends=event.ends)
            return [Command(subjects.result(address.tenant, event.call), event.call, body)]
        case guard.Held() | guard.Answered() | guard.Withdrawn() | guard.Waiting():
            return asking.commands(address, event)
        case guard.Opened() if event.paused:
            return [tell(address, event.run, f"pause:{event.paused}", run.Pause(nth=event.paused))]
        case guard.Opened() if event.resumed:
            return [tell(address, event.run, f"resume:{event.resumed}", run.Resume(nth=event.resumed))]
        case guard.Cancelled() | guard.Paused() | guard.Resumed() | guard.Steered():
            cause, word = _word(event)
            return [tell(address, name, cause, word) for name in event.open]
        case _:
            return []


def _send(address: subjects.Address, event: guard.Granted) -> Command:
    where = subjects.Address.of_tree(address.tenant, ids.run_of(event.call.id))
    subject = where.at("send", f"call.{names.token(event.call.tool)}.{event.call.id}")
    return Command(str(subject), event.call.id, Record(causes=(event.call.id,), events=(event,)), once=True)


def _word(event: guard.Cancelled | guard.Paused | guard.Resumed | guard.Steered) -> tuple[str, msgspec.Struct]:
    """Return what a run is told, and whence: said again, it is known by that."""
    match event:
        case guard.Cancelled():
            return f"cancel:{event.run}", run.Cancel(reason=event.reason, principal=event.principal)
        case guard.Paused():
            return f"pause:{event.nth}", run.Pause(nth=event.nth, reason=event.reason, principal=event.principal)
        case guard.Resumed():
            return f"resume:{event.nth}", run.Resume(nth=event.nth, principal=event.principal)
        case guard.Steered():
            return event.id, run.Steer(text=event.text, principal=event.principal)


def _edited(address: subjects.Address, grant: guard.Granted) -> Command:
    """Tell the model what ran instead of what it asked for."""
    by, call = ", ".join(grant.approved_by), grant.call
    shown = msgspec.json.encode(call.arguments).decode()[:_SHOWN]
    text = f"{by} approved your call {call.id} of {call.tool} with other arguments; it runs with {shown}"
    return tell(address, ids.run_of(call.id), f"edited:{call.id}", run.Steer(text=text, principal=by))
