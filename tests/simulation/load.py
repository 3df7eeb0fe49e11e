"""The people: they publish goals, twice at times, and say a word to a tree now and then."""

import asyncio
from collections.abc import Coroutine
from random import Random

import msgspec

from callboard.bus import Bus, BusError
from callboard_contracts import guard, ids, subjects, wire
from callboard_contracts.goal import Limits, Submit
from tests.simulation.broker import Broker
from tests.simulation.clock import EPOCH_S
from tests.simulation.controls import CONTROLS, TENANT, Said, to_tree
from tests.simulation.progress import Progress

_WITHIN_S = 6.0
_AGAIN_S = 0.2
_REMIND_S = 15.0


class Planned(msgspec.Struct, frozen=True):
    """A goal, when it is published, and when it is published again."""

    goal: Submit
    at_s: tuple[float, ...]


class Word(msgspec.Struct, frozen=True):
    """A word of control: when, and to which run of which tree. What it is is decided then."""

    at_s: float
    tree: str
    nth: int


def goals(chance: Random) -> list[Planned]:
    """Draw the goals of a seed."""
    return [_goal(chance) for _ in range(chance.choice((1, 2, 2, 3, 4)))]


def _goal(chance: Random) -> Planned:
    at_s = chance.uniform(0.0, _WITHIN_S)
    goal_id = ids.ulid(int((EPOCH_S + at_s) * 1000), chance.randbytes(10))
    again = (at_s + chance.uniform(0.0, _WITHIN_S),) if chance.random() < 0.2 else ()
    limits = Limits(
        max_turns=chance.choice((2, 4, 6)),
        timeout_s=float(chance.choice((8, 60, 90))),
        budget_micro_usd=chance.choice((None, 1_000_000, 40_000, 15_000)),
        max_tokens=chance.choice((2_000_000, 2_000_000, 30_000)),
        max_calls=chance.choice((200, 200, 8)),
        max_depth=chance.choice((0, 1, 2)),
        max_runs=chance.choice((4, 8)),
        start_timeout_s=chance.choice((None, None, None, 0.5, 60.0)),
    )
    return Planned(Submit(id=goal_id, objective="the whole", limits=limits), (at_s, *again))


def words(chance: Random, planned: list[Planned]) -> list[Word]:
    """Draw when something is said to the trees of a seed."""
    found: list[Word] = []
    for one in planned:
        if chance.random() < 0.5:
            found += [_word(chance, one) for _ in range(chance.choice((1, 1, 2, 4)))]
    return found


def _word(chance: Random, planned: Planned) -> Word:
    return Word(planned.at_s[0] + chance.expovariate(0.5), planned.goal.id, chance.randint(0, 3))


class People:
    """Publishes all of it over a connection of its own, again and again until it is stored."""

    def __init__(
        self, bus: Bus, broker: Broker, planned: list[Planned], said: list[Word], chance: Random, progress: Progress
    ) -> None:
        self._bus = bus
        self._broker = broker
        self._chance = chance
        self._progress = progress
        self._paused: dict[str, None] = {}
        self._numbers = 0
        self._left = 0
        for one in planned:
            for at_s in one.at_s:
                self.do(self._submit(one.goal, at_s))
        for word in said:
            self.do(self._speak(word))

    @property
    def done(self) -> bool:
        """Whether everything is published."""
        return self._left == 0

    def do(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside the rest, and count it among what is to be done."""

        async def counted() -> None:
            await work
            self._left -= 1

        self._left += 1
        self._broker.loop.create_task(counted())

    async def _submit(self, goal: Submit, at_s: float) -> None:
        await asyncio.sleep(at_s)
        await self._publish(str(subjects.Goal(TENANT)), goal, goal.id)

    async def _speak(self, word: Word) -> None:
        await asyncio.sleep(word.at_s)
        runs = self._progress.runs[word.tree]
        name = runs[min(word.nth, len(runs) - 1)]
        (control,) = self._chance.choices([make for _, make in CONTROLS], [often for often, _ in CONTROLS])
        for said in control(name, self._progress.asked.get(name, ()), self._chance):
            await asyncio.sleep(said.after_s)
            await self.say(said)

    async def say(self, said: Said) -> None:
        """Publish one message, for certain."""
        if isinstance(said.body, guard.Pause):
            self._paused[said.body.run] = None
        self._numbers += 1
        await self._publish(said.subject, said.body, f"said:{self._numbers}")

    async def publish(self, said: Said, cause: str) -> None:
        """Publish one message under an id of its own, for certain."""
        await self._publish(said.subject, said.body, cause)

    async def resume_all(self) -> None:
        """Let everything go on that was ever paused: words may overtake each other, and the last one counts."""
        for name in self._paused:
            await self.say(to_tree(name, guard.Resume(run=name)))
        await asyncio.sleep(_REMIND_S)

    async def _publish(self, subject: str, body: msgspec.Struct, id_: str) -> None:
        headers = {wire.ID: id_, wire.TYPE: wire.type_of(type(body))}
        while True:
            try:
                await self._bus.publish(subject, wire.encode(body), headers)
                return
            except BusError:
                await asyncio.sleep(_AGAIN_S)
