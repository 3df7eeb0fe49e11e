"""What follows from the guard's records: grants that share one, refusals, and the word to the runs that it concerns."""

from collections.abc import Iterable, Sequence

import msgspec

from callboard.actor import Command
from callboard_contracts import call as calls
from callboard_contracts import guard, ids, names, run, subjects
from callboard_contracts.journal import Event, Record


def commands(address: subjects.Address, record: Record) -> list[Command]:
    """Return what is sent because of a record. A lone grant is not: its executors pull the record itself."""
    return [command for event in record.events for command in _follows(address, event, alone(record.events))]


def alone(events: Sequence[Event]) -> guard.Granted | None:
    """Return the grant that is command and record in one: the only one, and nothing said to people beside it."""
    granted = [event for event in events if isinstance(event, guard.Granted)]
    said = any(isinstance(event, guard.Cancelled | guard.Resumed) for event in events)
    return granted[0] if len(granted) == 1 and not said else None


def _follows(address: subjects.Address, event: Event, lone: guard.Granted | None) -> Iterable[Command]:
    match event:
        case guard.Granted() if lone is None:
            return [_send(address, event)]
        case guard.Refused():
            body = calls.Refused(call=event.call, code=event.code, message=event.message)
            return [Command(subjects.result(address.tenant, event.call), event.call, body)]
        case guard.Opened() if event.paused:
            return [_tell(address, event.run, f"pause:{event.paused}", run.Pause(nth=event.paused))]
        case guard.Opened() if event.resumed:
            return [_tell(address, event.run, f"resume:{event.resumed}", run.Resume(nth=event.resumed))]
        case guard.Cancelled() | guard.Paused() | guard.Resumed() | guard.Steered():
            cause, word = _word(event)
            return [_tell(address, name, cause, word) for name in event.open]
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


def _tell(address: subjects.Address, name: str, cause: str, word: msgspec.Struct) -> Command:
    lane = "cancel" if isinstance(word, run.Cancel) else "control"
    where = subjects.Address.of_run(address.tenant, name).at("in", lane)
    return Command(str(where), f"{cause}:{name}", word)
