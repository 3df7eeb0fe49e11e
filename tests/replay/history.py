"""A golden history on disk: one line of JSON a message, then one a blob that a message refers to.

The bytes of a body are kept as they were stored. What the broker adds to a header when a message is read (stream,
sequence, time, subject) stands beside the headers and is put back for the reader.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from callboard.bus import Delivery
from callboard.bus.message import encode_headers
from callboard_contracts import subjects, wire
from callboard_contracts.journal import Record

FOLDER: Final = Path(__file__).resolve().parent / "histories"
MANIFEST: Final = FOLDER / "SHA256SUMS"
EXPECTED: Final = ".expected.json"
BROKERS: Final = frozenset(
    {"Nats-Stream", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Subject", "Nats-Num-Pending", "Nats-Last-Sequence"}
)
"""Headers that the broker adds for a reader."""
_REFERENCES: Final = ("arguments_ref", "output_ref")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One message as the broker stored it."""

    stream: str
    seq: int
    time_ms: int
    subject: str
    headers: dict[str, str]
    body: str

    @property
    def delivery(self) -> Delivery:
        """The message as a reader of the broker gets it."""
        when = datetime.fromtimestamp(self.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
        read = {
            "Nats-Stream": self.stream,
            "Nats-Sequence": str(self.seq),
            "Nats-Time-Stamp": when.replace("+00:00", "Z"),
            "Nats-Subject": self.subject,
        }
        return Delivery(self.subject, "", self.body.encode(), encode_headers(read | self.headers))

    @property
    def record(self) -> Record:
        """The body of a record, as today's contracts read it."""
        return wire.decode(self.body.encode(), Record)

    @property
    def said(self) -> Any:
        """The body as plain JSON, which no contract of ours has touched."""
        return json.loads(self.body)


class History:
    """One tree, from its goal to whatever came last, in the order of the journal."""

    def __init__(self, path: Path) -> None:
        self.path = path
        found = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        self.lines = [msgspec.convert(one, Line) for one in found if "blob" not in one]
        self.blobs = {one["blob"]: base64.b64decode(one["base64"]) for one in found if "blob" in one}

    def __repr__(self) -> str:
        return self.path.stem

    @cached_property
    def expected(self) -> dict[str, Any]:
        """What the ledger of the time told of each run."""
        found: dict[str, Any] = json.loads(self.path.with_suffix(EXPECTED).read_text("utf-8"))
        return found

    @cached_property
    def logs(self) -> dict[str, list[Line]]:
        """The records of each actor, by the group of subjects on which they are fenced."""
        found: dict[str, list[Line]] = {}
        for line, where in self.placed("log"):
            found.setdefault(where.address.fence, []).append(line)
        return found

    def placed(self, *lanes: str) -> Iterator[tuple[Line, subjects.Subject]]:
        """Yield the journal's messages of some lanes with their parsed subjects."""
        for line in self.lines:
            if line.stream.startswith("JOURNAL"):
                where = subjects.Subject.parse(line.subject)
                if where.lane in lanes:
                    yield line, where

    def log(self, actor: str, run: str) -> list[Line]:
        """Return the records of a run or of the tree that a run belongs to."""
        (tenant,) = {line.subject.split(".")[1] for line in self.lines}
        address = subjects.Address.of_run(tenant, run) if actor == "run" else subjects.Address.of_tree(tenant, run)
        return self.logs.get(address.fence, [])


def every() -> list[History]:
    """Return all golden histories."""
    return [History(path) for path in sorted(FOLDER.glob("*.jsonl"))]


def referenced(value: Any) -> Iterator[str]:
    """Yield every digest of the blob store in a JSON value."""
    match value:
        case dict():
            for key, one in value.items():
                if key in _REFERENCES and one:
                    yield one
                yield from referenced(one)
        case list():
            for one in value:
                yield from referenced(one)
        case _:  # a value that holds no others
            return


def digest(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    return sha256(path.read_bytes()).hexdigest()


def manifest() -> dict[str, str]:
    """Return what the manifest says: the digest of each file, by name."""
    if not MANIFEST.exists():
        return {}
    pairs = (line.split("  ", 1) for line in MANIFEST.read_text("utf-8").splitlines())
    return {name: sum_ for sum_, name in pairs}
