"""Plays planner, guard and executors: writes runs as those would, for whatever only reads them.

    await Play(BusSink(bus)).write(run_id, rounds=3)

A `Sink` takes each message and says its sequence: the broker's, or a list in memory.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from callboard.bus import Bus
from callboard_contracts import call, goal, guard, ids, journal, model, names, run, subjects, wire
from callboard_contracts.run import IN_FULL

MODEL_NAME = "stub"
_STATUS: dict[type, Any] = {call.Completed: "completed", call.Failed: "failed", call.Lost: "lost"}


class Sink(Protocol):
    """Where messages go."""

    async def put(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        """Store a message and return its sequence."""
        ...


class BusSink:
    """Stores in the journal of a broker."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        """Publish and wait until it is stored."""
        return (await self._bus.publish(subject, body, headers)).seq


class ListSink:
    """Keeps subject, sequence and body in memory."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, int, bytes]] = []

    async def put(self, subject: str, body: bytes, headers: dict[str, str]) -> int:  # noqa: ARG002 - a Sink's
        """Append to the list."""
        self.messages.append((subject, len(self.messages) + 1, body))
        return len(self.messages)


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of a run cost, in micro-USD."""

    model: int = 120
    tool: int = 0
    reserved: int = 500


class Play:
    """Writes whole runs or single records of one tenant, each fenced on its actor's last record."""

    def __init__(self, sink: Sink, *, tenant: str = "default", now_ms: int = 1_767_225_600_000) -> None:
        self._sink = sink
        self._tenant = tenant
        self._now_ms = now_ms
        self._last: dict[str, int] = {}
        self._links: dict[str, str] = {}

    async def record(self, actor: subjects.Actor, run_id: str, *events: journal.Event, cause: str = "") -> int:
        """Append one record of the planner (`run`) or the guard (`tree`) and return its sequence."""
        address = subjects.Address(self._tenant, actor, ids.tree_of(run_id), run_id)
        before = self._last.get(address.fence, 0)
        headers = {
            wire.ID: f"{actor}:{run_id}@{before}",
            wire.TYPE: wire.type_of(journal.Record),
            wire.FENCE: str(before),
            wire.FENCE_SUBJECT: address.fence,
        }
        link = self._links.get(address.fence, "")
        body = wire.encode(journal.Record(causes=(cause or f"after-{before}",), events=events, link=link))
        seq = await self._sink.put(str(address.at("log", kind_of(events))), body, headers)
        self._last[address.fence], self._links[address.fence] = seq, journal.link_of(body)
        return seq

    async def result(self, result: call.Result) -> int:
        """Publish the result of a call, as its executor would, and return its sequence."""
        headers = {wire.ID: result.call, wire.TYPE: wire.type_of(type(result))}
        return await self._sink.put(subjects.result(self._tenant, result.call), wire.encode(result), headers)

    async def accept(self, run_id: str, *, submit: goal.Submit | None = None, skill: str = "", parent: str = "") -> int:
        """Start a run: accepted, and opened by the guard."""
        submitted = submit or goal.Submit(id=run_id, objective="Find the total.")
        accepted = run.Accepted(
            goal=submitted,
            goal_digest="0" * 64,
            contract=submitted.contract or {"type": "string"},
            model=MODEL_NAME,
            skill=skill,
            parent=parent,
            deadline_ms=self._now_ms + 600_000,
        )
        seq = await self.record("run", run_id, accepted, cause=run_id)
        await self.record("tree", run_id, guard.Opened(run=run_id, limits=submitted.limits, parent=parent))
        return seq

    async def call(
        self, run_id: str, turn: int, tool: str, result: Callable[[str], call.Result], costs: Costs, told: Any = ()
    ) -> run.Taken:
        """Write one call from its proposal to its result, as yet not taken. `told` are settlements."""
        call_id = ids.call_id(run_id, turn, 0)
        wanted = call.Call(id=call_id, tool=tool, arguments={"path": "invoice-7.txt"})
        called = run.Called(turn=turn, at_ms=self._now_ms, calls=(wanted,), settled=tuple(told))
        source = await self.record("run", run_id, called)
        granted = guard.Granted(
            call=wanted, source=source, expires_ms=self._now_ms + 60_000, reserved_micro_usd=costs.reserved
        )
        settled = (guard.Settled(entries=tuple(told)),) if told else ()
        await self.record("tree", run_id, *settled, granted)
        came = result(call_id)
        return taken_of(came, tool, await self.result(came))

    async def write(
        self,
        run_id: str,
        *,
        rounds: int = 2,
        costs: Costs | None = None,
        submit: goal.Submit | None = None,
        skill: str = "",
        status: run.Status = "completed",
        output: Any = "128.50 EUR",
    ) -> int:
        """Write a whole run: per round a model call and a tool call, then an answer. Returns the ending's sequence."""
        prices = costs or Costs()
        await self.accept(run_id, submit=submit, skill=skill, parent=ids.run_of(run_id) if "-" in run_id else "")
        told: list[run.Settlement] = []
        total = 0
        for turn in range(1, 2 * rounds + 1):
            tool = names.MODEL if turn % 2 else "files.read"
            price = prices.model if turn % 2 else prices.tool
            taken = await self.call(run_id, turn, tool, answer(tool, price), prices, told)
            await self.record("run", run_id, run.Took(results=(taken,)))
            told = [(taken.call, price, taken.input_tokens + taken.output_tokens)]
            total += price
        return await self.end(run_id, status, output, total, told, turns=rounds)

    async def end(
        self,
        run_id: str,
        status: run.Status,
        output: Any,
        total: int,
        told: list[run.Settlement],
        *,
        turns: int = 1,
        unanswered: tuple[str, ...] = (),
    ) -> int:
        """End a run, and let the guard settle and close it; what never answered costs `IN_FULL`."""
        done = status == "completed"
        ended = run.Ended(
            status=status,
            output=output if done else None,
            code="" if done else "gave_up",
            reason="" if done else "There is no such file.",
            turns=turns,
            calls=2 * turns,
            cost_micro_usd=total,
            settled=tuple(told),
            open=unanswered,
        )
        seq = await self.record("run", run_id, ended)
        entries = (*told, *((call_id, IN_FULL, 0) for call_id in unanswered))
        settled = (guard.Settled(entries=entries),) if entries else ()
        await self.record("tree", run_id, *settled, guard.Closed(run=run_id, committed_micro_usd=total))
        return seq


