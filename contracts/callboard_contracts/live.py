"""What is only worth hearing now: tokens and progress on core NATS, never stored."""

import msgspec


class Chunk(msgspec.Struct, tag="live.chunk.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A piece of text that a model is writing."""

    call: str
    text: str


class Progress(msgspec.Struct, tag="live.progress.v1", frozen=True, kw_only=True, omit_defaults=True):
    """How far a tool is."""

    call: str
    message: str
    done: float | None = None
    """From 0 to 1."""
