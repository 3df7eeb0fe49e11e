"""Who may tell people something, and who may take what is to be posted: nobody else can invent or swallow a notice."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.server.users import TENANT, everyone

from callboard.bus import Bus, Delivery, Puller, ack, layout
from callboard.bus.users import CLIENT, users
from callboard_contracts import subjects

EVERYBODY = [user.name for user in users() if user.name != "operator"] + [""]
SAYS = {"approval": "approval", "spend": "ledger"}


@pytest.fixture(scope="module")
async def bus_of(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Bus]]:
    async with everyone(tmp_path_factory.mktemp("users")) as found:
        yield found


async def stored(operator: Bus) -> int:
    return int((await operator.api(f"STREAM.INFO.{layout.NOTICES}"))["state"]["last_seq"])


@pytest.mark.parametrize("kind", SAYS)
@pytest.mark.parametrize("name", EVERYBODY)
async def test_each_kind_of_notice_has_one_who_says_it(bus_of: dict[str, Bus], name: str, kind: str) -> None:
    before = await stored(bus_of["operator"])
    bus_of[name].send(subjects.notice(TENANT, kind), b"{}")
    await bus_of[name].flush()
    await asyncio.sleep(0.05)
    assert await stored(bus_of["operator"]) - before == (name == SAYS[kind])


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_the_gateway_stores_and_takes_postings(bus_of: dict[str, Bus], name: str) -> None:
    bus, operator = bus_of[name], bus_of["operator"]
    before = await stored(operator)
    bus.send(subjects.post(TENANT, "slack", f"n{name}"), b"{}")
    await bus.flush()
    await asyncio.sleep(0.05)
    assert await stored(operator) - before == (name == "gateway")
    await operator.publish(subjects.post(TENANT, "slack", f"o{name}"), b"{}")
    taken: list[Delivery] = []

    def take(delivery: Delivery) -> None:
        taken.append(delivery)
        ack(bus, delivery)

    puller = Puller(bus, layout.NOTICES, "poster", take)
    await puller.start()
    await asyncio.sleep(0.2)
    await puller.stop()
    assert bool(taken) == (name == "gateway")


async def test_somebody_without_credentials_hears_the_notices_of_the_open_tenant_alone(bus_of: dict[str, Bus]) -> None:
    heard: list[str] = []
    for name in (CLIENT, ""):
        await bus_of[name].subscribe("cb.default.notice.*", lambda message: heard.append(message.subject))
        await bus_of[name].subscribe("cb.other.notice.*", lambda message: heard.append(message.subject))
        await bus_of[name].flush()
    for tenant in ("default", "other"):
        await bus_of["approval"].publish(subjects.notice(tenant, "approval"), b"{}")
    await asyncio.sleep(0.2)
    assert heard == ["cb.default.notice.approval"] * 2
