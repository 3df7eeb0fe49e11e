"""Models on disk and the default among them: `<data>/models/*.gguf` and `<data>/config`. Whoever starts may read it.

A model that is fetched is named only once its digest was found to be the one that was asked for.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from callboard_contracts.errors import CallboardError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1024 * 1024
SUFFIX: Final = ".gguf"

Told = Callable[[int, int], None]
"""Told how many bytes there are and how many there will be (0: unknown)."""


class Config(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `callboard models use` keeps."""

    model: str = ""
    """The default model; empty: the first that is found."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A model on disk."""

    name: str
    path: Path
    bytes: int
    sha256: str


def config(data: Path) -> Config:
    """Return the configuration of a data folder.

    :raises CallboardError: `invalid_request`, it cannot be read.
    """
    path = data / "config"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Config)
    except (FileNotFoundError, NotADirectoryError):
        return Config()
    except (OSError, msgspec.MsgspecError) as error:
        raise CallboardError("invalid_request", f"{path} cannot be read: {error}") from None


def use(data: Path, model: str) -> None:
    """Make a model the default from the next start on; empty: none is preferred.

    :raises CallboardError: `invalid_request`, it cannot be written.
    """
    _replace(data / "config", msgspec.json.format(msgspec.json.encode(Config(model=model))) + b"\n")


def stored(data: Path) -> tuple[Stored, ...]:
    """Return the models on disk, by name."""
    return tuple(_stored(path) for path in sorted((data / "models").glob(f"*{SUFFIX}")))


def pull(data: Path, source: str, sha256: str, told: Told = lambda _done, _total: None) -> Stored:
    """Fetch a model from a URL or a path, and keep it if its digest is the one given.

    :raises CallboardError: `invalid_request`, with what is wrong; then nothing is kept.
    """
    if not _DIGEST.fullmatch(digest := sha256.strip().lower().removeprefix("sha256:")):
        raise CallboardError("invalid_request", f"--sha256 {sha256[:80]!r} is not 64 hexadecimal digits")
    name = _name(source)
    folder = data / "models"
    draft = folder / f".{name}.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = _fetch(source, draft, told)
        if found != digest:
            raise CallboardError("invalid_request", f"{source} has the sha256 {found}, not the one given")
        _replace(folder / f"{name}.sha256", f"{digest}\n".encode())
        draft.replace(folder / name)
    except OSError as error:
        raise CallboardError("invalid_request", f"{source} cannot be kept in {folder}: {error}") from None
    finally:
        draft.unlink(missing_ok=True)
    return _stored(folder / name)


def _name(source: str) -> str:
    name = Path(unquote(urlsplit(source).path) if "://" in source else source).name
    if not _NAME.fullmatch(name) or not name.endswith(SUFFIX):
        raise CallboardError("invalid_request", f"{source} does not end in the name of a model, such as small{SUFFIX}")
    return name


def _fetch(source: str, target: Path, told: Told) -> str:
    """Copy the source and return its digest."""
    seen, digest = 0, hashlib.sha256()
    with target.open("wb") as file:
        for chunk, total in _chunks(source):
            file.write(chunk)
            digest.update(chunk)
            seen += len(chunk)
            told(seen, total)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _chunks(source: str) -> Iterator[tuple[bytes, int]]:
    if "://" not in source:
        yield from _local(Path(source).expanduser())
    elif source.startswith(("https://", "http://")):
        yield from _remote(source)
    else:
        raise CallboardError("invalid_request", f"{source}: only https, http and paths are understood")


def _local(path: Path) -> Iterator[tuple[bytes, int]]:
    total = path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk, total


def _remote(url: str) -> Iterator[tuple[bytes, int]]:
    import httpx

    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30) as answer:
            if answer.status_code != httpx.codes.OK:
                raise CallboardError("invalid_request", f"{url} answered {answer.status_code}")
            total = int(answer.headers.get("content-length", "0"))
            for chunk in answer.iter_bytes(_CHUNK):
                yield chunk, total
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CallboardError("invalid_request", f"{url} cannot be fetched: {error}") from None


def _stored(path: Path) -> Stored:
    digest = path.with_name(f"{path.name}.sha256")
    known = digest.read_text().strip() if digest.is_file() else ""
    return Stored(name=path.stem, path=path, bytes=path.stat().st_size, sha256=known)


def _replace(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        shutil.move(draft, path)
    except OSError as error:
        raise CallboardError("invalid_request", f"{path} cannot be written: {error}") from None
