"""What the pure actors may know of the world: a snapshot of the registry, whose revision each record names."""

import msgspec

from callboard_contracts import names
from callboard_contracts.policy import Policy
from callboard_contracts.skill import Skill
from callboard_contracts.tool import Entry, Model, Spec


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The tools that are admitted and the skills that are deployed, at one revision."""

    revision: int = 0
    tools: dict[str, Entry] = {}
    skills: dict[str, str] = {}
    """Name → digest."""
    versions: dict[str, Skill] = {}
    """Digest → skill."""
    policies: dict[str, Policy] = {}
    """Name → the deployment's rules of that name."""

    def spec(self, tool: str) -> Spec | None:
        """Return what a tool is, or None when it is unknown or not admitted. Its executors may be restarting."""
        entry = self.tools.get(tool)
        return entry.spec if entry is not None and entry.admitted else None

    def offered(self) -> tuple[str, ...]:
        """Return the names of all tools that a model may be offered: admitted, running and not the system's own."""
        entries = self.tools.values()
        return tuple(sorted(e.spec.name for e in entries if e.admitted and e.instances and not e.spec.hidden))

    def model(self, name: str) -> Model | None:
        """Return a model by name, the default for an empty name; None when there is none."""
        spec = self.spec(names.MODEL)
        models = spec.models if spec else ()
        return next((model for model in models if not name or model.name == name), None)

    def skill(self, name: str) -> tuple[str, Skill] | None:
        """Return the current version of a skill and its digest."""
        digest = self.skills.get(name, "")
        found = self.versions.get(digest)
        return (digest, found) if found is not None else None
