"""The turn protocol: inputs wait in a mailbox a key; a key's turn takes what waits, records once, then acknowledges.

Correctness rests on the fence alone. The cache of states, the mailboxes and the order of tasks are optimisations: two
workers that own the same key only cost a lost race, and a state that was cached is read again before an input is
ever dropped because of it.
"""

from collections import OrderedDict
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

import msgspec
import structlog

from callboard import crash
from callboard.actor import Actor, Dead, Input, Seen
from callboard.bus import (
    Bus,
    BusError,
    Conflict,
    Delivery,
    PublishRefused,
    PublishTimeout,
    Puller,
    ack,
    nak,
    objects,
    term,
)
from callboard.dead_letters import bury
from callboard.runtime.following import Follower
from callboard.runtime.inputs import Inputs, Source
from callboard.runtime.journal import LOOK_BACK, RECENT, Held, Journal
from callboard.runtime.tasks import Tasks
from callboard.runtime.timers import arm
from callboard_contracts import guard, run, subjects
from callboard_contracts.journal import Event, Record
from callboard_contracts.registry import Facts

log = structlog.get_logger()

MAX_DELIVERIES = 8
"""An input that failed this often goes to the dead letters."""
_CACHED = 10_000
_BATCH = 64
_RETRIES = 20

S = TypeVar("S")


class _Waiting(msgspec.Struct, frozen=True):
    delivery: Delivery
    message: Input
    puller: Puller


class _Plan(msgspec.Struct, frozen=True):
    """What one turn would do with the inputs that wait."""

    after: Any
    events: tuple[Event, ...]
    causes: tuple[_Waiting, ...]
    seen: tuple[_Waiting, ...]
    dead: tuple[tuple[_Waiting, Dead], ...]


