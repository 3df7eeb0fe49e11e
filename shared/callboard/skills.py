"""Skill folders in the Agent Skills format: what stands in the files, as a skill with its contents.

    weather-report/
        SKILL.md              front matter (name, description, allowed-tools, metadata …), then the prompt
        input.schema.json     JSON Schema of the input; optional
        output.schema.json    JSON Schema of the output, the skill's contract; optional
        approval.toml         which calls of its runs wait for a person (see `callboard.policy`); optional
        assets/…              everything else comes with the skill, as files that its runs can read

Ours in the front matter is only `metadata`: `callboard.grounded: "true"`. An unknown field is an error, because a
misspelt `allowed-tools` would otherwise allow every tool.
"""

import base64
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import yaml

from callboard.actor import check_schema
from callboard.bus import Bus
from callboard.bus.objects import MAX_FILE_BYTES, clean_path, put_blob
from callboard.bus.registry import put_skill
from callboard.policy import load_rules
from callboard_contracts import names
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import Rule
from callboard_contracts.skill import File, Skill

SKILL: Final = "SKILL.md"
INPUT: Final = "input.schema.json"
OUTPUT: Final = "output.schema.json"
RULES: Final = "approval.toml"
GROUNDED: Final = "callboard.grounded"

_FENCE = "---"
_FIELDS = frozenset({"name", "description", "license", "compatibility", "allowed-tools", "metadata"})
_METADATA = frozenset({GROUNDED})
_MAX_DESCRIPTION = 1024
_MAX_FILES = 500


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """A skill as it lies on disk: the skill, and the content of its files by path."""

    skill: Skill
    contents: dict[str, bytes]


def load_all(folder: Path) -> tuple[Folder, ...]:
    """Load a folder of skill folders, or the one skill that a folder is.

    :raises CallboardError: `invalid_skill`, naming the file and what is wrong with it.
    """
    if (folder / SKILL).is_file():
        return (load(folder),)
    if not folder.is_dir():
        raise CallboardError("invalid_skill", f"{folder} is not a folder")
    found = tuple(load(path.parent) for path in sorted(folder.glob(f"*/{SKILL}")))
    if not found:
        raise CallboardError("invalid_skill", f"{folder} holds no {SKILL}, and neither does a folder in it")
    return found


def load(folder: Path) -> Folder:
    """Load one skill folder.

    :raises CallboardError: `invalid_skill`, naming the file and what is wrong with it.
    """
    folder = folder.expanduser().resolve()
    front, prompt = _read_skill(folder / SKILL)
    if (name := front.text("name")) != folder.name:
        raise front.wrong("name", f"is {name!r}, and its folder is {folder.name!r}: they must be the same")
    contents = _contents(folder)
    skill = Skill(
        name=name,
        description=front.text("description"),
        prompt=prompt,
        tools=front.tools(),
        input_schema=_schema(folder / INPUT),
        contract=_schema(folder / OUTPUT),
        grounded=front.grounded(),
        files=tuple(_file(path, data) for path, data in sorted(contents.items())),
        rules=_rules(folder / RULES),
    )
    return Folder(skill=skill, contents=contents)


async def deploy(bus: Bus, folder: Folder) -> str:
    """Deploy a skill by the broker: its files, then itself. Returns its digest.

    :raises BusError: it was not stored; deploying again is safe.
    """
    for data in folder.contents.values():
        await put_blob(bus, data)
    return await put_skill(bus, folder.skill)


def deployment(folder: Folder) -> dict[str, Any]:
    """Return the body of `PUT /v1/skills/{name}` that deploys a skill."""
    skill = folder.skill
    return {
        "description": skill.description,
        "prompt": skill.prompt,
        "tools": skill.tools,
        "input_schema": skill.input_schema,
        "contract": skill.contract,
        "grounded": skill.grounded,
        "rules": msgspec.to_builtins(skill.rules),
        "files": [
            {"path": path, "base64": base64.b64encode(data).decode()} for path, data in sorted(folder.contents.items())
        ],
    }


