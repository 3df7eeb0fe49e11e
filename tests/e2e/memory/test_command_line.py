"""`callboard memory` as a person types it: what it prints, and how it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from callboard.cli.main import call
from tests.e2e.memory.conftest import Site

pytestmark = pytest.mark.xdist_group("memory-command")  # they share a system
STEPS: dict[str, list[Any]] = {}
Command = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def memory(shared: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    """Types a command of `callboard memory` as alice; returns the exit code and all that was printed."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the services log where the command prints
    monkeypatch.setenv("CALLBOARD_KEY", shared.alice.token)
    monkeypatch.setenv("CALLBOARD_URL", str(shared.alice.http.base_url))

    async def command(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(call, ["memory", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    yield command
    structlog.reset_defaults()


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with a document, a table and a picture."""
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "terms.md").write_text("# Terms\n\nGift cards cannot be returned.\n")
    (folder / "sub" / "huts.csv").write_text("id,name\n1,Rifugio Rosa\n")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    return folder


async def test_a_folder_is_told_file_by_file_and_again_as_unchanged(memory: Command, docs: Path) -> None:
    code, said = await memory("ingest", str(docs), "--tag", "shop")
    assert code == 0
    assert f"✗ {docs}/picture.png  it is not text" in said
    assert f"✓ {docs}/terms.md  1 chunk" in said
    assert "2 documents, 2 chunks: 2 new. 1 could not be read." in said
    code, said = await memory("ingest", str(docs), "--tag", "shop")
    assert "2 documents, 2 chunks: 2 unchanged." in said
    (docs / "terms.md").write_text("# Terms\n\nEverything can be returned.\n")
    code, said = await memory("ingest", str(docs / "terms.md"), "--json")
    assert msgspec.json.decode(said)["state"] == "changed"


async def test_what_was_ingested_is_found_listed_traced_hidden_and_forgotten(
    memory: Command, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(docs)
    await memory("ingest", "terms.md")
    code, said = await memory("search", "gift card", "--json")
    row = msgspec.json.decode(said.split("\n")[0])
    assert (code, row["source"]) == (0, f"{docs}/terms.md")
    assert "Terms, lines 1–3" in (await memory("search", "gift card"))[1]
    assert f"{docs}/terms.md" in (await memory("ls"))[1]
    assert "Gift cards cannot be returned." in (await memory("show", row["id"]))[1]
    assert "What comes from it (1):" in (await memory("trace", "terms.md"))[1]
    assert "hidden from every run" in (await memory("quarantine", "terms.md", "--reason", "old"))[1]
    assert row["id"] not in (await memory("search", "gift card"))[1]
    assert "shown again" in (await memory("quarantine", "terms.md", "--release"))[1]
    assert await memory("forget", "--source", "terms.md") == (0, "Forgotten: 1 row.\n")
    code, said = await memory("trace", "terms.md")
    assert (code, "Nothing of that name is remembered" in said) == (2, True)


async def test_a_preference_is_said_listed_and_forgotten(memory: Command) -> None:
    assert "No preferences yet" in (await memory("prefer"))[1]
    code, said = await memory("prefer", "Answer in French.")
    assert (code, "Every run of yours is told" in said) == (0, True)
    listed = (await memory("prefer"))[1]
    assert listed.startswith("• Answer in French.  you said so")
    assert (await memory("forget", listed.split()[-1]))[0] == 0
    assert "No preferences yet" in (await memory("prefer"))[1]


async def test_numbers_are_told_and_the_tables_built_anew(memory: Command) -> None:
    for command in ("rebuild", "stats"):
        code, said = await memory(command)
        assert code == 0
        assert "minilm" in said


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("ingest",), 2, "requires an argument"),
        (("ingest", "/no/such/file"), 2, "no file or folder"),
        (("ingest", "http://127.0.0.1:1/"), 3, "not on the public internet"),
        (("ingest", "ftp://shop.example/"), 2, "no http or https URL"),
        (("ingest", "/etc/hostname", "--scope", "all"), 2, "--scope"),
        (("search", "x", "--since", "yesterday"), 2, "use 7d"),
        (("search", "x", "--kind", "dream"), 2, "kind"),
        (("show", "nothing"), 2, "Nothing of that name"),
        (("forget",), 2, "Name a row's id"),
        (("prefer", " "), 2, "has a text"),
    ],
)
async def test_what_cannot_be_done_is_said_in_a_sentence(
    memory: Command, words: tuple[str, ...], code: int, told: str
) -> None:
    found, said = await memory(*words)
    assert (found, told in said, "Traceback" in said) == (code, True, False)
