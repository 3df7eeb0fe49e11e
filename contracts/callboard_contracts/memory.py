"""Memory: what is kept for longer than a turn, where it comes from, and who read it.

The stream MEMORY is the truth, one message a subject: a newer message replaces the older one, and what is forgotten is
replaced by a tombstone. Vectors lie beside their texts, so that a projection is built anew without embedding anything.
"""

from typing import Literal

import msgspec

Kind = Literal["note", "fact", "document", "episode", "preference", "procedure"]
"""A note goes with its run; facts are what agents learned, documents what people gave, episodes what runs did."""
Scope = Literal["run", "user", "skill", "workspace"]
"""Who sees it, within its workspace: one run, the runs of one user or of one skill, or every run."""
Trust = Literal["person", "agent", "tool", "web"]
"""Who vouches for it, the most trusted first."""

WORKSPACE = "default"
"""The workspace of a run whose goal has no label `workspace`."""


class Place(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A position in a source, for citations. What a source has not got is 0 or empty."""

    page: int = 0
    """From 1."""
    line: int = 0
    """Of the first character, from 1."""
    line_to: int = 0
    """Of the last character."""
    start: int = 0
    """The first character in the source's text, from 0."""
    end: int = 0
    """The character after the last."""
    heading: str = ""
    """The headings above it, from the outermost on, joined by ` › `."""


class Origin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where something that is remembered comes from, and who may see it."""

    scope: Scope
    """Who sees it, within its workspace."""
    owner: str = ""
    """The run, the user or the skill that the scope names; empty for a whole workspace."""
    workspace: str = WORKSPACE
    """Whose knowledge it is part of: the label `workspace` of the goal."""
    trust: Trust
    """Who vouches for it. What an agent remembers is trusted no more than what its tree had read."""
    source: str = ""
    """What it was taken from: a URL, a path, `run:<id>`. Empty: it is its own source."""
    derived_from: tuple[str, ...] = ()
    """The sources of everything that the tree had read when it was written, sorted."""
    run: str = ""
    """The run that wrote it; empty when a person did."""
    call: str = ""
    """The call that wrote it; empty when none did."""
    skill: str = ""
    """The skill of the run that wrote it; empty without one."""
    principal: str = ""
    """The person, or on whose behalf the run acted."""
    at_ms: int
    """When it was written, in ms since 1970."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A piece of a document."""

    text: str
    place: Place = Place()
    """Where it stands in the document."""
    vector: str = ""
    """Its embedding: base64 of float16, little-endian."""


class Remembered(msgspec.Struct, tag="memory.remembered.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A text is remembered. Stored under `cb.<tenant>.memory.<kind>.<id>`, for a note `….note.<run>.<id>`."""

    id: str
    """It follows from the cause: the call that wrote it, or a digest of where it comes from."""
    kind: Kind
    """What sort of memory it is."""
    text: str
    title: str = ""
    """What it is called; empty when it has no name."""
    origin: Origin
    """Where it comes from, and who may see it."""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    """What else is known of it, such as how a run ended."""
    place: Place = Place()
    """Where it stands in its source."""
    embedder: str = ""
    """What made the vector: name and version, `minilm-l6-int8@1`."""
    vector: str = ""
    """The embedding: base64 of float16, little-endian."""


class Ingested(msgspec.Struct, tag="memory.ingested.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A document is remembered, in chunks; the message after its parts. A newer version replaces the older as a whole.

    Chunk `n` (from 0) is the row `<id>.<n>`.
    """

    id: str
    """A digest of its source and of who may see it."""
    digest: str
    """sha256 of what was ingested, in hex: the version."""
    title: str = ""
    """What it is called; empty when it has no name."""
    media_type: str = ""
    """What it was, such as `application/pdf`."""
    bytes: int = 0
    origin: Origin
    """Where it comes from, and who may see it."""
    tags: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    """What else is known of it."""
    embedder: str = ""
    """What made the vectors: name and version."""
    count: int
    """How many chunks it has."""
    chunks: tuple[Chunk, ...] = ()
    """All of its chunks when they fit into 32 KiB."""
    parts: int = 0
    """Else: how many parts hold them."""
    version: str = ""
    """With parts: the token they are stored under, which follows from the chunks."""


class Part(msgspec.Struct, tag="memory.part.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Chunks of a document that is larger than 32 KiB, in their order. Stored before the document's own message."""

    chunks: tuple[Chunk, ...]
    """The chunks."""


class Forgotten(msgspec.Struct, tag="memory.forgotten.v1", frozen=True, kw_only=True, omit_defaults=True):
    """What stood here is gone: this took its place, under the same subject."""

    id: str
    """What is forgotten."""
    run: str = ""
    """The run that wanted it; empty when a person did, or when a note went with its run."""
    principal: str = ""
    at_ms: int


class Read(msgspec.Struct, tag="memory.read.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A call read rows. Stored under `cb.<tenant>.read.<tree>.<call>` before the rows are returned."""

    call: str
    run: str
    skill: str = ""
    principal: str = ""
    workspace: str = WORKSPACE
    """Whose knowledge was read."""
    rows: tuple[str, ...]
    """The ids of the rows that were returned."""
    sources: tuple[str, ...]
    """Their sources, and what those were derived from, sorted."""
    trust: Trust
    """The least trusted of them."""
    at_ms: int


class Quarantined(msgspec.Struct, tag="memory.quarantined.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Nobody is shown what comes from a source, or was derived from it, until it is released."""

    source: str
    """The source, as rows name it."""
    reason: str = ""
    principal: str = ""
    at_ms: int


class Released(msgspec.Struct, tag="memory.released.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A source is shown again. It took the place of its quarantine."""

    source: str
    """The source, as rows name it."""
    principal: str = ""
    at_ms: int


Item = Remembered | Ingested | Forgotten | Quarantined | Released
"""What is folded from the subjects of rows and sources; parts are read with their document."""
