"""The guard as a process: the records of runs in; grants, refusals and settlements out."""

from typing import Any

from callboard.actor import Input
from callboard.bus import Delivery, layout
from callboard.bus.registry import Registry
from callboard.runtime import Source, Worker
from callboard.service import Context
from callboard_contracts import guard, run, subjects, wire
from callboard_contracts.journal import Record
from callboard_services.guard.actor import Guard
from callboard_services.guard.state import State

_TYPES: dict[str, Any] = {"control": guard.Control, "decided": guard.Decide, "timer": run.Wake}


def read_record(delivery: Delivery) -> Input:
    """Read a run's record, a word of control, what people decided, or a timer: the tree decides about it.

    :raises ValueError: it is none of them.
    """
    where = subjects.Subject.parse(delivery.stored_subject)
    address = subjects.Address.of_tree(where.address.tenant, where.address.run)
    body = wire.decode(delivery.body, _TYPES.get(where.kind, Record) if where.lane == "in" else Record)
    return Input(delivery.cause, address, body, delivery.seq, delivery.time_ms)


async def serve(context: Context) -> None:
    """Serve until told to stop."""
    registry = Registry(context.bus)
    await registry.start()
    found = [Source(layout.journal(group), "guard", read_record, group) for group in range(context.groups)]
    worker: Worker[State] = Worker(context.bus, context.groups, Guard(), found, lambda: registry.facts)
    await worker.start()
    context.ready()
    await context.stop.wait()
    await worker.stop()
    await registry.stop()
