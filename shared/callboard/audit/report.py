"""What a verification found."""

from typing import Any

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong."""

    code: str
    """Stable: `changed`, `cut`, `reordered`, `unsigned`, `link`, `gap`, `tail`, `no_grant`, `bill` and so on."""
    detail: str
    seq: int = 0
    """The message, by its sequence in the journal; 0: it is not about one message."""
    line: int = 0
    """The line of the file, from 1; 0: it is not about one line."""


class Report(msgspec.Struct, kw_only=True):
    """The whole of it."""

    file: str = ""
    tenant: str = ""
    tree: str = ""
    problems: list[Problem] = msgspec.field(default_factory=list)
    key: str = ""
    """The key whose signature holds, in hex."""
    known_key: bool | None = None
    """Whether it is a key that the reader gave; None: the reader gave none, and must compare it."""
    closed: bool = False
    """The tree was over: nothing of it can be missing at its end."""
    signed_ms: int = 0
    """When the last record was signed, in ms since 1970."""
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    """How many of what was checked."""
    summary: Any = None
    """What the bundle tells for people; None when it does not follow from the messages."""

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def first_bad_seq(self) -> int:
        """The first message that something is wrong with; 0: it is none, or nothing is.

        Where the file itself was changed, that is the first such place; what else does not fit may follow from it.
        """
        places = [problem for problem in self.problems if problem.seq]
        lines = [problem for problem in places if problem.line]
        return min(lines, key=lambda problem: problem.line).seq if lines else min((p.seq for p in places), default=0)

    def say(self, code: str, detail: str, *, seq: int = 0, line: int = 0) -> None:
        """Note something that is wrong."""
        self.problems.append(Problem(code=code, detail=detail, seq=seq, line=line))

    def count(self, what: str, number: int) -> None:
        """Note how much was checked."""
        self.counts[what] = self.counts.get(what, 0) + number


def told(report: Report) -> dict[str, Any]:
    """Return a report as JSON tells it."""
    found: dict[str, Any] = msgspec.to_builtins(report)
    return {"ok": report.ok, "first_bad_seq": report.first_bad_seq or None} | found
