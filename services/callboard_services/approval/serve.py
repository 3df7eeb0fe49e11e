"""The approval service as a process: held calls, votes and timers in; decisions and notices out."""

from typing import Any

from callboard.actor import Input
from callboard.bus import Delivery, layout
from callboard.bus.micro import announce_tool
from callboard.bus.registry import Registry
from callboard.runtime import Source, Worker
from callboard.service import Context
from callboard_contracts import approval, run, subjects, wire
from callboard_services.approval.actor import Approval
from callboard_services.approval.human import ASK
from callboard_services.approval.state import State

_TYPES: dict[str, Any] = {
    "in.vote": approval.Vote,
    "in.timer": run.Wake,
    "send.held": approval.Request,
    "send.withdrawn": approval.Withdraw,
}


def read_input(delivery: Delivery) -> Input:
    """Read a held call, a withdrawal, a vote or a timer: each is about one request.

    :raises ValueError: it is none of them.
    """
    where = subjects.Subject.parse(delivery.stored_subject)
    kind, _, call = where.kind.partition(".")
    type_ = _TYPES.get(f"{where.lane}.{kind}")
    if type_ is None:
        raise ValueError(f"a request does not take {where.lane}.{where.kind}")
    address = subjects.Address.of_request(where.address.tenant, call or where.address.run)
    return Input(delivery.cause, address, wire.decode(delivery.body, type_), delivery.seq, delivery.time_ms)


async def serve(context: Context) -> None:
    """Serve until told to stop."""
    registry = Registry(context.bus)
    await registry.start()
    found = [Source(layout.journal(group), "approval", read_input, group) for group in range(context.groups)]
    worker: Worker[State] = Worker(context.bus, context.groups, Approval(), found, lambda: registry.facts)
    micro = await announce_tool(context.bus, ASK)
    await worker.start()
    context.ready()
    await context.stop.wait()
    await micro.stop()
    await worker.stop()
    await registry.stop()
