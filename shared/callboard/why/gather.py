"""Gathering the facts: a bounded number of reads, of the journal and of what the broker knows of its queues.

Nothing of it needs a planner, a guard, a ledger or an executor that lives.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

import msgspec

from callboard.bus import Bus, BusError, Delivery, layout, reader
from callboard.why import fold
from callboard.why.facts import Came, Durable, Facts, Stored
from callboard_contracts import dead, guard, ids, names, run, subjects, wire
from callboard_contracts.journal import Record
from callboard_contracts.registry import Facts as Registered

MOST_CHILDREN = 16
"""How many sub-agents of one run are followed."""
_MOST_FIRST = 256
_MOST_LETTERS = 1000
_MOST_CAME = 10_000
_PING_S = 0.15


class Edge(msgspec.Struct, frozen=True):
    """From where facts are gathered."""

    bus: Bus
    groups: int
    tenant: str
    most_back: int = 4096
    """How many of the guard's records are read, latest first, before only those about the runs in question are."""

    def stream(self, name: str) -> str:
        """Return the journal that holds a run."""
        return layout.journal_of(ids.tree_of(name), self.groups)


async def gather(edge: Edge, name: str, known: Registered) -> Facts:
    """Return the facts of a run, and of its sub-agents that it waits for.

    Since when its goal is queued is not among them: whoever looks into the queue knows that.

    :raises BusError: the broker does not answer.
    """
    found = await _runs(edge, name)
    floor = min((records[0].seq for records in found.values() if records), default=0)
    tree = await guards(edge, name, floor, paused=[one for one in found if fold.own(found[one]).paused])
    if len(tree) == edge.most_back:
        tree = await _with_first(edge, tree, found)
    whole = fold.tree(tree)
    tools = sorted({asked.call.tool for records in found.values() for asked in fold.own(records).open.values()})
    queues, executors, lanes, letters = await asyncio.gather(
        _queues(edge, name, tools), _executors(edge, tools), _lanes(edge, name), _letters(edge, name)
    )
    facts: dict[str, Facts] = {}
    for one in sorted(found, key=len, reverse=True):
        own = fold.own(found[one])
        facts[one] = Facts(
            now_ms=time.time_ns() // 1_000_000,
            run=one,
            records=found[one],
            tree=tree,
            came=await _came(edge, one, own),
            lanes=lanes,
            queues=queues,
            executors=executors,
            known=frozenset(known.tools),
            problems={tool: entry.problem for tool, entry in known.tools.items() if not entry.admitted},
            granted_at=await _granted_at(edge, whole, own),
            people=await _people(edge, whole, own),
            letters=tuple(letter for letter in letters if _about(letter, one)),
            children={call: facts[call] for call in own.open if call in facts},
        )
    return facts[name]


async def _runs(edge: Edge, name: str) -> dict[str, tuple[Stored, ...]]:
    """Return the last records of a run and of every sub-agent that it or one below it waits for."""
    found: dict[str, tuple[Stored, ...]] = {}
    left = [name]
    while left:
        one = left.pop()
        found[one] = await last_records(edge, one)
        agents = (asked.call for asked in fold.own(found[one]).open.values() if asked.call.tool == names.AGENT)
        left += [call.id for call in agents][:MOST_CHILDREN]
    return found


async def last_records(edge: Edge, name: str) -> tuple[Stored, ...]:
    """Return a run's records since it last asked its model, oldest first: what it waits for is in them.

    :raises BusError: the broker does not answer.
    """
    address = subjects.Address.of_run(edge.tenant, name)
    found: list[Stored] = []
    async for record in backwards(edge, address):
        found.append(record)
        if any(run.asks_model(event) or isinstance(event, run.Ended | run.Refused) for event in record.events):
            break
    return tuple(reversed(found))


async def guards(
    edge: Edge, name: str, floor: int, *, paused: Iterable[str] = (), exact: bool = False
) -> tuple[Stored, ...]:
    """Return the guard's records of a tree after a sequence, oldest first.

    For runs that are `paused`, as far back as a pause that is in force for them; `exact`: each run's own.

    :raises BusError: the broker does not answer.
    """
    found: list[Stored] = []
    resumed: set[str] = set()
    wanted = set(paused)
    async for record in backwards(edge, subjects.Address.of_tree(edge.tenant, name)):
        if (record.seq < floor and not wanted) or len(found) == edge.most_back:
            break
        found.append(record)
        for event in reversed(record.events):
            if isinstance(event, guard.Resumed):
                resumed.add(event.run)
                wanted -= {event.run} if exact else set()
            elif isinstance(event, guard.Opened) and event.paused and event.run not in resumed:
                wanted.add(event.run)  # it began under a pause, of which it may not have heard
            elif isinstance(event, guard.Paused) and event.run not in resumed:
                wanted = {one for one in wanted if event.run not in ((one,) if exact else ids.lineage(one))}
    return tuple(reversed(found))


async def _with_first(edge: Edge, tree: tuple[Stored, ...], runs: dict[str, tuple[Stored, ...]]) -> tuple[Stored, ...]:
    """Return the guard's records with the first ones about each run: what decided its calls is among them."""
    found = {record.seq: record for record in tree}
    for name, records in runs.items():
        about = f"{subjects.Address.of_tree(edge.tenant, name)}.log.>"
        left = _MOST_FIRST
        async for message in reader.scan(edge.bus, edge.stream(name), about, records[0].seq if records else 1):
            found[message.seq] = _stored(message)
            left -= 1
            if not left:
                break
    return tuple(found[seq] for seq in sorted(found))


