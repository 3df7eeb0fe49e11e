"""llama.cpp in this process: one GGUF file, one generation at a time, nothing on stdout or stderr."""

import hashlib
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

OnToken = Callable[[str], None]


class CancelledError(Exception):
    """The caller asked to stop; the generation ended within one token. Do not retry."""


class WrongModelError(Exception):
    """The file is not the one that was pinned. Give up: fetch it again from a trusted source."""


class RefusedError(Exception):
    """llama.cpp refused the request, or did not keep to the schema. Bug: never use the text."""


class Generated(msgspec.Struct, frozen=True, kw_only=True):
    """What one generation gave, with the tokens it read and wrote."""

    text: str
    prompt_tokens: int
    completion_tokens: int


def verify(path: Path, sha256: str) -> None:
    """Read a file once and compare.

    :raises WrongModelError: it is another file. :raises OSError: it cannot be read.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise WrongModelError(f"{path.name}: sha256 is {found}, expected {sha256}")


def default_threads() -> int:
    """Return all cores but one: a second busy process otherwise brings llama.cpp to a crawl."""
    return max(1, (os.cpu_count() or 2) - 1)


class Engine:
    """Generates JSON under a schema at temperature 0; the chat template is the one in the GGUF's metadata.

    Safe from any thread: calls queue.
    """

    def __init__(self, path: Path, *, threads: int | None = None, context_tokens: int = 4096) -> None:
        import xllamacpp

        self._server = xllamacpp.Server(_parameters(path, threads or default_threads(), context_tokens))
        self._turn = threading.Lock()

    def generate(
        self,
        messages: list[dict[str, str]],
        schema: dict[str, Any],
        *,
        max_tokens: int = 128,
        on_token: OnToken | None = None,
        cancelled: threading.Event | None = None,
    ) -> Generated:
        """Write JSON that fits the schema. Blocks.

        :raises CancelledError: soon after the event is set. :raises RefusedError: llama.cpp did not do it.
        """
        body = {
            "json_schema": schema, "messages": messages, "max_tokens": max_tokens,
            "temperature": 0.0, "seed": 0, "cache_prompt": True,
            "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        reader = _Reader(on_token, cancelled)
        with self._turn:
            if not reader.stopped():
                self._server.handle_chat_completions(body, reader)
        return reader.result()


def _parameters(path: Path, threads: int, context_tokens: int) -> Any:
    """One slot, no web page, and a random key on the loopback port that the wheel always opens."""
    import xllamacpp

    given = xllamacpp.CommonParams()
    given.model.path = str(path)
    given.n_ctx, given.n_parallel = context_tokens, 1
    given.cpuparams.n_threads = given.cpuparams_batch.n_threads = threads
    given.verbosity = -1
    given.ui = False
    given.api_keys = [secrets.token_urlsafe(32)]
    return given


class _Reader:
    """Collects the stream of one generation; answering True stops llama.cpp."""

    def __init__(self, on_token: OnToken | None, cancelled: threading.Event | None) -> None:
        self._on_token, self._cancelled = on_token, cancelled
        self._parts: list[str] = []
        self._usage: dict[str, Any] = {}
        self._error = ""

    def stopped(self) -> bool:
        return self._cancelled is not None and self._cancelled.is_set()

    def __call__(self, chunk: Any) -> bool:
        for event in chunk if isinstance(chunk, list) else [chunk]:
            self._take(event)
        return self.stopped()

    def _take(self, event: dict[str, Any]) -> None:
        if "error" in event or "code" in event:
            self._error = str(event.get("message") or event.get("error"))
        self._usage = event.get("usage") or self._usage
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                self._parts.append(text)
                if self._on_token:
                    self._on_token(text)

    def result(self) -> Generated:
        if self.stopped():
            raise CancelledError
        if self._error:
            raise RefusedError(f"llama.cpp refused the request: {self._error}")
        return Generated(
            text="".join(self._parts),
            prompt_tokens=self._usage.get("prompt_tokens", 0),
            completion_tokens=self._usage.get("completion_tokens", len(self._parts)),
        )
