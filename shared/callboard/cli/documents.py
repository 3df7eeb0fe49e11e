"""The files that `callboard memory ingest` finds, and what becomes of each."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from callboard_contracts.errors import CallboardError

MOST_BYTES = 32 * 1024 * 1024
_HEAD_BYTES = 4096
_PASSED = frozenset({"__pycache__", "node_modules", "venv"})
_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""UTF-16 is text, for all its zeros."""


class Found(msgspec.Struct, frozen=True):
    """A file, or a URL, and the name by which it will be known."""

    source: str
    path: Path | None = None


def find(given: str, under: str) -> Iterator[Found]:
    """Yield what a path or URL stands for: itself, or every file of a folder that is not hidden, by name.

    :param under: what the names begin with in place of the folder that was given; empty: where it lies.
    :raises CallboardError: `invalid_request`, it is not there.
    """
    if "://" in given:
        yield Found(given)
        return
    path = Path(given).expanduser().absolute()
    if not path.exists():
        raise CallboardError("invalid_request", f"there is no file or folder {given}")
    if path.is_dir():
        for file in _files(path):
            within = file.relative_to(path).as_posix()
            yield Found(f"{under.rstrip('/')}/{within}" if under else str(file), file)
    else:
        yield Found(f"{under.rstrip('/')}/{path.name}" if under else str(path), path)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder. Links are not followed: they may lead anywhere."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _PASSED or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path


def content(path: Path) -> bytes:
    """Return a file's bytes.

    :raises CallboardError: `unreadable_document`, it cannot be opened or is no text; `file_too_large`.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise CallboardError("file_too_large", f"it has {size:,} bytes, {MOST_BYTES:,} is the most")
        data = path.read_bytes()
    except OSError as error:
        raise CallboardError("unreadable_document", f"it cannot be opened: {error.strerror or error}") from None
    head = data[:_HEAD_BYTES]
    if b"\0" in head and b"%PDF-" not in head and not head.startswith(_MARKS):
        raise CallboardError("unreadable_document", "it is not text")
    if not data.strip():
        raise CallboardError("unreadable_document", "it is empty")
    return data


def body(found: Found, options: dict[str, Any]) -> dict[str, Any]:
    """Return the request that has a document remembered.

    :raises CallboardError: its file cannot be read.
    """
    if found.path is None:
        return options | {"url": found.source}
    return options | {"source": found.source, "base64": base64.b64encode(content(found.path)).decode()}


def options(scope: str, trust: str, tags: list[str], workspace: str) -> dict[str, Any]:
    """Return what holds for every document of a command.

    :raises CallboardError: `invalid_request`, the scope is none.
    """
    name, _, skill = scope.partition(":")
    if name not in ("workspace", "user", "skill") or (name == "skill") != bool(skill):
        raise CallboardError("invalid_request", f"--scope {scope!r} is not workspace, user or skill:NAME")
    words = [word for tag in tags for word in tag.replace(",", " ").split()]
    given = {"trust": trust, "tags": words, "workspace": workspace, "skill": skill}
    return {"scope": name} | {key: value for key, value in given.items() if value}
