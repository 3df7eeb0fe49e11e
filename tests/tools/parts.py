"""The other parts, played by the test: a guard that grants, a planner that knows what is open, a tool's process."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import msgspec

from callboard.bus import Bus, Delivery, layout, reader
from callboard_contracts import call, ids, journal, names, run, subjects, wire
from callboard_contracts.guard import Cancelled, Granted

Result = call.Completed | call.Failed | call.Refused | call.Lost
TENANT = "acme"


async def until(what: Callable[[], Any], *, within_s: float = 10.0) -> Any:
    """Wait until `what` gives something true, and return it."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := what():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"did not come true within {within_s} s")


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that ended and nobody has reaped does not."""
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class World:
    """Grants calls as the guard does, and hears results as the planner does."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.results: dict[str, list[Result]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.closed: list[str] = []
        """Calls that nobody waits for, as when their run ended first."""
        self.tree = ids.ulid(int(time.time() * 1000), os.urandom(10))
        self._turn = 0

    def new_tree(self, group: int, groups: int) -> None:
        """Go on with another tree, whose records lie in the journal of a group."""
        while True:
            self.tree = ids.ulid(int(time.time() * 1000), os.urandom(10))
            if layout.journal_of(self.tree, groups) == layout.journal(group):
                return

    async def listen(self) -> Self:
        await self.bus.subscribe("cb.*.run.*.*.*.in.result", self._heard)
        return self

    def _heard(self, message: Delivery) -> None:
        found = wire.decode(message.body, Result)
        self.results.setdefault(found.call, []).append(found)
        self.headers[found.call] = message.headers

    async def answer_whether_open(self) -> None:
        """Play the planner: a call is open until its result has come."""

        def answer(message: Delivery) -> None:
            asked = msgspec.json.decode(message.body)["call"]
            self.asked.append(asked)
            self.bus.send(message.reply, wire.encode({"open": asked not in (*self.results, *self.closed)}))

        await self.bus.subscribe(subjects.ask(TENANT, "planner", "call"), answer)

    async def grant(
        self, tool: str, arguments: Any = None, *, timeout_s: float = 30.0, alone: bool = True, **more: Any
    ) -> str:
        """Publish a grant, as a record of its own or as a command beside one; return the call's id.

        `by` is the run that asked, when it is not the root.
        """
        self._turn += 1
        id_ = ids.call_id(more.pop("by", self.tree), self._turn, 0)
        expires_ms = more.pop("expires_ms", int((time.time() + timeout_s) * 1000))
        trace = more.pop("traceparent", "")
        asked = call.Call(id=id_, tool=tool, arguments=arguments, timeout_s=timeout_s, **more)
        record = journal.Record(
            causes=(id_,), events=(Granted(call=asked, source=1, expires_ms=expires_ms, traceparent=trace),)
        )
        await self.publish(id_, names.token(tool), wire.encode(record), alone=alone)
        return id_

    async def publish(
        self, id_: str, token: str, body: bytes, *, alone: bool = True, headers: dict[str, str] | None = None
    ) -> None:
        address = subjects.Address.of_tree(TENANT, self.tree)
        subject = address.at("log", f"call.{token}") if alone else address.at("send", f"call.{token}.{id_}")
        await self.bus.publish(str(subject), body, {wire.ID: id_, **(headers or {})})

    async def end_run(self) -> None:
        """Write the run's last record, as the planner does when it was cancelled or its time is over."""
        address = subjects.Address.of_run(TENANT, self.tree)
        record = journal.Record(causes=("x",), events=(run.Ended(status="cancelled"),))
        await self.bus.publish(str(address.at("log", "ended")), wire.encode(record))

    async def cancel(self, name: str, *, tenant: str = TENANT) -> None:
        """Record that a run and its descendants are cancelled, as the guard does."""
        record = journal.Record(causes=("x",), events=(Cancelled(run=name),))
        await self.bus.publish(str(subjects.Address.of_tree(tenant, name).at("log", "cancelled")), wire.encode(record))

    async def result(self, call_id: str, *, within_s: float = 10.0) -> Result:
        found: list[Result] = await until(lambda: self.results.get(call_id), within_s=within_s)
        return found[0]

    async def dead(self) -> list[Delivery]:
        return [letter async for letter in reader.scan(self.bus, layout.DEAD, "cb.*.dead.tools")]


class Processes:
    """Python processes that are gone when the test is."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, source: str, **environment: str) -> subprocess.Popen[bytes]:
        script = self.folder / f"process_{len(self.started)}.py"
        script.write_text(source)
        env = {**os.environ, "CALLBOARD_NATS": self.url, "CALLBOARD_ACK_WAIT_S": "1", **environment}
        process = subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.PIPE)
        self.started.append(process)
        return process

    def stop(self) -> None:
        for process in self.started:
            process.send_signal(signal.SIGTERM)
        for process in self.started:
            try:
                process.communicate(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


async def durables(bus: Bus, groups: int, *tools: str, ack_wait_s: float = 30.0) -> None:
    """Create what the registrar creates."""
    for tool in tools:
        config = layout.tool_consumer(tool, new=True) | {"ack_wait": int(ack_wait_s * 1e9)}
        for group in range(groups):
            await layout.create_consumer(bus, layout.journal(group), config)


async def pending(bus: Bus, groups: int, tool: str) -> int:
    """Return how many messages of a tool are not acknowledged, delivered or not."""
    total = 0
    for group in range(groups):
        info = await bus.api(f"CONSUMER.INFO.{layout.journal(group)}.{names.durable(tool)}")
        total += info["num_pending"] + info["num_ack_pending"]
    return total


async def deliveries(bus: Bus, tool: str) -> int:
    """Return how often a message of a tool was delivered, again and again included."""
    streams = (await bus.api("STREAM.NAMES"))["streams"]
    journals = [stream for stream in streams if stream.startswith("JOURNAL-")]
    infos = [await bus.api(f"CONSUMER.INFO.{stream}.{names.durable(tool)}") for stream in journals]
    return sum(int(info["delivered"]["consumer_seq"]) for info in infos)


async def eventually(what: Callable[[], Awaitable[bool]], *, within_s: float = 10.0) -> None:
    """Wait until an asynchronous question is answered with yes."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if await what():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"did not come true within {within_s} s")
