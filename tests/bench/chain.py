"""The chain: what three hops cost on this substrate when nobody decides anything. A reference for the system.

A step is a turn record, a grant record and a result: three messages, each pulled by the next of three consumers, which
publishes a fixed body, waits until the broker has stored it, and acknowledges what it took. The next step begins when
the result of the one before was stored and delivered. Streams, subjects and processes are the system's; there is one
short header, no fence, no task and no future a message.
"""

from collections.abc import Awaitable, Callable

from callboard.bus import Bus, Delivery, Puller, layout
from callboard.service import Context
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Record
from callboard_contracts.run import Ended
from tests.bench import stubs
from tests.bench.hop import Handler, Hop

LEFT = "n"
"""The header: how many steps the run still has, this one included."""
TURN, GRANT, MODEL_RESULT, TOOL_RESULT = b"t" * 300, b"g" * 350, b"m" * 1000, b"r" * 200
"""Of the size that the system's bodies have."""
_ENDED = wire.encode(Record(causes=(), events=(Ended(status="completed"),)))
_PLANNER, _GUARD, _EXECUTOR = "chain-planner", "chain-guard", "chain-executor"
_FILTERS = {
    _PLANNER: "cb.*.run.*.*.*.in.>",
    _GUARD: "cb.*.run.*.*.*.log.called",
    _EXECUTOR: "cb.*.tree.*.*.*.log.call.>",
}


async def provision(bus: Bus, groups: int, ack_wait_s: float) -> None:
    """Create the system's streams and the chain's consumers."""
    for config in layout.streams(groups):
        await bus.api(f"STREAM.CREATE.{config['name']}", config)
    wanted = [(layout.GOALS, _PLANNER, "cb.*.goal.*")]
    wanted += [(layout.journal(group), durable, what) for group in range(groups) for durable, what in _FILTERS.items()]
    for stream, durable, what in wanted:
        await layout.create_consumer(bus, stream, layout.consumer(durable, [what], ack_wait_s=ack_wait_s))


def _left(block: bytes) -> int:
    start = block.index(b"\nn: ") + 4
    return int(block[start : block.index(b"\r", start)])


def _block(left: int) -> bytes:
    return b"NATS/1.0\r\nn: %d\r\n\r\n" % left


def on_goal(hop: Hop, puller: Puller, delivery: Delivery) -> None:
    """Begin a run."""
    run = subjects.Address.of_run("default", delivery.body.decode())
    hop.publish(f"{run}.log.called", TURN, _block(_left(delivery.block)), puller, delivery)


def on_result(hop: Hop, puller: Puller, delivery: Delivery) -> None:
    """Take the next turn, or end."""
    run, left = delivery.subject.rsplit(".", 2)[0], _left(delivery.block) - 1
    subject, body = (f"{run}.log.called", TURN) if left else (f"{run}.log.ended", _ENDED)
    hop.publish(subject, body, _block(left), puller, delivery)


def on_turn(hop: Hop, puller: Puller, delivery: Delivery) -> None:
    """Grant."""
    run = delivery.subject.rsplit(".", 2)[0].replace(".run.", ".tree.", 1)
    hop.publish(f"{run}.log.call.echo", GRANT, delivery.block, puller, delivery)


def on_grant(hop: Hop, puller: Puller, delivery: Delivery) -> None:
    """Answer: a model's word and a tool's in turn."""
    run, left = delivery.subject.rsplit(".", 3)[0].replace(".tree.", ".run.", 1), _left(delivery.block)
    if stubs.TELL:
        hop.bus.send(stubs.EXECUTED, f"{run}-{left}".encode())
    hop.publish(f"{run}.in.result", MODEL_RESULT if left % 2 else TOOL_RESULT, delivery.block, puller, delivery)


def serving(durable: str, handler: Handler) -> Callable[[Context], Awaitable[None]]:
    """Return the service of one hop."""

    async def serve_hop(context: Context) -> None:
        hop = Hop(context.bus)
        await hop.start()
        sources = [(layout.journal(group), handler) for group in range(context.groups)]
        sources += [(layout.GOALS, on_goal)] if durable == _PLANNER else []
        pullers = [await hop.pull(stream, durable, each) for stream, each in sources]
        context.ready()
        await context.stop.wait()
        for puller in pullers:
            await puller.stop()

    return serve_hop


ROLES = {
    _PLANNER: serving(_PLANNER, on_result),
    _GUARD: serving(_GUARD, on_turn),
    _EXECUTOR: serving(_EXECUTOR, on_grant),
}
