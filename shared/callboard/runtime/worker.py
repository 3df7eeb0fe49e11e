"""The turn protocol: inputs wait in a mailbox a key; a key's turn takes what waits, records once, then acknowledges.

Correctness rests on the fence alone. The cache of states, the mailboxes and the order of tasks are optimisations: two
workers that own the same key only cost a lost race, and a state that was cached is read again before an input is
ever dropped because of it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import structlog

from callboard import crash
from callboard.actor import Actor, Dead
from callboard.bus import (
    Bus,
    BusError,
    Conflict,
    Delivery,
    PubAck,
    PublishRefused,
    PublishTimeout,
    Puller,
    ack,
    layout,
    nak,
    term,
)
from callboard.dead_letters import bury
from callboard.runtime.completing import Completer
from callboard.runtime.following import Follower
from callboard.runtime.inputs import Inputs, Source
from callboard.runtime.journal import LOOK_BACK, RECENT, Held, Journal, Written
from callboard.runtime.states import States
from callboard.runtime.timers import arm
from callboard.runtime.turn import Draft, Plan, Waiting, address_of
from callboard.tasks import Tasks
from callboard_contracts import approval, guard, run, subjects
from callboard_contracts.journal import Record
from callboard_contracts.registry import Facts

log = structlog.get_logger()

MAX_DELIVERIES = 8
"""An input that failed this often goes to the dead letters."""
_BATCH = 64
_RETRIES = 20

S = TypeVar("S")


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
        self._states: States[S] = States()
        self._completer = Completer(bus, self._journal, actor)
        self._mail: dict[str, list[Waiting]] = {}
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
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._mail:  # noqa: ASYNC110 - a turn that is taken at once is no task that one could wait for
                    await asyncio.sleep(0.005)
        await self._tasks.finish(grace_s)

    async def state(self, address: subjects.Address) -> S:
        """Return an actor's state as the journal has it, for answering questions.

        :raises NoAnswer: the broker does not answer.
        """
        return (await self._journal.load(address)).state

    def _receive(self, source: Source, puller: Puller, delivery: Delivery) -> None:
        try:
            message = source.read(delivery)
        except Exception as error:  # noqa: BLE001 - whatever a stranger managed to send must not stay undelivered
            self.spawn(self._bury(delivery, puller, Dead("undecodable", str(error)), ""))
            return
        key = f"{message.address.tenant}.{self._key(message.address)}"
        waiting = Waiting(delivery, message, puller)
        if key in self._mail:
            self._mail[key].append(waiting)
        else:
            self._mail[key] = [waiting]
            self._next(key)

    def _next(self, key: str) -> None:
        """Let a key take its next turn: at once when its state is known, else beside the others."""
        if not self._at_once(key):
            self.spawn(self._drain(key))

    def _at_once(self, key: str) -> bool:
        """Take a turn without a task: decide here, in the reader, and go on when the record is stored.

        This is what nearly every turn is. Whatever is not as usual is left to `_drain`, which takes the turn anew.
        """
        batch = self._mail[key][:_BATCH]
        held = self._known(key, batch)
        if held is None or any(self._completer.refers(held.state, waiting.message.body) for waiting in batch):
            return False
        address = address_of(self._actor, batch)
        try:
            draft = Draft(self._actor, held.state, self._facts())
            for waiting in batch:
                draft.take(waiting, waiting.message)
            plan = draft.plan()
            if not plan.usual:
                return False
            crash.point(f"{self._actor.name}.before_record")
            written = self._journal.write(address, held, plan.after, self._record(plan))
            then = partial(self._answered, key, address, plan, written)
            self._bus.publish_then(written.subject, written.body, written.headers, then)
        except Exception:  # noqa: BLE001 - it happens again in `_drain`, which knows what to do about it
            return False
        del self._mail[key][: len(batch)]
        return True

    def _known(self, key: str, batch: Sequence[Waiting]) -> Held[S] | None:
        """Return the state of a key, when it need not be read: it is kept, or there is none yet."""
        held = self._states.get(key)
        if held is None and self._actor.begins(batch[0].message.body) and batch[0].delivery.delivered == 1:
            return Held(self._actor.initial())
        return held

    def _answered(
        self, key: str, address: subjects.Address, plan: Plan, written: Written[S], answer: PubAck | BusError
    ) -> None:
        """The broker's word on a record: what follows is done, and the key goes on."""
        if isinstance(answer, BusError):
            log.info("turn lost", actor=self._actor.name, key=key, reason=type(answer).__name__)
            self._states.forget(key)
            self._mail[key][:0] = plan.causes
            self.spawn(self._drain(key))
            return
        crash.point(f"{self._actor.name}.after_record")
        self._keep(key, written.stored(answer.seq))
        if _timed(plan) or self._actor.commands(address, written.record):
            self.spawn(self._follow_then(key, address, plan, written))
            return
        self._acknowledge(plan)
        self._go_on(key)

    async def _follow_then(self, key: str, address: subjects.Address, plan: Plan, written: Written[S]) -> None:
        try:
            await self._follow(address, plan, written)
        except Exception as error:  # noqa: BLE001 - delivered again, the inputs lead to the same commands
            log.warning("not all was sent", actor=self._actor.name, key=key, detail=str(error) or type(error).__name__)
            self._failed(key, plan.causes)
        else:
            self._acknowledge(plan)
        self._go_on(key)

    def _keep(self, key: str, held: Held[S]) -> None:
        """Keep a state, unless its actor is done: what comes late for it is read from its last record."""
        if self._actor.finished(held.state):
            self._states.forget(key)
        else:
            self._states.keep(key, held)

    def _go_on(self, key: str) -> None:
        if self._mail[key]:
            self._next(key)
        else:
            del self._mail[key]

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

    def _failed(self, key: str, batch: Sequence[Waiting]) -> None:
        """Give the inputs back: the broker delivers them again."""
        self._states.forget(key)
        for waiting in batch:
            nak(self._bus, waiting.delivery, min(30.0, 0.1 * 2**waiting.delivery.delivered))
            waiting.puller.done()

    async def _apart(self, key: str, batch: Sequence[Waiting], error: Exception) -> None:
        """A bug of ours, or a record that nobody stores: it must not hold up the others, so each gets a turn alone."""
        self._states.forget(key)
        if len(batch) == 1:
            await self._poisoned(key, batch[0], error)
            return
        for waiting in batch:
            try:
                await self._turns(key, [waiting])
            except Exception as single:  # noqa: BLE001 - it was logged with the batch
                await self._poisoned(key, waiting, single)

    async def _poisoned(self, key: str, waiting: Waiting, error: Exception) -> None:
        """Deliver it again, in the hope that it was not the input; in the end set it aside with the reason."""
        if waiting.delivery.delivered < MAX_DELIVERIES and not _for_good(error):
            self._failed(key, [waiting])
            return
        dead = Dead("poison", f"{type(error).__name__}: {error}")
        await self._bury(waiting.delivery, waiting.puller, dead, waiting.message.id)

    async def _turns(self, key: str, batch: Sequence[Waiting]) -> None:
        """One turn, decided again as often as another worker was first."""
        address = address_of(self._actor, batch)
        lost = False
        for attempt in range(_RETRIES):
            cached = self._states.get(key)
            held = cached or await self._journal.load(address)
            plan = await self._decide(held.state, batch)
            if (plan.seen or plan.dead or plan.later) and cached is not None:
                self._states.forget(key)
                continue
            try:
                await self._commit(key, address, held, plan)
            except (Conflict, PublishTimeout) as error:
                log.info("turn lost", actor=self._actor.name, key=key, attempt=attempt, reason=type(error).__name__)
                self._states.forget(key)
                lost = True
                if isinstance(error, PublishTimeout):  # a stream without a leader says so at once: give it a moment
                    await asyncio.sleep(min(1.0, 0.02 * 2**attempt))
                continue
            await self._finish(address, plan, lost=lost)
            if plan.later:
                self._failed(key, plan.later)
            return
        raise PublishTimeout(f"no turn for {key} after {_RETRIES} tries")

    async def _decide(self, state: S, batch: Sequence[Waiting]) -> Plan:
        draft = Draft(self._actor, state, self._facts())
        for waiting in batch:
            draft.take(waiting, await self._completer.complete(draft.state, waiting.message))
        return draft.plan()

    async def _commit(self, key: str, address: subjects.Address, held: Held[S], plan: Plan) -> None:
        """Record the turn and send what follows from it."""
        if not plan.events:
            self._keep(key, held)
            return
        crash.point(f"{self._actor.name}.before_record")
        written = self._journal.write(address, held, plan.after, self._record(plan))
        ack = await self._bus.publish(written.subject, written.body, written.headers)
        crash.point(f"{self._actor.name}.after_record")
        self._keep(key, written.stored(ack.seq))
        await self._follow(address, plan, written)

    def _record(self, plan: Plan) -> Record:
        causes = tuple(waiting.message.id for waiting in plan.causes)
        return Record(causes=causes, events=plan.events, facts=self._facts().revision)

    async def _follow(self, address: subjects.Address, plan: Plan, written: Written[S]) -> None:
        timer_ms = self._actor.timer_ms(plan.after) if _timed(plan) else 0
        await self._follower.follow(address, written.record, timer_ms)
        crash.point(f"{self._actor.name}.after_commands")

    async def _finish(self, address: subjects.Address, plan: Plan, *, lost: bool) -> None:
        """Send the commands of turns that were recorded before, set aside what can have none, acknowledge."""
        timer_ms = self._actor.timer_ms(plan.after)
        for record in await self._recorded(address, plan.seen, lost=lost):
            await self._follower.follow(address, record, timer_ms)
        if timer_ms and any(isinstance(waiting.message.body, run.Wake) for waiting in plan.seen):
            await arm(self._bus, address, timer_ms)  # one that came too early took the place of the one that is due
        for waiting, dead in plan.dead:
            await self._bury(waiting.delivery, waiting.puller, dead, waiting.message.id)
        self._acknowledge(plan)

    async def _recorded(self, address: subjects.Address, seen: Sequence[Waiting], *, lost: bool) -> list[Record]:
        """Return the records of inputs of one key, each once. One of the journal lies before the record it caused."""
        if not seen:
            return []
        stream = layout.journal_of(address.tree, self._groups)
        ours = all(waiting.delivery.stream == stream for waiting in seen)
        again = ours or lost or any(waiting.delivery.delivered > 1 for waiting in seen)
        since = min(waiting.delivery.seq for waiting in seen) if ours else 0
        causes = [waiting.message.id for waiting in seen]
        return await self._journal.find(address, causes, since, LOOK_BACK if again else RECENT)

    async def _bury(self, delivery: Delivery, puller: Puller, dead: Dead, cause: str) -> None:
        """Copy a message to the dead letters with its reason, then take it out of circulation."""
        log.warning("dead letter", actor=self._actor.name, subject=delivery.subject, code=dead.code, reason=dead.reason)
        try:
            await bury(self._bus, self._actor.name, delivery, dead.code, dead.reason, cause)
            term(self._bus, delivery)
        except BusError:
            nak(self._bus, delivery, 1.0)
        puller.done()

    def _acknowledge(self, plan: Plan) -> None:
        crash.point(f"{self._actor.name}.before_ack")
        for waiting in (*plan.causes, *plan.seen):
            ack(self._bus, waiting.delivery)
            waiting.puller.done()
        crash.point(f"{self._actor.name}.after_ack")


def _timed(plan: Plan) -> bool:
    return any(isinstance(event, run.Armed | guard.Armed | approval.Armed) for event in plan.events)


def _for_good(error: Exception) -> bool:
    """Whether the broker will never take what an input leads to, such as a record that is too large."""
    return isinstance(error, PublishRefused) and not error.retry
