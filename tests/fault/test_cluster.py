"""Three servers with every stream on each: the leader is killed, then all are, and nothing accepted is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from callboard.bus import Bus, BusError, layout
from callboard.server.binary import find_server
from callboard.service import groups_in_force
from callboard.settings import from_environment
from tests.fault.house import House, living
from tests.integration.processes import ALL
from tests.integration.system import free_port

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
SIZE = 3
OUTAGE_S = 15.0
"""How long nothing may be stored after a leader's death, by the promise."""


class Node:
    """One server of the cluster."""

    def __init__(self, number: int, folder: Path) -> None:
        self.name = f"n{number}"
        self.port, self.http, self.route = free_port(), free_port(), free_port()
        self._folder = folder / self.name
        self._process: asyncio.subprocess.Process | None = None

    def configure(self, nodes: list["Node"]) -> None:
        """Write the configuration, once every node has its ports."""
        self._folder.mkdir()
        routes = ", ".join(f'"nats://127.0.0.1:{node.route}"' for node in nodes)
        (self._folder / "nats.conf").write_text(
            f"server_name: {self.name}\n"
            f"listen: 127.0.0.1:{self.port}\n"
            f"http: 127.0.0.1:{self.http}\n"
            f'jetstream {{ store_dir: "{self._folder}", sync_interval: always }}\n'
            f"cluster {{ name: callboard, listen: 127.0.0.1:{self.route}, routes: [{routes}] }}\n"
        )

    async def start(self) -> None:
        """Start it, or start it again."""
        self._process = await asyncio.create_subprocess_exec(
            find_server().path, "-c", self._folder / "nats.conf", "-l", self._folder / "server.log"
        )

    async def kill(self) -> None:
        """Kill it as `kill -9` does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def healthy(self) -> None:
        """Wait until it has every stream as it should be."""
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while not await self._says_ok(client):  # noqa: ASYNC110 - it tells by being asked
                await asyncio.sleep(0.2)

    async def _says_ok(self, client: httpx.AsyncClient) -> bool:
        try:
            return (await client.get(f"http://127.0.0.1:{self.http}/healthz")).status_code == 200
        except httpx.TransportError:
            return False


class Cluster:
    """Three servers."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [Node(number, folder) for number in range(SIZE)]
        self.url = ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes)

    async def ready(self) -> None:
        """Wait until every server is."""
        await asyncio.gather(*(node.healthy() for node in self.nodes))

    async def leader(self, house: House, stream: str) -> Node:
        """Return the server that leads a stream, once there is one."""
        async with asyncio.timeout(60):
            while not (name := await _led_by(house, stream)):  # noqa: ASYNC110 - the servers tell by being asked
                await asyncio.sleep(0.2)
        return next(node for node in self.nodes if node.name == name)


async def _led_by(house: House, stream: str) -> str:
    try:
        info = await house.bus.api(f"STREAM.INFO.{stream}", timeout_s=2)
    except BusError:
        return ""
    return str(info["cluster"].get("leader", ""))


@asynccontextmanager
async def clustered(folder: Path) -> AsyncIterator[Cluster]:
    """Run a cluster until the block ends."""
    cluster = Cluster(folder)
    for node in cluster.nodes:
        node.configure(cluster.nodes)
    await asyncio.gather(*(node.start() for node in cluster.nodes))
    try:
        await cluster.ready()
        yield cluster
    finally:
        await asyncio.gather(*(node.kill() for node in cluster.nodes))


@asynccontextmanager
async def provisioned(cluster: Cluster) -> AsyncIterator[None]:
    """Create the streams as a service does that may."""
    settings = from_environment(nats=cluster.url, ack_wait_s=2)
    async with await Bus.connect(cluster.url, name="operator") as bus:
        assert await groups_in_force(bus, settings) == settings.groups
    yield


async def outage(house: House) -> float:
    """Return how long it takes until a goal is stored again, in seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await house.goal()
    return loop.time() - began


async def test_leaders_die_and_then_all_do_and_nothing_accepted_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_REPLICAS", str(SIZE))
    async with clustered(tmp_path) as cluster, provisioned(cluster), living(cluster.url, tmp_path) as house:
        info = await house.bus.api(f"STREAM.INFO.{layout.journal(0)}")
        assert info["config"]["num_replicas"] == SIZE
        posting = asyncio.create_task(house.post_for(40, pause_s=0.2))
        gaps = []
        for stream in (layout.GOALS, layout.journal(0), layout.journal(1)):
            await house.goals(8)
            leader = await cluster.leader(house, stream)
            await leader.kill()
            gaps.append(await outage(house))
            await leader.start()
            await cluster.ready()
        await house.goals(8)
        await asyncio.gather(*(node.kill() for node in cluster.nodes))
        await asyncio.gather(*(node.start() for node in cluster.nodes))
        gaps.append(await outage(house))
        await posting
        await house.sound(timeout_s=90)
        assert [process.name for process in house.host.processes if process.alive] == list(ALL)
        assert max(gaps) < OUTAGE_S
        told = ", ".join(f"{gap:.1f}" for gap in gaps)
        print(f"{len(house.accepted)} goals, none lost; outages of {told} s")  # noqa: T201
