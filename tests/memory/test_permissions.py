"""Memory alone writes what is remembered; everybody else asks it, and nobody chooses where its answers go."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest

from callboard.bus import Bus, Delivery, layout, reader
from callboard.bus.users import users
from callboard_contracts import subjects
from tests.server.users import TENANT, everyone

pytestmark = pytest.mark.anyio

OTHERS = [user.name for user in users() if user.name not in ("operator", "memory")] + [""]
ROW = subjects.memory(TENANT, "fact", "x")
READ = subjects.read(TENANT, "01K0000000000000000000000A-1-0")


@pytest.fixture(scope="module")
async def bus_of(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Bus]]:
    async with everyone(tmp_path_factory.mktemp("users")) as found:
        yield found


async def settle(*buses: Bus) -> None:
    for bus in buses:
        await bus.flush()
    await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", OTHERS)
async def test_nobody_else_remembers_hides_or_reads_what_is_stored(bus_of: dict[str, Bus], name: str) -> None:
    operator, bus = bus_of["operator"], bus_of[name]
    await operator.publish(ROW, b"stored")
    before = (await operator.api(f"STREAM.INFO.{layout.MEMORY}"))["state"]
    for subject in (
        ROW,
        READ,
        subjects.memory(TENANT, "quarantine", "x"),
        subjects.memory(TENANT, "part", "x", "y", "0"),
    ):
        bus.send(subject, b"forged")
    await settle(bus)
    assert (await operator.api(f"STREAM.INFO.{layout.MEMORY}"))["state"] == before
    heard: list[Delivery] = []
    body = msgspec.json.encode({"last_by_subj": ROW})
    stop = await bus.subscribe(f"{bus.prefix}.mine", heard.append)
    bus.send(f"$JS.API.DIRECT.GET.{layout.MEMORY}", body, reply=f"{bus.prefix}.mine")
    bus.send(
        f"$JS.API.STREAM.MSG.DELETE.{layout.MEMORY}", b'{"seq":%d}' % before["last_seq"], reply=f"{bus.prefix}.mine"
    )
    await settle(bus)
    await stop()
    assert not any(b"stored" in message.body for message in heard)
    assert (await operator.api(f"STREAM.INFO.{layout.MEMORY}"))["state"] == before


async def test_memory_writes_reads_and_overwrites_what_it_stored(bus_of: dict[str, Bus]) -> None:
    bus = bus_of["memory"]
    seq = (await bus.publish(ROW, b"to be forgotten")).seq
    assert (await reader.last(bus, layout.MEMORY, ROW)) is not None
    await bus.publish(READ, b"{}")
    assert (await bus.api(f"STREAM.MSG.DELETE.{layout.MEMORY}", {"seq": seq, "no_erase": False}))["success"]
    assert (await reader.last(bus, layout.MEMORY, ROW)) is None
    await bus.publish(ROW, b"{}", {"Nats-TTL": "100s"})
    assert (await bus.api(f"STREAM.INFO.{layout.MEMORY}"))["state"]["messages"] >= 2


async def test_the_gateway_asks_memory_across_their_accounts_and_is_answered(bus_of: dict[str, Bus]) -> None:
    memory, gateway = bus_of["memory"], bus_of["gateway"]
    asked: list[str] = []

    def answer(question: Delivery) -> None:
        asked.append(question.subject)
        memory.send(question.reply, b'{"found":[]}')

    stop = await memory.subscribe("cb.*.ask.memory.*", answer, queue="memory")
    answered = await gateway.request(subjects.ask(TENANT, "memory", "recall"), b"{}")
    assert (answered.body, asked) == (b'{"found":[]}', [f"cb.{TENANT}.ask.memory.recall"])
    for name in ("client", "tool", "models"):
        bus_of[name].send(subjects.ask(TENANT, "memory", "recall"), b"{}", reply="_INBOX.x")
    await settle(memory, *bus_of.values())
    await stop()
    assert len(asked) == 1


@pytest.mark.parametrize("name", OTHERS)
async def test_nobody_else_takes_the_endings_of_runs_from_memory(bus_of: dict[str, Bus], name: str) -> None:
    operator, bus = bus_of["operator"], bus_of[name]
    stream = layout.journal(0)
    before = await operator.api(f"CONSUMER.INFO.{stream}.memory")
    bus.send(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.memory", b'{"batch":9}', reply=f"{bus.prefix}.0")
    await settle(bus)
    after = await operator.api(f"CONSUMER.INFO.{stream}.memory")
    assert after["num_waiting"] == before["num_waiting"] == 0
    assert after["delivered"] == before["delivered"]
