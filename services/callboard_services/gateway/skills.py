"""`PUT /v1/skills/{name}`: deploy a version of a skill. Versions are immutable; runs go on with theirs."""

import base64
import binascii
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from callboard import policy
from callboard.actor import check_schema
from callboard.bus.objects import clean_path, put_blob
from callboard.bus.registry import put_skill
from callboard_contracts import names
from callboard_contracts.errors import CallboardError
from callboard_contracts.skill import File, Skill
from callboard_services.gateway.bodies import decode, json, read
from callboard_services.gateway.house import House, house_of

MAX_FILES_BYTES = 4 * 1024 * 1024
_MAX_BODY = 8 * 1024 * 1024
_MAX_SKILL = 512 * 1024
"""Of the skill itself: it is one message."""


class Attached(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the skill, inline."""

    path: str
    base64: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/skills/{name}`."""

    description: Annotated[str, Meta(min_length=1, max_length=1024)]
    prompt: str
    tools: tuple[str, ...] | None = None
    input_schema: dict[str, Any] | None = None
    contract: dict[str, Any] | None = None
    grounded: bool = False
    rules: tuple[policy.Written, ...] = ()
    files: Annotated[tuple[Attached, ...], Meta(max_length=500)] = ()


async def put(request: Request) -> Response:
    """Deploy."""
    house, name = house_of(request), str(request.path_params["name"])
    too_large = CallboardError("invalid_skill", f"The body may have {_MAX_BODY:,} bytes.")
    wanted = decode(await read(request, _MAX_BODY, too_large), Deployment, "invalid_skill")
    contents = _checked(name, wanted)
    skill = Skill(
        name=name,
        description=wanted.description,
        prompt=wanted.prompt,
        tools=wanted.tools,
        input_schema=wanted.input_schema,
        contract=wanted.contract,
        grounded=wanted.grounded,
        files=await _stored(house, contents),
        rules=wanted.rules,
    )
    digest = await put_skill(house.bus, skill)
    return json({"name": name, "digest": digest, "files": len(skill.files)}, 200)


def _checked(name: str, wanted: Deployment) -> dict[str, bytes]:
    """Check a deployment. Returns the content of its files by path.

    :raises CallboardError: `invalid_skill` with what is wrong.
    """
    if not names.is_skill(name):
        raise _invalid(f"{name[:80]!r} cannot be a skill's name: use a-z, 0-9 and single hyphens.")
    if unknown := [tool for tool in wanted.tools or () if not names.is_tool(tool)]:
        raise _invalid(f"{unknown[0][:80]!r} cannot be a tool.")
    for field, schema in (("input_schema", wanted.input_schema), ("contract", wanted.contract)):
        if schema is not None and (problem := check_schema(schema)):
            raise _invalid(f"{field}: {problem}")
    if len(msgspec.json.encode((wanted.prompt, wanted.input_schema, wanted.contract))) > _MAX_SKILL:
        raise _invalid(f"Prompt and schemas may have {_MAX_SKILL:,} bytes.")
    try:
        policy.check(wanted.rules)
    except CallboardError as error:
        raise _invalid(f"rules: {error}") from None
    return _contents(wanted.files)


def _contents(files: tuple[Attached, ...]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for file in files:
        try:
            path = clean_path(file.path)
            found[path] = base64.b64decode(file.base64, validate=True)
        except (CallboardError, binascii.Error) as error:
            raise _invalid(f"files: {file.path[:80]!r}: {error}") from None
    if sum(map(len, found.values())) > MAX_FILES_BYTES:
        raise _invalid(f"The files may have {MAX_FILES_BYTES:,} bytes together.")
    return found


async def _stored(house: House, contents: dict[str, bytes]) -> tuple[File, ...]:
    return tuple(
        [
            File(path=path, digest=await put_blob(house.bus, data), bytes=len(data))
            for path, data in sorted(contents.items())
        ]
    )


def _invalid(detail: str) -> CallboardError:
    return CallboardError("invalid_skill", detail)
