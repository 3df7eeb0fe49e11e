"""What follows from the guard's records: grants that share one, refusals, and the word to cancelled runs."""

from callboard.actor import Command
from callboard_contracts import call as calls
from callboard_contracts import guard, ids, names, run, subjects
from callboard_contracts.journal import Record


def commands(address: subjects.Address, record: Record) -> list[Command]:
    """Return what is sent because of a record. A lone grant is not: its executors pull the record itself."""
    granted = [event for event in record.events if isinstance(event, guard.Granted)]
    sent = [_send(address, event) for event in granted] if len(granted) > 1 else []
    refused = [_refusal(address, event) for event in record.events if isinstance(event, guard.Refused)]
    cancelled = [event for event in record.events if isinstance(event, guard.Cancelled)]
    return sent + refused + [_told(address, event, name) for event in cancelled for name in event.open]


def _send(address: subjects.Address, event: guard.Granted) -> Command:
    where = subjects.Address.of_tree(address.tenant, ids.run_of(event.call.id))
    subject = where.at("send", f"call.{names.token(event.call.tool)}.{event.call.id}")
    return Command(str(subject), event.call.id, Record(causes=(event.call.id,), events=(event,)), once=True)


def _refusal(address: subjects.Address, event: guard.Refused) -> Command:
    body = calls.Refused(call=event.call, code=event.code, message=event.message)
    return Command(subjects.result(address.tenant, event.call), event.call, body)


def _told(address: subjects.Address, event: guard.Cancelled, name: str) -> Command:
    where = subjects.Address.of_run(address.tenant, name).at("in", "cancel")
    body = run.Cancel(reason=event.reason, principal=event.principal)
    return Command(str(where), f"cancel:{event.run}:{name}", body)
