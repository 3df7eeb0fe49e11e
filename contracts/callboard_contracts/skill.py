"""A skill: a prompt plus a typed contract, known by the digest of its content."""

from typing import Any

import msgspec

from callboard_contracts.policy import Rule


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file that comes with a skill, in the blob store by its digest."""

    path: str
    digest: str
    bytes: int


class Skill(msgspec.Struct, tag="skill.skill.v1", frozen=True, kw_only=True, omit_defaults=True):
    """One version of a skill. A run is pinned to its digest."""

    name: str
    description: str
    prompt: str
    tools: tuple[str, ...] | None = None
    """The tools it may use; absent: every tool that is offered."""
    input_schema: dict[str, Any] | None = None
    contract: dict[str, Any] | None = None
    grounded: bool = False
    files: tuple[File, ...] = ()
    rules: tuple[Rule, ...] = ()
    """When a person must decide about a call of its runs, beside what the deployment says."""


class Current(msgspec.Struct, tag="skill.current.v1", frozen=True, kw_only=True):
    """Which version a name stands for now."""

    name: str
    digest: str
