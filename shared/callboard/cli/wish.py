"""The goal that a command line asks for: files read, JSON parsed, amounts checked, before anything is started."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from callboard_contracts import names
from callboard_contracts.errors import CallboardError
from callboard_contracts.units import dollars, micro_usd

if TYPE_CHECKING:
    from callboard.skills import Folder

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")
_UNITS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def read_json(given: str, flag: str) -> Any:
    """Return what a flag holds: JSON itself, the name of a file of JSON, or `-` for standard input.

    :raises CallboardError: `invalid_json`, it is none of these.
    """
    if given == "-":
        return _decode(sys.stdin.buffer.read(), f"{flag} -")
    path = Path(given).expanduser()
    looks_like_json = given.lstrip()[:1] in ("{", "[", '"')
    if not looks_like_json and _is_file(path):
        return _decode(_content(path, flag), f"{flag} {given}")
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as error:
        if looks_like_json:
            raise CallboardError("invalid_json", f"{flag}: {error}") from None
        raise CallboardError("invalid_json", f"{flag} {given[:80]!r} is neither JSON nor a file") from None


def _decode(content: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CallboardError("invalid_json", f"{where}: {error}") from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _content(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallboardError("invalid_request", f"{flag} {path} cannot be read: {error.strerror or error}") from None


def attachments(paths: list[Path]) -> dict[str, bytes]:
    """Return the content of files to attach, by the name that the run will see.

    :raises CallboardError: `invalid_request`, one cannot be read, or two have one name.
    """
    found: dict[str, bytes] = {}
    for path in paths:
        for file, name in _files(path.expanduser()):
            if name in found:
                raise CallboardError("invalid_request", f"--file: two files would be called {name!r}")
            found[name] = _content(file, "--file")
    return found


def _files(path: Path) -> list[tuple[Path, str]]:
    if not path.is_dir():
        return [(path, path.name)]
    inside = (file for file in sorted(path.rglob("*")) if file.is_file() and not file.name.startswith("."))
    return [(file, file.relative_to(path.parent).as_posix()) for file in inside]


def contract(given: str) -> dict[str, Any]:
    """Return the contract that a flag holds.

    :raises CallboardError: `invalid_contract` or `invalid_json`.
    """
    from callboard.actor import check_schema

    schema = read_json(given, "--contract")
    if problem := check_schema(schema):
        raise CallboardError("invalid_contract", f"--contract: {problem}")
    return dict(schema)


def labels(given: list[str]) -> dict[str, str]:
    """Return labels that are given as `name:value`.

    :raises CallboardError: `invalid_request`, one has no name.
    """
    parts = [text.partition(":") for text in given]
    for name, _, _ in parts:
        if not name.strip():
            raise CallboardError("invalid_request", "--tag: a label is NAME:VALUE, such as customer:acme")
    return {name.strip(): value.strip() for name, _, value in parts}


def budget(given: str) -> float:
    """Return an amount of dollars.

    :raises CallboardError: `invalid_request`, it is none.
    """
    try:
        return dollars(micro_usd(given.strip().removeprefix("$")))
    except ValueError:
        raise CallboardError("invalid_request", f"--budget-usd {given!r} is not an amount of US dollars") from None


def duration(given: str, flag: str = "--timeout") -> float:
    """Return a time in seconds: `90`, `90s`, `10m`, `2h`.

    :raises CallboardError: `invalid_request`, it is none.
    """
    match = _DURATION.fullmatch(given.strip())
    if match is None or float(match[1]) <= 0:
        raise CallboardError("invalid_request", f"{flag} {given!r} is not a time such as 90, 10m or 2h")
    return float(match[1]) * _UNITS[match[2]]


def tools(given: list[str] | None) -> tuple[str, ...] | None:
    """Return names of tools, which may be separated by commas.

    :raises CallboardError: `unknown_tool`, one cannot be a tool's name.
    """
    if given is None:
        return None
    found = tuple(name for part in given for name in part.replace(",", " ").split())
    for name in found:
        if not names.is_tool(name):
            raise CallboardError("unknown_tool", f"--tools: {name!r} cannot be a tool")
    return found


def skill(given: str) -> "tuple[str, Folder | None]":
    """Return a skill's name, and the skill itself when a folder was given.

    :raises CallboardError: `invalid_skill`, or `unknown_skill` for what is neither a folder nor a name.
    """
    if not given:
        return "", None
    path = Path(given).expanduser()
    if "/" in given or path.is_dir():
        from callboard.skills import load

        folder = load(path)
        return folder.skill.name, folder
    if not names.is_skill(given):
        raise CallboardError("unknown_skill", f"--skill {given!r} is neither a folder nor a skill's name")
    return given, None
