"""What a tool may know of the call it serves, and what it may do beside returning."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from callboard.bus import Bus
from callboard.tools.files import Files
from callboard.tools.process import OUTPUT_BYTES, Finished, Limits, Programs
from callboard.tools.trace import traceparent
from callboard_contracts import ids, live, subjects, wire
from callboard_contracts.call import Usage
from callboard_contracts.guard import Granted
from callboard_contracts.units import MicroUsd


class ToolContext:
    """One call. A parameter with this type is given it, and does not show in the schema.

    In a function that is not `async`, what has to be awaited goes through `anyio.from_thread.run`.
    """

    def __init__(self, bus: Bus, tenant: str, granted: Granted, *, timeout_s: float, attempt: int = 1) -> None:
        self.tenant = tenant
        self.grant = granted
        self.call = granted.call.id
        """The call's id, which is its idempotency key: give it to whatever has effects."""
        self.tool = granted.call.tool
        self.run = ids.run_of(self.call)
        self.tree = ids.tree_of(self.run)
        self.depth = granted.depth
        self.skill_digest = granted.skill_digest
        self.attempt = attempt
        """How often the call was delivered, this time included."""
        self.deadline = time.time() + timeout_s
        """When the call is given up, in seconds since 1970."""
        self.files = Files(bus, self.tree, self.skill_digest)
        self.programs = Programs(self.call)
        """What `process` runs. The executor ends them when the handler is done with."""
        self.used: Usage | None = None
        """What the tool said that it used."""
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + timeout_s

    @property
    def idempotency_key(self) -> str:
        """The call's id, under the name that other systems give it."""
        return self.call

    @property
    def traceparent(self) -> str:
        """The W3C trace context of the call, for a header of whatever goes on with it elsewhere."""
        return traceparent(self.grant)

    def remaining_s(self) -> float:
        """Return how long the call may still take; not moved by a clock that is set."""
        return max(0.0, self._until - self._loop.time())

    async def progress(self, message: str, done: float | None = None) -> None:
        """Tell whoever is listening how far it is. :param done: from 0 to 1."""
        self._say(live.Progress(call=self.call, message=message[:2000], done=done))

    def emit(self, text: str) -> None:
        """Send a piece of text to whoever is listening; it is not stored. May be called from any thread."""
        self._say(live.Chunk(call=self.call, text=text))

    def cost(self, micro_usd: MicroUsd) -> None:
        """Say what the call cost; said more than once, it adds up. Unsaid, it costs the tool's price."""
        before = self.used or Usage()
        self.used = msgspec.structs.replace(before, cost_micro_usd=before.cost_micro_usd + micro_usd)

    def usage(self, usage: Usage) -> None:
        """Say all that the call used, in place of what was said before."""
        self.used = usage

    async def process(
        self,
        argv: Sequence[str],
        *,
        input: bytes = b"",  # noqa: A002 - as subprocess.run has it
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        memory_bytes: int | None = None,
        cpu_s: int | None = None,
        file_limit_bytes: int | None = None,
        output_limit_bytes: int = OUTPUT_BYTES,
    ) -> Finished:
        """Run a program to its end; it is killed with all that it started when this call ends in any way before.

        It sees PATH, the locale, CALLBOARD_CALL (the call's id) and `env`, and nothing else of this environment.

        :param memory_bytes: of address space, :param cpu_s: of CPU time, :param file_limit_bytes: of any one file:
        the most that each of its processes gets. :param output_limit_bytes: what is kept of its standard output, and of
        its standard error; the rest is dropped.
        :raises OSError: it cannot be started. :raises ToolError: the call is over.
        """
        limits = Limits(memory_bytes=memory_bytes, cpu_s=cpu_s, file_bytes=file_limit_bytes)
        keep = (output_limit_bytes, output_limit_bytes)
        return await self.programs.run(argv, input, env or {}, cwd, limits, keep)

    def _say(self, what: Any) -> None:
        """Send on core NATS: from the loop's own thread at once, from another by way of the loop."""
        subject, body = subjects.stream(self.tenant, self.call), wire.encode(what)
        headers = {wire.TYPE: wire.type_of(type(what))}
        self._loop.call_soon_threadsafe(self._bus.send, subject, body, headers)


Handler = Callable[[ToolContext, Any], Awaitable[Any]]
"""Takes a call's arguments, valid against the schema, and returns plain JSON values or what msgspec encodes."""
