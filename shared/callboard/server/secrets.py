"""The passwords of the broker's users: random, 256 bits, in `<data>/users.json`, which only its owner may read."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import msgspec

from callboard_contracts.errors import CallboardError

_BYTES = 32


def passwords(data: Path, users: Iterable[str]) -> dict[str, str]:
    """Return every user's password, making those that are missing. They survive restarts.

    :raises CallboardError: `invalid_request`, the file is damaged or the folder cannot be written.
    """
    path = data / "users.json"
    try:
        known = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
    except (OSError, msgspec.MsgspecError) as error:
        raise CallboardError("invalid_request", f"{path} cannot be read ({error}); delete it for new ones") from None
    wanted = {user: known.get(user) or secrets.token_urlsafe(_BYTES) for user in users}
    if wanted != known:
        _write(path, wanted)
    return wanted


def _write(path: Path, found: dict[str, str]) -> None:
    """Replace the file in one step: nobody reads half of it, and at no moment may others read it."""
    draft = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
        draft.replace(path)
    except OSError as error:
        raise CallboardError("invalid_request", f"{path} cannot be written: {error}") from None
