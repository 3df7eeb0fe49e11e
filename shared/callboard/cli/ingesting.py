"""Documents on their way into memory: each is told as it goes, and one that cannot be read stops no other."""

import sys
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.text import Text

from callboard.cli import exits
from callboard.cli.documents import Found, body
from callboard_contracts.errors import CallboardError

if TYPE_CHECKING:
    from callboard.client import Client

_FATAL = frozenset({
    "unavailable", "not_running", "unauthorized", "internal", "unknown_skill", "invalid_request", "broker_refused",
})  # fmt: skip
"""What the next document would meet as well."""
_MARKS = {"new": ("✓", "green"), "changed": ("↻", "green"), "unchanged": ("=", "dim")}


class Ingesting:
    """What became of the documents so far. Tells it line by line; standard error has the progress on a terminal."""

    def __init__(self, total: int, *, json: bool) -> None:
        self._total = total
        self._json = json
        self._seen = 0
        self._states: dict[str, int] = {}
        self._chunks = 0
        self._failed = 0
        self._console = Console(highlight=False, soft_wrap=True)
        self._shows = sys.stderr.isatty() and not json

    async def remember(self, client: "Client", found: Found, options: dict[str, Any], timeout_s: float) -> None:
        """Have a document remembered, and tell.

        :raises CallboardError: what the next one would meet as well.
        """
        self._seen += 1
        self._progress(f"{self._seen}/{self._total} {found.source}")
        try:
            answer = await client.ask("POST", "/v1/memory/documents", body=body(found, options), timeout_s=timeout_s)
        except CallboardError as error:
            self._progress("")
            if error.code in _FATAL:
                raise
            self._tell_failure(found, error)
        else:
            self._progress("")
            self._tell(found, answer)

    def _tell(self, found: Found, answer: dict[str, Any]) -> None:
        state, chunks = str(answer["state"]), int(answer["chunks"])
        self._states[state] = self._states.get(state, 0) + 1
        self._chunks += chunks
        if self._json:
            print(msgspec.json.encode(answer).decode(), flush=True)
            return
        mark, style = _MARKS[state]
        line = Text.assemble((mark, style), " ", found.source, (f"  {_count(chunks, 'chunk')}", "dim"))
        self._console.print(line.append("  unchanged", "dim") if state == "unchanged" else line)

    def _tell_failure(self, found: Found, error: CallboardError) -> None:
        self._failed += 1
        if self._json:
            said = {"source": found.source, "error": error.code, "detail": error.detail}
            print(msgspec.json.encode(said).decode(), flush=True)
            return
        self._console.print(Text.assemble(("✗", "red"), f" {found.source}  ", (error.detail, "red")))

    def ended(self) -> int:
        """Tell the sum, and return the exit code: failed when there was something and nothing of it was remembered."""
        done = sum(self._states.values())
        if not self._json:
            self._console.print(self._sum(done))
        return exits.OK if done or not self._total else exits.FAILED

    def _sum(self, done: int) -> str:
        if not self._total:
            return "There are no files in it."
        states = ", ".join(f"{count} {state}" for state in _MARKS if (count := self._states.get(state, 0)))
        failed = f" {self._failed} could not be read." if self._failed else ""
        return f"{_count(done, 'document')}, {_count(self._chunks, 'chunk')}{f': {states}' if states else ''}.{failed}"

    def _progress(self, text: str) -> None:
        """Have one line say what is under way, until the next line is told."""
        if self._shows:
            print(f"\r\x1b[2K{text[:78]}", end="", file=sys.stderr, flush=True)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
