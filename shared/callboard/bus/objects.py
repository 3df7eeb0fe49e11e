"""Blobs and files in the standard JetStream object store format, so that any NATS client reads them.

Writing is for those who know this module: the buckets refuse the roll-up header of the standard's writers, because
whoever may send it to one subject can wipe the whole bucket. A description is therefore not replaced but followed by a
newer one, and the last counts.

    $O.<bucket>.M.<base64url(name)>       what an object is: size, digest, and the nuid of its chunks
    $O.<bucket>.C.<nuid>                  its chunks

A blob's name is the sha256 of its content. A file's name is `<owner>/<path>`; the owner is a tree, or
`skill-<digest>`. A file's nuid starts with its owner and a dot, which other clients do not notice, and beside the
chunks lies a copy of its description:

    $O.artifacts.C.<owner>.<nuid>         its chunks
    $O.artifacts.C.<owner>.M.<base64url(path)>

So one filter covers all of an owner's content: listing costs what the owner has and not what the bucket has, and a
purge of it is a purge of the tree.

Nothing is overwritten: a file's former chunks stay until its owner is purged, so a reader under way sees one version.
"""

import asyncio
import base64
import re
import secrets
import unicodedata
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from callboard.bus import layout, reader
from callboard.bus.bus import Bus
from callboard_contracts.errors import CallboardError

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
CHUNK_BYTES: Final = 128 * 1024
MAX_PATH_BYTES: Final = 512

