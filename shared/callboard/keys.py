"""API keys: a name, groups and the SHA-256 of a 256-bit random token, in `<data>/keys.json`. The token is shown once.

Who holds the key acts under its name, and belongs to its groups: nothing that a message says can change that.

A token has the entropy of a key, so one round of SHA-256 is as good as a slow hash and costs a microsecond.
"""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from callboard_contracts.errors import CallboardError

LOCAL = "local"
"""The principal of the embedded profile, which listens on loopback and has no key."""

_PREFIX = "cb_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key, as it is kept."""

    name: str
    sha256: str
    created_ms: int
    groups: tuple[str, ...] = ()


def path_of(data: Path) -> Path:
    """Return where the keys of a data folder are."""
    return data / "keys.json"


def entries(data: Path) -> tuple[Key, ...]:
    """Return every key, in the order of creation.

    :raises CallboardError: `invalid_request` when the file cannot be read as keys.
    """
    try:
        return msgspec.json.decode(path_of(data).read_bytes(), type=tuple[Key, ...])
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.MsgspecError) as error:
        raise CallboardError("invalid_request", f"{path_of(data)} cannot be read: {error}") from None


def add(data: Path, name: str, groups: Sequence[str] = ()) -> str:
    """Make a key and return its token, which is kept nowhere.

    :raises CallboardError: `invalid_request` when the name is taken or cannot be one, or a group's cannot.
    """
    for what, word in (("key", name), *(("group", group) for group in groups)):
        if not _NAME.fullmatch(word) or word == LOCAL:
            raise CallboardError(
                "invalid_request", f"{word!r} cannot name a {what}: use letters, digits, `.`, `_` and `-`"
            )
    present = entries(data)
    if any(key.name == name for key in present):
        raise CallboardError("invalid_request", f"there is a key named {name!r}")
    token = _PREFIX + secrets.token_urlsafe(32)
    made = Key(
        name=name,
        sha256=_digest(token),
        created_ms=time.time_ns() // 1_000_000,
        groups=tuple(dict.fromkeys(groups)),
    )
    _write(data, (*present, made))
    return token


def remove(data: Path, name: str) -> None:
    """Make a key worthless, at once.

    :raises CallboardError: `invalid_request` when there is none of that name.
    """
    present = entries(data)
    left = tuple(key for key in present if key.name != name)
    if left == present:
        raise CallboardError("invalid_request", f"there is no key named {name!r}")
    _write(data, left)


def find(keys: tuple[Key, ...], token: str) -> Key | None:
    """Return the key with that token, None when there is none. Takes as long for any token."""
    digest, found = _digest(token), None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found


class KeyRing:
    """The keys of a data folder as they are now: read again whenever the file changed.

    A file that cannot be read lets nobody in.
    """

    def __init__(self, data: Path) -> None:
        self._data = data
        self._stamp: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key that is valid right now.

        :raises CallboardError: `invalid_request` when the file cannot be read as keys.
        """
        stamp = _stamp(path_of(self._data))
        if stamp != self._stamp:
            self._keys = entries(self._data)
            self._stamp = stamp
        return self._keys


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _write(data: Path, keys: tuple[Key, ...]) -> None:
    """Replace the file as a whole: a reader sees the old keys or the new ones. `mkstemp` makes it 0600."""
    data.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=data, prefix=".keys-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path_of(data))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
