"""The broker in memory answers as the real one does: one script of operations over both, and the answers compared."""

import asyncio
import json
from contextvars import Context
from typing import Any

import msgspec
import pytest

from callboard.bus import Bus, Conflict, Delivery, NoAnswer, ack, in_progress, layout, nak, reader, term
from callboard.bus.message import rfc3339_ms, status
from callboard.runtime.timers import arm
from callboard_contracts import subjects, wire
from tests.simulation.broker import Broker
from tests.simulation.client import SimClient, connected
from tests.simulation.dice import dice
from tests.simulation.loop import VirtualLoop
from tests.simulation.network import Network, Weather

pytestmark = pytest.mark.anyio

_TREE = "01JZZZZZZZZZZZZZZZZZZZZZZZ"
_RUN = subjects.Address.of_run("acme", _TREE)
_JOURNAL = layout.journal(0)
_STATUS_HEADERS = {"Nats-Pending-Bytes"}
_TIMES = {"Nats-Time-Stamp"}
_SETTLED_S = 0.05
"""The real broker takes acknowledgements and pulls of one connection in no order."""

Told = list[Any]


class Script:
    """Does things over a bus, and keeps what came back, times aside."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.told: Told = []
        self.numbers = 0

    async def play(self) -> Told:
        self.told.append(await layout.provision(self.bus, 1))
        self.told.append(await layout.discover(self.bus))
        parts = (self.fence, self.reads, self.nobody, self.live, self.pulls, self.waits, self.resets)
        for part in (*parts, self.priorities, self.queue, self.timer):
            self.told.append(part.__name__)
            await part()
        return self.told

    def say(self, message: Delivery | None) -> None:
        """Keep a message that was read or delivered."""
        if message is None:
            self.told.append(None)
            return
        headers = {key: value for key, value in message.headers.items() if key not in _TIMES | _STATUS_HEADERS}
        subject = "" if message.stored_subject.startswith("_INBOX.") else message.stored_subject
        where = (message.stream, message.seq, message.delivered, message.consumer_seq, subject)
        self.told.append((where, status(message.block), headers, message.body.decode()))

    async def record(self, kind: str, fence: int, group: str = "") -> None:
        headers = {wire.ID: f"{kind}@{fence}", wire.FENCE: str(fence)}
        headers |= {wire.FENCE_SUBJECT: group} if group else {}
        try:
            stored = await self.bus.publish(str(_RUN.at("log", kind)), b"{}", headers)
            self.told.append((stored.stream, stored.seq, stored.duplicate))
        except Conflict as error:
            self.told.append(str(error))

    async def fence(self) -> None:
        for kind, fence in (("a", 0), ("a", 0), ("b", 0), ("b", 1), ("c", 1), ("c", 2)):
            await self.record(kind, fence, _RUN.fence)
        await self.record("a", 0)
        await self.record("a", 1)
        await self.record("d", 0)

    async def reads(self) -> None:
        for seq in (1, 3, 99):
            self.say(await reader.get(self.bus, _JOURNAL, seq))
        for subject in (_RUN.fence, str(_RUN.at("log", "b")), "cb.*.run.>", "cb.acme.run.0.x.>"):
            self.say(await reader.last(self.bus, _JOURNAL, subject))
            self.say(await reader.following(self.bus, _JOURNAL, subject, 2))
            self.say(await reader.following(self.bus, _JOURNAL, subject, 50))
            async for message in reader.scan(self.bus, _JOURNAL, subject, 2):
                self.say(message)
        for value in (b"one", b"two"):
            await self.bus.publish(f"$KV.{layout.REGISTRY}.tool.x", value)
        async for message in reader.scan(self.bus, f"KV_{layout.REGISTRY}", "$KV.>"):
            self.say(message)
        before = rfc3339_ms((await self.bus.api(f"STREAM.INFO.{layout.DEAD}"))["ts"])
        await asyncio.sleep(0.1)
        after = rfc3339_ms((await self.bus.api(f"STREAM.INFO.{layout.DEAD}"))["ts"])
        self.told.append(50 < after - before < 1000)

    async def nobody(self) -> None:
        self.say(await self.bus.request(f"$JS.API.DIRECT.GET.{_JOURNAL}.{layout.PROBE}", b""))
        for subject in ("$JS.API.DIRECT.GET.JOURNAL-9.x", "cb.acme.ask.planner.call"):
            with pytest.raises(NoAnswer) as caught:
                await self.bus.request(subject, b"")
            self.told.append(str(caught.value))

    async def live(self) -> None:
        heard: list[Delivery] = []
        stop = await self.bus.subscribe("cb.*.live.>", heard.append)
        raw: list[Delivery] = []
        stop_raw = await self.bus.subscribe("cb.*.run.*.*.*.log.>", raw.append)
        await self.record("e", 0, _RUN.fence)
        await self.record("e", 6, _RUN.fence)
        await self.bus.publish(str(_RUN.at("in", "result")), b"{}")
        await asyncio.sleep(0.1)
        await stop()
        await stop_raw()
        for message in heard:
            self.told.append(message.subject)
            self.say(message)
        self.told.append([message.subject for message in raw])

    async def pulled(self, stream: str, durable: str, batch: int, expires_s: float, **more: object) -> list[Delivery]:
        """Pull once, and return what came until the request expired."""
        await asyncio.sleep(_SETTLED_S)
        found: list[Delivery] = []
        self.numbers += 1
        inbox = f"{self.bus.prefix}-pull.{self.numbers}"
        sid = await self.bus.client.listen(inbox, found.append)
        body = msgspec.json.encode({"batch": batch, "expires": int(expires_s * 1e9), **more})
        self.bus.client.write(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", inbox, body)
        await asyncio.sleep(expires_s + 0.15)
        await self.bus.client.unlisten(sid)
        for message in found:
            self.say(message)
        return [message for message in found if message.reply.startswith("$JS.ACK.")]

    async def pulls(self) -> None:
        config = layout.consumer("one", ["cb.*.run.*.*.*.log.a", "cb.*.run.*.*.*.log.b"], ack_wait_s=30)
        await layout.create_consumer(self.bus, _JOURNAL, config)
        first, second = await self.pulled(_JOURNAL, "one", 2, 0.2)
        nak(self.bus, first)
        (third,) = await self.pulled(_JOURNAL, "one", 1, 0.2)
        (fourth,) = await self.pulled(_JOURNAL, "one", 3, 0.2)
        nak(self.bus, third, 0.4)
        assert await self.pulled(_JOURNAL, "one", 3, 0.1) == []
        (again,) = await self.pulled(_JOURNAL, "one", 3, 0.6)
        ack(self.bus, first)  # an old delivery's: taken all the same
        term(self.bus, second)
        ack(self.bus, fourth)
        nak(self.bus, again)
        assert await self.pulled(_JOURNAL, "one", 3, 0.2) == []

    async def waits(self) -> None:
        config = layout.consumer("slow", ["cb.*.run.*.*.*.log.a"], ack_wait_s=1.0)
        await layout.create_consumer(self.bus, _JOURNAL, config)
        first, second = await self.pulled(_JOURNAL, "slow", 2, 0.1)
        for _ in range(4):
            in_progress(self.bus, first)
            await asyncio.sleep(0.2)
        in_progress(self.bus, first)
        (late,) = await self.pulled(_JOURNAL, "slow", 1, 0.4)
        assert late.seq == second.seq
        ack(self.bus, late)
        ack(self.bus, first)
        new = layout.consumer("new", ["cb.*.run.*.*.*.log.a"], new=True)
        await layout.create_consumer(self.bus, _JOURNAL, new)
        assert await self.pulled(_JOURNAL, "new", 1, 0.1) == []

    async def resets(self) -> None:
        config = layout.consumer("back", ["cb.*.run.*.*.*.log.>"])
        await layout.create_consumer(self.bus, _JOURNAL, config)
        first, second, _ = await self.pulled(_JOURNAL, "back", 3, 0.1)
        ack(self.bus, second)  # above the floor: it comes again
        await asyncio.sleep(_SETTLED_S)
        await self.bus.api(f"CONSUMER.RESET.{_JOURNAL}.back")
        first, *_ = await self.pulled(_JOURNAL, "back", 4, 0.1)
        ack(self.bus, first)
        await asyncio.sleep(_SETTLED_S)
        await self.bus.api(f"CONSUMER.RESET.{_JOURNAL}.back")
        await self.pulled(_JOURNAL, "back", 9, 0.1)

    async def priorities(self) -> None:
        config = layout.consumer("owned", ["cb.*.run.*.*.*.in.result"], new=True, owned=True)
        await layout.create_consumer(self.bus, _JOURNAL, config)
        await self.pulled(_JOURNAL, "owned", 1, 0.1)
        pulling = [
            asyncio.create_task(self.pulled(_JOURNAL, "owned", 2, 0.4, group=layout.OWNERS, priority=priority))
            for priority in (2, 0)
        ]
        await asyncio.sleep(0.2)
        for number in range(3):
            await self.bus.publish(str(_RUN.at("in", "result")), str(number).encode())
        self.told.append([[message.body.decode() for message in await each] for each in pulling])

    async def queue(self) -> None:
        await self.bus.publish("cb.acme.goal._", b'{"id":"x"}', {wire.ID: "x"})
        (goal,) = await self.pulled(layout.GOALS, "planner", 5, 0.1)
        self.say(await reader.last(self.bus, layout.GOALS, "cb.>"))
        ack(self.bus, goal)
        await asyncio.sleep(0.1)
        self.say(await reader.last(self.bus, layout.GOALS, "cb.>"))

    async def timer(self) -> None:
        now_ms = rfc3339_ms((await self.bus.api(f"STREAM.INFO.{layout.DEAD}"))["ts"])
        await arm(self.bus, _RUN, now_ms + 700)
        await arm(self.bus, _RUN, now_ms + 300)
        self.say(await reader.last(self.bus, _JOURNAL, str(_RUN.at("in", "timer"))))
        await asyncio.sleep(1.5)
        await self.fired()
        await arm(self.bus, _RUN, now_ms - 5_000)
        await asyncio.sleep(1.5)
        await self.fired()

    async def fired(self) -> None:
        message = await reader.last(self.bus, _JOURNAL, str(_RUN.at("in", "timer")))
        assert message is not None
        kept = {key: value for key, value in message.headers.items() if key.startswith("ce-")}
        self.told.append((message.seq, message.stored_subject, message.body.decode(), len(kept), kept["ce-type"]))
        self.say(await reader.last(self.bus, layout.timers(0), _RUN.timer))
        due = await reader.last(self.bus, layout.timers(0), _RUN.due)
        self.told.append(due is not None and (due.seq, due.body.decode()))


def _in_memory() -> Told:
    loop = VirtualLoop()
    try:

        async def play() -> Told:
            client = SimClient(Broker(loop, dice(0, "broker")), Network(dice(0, "network"), Weather()), Context())
            return await Script(await connected(client, "test")).play()

        return loop.run_until_complete(play())
    finally:
        loop.close()


async def test_the_broker_in_memory_answers_as_the_real_one_does(fresh_broker: str) -> None:
    async with await Bus.connect(fresh_broker, name="test") as bus:
        real = await Script(bus).play()
    found = await asyncio.to_thread(_in_memory)
    assert [json.dumps(each) for each in found] == [json.dumps(each) for each in real]
