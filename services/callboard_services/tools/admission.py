"""Whether a tool can be used: its own word against the rules. Pure; the same answers give the same entry everywhere.

A tool that cannot be used is not forgotten: its entry says why, so that its author finds the reason.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from callboard.actor import check_schema
from callboard_contracts import names
from callboard_contracts.tool import Entry, Spec

MAX_SPEC_BYTES = 64 * 1024
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)([-+].*)?")


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One process that serves a tool, as it announced itself."""

    id: str
    token: str
    started: int
    """When it started, ms since 1970 by its own clock; 0 when it does not say."""
    spec: Spec
    problem: str = ""


class _Info(msgspec.Struct):
    """The part of NATS micro's INFO that matters."""

    name: str
    id: str
    metadata: dict[str, str] | None = None


def read(body: bytes) -> Instance | None:
    """Read a micro service's INFO; None when it is no tool."""
    try:
        info = msgspec.json.decode(body, type=_Info)
    except msgspec.DecodeError:
        return None
    metadata = info.metadata or {}
    text = metadata.get("callboard.tool")
    if text is None:
        return None
    started = metadata.get("callboard.started", "")
    spec, problem = _spec(info.name, text)
    return Instance(
        id=info.id, token=info.name, started=int(started) if started.isdecimal() else 0, spec=spec, problem=problem
    )


def _spec(token: str, text: str) -> tuple[Spec, str]:
    unusable = Spec(name=names.tool(token), description="", input_schema={})
    if len(text) > MAX_SPEC_BYTES:
        return unusable, f"its description of itself is larger than {MAX_SPEC_BYTES // 1024} KiB"
    try:
        spec = msgspec.json.decode(text, type=Spec)
    except msgspec.DecodeError as error:
        return unusable, f"callboard.tool in its metadata cannot be read: {error}"
    if names.token(spec.name) != token:
        return unusable, f"it is announced as {token!r} and calls itself {spec.name!r}"
    return spec, problem_of(spec)


def problem_of(spec: Spec) -> str:
    """Return why a tool cannot be admitted, empty when it can."""
    if not names.is_tool(spec.name):
        return "its name is not lower-case words with dots, such as files.read"
    if not spec.description.strip():
        return "it has no description for a model to choose it by"
    if not _VERSION.fullmatch(spec.version):
        return f"its version {spec.version!r} is not of the form 1.2.3"
    if spec.price_micro_usd < 0 or not 0 < spec.timeout_s < float("inf"):
        return "its price or its timeout is not a usable number"
    return _schema_problem(spec)


def _schema_problem(spec: Spec) -> str:
    if spec.input_schema.get("type") != "object":
        return 'its input_schema has not the type "object"'
    for name, schema in (("input_schema", spec.input_schema), ("output_schema", spec.output_schema)):
        if schema is None:
            continue
        if foreign := next(_foreign(schema), ""):
            return f"its {name} refers to {foreign!r}: it must be complete in itself"
        if problem := check_schema(schema):
            return f"its {name} is not a JSON Schema: {problem}"
    return ""


def _foreign(schema: Any) -> Iterator[str]:
    """Yield references that lead out of the schema: nobody fetches an address that a tool names."""
    parts: list[Any] = [schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            yield from (
                value
                for key in ("$ref", "$dynamicRef", "$schema", "$id")
                if isinstance(value := part.get(key), str)
                and not value.startswith(("#", "https://json-schema.org/", "http://json-schema.org/"))
            )
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)


def entry_of(instances: Iterable[Instance]) -> Entry:
    """Return the entry for the processes that serve one tool (at least one). Where they disagree, the newest is right.

    The others' calls are validated against the newest schema as well, by the guard, and by their own again.
    """
    every = tuple(instances)
    newest = max(every, key=_age)
    return Entry(spec=newest.spec, instances=len(every), admitted=not newest.problem, problem=newest.problem)


def disagreement(instances: Iterable[Instance]) -> str:
    """Return what is wrong when processes give different descriptions under the same version, empty when nothing is."""
    specs = {msgspec.json.encode(i.spec): i for i in instances}
    versions = [i.spec.version for i in specs.values()]
    doubled = sorted({version for version in versions if versions.count(version) > 1})
    return f"processes of version {', '.join(doubled)} describe themselves differently" if doubled else ""


def _age(instance: Instance) -> tuple[tuple[int, ...], int, str]:
    """Order by version, then by start, then by id, so that every registrar finds the same one newest."""
    found = _VERSION.fullmatch(instance.spec.version)
    version = tuple(int(number) for number in found.groups()[:3]) if found else ()
    return (version, instance.started, instance.id)
