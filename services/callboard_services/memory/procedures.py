"""Skills as something to be found: a row for each, so that a run may look for one and load only what it needs.

The registry is the truth; rows follow it. What is loaded is always the version that is deployed now.
"""

import asyncio
import hashlib
import time
from typing import Final

import structlog

from callboard.bus import BusError, layout, reader
from callboard.bus.registry import Registry
from callboard_contracts import memory, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.registry import Facts
from callboard_contracts.skill import Skill
from callboard_services.memory.house import Memory
from callboard_services.memory.telling import shortened

log = structlog.get_logger()

PROMPT_CHARS: Final = 600
DIGEST: Final = "digest"
"""The label that tells which version a row was made of."""
_AGAIN_S: Final = 2.0


class Procedures:
    """Keeps the rows of skills as the registry has them, of each tenant that asks."""

    def __init__(self, house: Memory, registry: Registry) -> None:
        self._house = house
        self._registry = registry
        self._known: dict[tuple[str, str], str] = {}
        """Of a tenant and a skill, the version whose row is stored."""
        self._changed = asyncio.Event()
        self._one = asyncio.Lock()
        registry.changed.append(self._on_change)

    def _on_change(self, _: Facts) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Keep the rows of this process's own tenant, until cancelled."""
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.follow(self._house.settings.tenant)
            except (CallboardError, BusError) as error:
                log.warning("skills are not indexed yet", reason=str(error))
                self._changed.set()
                await asyncio.sleep(_AGAIN_S)

    async def follow(self, tenant: str) -> None:
        """Store a row for every skill that has none of its version yet.

        :raises CallboardError: the embedder fails. :raises BusError: not all of it is stored.
        """
        facts = self._registry.facts
        async with self._one:
            for name, digest in sorted(facts.skills.items()):
                skill = facts.versions.get(digest)
                if skill is not None and self._known.get((tenant, name)) != digest:
                    await self._store(tenant, skill, digest)
                    self._known[tenant, name] = digest

    async def _store(self, tenant: str, skill: Skill, digest: str) -> None:
        said = row(skill, digest, time.time_ns() // 1_000_000)
        found = await reader.last(self._house.bus, layout.MEMORY, subjects.memory(tenant, "procedure", said.id))
        stored = wire.decode(found.body, memory.Remembered | memory.Forgotten) if found is not None else None
        if isinstance(stored, memory.Remembered) and stored.labels.get(DIGEST) == digest:
            return
        await self._house.writer.remember(tenant, said)


def row(skill: Skill, digest: str, now_ms: int) -> memory.Remembered:
    """Return a skill as it is found: by its name, what it says of itself, and how its prompt begins. Pure."""
    begins = shortened(skill.prompt, PROMPT_CHARS)
    return memory.Remembered(
        id=hashlib.sha256(skill.name.encode()).hexdigest()[:20],
        kind="procedure",
        text=f"{skill.name.replace('-', ' ')}: {shortened(skill.description, PROMPT_CHARS)}\n{begins}",
        title=skill.name,
        origin=memory.Origin(scope="workspace", trust="person", source=source_of(skill.name), at_ms=now_ms),
        labels={DIGEST: digest},
    )


def source_of(skill: str) -> str:
    """Return the source that a skill's row names."""
    return f"skill:{skill}"
