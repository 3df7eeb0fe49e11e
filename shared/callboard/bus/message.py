"""One message as it came from the broker, read lazily: the hot path looks at few of its parts."""

from datetime import datetime

from callboard_contracts import wire

_LINE = b"NATS/1.0"
_ID = f"\n{wire.ID}:".encode()
_TRACE = f"\n{wire.TRACE}:".encode()


def encode_headers(headers: dict[str, str]) -> bytes:
    """Return the header block of a message."""
    lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    return b"NATS/1.0\r\n" + lines.encode() + b"\r\n"


def decode_headers(block: bytes) -> dict[str, str]:
    """Return the headers of a block, without its status line."""
    found: dict[str, str] = {}
    for line in block.decode().split("\r\n")[1:]:
        key, colon, value = line.partition(":")
        if colon:
            found[key] = value.strip()
    return found


def status(block: bytes) -> int:
    """Return the status code of a header block, 0 when it has none."""
    digits = block[len(_LINE) : len(_LINE) + 4].strip()
    return int(digits) if digits.isdigit() else 0


def rfc3339_ms(text: str) -> int:
    """Return a time of the broker, such as `2026-01-01T00:00:00.95527219Z`, in ms since 1970; 0 for an empty text."""
    if not text:
        return 0
    seconds = datetime.fromisoformat(text[:19] + "+00:00").timestamp()
    return int(seconds) * 1000 + int(text[20:].rstrip("Z")[:3].ljust(3, "0"))


class Delivery:
    """A message with what the broker says of it.

    `reply` of a delivered journal message is its ack subject, which also tells stream, sequence, time and how often
    it was delivered: `$JS.ACK.<stream>.<consumer>.<delivered>.<seq>.<cseq>.<time ns>.<pending>`, or with
    `<domain>.<account>.` before the stream and a random token at the end.
    """

    __slots__ = ("_ack", "_headers", "block", "body", "reply", "subject")

    def __init__(self, subject: str, reply: str, body: bytes, block: bytes | None) -> None:
        self.subject = subject
        self.reply = reply
        self.body = body
        self.block = block or b""
        self._headers: dict[str, str] | None = None
        self._ack: list[str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers, read at the first look."""
        if self._headers is None:
            self._headers = decode_headers(self.block) if self.block else {}
        return self._headers

    @property
    def id(self) -> str:
        """The `ce-id`, empty when it has none."""
        return self.headers.get(wire.ID, "") if _ID in self.block else ""

    @property
    def cause(self) -> str:
        """What a record names as its cause: the `ce-id`, or where it is stored in the actor's own journal."""
        return self.id or f"@{self.seq}"

    @property
    def traceparent(self) -> str:
        """The W3C trace it belongs to, empty when it brings none."""
        return self.headers.get(wire.TRACE, "") if _TRACE in self.block else ""

    @property
    def _tokens(self) -> list[str]:
        if self._ack is None:
            tokens = self.reply.split(".")
            first = 2 if len(tokens) == 9 else 4  # with domain and account there is a random token at the end as well
            self._ack = tokens[first : first + 7] if self.reply.startswith("$JS.ACK.") else []
        return self._ack

    @property
    def stream(self) -> str:
        """The stream it was delivered or read from."""
        return self._tokens[0] if self._tokens else self.headers.get("Nats-Stream", "")

    @property
    def delivered(self) -> int:
        """How often it was delivered, from 1; 0 when it was read and not delivered."""
        return int(self._tokens[2]) if self._tokens else 0

    @property
    def seq(self) -> int:
        """Its sequence in the stream."""
        return int(self._tokens[3]) if self._tokens else int(self.headers.get("Nats-Sequence", "0"))

    @property
    def consumer_seq(self) -> int:
        """How many deliveries its consumer had made with this one: a gap tells of others. 0 when it was read."""
        return int(self._tokens[4]) if self._tokens else 0

    @property
    def time_ms(self) -> int:
        """When the broker stored it, ms since 1970: the same whether it was delivered or read. 0 when unknown."""
        return (
            int(self._tokens[5]) // 1_000_000 if self._tokens else rfc3339_ms(self.headers.get("Nats-Time-Stamp", ""))
        )

    @property
    def stored_subject(self) -> str:
        """The subject it was stored under, also when it was read or republished."""
        return self.subject if self._tokens else self.headers.get("Nats-Subject", self.subject)

    @property
    def prev(self) -> int:
        """The sequence of the actor's record before this one: what it was fenced on."""
        return int(self.headers.get(wire.FENCE, "0"))