class _Front:
    """The front matter, which knows the line of each field."""

    def __init__(self, path: Path, fields: dict[str, Any], lines: dict[str, int]) -> None:
        self._path = path
        self._fields = fields
        self._lines = lines

    def wrong(self, field: str, problem: str) -> CallboardError:
        """Return the error about a field."""
        line = f", line {self._lines[field]}" if field in self._lines else ""
        return CallboardError("invalid_skill", f"{self._path}{line}: {field} {problem}")

    def check(self) -> None:
        """Check the fields that are there, and that those that must be are.

        :raises CallboardError: `invalid_skill`.
        """
        for field in self._fields:
            if field not in _FIELDS:
                raise self.wrong(field, f"is not a field of a skill; those are {', '.join(sorted(_FIELDS))}")
        name, description = self._required("name"), self._required("description")
        if not names.is_skill(name):
            raise self.wrong("name", f"{name[:80]!r} must be a-z, 0-9 and single hyphens, at most 64 characters")
        if len(description) > _MAX_DESCRIPTION:
            raise self.wrong("description", f"has {len(description)} characters, {_MAX_DESCRIPTION} is the most")

    def _required(self, field: str) -> str:
        value = self._fields.get(field)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(field, "is missing" if value is None else "must be text that is not empty")
        return value

    def text(self, field: str) -> str:
        """Return a field that was checked."""
        return str(self._fields[field]).strip()

    def tools(self) -> tuple[str, ...] | None:
        """Return the tools that are allowed, None when the field is absent.

        :raises CallboardError: `invalid_skill`.
        """
        value = self._fields.get("allowed-tools")
        if value is None:
            return None
        found = value.split() if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(tool, str) for tool in found):
            raise self.wrong("allowed-tools", "must be names with spaces between them, or a list of names")
        for tool in found:
            if not names.is_tool(tool):
                raise self.wrong("allowed-tools", f"names {tool[:80]!r}, which cannot be a tool of Callboard")
        return tuple(dict.fromkeys(found))

    def grounded(self) -> bool:
        """Return whether every value must occur in what the tools returned.

        :raises CallboardError: `invalid_skill`.
        """
        metadata = self._fields.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise self.wrong("metadata", "must be a map")
        ours = {str(key) for key in metadata if str(key).startswith("callboard.")}
        if unknown := sorted(ours - _METADATA):
            raise self.wrong("metadata", f"has {unknown[0]}, which Callboard does not know; it knows {GROUNDED}")
        value = str(metadata.get(GROUNDED, "false")).lower()
        if value not in ("true", "false"):
            raise self.wrong("metadata", f'has {GROUNDED} {value!r}, which must be "true" or "false"')
        return value == "true"


def _read_skill(path: Path) -> tuple[_Front, str]:
    lines = _text(path).split("\n")
    if lines[0].strip() != _FENCE:
        raise CallboardError("invalid_skill", f"{path}, line 1: it must begin with {_FENCE} and the front matter")
    end = next((at for at, line in enumerate(lines[1:], 1) if line.strip() == _FENCE), 0)
    if not end:
        raise CallboardError("invalid_skill", f"{path}: no {_FENCE} ends the front matter")
    front = _front(path, "\n".join(lines[1:end]))
    front.check()
    return front, "\n".join(lines[end + 1 :]).strip()


def _front(path: Path, text: str) -> _Front:
    try:
        node = yaml.compose(text, yaml.SafeLoader)
        fields = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 2}" if mark else ""
        raise CallboardError("invalid_skill", f"{path}{line}: {getattr(error, 'problem', error)}") from None
    if not isinstance(node, yaml.MappingNode) or not isinstance(fields, dict):
        raise CallboardError("invalid_skill", f"{path}, line 2: the front matter must be fields with values")
    lines = {str(key.value): key.start_mark.line + 2 for key, _ in node.value}
    return _Front(path, {str(key): value for key, value in fields.items()}, lines)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise CallboardError("invalid_skill", f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_skill", f"{path} cannot be read: {error}") from None


def _schema(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    text = _text(path)
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise CallboardError("invalid_skill", f"{path} is not JSON: {error}") from None
    if problem := check_schema(found):
        raise CallboardError("invalid_skill", f"{path}: {problem}")
    return dict(found)


def _rules(path: Path) -> tuple[Rule, ...]:
    try:
        return load_rules(path) if path.is_file() else ()
    except CallboardError as error:
        raise CallboardError("invalid_skill", error.detail) from None


def _contents(folder: Path) -> dict[str, bytes]:
    """Return everything that comes with the skill. Hidden files and caches stay where they are."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if len(parts) == 1 and parts[0] in (SKILL, INPUT, OUTPUT, RULES):
            continue
        found[_path(path, "/".join(parts))] = _bytes(path, folder)
    if len(found) > _MAX_FILES:
        raise CallboardError("invalid_skill", f"{folder} holds {len(found)} files, {_MAX_FILES} is the most")
    return found


def _path(path: Path, relative: str) -> str:
    try:
        return clean_path(relative)
    except CallboardError as error:
        raise CallboardError("invalid_skill", f"{path}: {error}") from None


def _bytes(path: Path, folder: Path) -> bytes:
    if not path.resolve().is_relative_to(folder):
        raise CallboardError("invalid_skill", f"{path} leads out of the folder")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise CallboardError("invalid_skill", f"{path} has more than {MAX_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CallboardError("invalid_skill", f"{path} cannot be read: {error}") from None


def _file(path: str, data: bytes) -> File:
    return File(path=path, digest=sha256(data).hexdigest(), bytes=len(data))
