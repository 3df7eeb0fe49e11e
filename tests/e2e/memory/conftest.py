"""A whole system with memory on a real broker, a scripted model, and its users at the HTTP door, each with a key."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from callboard import keys
from callboard.bus import layout, reader
from callboard_contracts import run, wire
from callboard_contracts.call import Completed, Failed, Result
from callboard_services.gateway.serve import serve as gateway
from callboard_services.memory.serve import serve as memory
from tests.conftest import empty_broker
from tests.integration.system import CORE, System, Watched, free_port, new_id, running, script

PATIENCE_S = 60.0
TOOLS = ("memory.remember", "memory.recall", "memory.forget", "skills.find", "skills.load")


@dataclass
class User:
    """Somebody with a key."""

    http: httpx.AsyncClient
    system: System
    name: str
    token: str = ""

    async def ingest(self, **document: Any) -> Any:
        """Have a document remembered, and return what is said of it."""
        return await self.ask("POST", "documents", json=document)

    async def refused(self, method: str, path: str, **more: Any) -> str:
        """Return the code with which the gateway refuses something."""
        answer = await self.http.request(method, f"/v1/memory/{path}", **more)
        assert answer.status_code >= 400, answer.text
        return str(answer.json()["code"])

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> Any:
        """Ask the gateway about memory, and return what it answers."""
        answer = await self.http.request(method, f"/v1/memory/{path}", **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def found(self, words: str, **more: Any) -> list[dict[str, Any]]:
        """Search, and return the rows."""
        rows: list[dict[str, Any]] = (await self.ask("GET", "search", params={"q": words, **more}))["rows"]
        return rows

    async def run(self, objective: str, **goal: Any) -> "Told":
        """Start a run, and wait until it has ended."""
        body = {"id": new_id(), "objective": objective, **goal}
        watched = self.system.watch(body["id"])
        answer = await self.http.post("/v1/goals", json=body)
        assert answer.status_code == 202, answer.text
        await self.system.ended(body["id"], PATIENCE_S)
        return Told(self, watched)

    async def read_in(self, told: "Told", turn: int = 1) -> str:
        """Return all that the model read in a turn of a run, as the runtime says."""
        params = {"contents": "true"}
        answer = await self.http.get(f"/v1/runs/{told.id}/turns/{turn}/context", params=params)
        assert answer.status_code == 200, answer.text
        return answer.text


@dataclass
class Told:
    """A run that ended."""

    user: User
    watched: Watched

    @property
    def id(self) -> str:
        """Its id."""
        return self.watched.tree

    @property
    def ended(self) -> run.Ended:
        """How it ended."""
        return self.watched.ended

    async def results(self, tool: str) -> list[Result]:
        """Return what a tool's calls came to, in order."""
        system, found = self.user.system, list[Result]()
        for took in self.watched.events(run.Took, self.id):
            for taken in took.results:
                if taken.tool == tool:
                    stream = layout.journal_of(self.id, system.groups)
                    message = await reader.get(system.bus, stream, taken.seq)
                    assert message is not None
                    found.append(wire.decode(message.body, Result))
        return found

    async def output(self, tool: str) -> Any:
        """Return what the last call of a tool returned."""
        last = (await self.results(tool))[-1]
        assert isinstance(last, Completed), last
        return last.output

    async def failure(self, tool: str) -> Failed:
        """Return how the last call of a tool failed."""
        last = (await self.results(tool))[-1]
        assert isinstance(last, Failed), last
        return last


@dataclass
class Site:
    """A system with its users by name."""

    system: System
    users: Mapping[str, User]

    @property
    def alice(self) -> User:
        """The one whose things are told."""
        return self.users["alice"]

    @property
    def bob(self) -> User:
        """Another one."""
        return self.users["bob"]


@asynccontextmanager
async def site(url: str, data: Path, *users: str, **runs: Sequence[Any]) -> AsyncIterator[Site]:
    """Run a system whose model follows, in runs whose objective holds a word, the steps that are given for it.

    :param users: who has a key; nobody has one when it is `local` alone.
    """
    users = users or ("alice", "bob")
    people = {name: keys.add(data, name) if name != keys.LOCAL else "" for name in users}
    services = {**CORE, "memory": memory, "gateway": gateway}
    base = f"127.0.0.1:{free_port()}"
    async with running(url, data, script(**runs), services, http=base) as system:
        await system.until_admitted(*TOOLS)
        clients = {name: _client(f"http://{base}", token) for name, token in people.items()}
        try:
            await _opened(clients[users[0]])
            yield Site(system, {name: User(client, system, name, people[name]) for name, client in clients.items()})
        finally:
            for client in clients.values():
                await client.aclose()


async def _opened(client: httpx.AsyncClient) -> None:
    """Remember something, and wait until it is found: on a busy machine, loading LanceDB and the model takes long."""
    document = {"text": "Now it is open.", "source": "opened", "workspace": "opened"}
    assert (await client.post("/v1/memory/documents", json=document)).status_code == 200
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            found = await client.get("/v1/memory/search", params={"q": "open", "workspace": "opened"})
            if found.status_code == 200:
                return
            await asyncio.sleep(0.1)


def _client(url: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
async def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A system that a module's tests share, whose model follows its `STEPS`: each test has a workspace of its own."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "data").mkdir()
    with empty_broker(folder / "nats") as url:
        async with site(url, folder / "data", **request.module.STEPS) as found:
            yield found


@pytest.fixture
def workspace(request: pytest.FixtureRequest) -> str:
    """The workspace of one test."""
    return str(request.node.name)


@pytest.fixture
def house(fresh_broker: str, tmp_path: Path) -> Any:
    """What starts a system, once: give it the steps of its model."""
    return lambda *users, **runs: site(fresh_broker, tmp_path, *users, **runs)
