"""A bundle is a file of lines, each a JSON object that begins with the digest of itself and of all lines before it.

No byte is without meaning: the digest covers the line as it stands, and the last line signs the digest before it. A
byte that is changed, a line that moved and an end that is missing are therefore found at the very line.
"""

from base64 import b64decode, b64encode, urlsafe_b64encode
from hashlib import sha256
from typing import Any, Final

import msgspec

from callboard.audit.merkle import Step
from callboard.audit.message import Message
from callboard_contracts import wire

FORMAT: Final = "callboard.audit.v1"
_HEAD: Final = b'{"chain":"'
_DIGEST: Final = 43
_REST: Final = len(_HEAD) + _DIGEST + 2


class Bundle(msgspec.Struct, tag_field="kind", tag="bundle", frozen=True, kw_only=True):
    """The first line: what this is."""

    format: str = FORMAT
    tenant: str
    tree: str
    stream: str
    """The journal; sequences are its own."""


class Stored(msgspec.Struct, tag_field="kind", tag="message", frozen=True, kw_only=True, omit_defaults=True):
    """A message of the tree: a record, an input or a command."""

    seq: int
    time_ms: int
    subject: str
    headers: dict[str, str]
    body: msgspec.Raw = msgspec.Raw(b"")
    """As it was published, when it is JSON on one line."""
    base64: str = ""
    """Else, in base64."""

    def message(self) -> Message:
        """Return the message.

        :raises ValueError: its base64 is none.
        """
        body = b64decode(self.base64, validate=True) if self.base64 else bytes(self.body)
        return Message(self.seq, self.time_ms, self.subject, self.headers, body)


class Blob(msgspec.Struct, tag_field="kind", tag="blob", frozen=True, kw_only=True, omit_defaults=True):
    """A value over 32 KiB that messages refer to by its digest."""

    digest: str
    """The sha256 of its content, in hex."""
    base64: str = ""
    """Its content, when contents were asked for."""
    missing: bool = False
    """The object store no longer has it."""


class Fact(msgspec.Struct, tag_field="kind", tag="fact", frozen=True, kw_only=True, omit_defaults=True):
    """What the registry held when the bundle was made, of what records name."""

    about: str
    """`tool`, `skill` or `policy`."""
    name: str
    digest: str = ""
    """The digest by which records name it, where they do."""
    content: Any = None


class Signed(msgspec.Struct, tag_field="kind", tag="checkpoint", frozen=True, kw_only=True):
    """The signed head of a checkpoint."""

    head: msgspec.Raw
    """What is signed, byte for byte."""
    signature: str


class Shown(msgspec.Struct, tag_field="kind", tag="tail", frozen=True, kw_only=True):
    """The last record of an actor, and the way from it to the root of a checkpoint."""

    actor: str
    seq: int
    link: str
    checkpoint: int
    """The checkpoint's `nth`."""
    path: tuple[Step, ...]


class Summary(msgspec.Struct, tag_field="kind", tag="summary", frozen=True, kw_only=True):
    """What the messages say, for people: follows from the lines before it."""

    told: Any


class Seal(msgspec.Struct, tag_field="kind", tag="seal", frozen=True, kw_only=True):
    """The last line: the ledger's signature under `statement` of the digest in the line before it."""

    key: str
    """Ed25519 in hex."""
    signature: str


Part = Bundle | Stored | Blob | Fact | Signed | Shown | Summary | Seal
_decoder = msgspec.json.Decoder(Part)


class Writer:
    """Writes lines, one after the other."""

    def __init__(self) -> None:
        self.chain = ""
        """The digest of all that was written."""

    def line(self, part: Part) -> bytes:
        """Return the next line."""
        rest = wire.encode(part)[1:]
        self.chain = chained(self.chain, rest)
        return b"".join((_HEAD, self.chain.encode(), b'",', rest, b"\n"))


class Line(msgspec.Struct, frozen=True):
    """A line as it was read."""

    number: int
    chain: str
    rest: bytes

    def part(self) -> Part:
        """Return what it says.

        :raises msgspec.MsgspecError: it cannot be read.
        """
        part: Part = _decoder.decode(b"{" + self.rest)
        return part


def read(number: int, text: bytes) -> Line:
    """Return a line of a bundle, without its end.

    :raises ValueError: it is none.
    """
    chain = text[len(_HEAD) : len(_HEAD) + _DIGEST]
    if not text.startswith(_HEAD) or text[_REST - 2 : _REST] != b'",' or not chain.isascii():
        raise ValueError("it does not begin with its digest")
    return Line(number, chain.decode(), text[_REST:])


def chained(before: str, rest: bytes) -> str:
    """Return the digest of a line after the digest before it: SHA-256 in base64url."""
    return urlsafe_b64encode(sha256(before.encode() + rest).digest()).decode().rstrip("=")


def stored(message: Message) -> Stored:
    """Return the line of a message."""
    given = Stored(seq=message.seq, time_ms=message.time_ms, subject=message.subject, headers=message.headers)
    if b"\n" not in message.body and b"\r" not in message.body:
        found = msgspec.structs.replace(given, body=msgspec.Raw(message.body))
        try:
            if bytes(_raw.decode(wire.encode(found)).body) == message.body:
                return found
        except (ValueError, RecursionError):
            pass  # it is not JSON, or nested too deep to be read
    return msgspec.structs.replace(given, base64=b64encode(message.body).decode())


_raw = msgspec.json.Decoder(Stored)


def statement(tenant: str, tree: str, chain: str) -> bytes:
    """Return what a seal signs."""
    return wire.encode({"seal": FORMAT, "tenant": tenant, "tree": tree, "chain": chain})