class Worker(Generic[S]):
    """Runs one actor: as many keys at once as have inputs, each key one turn after the other."""

    def __init__(
        self, bus: Bus, groups: int, actor: Actor[S], sources: Sequence[Source], facts: Callable[[], Facts]
    ) -> None:
        self._bus = bus
        self._groups = groups
        self._actor = actor
        self._facts = facts
        self._journal = Journal(bus, groups, actor)
        self._cache: OrderedDict[str, Held[S]] = OrderedDict()
        self._mail: dict[str, list[_Waiting]] = {}
        self._tasks = Tasks()
        self._inputs = Inputs(bus, actor.name, groups, sources, self._receive, self._tasks)
        self._follower = Follower(bus, actor)

    async def start(self) -> None:
        """Begin to take inputs.

        :raises BusError: the broker does not answer.
        """
        await self._inputs.start()

    async def stop(self, grace_s: float = 10.0) -> None:
        """Take no more inputs and finish the turns that have begun. What is left is delivered to another worker."""
        await self._inputs.stop()
        await self._tasks.finish(grace_s)

    async def state(self, address: subjects.Address) -> S:
        """Return an actor's state as the journal has it, for answering questions.

        :raises NoAnswer: the broker does not answer.
        """
        return (await self._journal.load(address)).state

    def _receive(self, source: Source, puller: Puller, delivery: Delivery) -> None:
        try:
            message = source.read(delivery)
        except (ValueError, msgspec.MsgspecError) as error:
            self.spawn(self._bury(delivery, puller, Dead("undecodable", str(error)), ""))
            return
        key = f"{message.address.tenant}.{self._key(message.address)}"
        waiting = self._mail.get(key)
        if waiting is None:
            self._mail[key] = [_Waiting(delivery, message, puller)]
            self.spawn(self._drain(key))
        else:
            waiting.append(_Waiting(delivery, message, puller))

    def _key(self, address: subjects.Address) -> str:
        return address.tree if self._actor.kind == "tree" else address.run

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the turns, to be finished before the worker stops."""
        self._tasks.spawn(work)

    async def _drain(self, key: str) -> None:
        """Take turns for one key until nothing waits."""
        while waiting := self._mail.get(key):
            batch, self._mail[key] = waiting[:_BATCH], waiting[_BATCH:]
            try:
                await self._turns(key, batch)
            except BusError as error:
                log.warning("turn not recorded", actor=self._actor.name, key=key, detail=str(error))
                if _for_good(error):
                    await self._apart(key, batch, error)
                else:
                    self._failed(key, batch)
            except Exception as error:
                log.exception("turn failed", actor=self._actor.name, key=key)
                await self._apart(key, batch, error)
        self._mail.pop(key, None)

    def _failed(self, key: str, batch: Sequence[_Waiting]) -> None:
        """Give the inputs back: the broker delivers them again."""
        self._cache.pop(key, None)
        for waiting in batch:
            nak(self._bus, waiting.delivery, min(30.0, 0.1 * 2**waiting.delivery.delivered))
            waiting.puller.done()

    async def _apart(self, key: str, batch: Sequence[_Waiting], error: Exception) -> None:
        """A bug of ours, or a record that nobody stores: it must not hold up the others, so each gets a turn alone."""
        self._cache.pop(key, None)
        if len(batch) == 1:
            await self._poisoned(key, batch[0], error)
            return
        for waiting in batch:
            try:
                await self._turns(key, [waiting])
            except Exception as single:  # noqa: BLE001 - it was logged with the batch
                await self._poisoned(key, waiting, single)

    async def _poisoned(self, key: str, waiting: _Waiting, error: Exception) -> None:
        """Deliver it again, in the hope that it was not the input; in the end set it aside with the reason."""
        if waiting.delivery.delivered < MAX_DELIVERIES and not _for_good(error):
            self._failed(key, [waiting])
            return
        dead = Dead("poison", f"{type(error).__name__}: {error}")
        await self._bury(waiting.delivery, waiting.puller, dead, waiting.message.id)

    async def _turns(self, key: str, batch: Sequence[_Waiting]) -> None:
        """One turn, decided again as often as another worker was first."""
        address = self._address(batch)
        lost = False
        for attempt in range(_RETRIES):
            cached = self._cache.get(key)
            held = cached or await self._journal.load(address)
            plan = await self._decide(held.state, batch)
            if (plan.seen or plan.dead) and cached is not None:
                self._cache.pop(key, None)
                continue
            try:
                await self._commit(key, address, held, plan)
            except (Conflict, PublishTimeout) as error:
                log.info("turn lost", actor=self._actor.name, key=key, attempt=attempt, reason=type(error).__name__)
                self._cache.pop(key, None)
                lost = True
                continue
            await self._finish(address, plan, lost=lost)
            return
        raise PublishTimeout(f"no turn for {key} after {_RETRIES} tries")

    def _address(self, batch: Sequence[_Waiting]) -> subjects.Address:
        """Whom the record is about: the run that all inputs concern, for a tree's mixed turn the root."""
        first = batch[0].message.address
        if self._actor.kind != "tree":
            return first
        same = all(waiting.message.address.run == first.run for waiting in batch)
        return subjects.Address(first.tenant, "tree", first.tree, first.run if same else first.tree)

    async def _decide(self, state: S, batch: Sequence[_Waiting]) -> _Plan:
        facts = self._facts()
        events: list[Event] = []
        causes: list[_Waiting] = []
        seen: list[_Waiting] = []
        dead: list[tuple[_Waiting, Dead]] = []
        for waiting in batch:
            decision = self._actor.decide(state, await self._complete(state, waiting.message), facts)
            match decision:
                case Seen():
                    seen.append(waiting)
                case Dead():
                    dead.append((waiting, decision))
                case _:
                    causes.append(waiting)
                    events += decision
                    for event in decision:
                        state = self._actor.evolve(state, event)
        return _Plan(state, tuple(events), tuple(causes), tuple(seen), tuple(dead))

    async def _complete(self, state: S, message: Input) -> Input:
        """Fetch what the body only refers to and the decision needs."""
        wanted = self._actor.reads(state, message.body)
        found = {seq: await self._journal.read(message.address, seq) for seq in wanted}
        records = {seq: record for seq, record in found.items() if record is not None}
        needed = [digest for body in (message.body, *records.values()) for digest in self._actor.needs(body)]
        if not needed and not records:
            return message
        blobs = {digest: await objects.get_blob(self._bus, digest) for digest in needed}
        return msgspec.structs.replace(message, blobs=blobs, records=records)

    async def _commit(self, key: str, address: subjects.Address, held: Held[S], plan: _Plan) -> None:
        """Record the turn and send what follows from it."""
        if not plan.events:
            self._remember(key, held)
            return
        crash.point(f"{self._actor.name}.before_record")
        causes = tuple(waiting.message.id for waiting in plan.causes)
        record = Record(causes=causes, events=plan.events, facts=self._facts().revision)
        new, stored = await self._journal.append(address, held, plan.after, record)
        crash.point(f"{self._actor.name}.after_record")
        self._remember(key, new)
        timer_ms = self._actor.timer_ms(plan.after) if any(map(_arms, plan.events)) else 0
        await self._follower.follow(address, stored, timer_ms)
        crash.point(f"{self._actor.name}.after_commands")

    def _remember(self, key: str, held: Held[S]) -> None:
        self._cache[key] = held
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)

    async def _finish(self, address: subjects.Address, plan: _Plan, *, lost: bool) -> None:
        """Send the commands of turns that were recorded before, set aside what can have none, acknowledge."""
        timer_ms = self._actor.timer_ms(plan.after)
        for waiting in plan.seen:
            most = LOOK_BACK if lost or waiting.delivery.delivered > 1 else RECENT
            record = await self._journal.find(waiting.message.address, waiting.message.id, most)
            if record is not None:
                await self._follower.follow(address, record, timer_ms)
        if timer_ms and any(isinstance(waiting.message.body, run.Wake) for waiting in plan.seen):
            await arm(self._bus, address, timer_ms)  # one that came too early took the place of the one that is due
        for waiting, dead in plan.dead:
            await self._bury(waiting.delivery, waiting.puller, dead, waiting.message.id)
        crash.point(f"{self._actor.name}.before_ack")
        for waiting in (*plan.causes, *plan.seen):
            ack(self._bus, waiting.delivery)
            waiting.puller.done()
        crash.point(f"{self._actor.name}.after_ack")

    async def _bury(self, delivery: Delivery, puller: Puller, dead: Dead, cause: str) -> None:
        """Copy a message to the dead letters with its reason, then take it out of circulation."""
        log.warning("dead letter", actor=self._actor.name, subject=delivery.subject, code=dead.code, reason=dead.reason)
        try:
            await bury(self._bus, self._actor.name, delivery, dead.code, dead.reason, cause)
            term(self._bus, delivery)
        except BusError:
            nak(self._bus, delivery, 1.0)
        puller.done()


def _arms(event: Event) -> bool:
    return isinstance(event, run.Armed | guard.Armed)


def _for_good(error: Exception) -> bool:
    """Whether the broker will never take what an input leads to, such as a record that is too large."""
    return isinstance(error, PublishRefused) and not error.retry