def kind_of(events: tuple[journal.Event, ...]) -> str:
    """Return the kind of a record: its last event's, or what the guard calls it, whose kinds are no run's."""
    grants = [event for event in events if isinstance(event, guard.Granted)]
    if len(grants) == 1:
        return f"call.{names.token(grants[0].call.tool)}"
    if grants:
        return "calls"
    return "refusal" if isinstance(events[-1], guard.Refused) else type(events[-1]).__name__.lower()


def answer(tool: str, cost: int) -> Callable[[str], call.Result]:
    """Return what makes the result of a call that went well."""
    if tool == names.MODEL:
        usage = call.Usage(cost_micro_usd=cost, input_tokens=310, output_tokens=22, model=MODEL_NAME, duration_ms=640)
        said = model.Answer(text="I need the file.", asks=(model.Ask(tool="files.read", arguments={"path": "a"}),))
        return lambda call_id: call.Completed(call=call_id, output=msgspec.to_builtins(said), usage=usage)
    usage = call.Usage(cost_micro_usd=cost, duration_ms=3)
    return lambda call_id: call.Completed(call=call_id, output={"text": "Total: 128.50 EUR"}, usage=usage)


def taken_of(result: call.Result, tool: str, seq: int) -> run.Taken:
    """Return a result as the planner takes it."""
    if isinstance(result, call.Refused):
        return run.Taken(
            call=result.call, tool=tool, status="refused", seq=seq, code=result.code, message=result.message
        )
    usage = result.usage
    return run.Taken(
        call=result.call,
        tool=tool,
        status=_STATUS[type(result)],
        seq=seq,
        cost_micro_usd=usage.cost_micro_usd,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        duration_ms=usage.duration_ms,
        model=usage.model,
        unpriced=usage.unpriced,
        estimated=usage.estimated,
        price=usage.price,
        code=result.code if isinstance(result, call.Failed) else "",
        message="" if isinstance(result, call.Completed) else result.message,
    )
