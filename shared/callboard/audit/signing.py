"""Ed25519 signatures. The library comes with `callboard[ledger]` and is loaded when it is needed."""

import os
from pathlib import Path
from typing import Any, Final

from callboard_contracts.errors import CallboardError

KEY: Final = "audit.key"
"""The ledger's private key, in its data folder."""
_MISSING: Final = "signatures need `pip install 'callboard[ledger]'`"


class Signer:
    """A private key. Hold it in one process, and show it to nobody."""

    def __init__(self, key: Any) -> None:
        self._key = key
        self.public: str = key.public_key().public_bytes_raw().hex()
        """The public key, in hex."""

    def sign(self, text: bytes) -> str:
        """Return the signature of a text, in hex."""
        return str(self._key.sign(text).hex())


def signer(data: Path) -> Signer:
    """Return the key of a data folder, and make one when there is none.

    :raises CallboardError: `invalid_audit_key`, the file is no key: it is never replaced, for what it signed counts.
    :raises ImportError: the library is not installed. :raises OSError: the file cannot be read or written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = data / KEY
    if not path.exists():
        _create(path)
    try:
        found = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise CallboardError("invalid_audit_key", f"{path} cannot be used: {error}") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise CallboardError("invalid_audit_key", f"{path} is no Ed25519 key")
    return Signer(found)


def _create(path: Path) -> None:
    """Make a key that only its owner can read. Of two processes that do, one wins and both use its key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if not path.exists():
            draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def is_signed(text: bytes, signature: str, key: str) -> bool:
    """Tell whether a signature is that of a text by a key, both in lower-case hex and nothing else.

    :raises CallboardError: `unavailable`, the library is not installed.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise CallboardError("unavailable", _MISSING) from None
    try:
        raw, public = bytes.fromhex(signature), bytes.fromhex(key)
        if raw.hex() != signature or public.hex() != key:
            return False
        Ed25519PublicKey.from_public_bytes(public).verify(raw, text)
    except (ValueError, InvalidSignature):
        return False
    return True
