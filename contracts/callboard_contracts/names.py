"""Names of tools, skills and tenants, and the subject tokens that stand for them.

A tool is `files.read` towards people; in subjects, consumer names, micro names and towards models the dot becomes
`-` (dots are separators there). Names hold no `-` of their own, so the two forms are inverse.
"""

import re

_TOOL = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){0,3}")
_SKILL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_]{0,62}")

ADHOC = "_"
"""The skill token of a goal that names no skill."""

EVERYBODY = "_"
"""In place of a tenant, where something concerns all of them; no tenant can have this name."""

MODEL = "model"
"""The tool name of a model request."""

AGENT = "agent.run"
"""The tool name of a sub-agent."""

ASK = "human.ask"
"""The tool name of a question to a person. Nobody executes it: the guard holds it until a person answers."""


def is_tool(name: str) -> bool:
    """Tell whether `name` can be a tool's name: lower-case words with dots, at most 64 characters, no hyphen."""
    return len(name) <= 64 and _TOOL.fullmatch(name) is not None


def is_skill(name: str) -> bool:
    """Tell whether `name` is valid by the Agent Skills format: a-z, 0-9 and single hyphens, at most 64 characters."""
    return len(name) <= 64 and _SKILL.fullmatch(name) is not None


def is_tenant(name: str) -> bool:
    """Tell whether `name` can be a tenant: one lower-case token."""
    return _TENANT.fullmatch(name) is not None


def token(tool: str) -> str:
    """Return the subject token of a tool's name: `files.read` → `files-read`."""
    return tool.replace(".", "-")


def tool(token: str) -> str:
    """Return the tool's name of a subject token: `files-read` → `files.read`."""
    return token.replace("-", ".")


def durable(tool: str) -> str:
    """Return the name of the durable consumer that a tool's executors share."""
    return f"tool-{token(tool)}"