def _stored(found: Delivery) -> Stored:
    record = wire.decode(found.body, Record)
    return Stored(
        seq=found.seq,
        time_ms=found.time_ms,
        run=subjects.Subject.parse(found.stored_subject).address.run,
        causes=record.causes,
        events=record.events,
        genesis=record.genesis,
    )


async def backwards(edge: Edge, address: subjects.Address) -> AsyncIterator[Stored]:
    """Yield an actor's records, the last one first.

    :raises BusError: the broker does not answer.
    """
    async for found in reader.backwards(edge.bus, edge.stream(address.run), address.fence):
        yield _stored(found)


async def _came(edge: Edge, name: str, own: fold.Own) -> tuple[Came, ...]:
    """Return the inputs of a run since its last records began; of one that ended none matters."""
    if own.ended is not None:
        return ()
    where = f"{subjects.Address.of_run(edge.tenant, name)}.in.>"
    found: list[Came] = []
    async for message in reader.scan(edge.bus, edge.stream(name), where, max(1, own.begun)):
        kind = subjects.Subject.parse(message.stored_subject).kind
        found.append(Came(seq=message.seq, time_ms=message.time_ms, call=_answered(message.body), kind=kind))
        if len(found) == _MOST_CAME:
            break
    return tuple(found)


class _Answer(msgspec.Struct, frozen=True):
    """As much of a result as says whose it is."""

    call: str = ""


def _answered(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Answer).call
    except msgspec.MsgspecError:  # it will be set aside
        return ""


async def _granted_at(edge: Edge, tree: fold.Tree, own: fold.Own) -> dict[str, int]:
    """Return where the executors of each open call find its grant: the guard's record, or a message of its own."""
    found: dict[str, int] = {}
    for call in own.open:
        if call in tree.granted:
            grant, _, seq = tree.granted[call]
            where = subjects.Address.of_tree(edge.tenant, ids.run_of(call))
            kind = f"call.{names.token(grant.call.tool)}.{call}"
            sent = await reader.last(edge.bus, edge.stream(call), str(where.at("send", kind)))
            found[call] = sent.seq if sent is not None else seq
    return found


async def _people(edge: Edge, tree: fold.Tree, own: fold.Own) -> dict[str, tuple[Stored, ...]]:
    """Return the records of the requests about open calls."""
    found: dict[str, tuple[Stored, ...]] = {}
    for call in own.open:
        if call in tree.asked:
            where = subjects.Address.of_request(edge.tenant, call)
            found[call] = tuple(reversed([record async for record in backwards(edge, where)]))
    return found


async def _queues(edge: Edge, name: str, tools: Iterable[str]) -> dict[str, Durable]:
    found = {tool: await _durable(edge.bus, edge.stream(name), names.durable(tool)) for tool in tools}
    return {tool: durable for tool, durable in found.items() if durable is not None}


async def _lanes(edge: Edge, name: str) -> dict[str, Durable]:
    stream = edge.stream(name)
    where = {"goals": (layout.GOALS, "planner"), "planner": (stream, "planner"), "guard": (stream, "guard")}
    where |= {"approval": (stream, "approval")}
    found = {lane: await _durable(edge.bus, *at) for lane, at in where.items()}
    return {lane: durable for lane, durable in found.items() if durable is not None}


async def _durable(bus: Bus, stream: str, durable: str) -> Durable | None:
    """Return a queue, None when there is none."""
    try:
        info = await bus.api(f"CONSUMER.INFO.{stream}.{durable}")
    except BusError:
        return None
    return Durable(
        pulls=info.get("num_waiting", 0),
        pending=info.get("num_pending", 0),
        unanswered=info.get("num_ack_pending", 0),
        delivered=info.get("delivered", {}).get("stream_seq", 0),
    )


async def _executors(edge: Edge, tools: Iterable[str]) -> dict[str, int]:
    """Return how many executors of each tool answer, in whatever account they are."""
    wanted = list(tools)
    answers = await asyncio.gather(
        *(edge.bus.gather(f"$SRV.PING.{names.token(tool)}", b"", window_s=_PING_S) for tool in wanted)
    )
    return {tool: len(answer) for tool, answer in zip(wanted, answers, strict=True)}


async def _letters(edge: Edge, name: str) -> tuple[dead.Letter, ...]:
    """Return the latest dead letters of a tree."""
    last = (await edge.bus.api(f"STREAM.INFO.{layout.DEAD}"))["state"]["last_seq"]
    found: list[dead.Letter] = []
    start = max(1, last - _MOST_LETTERS)
    async for message in reader.scan(edge.bus, layout.DEAD, subjects.dead(edge.tenant, "*"), start):
        try:
            letter = wire.decode(message.body, dead.Letter)
        except msgspec.MsgspecError:
            continue
        if ids.tree_of(name) in (letter.id, *letter.subject.split(".")):
            found.append(letter)
    return tuple(found)


def _about(letter: dead.Letter, name: str) -> bool:
    return name in (letter.id, *letter.subject.split("."))
