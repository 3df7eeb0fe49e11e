"""The registry: which tools are admitted and which skills are deployed, as a snapshot that follows the KV buckets."""

import asyncio
from collections.abc import Callable
from hashlib import sha256

import msgspec
import structlog

from callboard.bus import layout, reader
from callboard.bus.bus import Bus
from callboard.bus.errors import BusError
from callboard.bus.message import Delivery
from callboard_contracts import wire
from callboard_contracts.policy import Policy, Rule
from callboard_contracts.registry import Facts
from callboard_contracts.skill import Current, Skill
from callboard_contracts.tool import Entry

log = structlog.get_logger()

POLICIES = f"$KV.{layout.REGISTRY}.policy"
"""Where the deployment's rules are, each policy under its name."""
_RELOAD_S = 10.0
Value = Entry | Current | Skill | Policy


class Registry:
    """Follows the registry. `facts` is always a whole, consistent snapshot; its revision only grows."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.facts = Facts()
        self.changed: list[Callable[[Facts], None]] = []
        self._stops: list[Callable[[], object]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load everything and follow changes.

        :raises NoAnswer: the broker does not answer.
        """
        for bucket in (layout.REGISTRY, layout.SKILLS):
            self._stops.append(await self._bus.subscribe(f"$KV.{bucket}.>", self._on_change))
        await self.reload()
        self._task = asyncio.create_task(self._reload_sometimes())

    async def stop(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
        for stop in self._stops:
            await stop()  # type: ignore[misc]

    async def reload(self) -> None:
        """Read both buckets anew: core subscriptions are at most once."""
        for bucket in (layout.SKILLS, layout.REGISTRY):
            async for message in reader.scan(self._bus, f"KV_{bucket}", f"$KV.{bucket}.>"):
                self._on_change(message)

    async def _reload_sometimes(self) -> None:
        while True:
            await asyncio.sleep(_RELOAD_S)
            try:
                await self.reload()
            except BusError as error:
                log.warning("registry not read", detail=str(error))

    def _on_change(self, message: Delivery) -> None:
        if not message.body:
            return
        try:
            value: Value = wire.decode(message.body, Value)
        except ValueError as error:
            log.warning("registry entry not readable", subject=message.stored_subject, detail=str(error))
            if not message.stored_subject.startswith(f"{POLICIES}."):
                return
            value = _unreadable(message.stored_subject)
        before = self.facts
        self.facts = with_value(before, value)
        if self.facts is not before:
            for callback in self.changed:
                callback(self.facts)


def _unreadable(subject: str) -> Policy:
    """Return what holds in the place of rules that cannot be read: every call waits for a person."""
    name = subject.removeprefix(f"{POLICIES}.")
    return Policy(name=name, rules=(Rule(name="unreadable", reason=f"The policy {name} cannot be read."),))


def with_value(facts: Facts, value: Value) -> Facts:
    """Return the facts with one more value, and a higher revision if that changed anything."""
    tools, skills, versions, policies = facts.tools, facts.skills, facts.versions, facts.policies
    match value:
        case Entry():
            tools = {**tools, value.spec.name: value}
        case Current():
            skills = {**skills, value.name: value.digest}
        case Skill():
            versions = {**versions, digest_of(value): value}
        case Policy():
            policies = {**policies, value.name: value}
    found = Facts(revision=facts.revision, tools=tools, skills=skills, versions=versions, policies=policies)
    return facts if found == facts else msgspec.structs.replace(found, revision=facts.revision + 1)


def digest_of(value: Skill) -> str:
    """Return the digest that a skill's version is known by."""
    return sha256(wire.encode(value)).hexdigest()


async def put_tool(bus: Bus, key: str, entry: Entry) -> None:
    """Write a tool's entry under its token.

    :raises BusError: it was not stored.
    """
    await bus.publish(f"$KV.{layout.REGISTRY}.tool.{key}", wire.encode(entry))


async def put_policy(bus: Bus, policy: Policy) -> None:
    """Apply the deployment's rules of one name. Guards see them at once, or within ten seconds.

    :raises BusError: it was not stored.
    """
    await bus.publish(f"{POLICIES}.{policy.name}", wire.encode(policy))


async def put_skill(bus: Bus, skill: Skill) -> str:
    """Deploy a skill: its version by digest, then its name. Returns the digest.

    :raises BusError: it was not stored.
    """
    digest = digest_of(skill)
    await bus.publish(f"$KV.{layout.SKILLS}.version.{digest}", wire.encode(skill))
    await bus.publish(f"$KV.{layout.SKILLS}.name.{skill.name}", wire.encode(Current(name=skill.name, digest=digest)))
    return digest