_WINDOW = 32
"""Chunks under way at once: 4 MiB."""
_OWNER = re.compile(r"[A-Za-z0-9_-]{1,160}")
_DRIVE = re.compile(r"[A-Za-z]:")
_THREAD_BYTES = 1024 * 1024


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """What an object is, as every NATS client writes it. nats-py waits for ever on one that omits its size of 0."""

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str = ""
    deleted: bool = False
    options: dict[str, Any] | None = None


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of an owner. `digest` is the sha256 of its content, in hex."""

    path: str
    bytes: int
    digest: str
    mtime: str = ""


def clean_path(path: str) -> str:
    """Return a path as it is stored: relative, in Unicode's normal form C, without empty parts.

    :raises CallboardError: `invalid_request`, it is absolute, leads outside, or holds what no file name holds.
    """
    text = unicodedata.normalize("NFC", path)
    parts = text.split("/")
    problem = ""
    if not text or len(text.encode(errors="replace")) > MAX_PATH_BYTES:
        problem = f"is not 1 to {MAX_PATH_BYTES} bytes long"
    elif text.startswith("/") or "\\" in text or _DRIVE.match(text):
        problem = "is not relative, with / between its parts"
    elif any(part in ("", ".", "..") or part != part.strip() for part in parts):
        problem = "has a part that is empty, `.`, `..`, or ends in white space"
    elif any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in text):
        problem = "holds control characters"
    if problem:
        raise CallboardError("invalid_request", f"the path {text[:80]!r} {problem}")
    return text


async def put_blob(bus: Bus, data: bytes) -> str:
    """Store a blob and return its digest; one that is there is not stored again.

    :raises BusError: it was not stored.
    """
    digest = (await _sha256(data)).hex()
    if await _info(bus, layout.BLOBS, digest) is None:
        info = await _put_chunks(bus, layout.BLOBS, digest, data, secrets.token_hex(11))
        await _publish_info(bus, info)
    return digest


async def get_blob(bus: Bus, digest: str) -> bytes:
    """Return a blob.

    :raises CallboardError: `not_found`, or `internal` when its content is damaged. :raises NoAnswer: no broker.
    """
    info = await _info(bus, layout.BLOBS, digest)
    if info is None:
        raise CallboardError("not_found", f"there is no blob {digest}")
    data = await _read(bus, info)
    if (await _sha256(data)).hex() != digest:
        raise CallboardError("internal", f"the blob {digest} is damaged")
    return data


async def get_head(bus: Bus, digest: str, most: int) -> tuple[bytes, int]:
    """Return the first bytes of a blob, at most so many, and the size of the whole, which is not read.

    Only what is returned whole can be checked against its digest, and is.

    :raises CallboardError: `not_found`, or `internal` when its content is damaged. :raises NoAnswer: no broker.
    """
    info = await _info(bus, layout.BLOBS, digest)
    if info is None:
        raise CallboardError("not_found", f"there is no blob {digest}")
    data, seq = b"", 0
    while len(data) < min(most, info.size):
        found = await reader.following(bus, f"OBJ_{layout.BLOBS}", f"$O.{layout.BLOBS}.C.{info.nuid}", seq + 1)
        if found is None:
            raise CallboardError("internal", f"the blob {digest} is damaged")
        data, seq = data + found.body, found.seq
    if info.size <= most and sha256(data).hexdigest() != digest:
        raise CallboardError("internal", f"the blob {digest} is damaged")
    return data[:most], info.size


async def put_file(bus: Bus, owner: str, path: str, data: bytes) -> File:
    """Store a file of an owner, in place of one with the same path.

    :raises CallboardError: `invalid_request` for the path, `file_too_large`. :raises BusError: it was not stored.
    """
    path, owner = clean_path(path), _checked(owner)
    if len(data) > MAX_FILE_BYTES:
        raise CallboardError("file_too_large", f"{path} has {len(data):,} bytes, {MAX_FILE_BYTES:,} is the most")
    nuid = f"{owner}.{secrets.token_hex(11)}"
    info = await _put_chunks(bus, layout.ARTIFACTS, f"{owner}/{path}", data, nuid)
    await _publish_info(bus, info, f"{_index(owner)}.{_encoded(path)}")
    return _file(info, owner)


async def get_file(bus: Bus, owner: str, path: str) -> bytes:
    """Return the content of an owner's file.

    :raises CallboardError: `not_found`, `invalid_request`, or `internal` when it is damaged.
    :raises NoAnswer: the broker does not answer.
    """
    path = clean_path(path)
    info = await _info(bus, layout.ARTIFACTS, f"{_checked(owner)}/{path}")
    if info is None:
        raise CallboardError("not_found", f"there is no file {path!r}")
    return await _read(bus, info)


async def list_files(bus: Bus, owner: str) -> list[File]:
    """Return an owner's files, by path.

    :raises NoAnswer: the broker does not answer.
    """
    subject = f"{_index(_checked(owner))}.*"
    latest: dict[str, Info] = {}
    async for message in reader.scan(bus, f"OBJ_{layout.ARTIFACTS}", subject):
        info = msgspec.json.decode(message.body, type=Info)
        latest[info.name] = info
    return [_file(info, owner) for _, info in sorted(latest.items()) if not info.deleted]


def _checked(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise CallboardError("invalid_request", f"{owner[:80]!r} cannot own files")
    return owner


def _file(info: Info, owner: str) -> File:
    return File(path=info.name[len(owner) + 1 :], bytes=info.size, digest=_bare(info.digest).hex(), mtime=info.mtime)


def _index(owner: str) -> str:
    return f"$O.{layout.ARTIFACTS}.C.{owner}.M"


def _encoded(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _bare(digest: str) -> bytes:
    return base64.urlsafe_b64decode(digest.partition("=")[2])


async def _sha256(data: bytes) -> bytes:
    if len(data) < _THREAD_BYTES:
        return sha256(data).digest()
    return await asyncio.to_thread(lambda: sha256(data).digest())


async def _info(bus: Bus, bucket: str, name: str) -> Info | None:
    found = await reader.last(bus, f"OBJ_{bucket}", f"$O.{bucket}.M.{_encoded(name)}")
    if found is None:
        return None
    info = msgspec.json.decode(found.body, type=Info)
    return None if info.deleted else info


async def _put_chunks(bus: Bus, bucket: str, name: str, data: bytes, nuid: str) -> Info:
    size = min(CHUNK_BYTES, bus.client.max_payload - 1024)
    subject = f"$O.{bucket}.C.{nuid}"
    starts = range(0, len(data), size)
    for first in range(0, len(starts), _WINDOW):
        window = starts[first : first + _WINDOW]
        await _all(bus.publish(subject, data[start : start + size], timeout_s=30) for start in window)
    digest = base64.urlsafe_b64encode(await _sha256(data)).decode()
    return Info(
        name=name,
        bucket=bucket,
        nuid=nuid,
        size=len(data),
        chunks=len(starts),
        digest=f"SHA-256={digest}",
        mtime=datetime.now(UTC).isoformat(),
        options={"max_chunk_size": size},
    )


async def _publish_info(bus: Bus, info: Info, *copies: str) -> None:
    body = msgspec.json.encode(info)
    subjects = (f"$O.{info.bucket}.M.{_encoded(info.name)}", *copies)
    await _all(bus.publish(subject, body) for subject in subjects)


async def _all(publishes: Any) -> None:
    """Send in this order over one connection, then wait for every acknowledgement."""
    for outcome in await asyncio.gather(*publishes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _read(bus: Bus, info: Info) -> bytes:
    stream, subject = f"OBJ_{info.bucket}", f"$O.{info.bucket}.C.{info.nuid}"
    if info.chunks == 1:
        only = await reader.last(bus, stream, subject)
        parts = [only.body] if only else []
    else:
        parts = [message.body async for message in reader.scan(bus, stream, subject)] if info.size else []
    data = b"".join(parts)
    if info.digest and await _sha256(data) != _bare(info.digest):
        raise CallboardError("internal", f"{info.name!r} is damaged: its digest is another")
    return data
