"""`callboard memory stats`: how the tables are, in words, and what to do."""

from typing import Any

import pytest

from callboard.cli.remembered import stats

CLOSED: dict[str, Any] = {
    "folder": "/data/memory", "embedder": "minilm@1", "position": 120, "last": 4000, "building": False, "embedded": 0,
    "quarantined": [],
}  # fmt: skip
OPEN = CLOSED | {
    "rows": 1234, "kinds": {"fact": 34, "document": 1200}, "documents": 12, "reads": 1, "outdated": 0, "indexed": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("known", "told", "untold"),
    [
        (OPEN, ("1,234 (document 1,200, fact 34)", "once", "in use\n", "minilm@1"), ("outdated", "quarantined")),
        (OPEN | {"quarantined": ["a.txt", "b.txt"]}, ("quarantined   a.txt, b.txt",), ()),
        (OPEN | {"outdated": 1}, ("1 vector of another embedder", "`callboard memory rebuild`"), ()),
        (OPEN | {"embedded": 2000}, ("2,000 vectors by the last rebuild",), ()),
        (OPEN | {"indexed": False}, ("indexed in a few seconds",), ()),
        (CLOSED | {"building": True}, ("being built: 120 of 4,000 messages",), ("rows",)),
        (CLOSED | {"last": 0}, ("nothing is remembered yet",), ("being built",)),
    ],
)
def test_numbers_are_told_in_words_with_what_to_do(
    known: dict[str, Any], told: tuple[str, ...], untold: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    stats([known])
    said = capsys.readouterr().out
    assert not [text for text in told if text not in said], said
    assert not [text for text in (*untold, "True", "False", "_") if text in said], said
