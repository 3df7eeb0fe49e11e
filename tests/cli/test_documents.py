"""What `callboard memory ingest` finds in a folder, and what it does not send at all."""

from pathlib import Path

import pytest

from callboard.cli.documents import MOST_BYTES, Found, body, content, find, options
from callboard_contracts.errors import CallboardError


def test_a_folder_stands_for_its_files_and_not_for_what_is_hidden_made_or_linked(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.txt", ".git/config", "node_modules/x.js", "__pycache__/y.pyc", ".env"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "docs" / "link").symlink_to(tmp_path / "secret")
    found = list(find(str(tmp_path / "docs"), ""))
    assert [one.source for one in found] == [str(tmp_path / "docs/a/c.txt"), str(tmp_path / "docs/b.md")]
    assert [one.source for one in find(str(tmp_path / "docs"), "manual/")] == ["manual/a/c.txt", "manual/b.md"]


def test_a_url_stands_for_itself(tmp_path: Path) -> None:
    assert list(find("https://shop.example/terms", "")) == [Found("https://shop.example/terms")]
    with pytest.raises(CallboardError, match="no file or folder"):
        list(find(str(tmp_path / "missing"), ""))


@pytest.mark.parametrize(("data", "reason"), [(b"\x7fELF\0\0\0", "not text"), (b"", "empty"), (b" \n", "empty")])
def test_what_is_no_text_is_not_sent(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(CallboardError, match=reason) as caught:
        content(path)
    assert caught.value.code == "unreadable_document"


def test_a_pdf_and_utf_16_are_sent_for_all_their_zeros(tmp_path: Path) -> None:
    for name, data in (("a.pdf", b"%PDF-1.4\n\0\0"), ("b.txt", "text".encode("utf-16"))):
        (tmp_path / name).write_bytes(data)
        assert content(tmp_path / name) == data


def test_what_is_larger_than_may_be_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "large.txt"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(CallboardError) as caught:
        content(path)
    assert caught.value.code == "file_too_large"


def test_a_file_is_sent_as_bytes_under_its_name_and_a_page_as_its_url(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Hello")
    given = options("skill:refunds", "", ["one,two", "three"], "")
    assert given == {"scope": "skill", "skill": "refunds", "tags": ["one", "two", "three"]}
    assert body(Found("a.md", tmp_path / "a.md"), {}) == {"source": "a.md", "base64": "SGVsbG8="}
    assert body(Found("https://shop.example/"), {}) == {"url": "https://shop.example/"}


@pytest.mark.parametrize("scope", ["everyone", "skill", "skill:", "user:me", ""])
def test_a_scope_that_is_none_is_refused(scope: str) -> None:
    with pytest.raises(CallboardError) as caught:
        options(scope, "", [], "")
    assert caught.value.code == "invalid_request"
