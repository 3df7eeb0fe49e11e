"""Skill folders in the Agent Skills format: what is right is loaded, what is wrong is named with file and line."""

from hashlib import sha256
from pathlib import Path

import pytest

from callboard.skills import deployment, load, load_all
from callboard_contracts.errors import CallboardError

GOOD = """---
name: count-words
description: Counts the words of a text.
license: Apache-2.0
allowed-tools: files.read calc
metadata:
  author: somebody
  callboard.grounded: "true"
---

# Count words

Count them.
"""


def folder(tmp_path: Path, text: str = GOOD, name: str = "count-words") -> Path:
    found = tmp_path / name
    found.mkdir(parents=True, exist_ok=True)
    (found / "SKILL.md").write_text(text)
    return found


def wrong(path: Path) -> str:
    with pytest.raises(CallboardError) as caught:
        load(path)
    assert caught.value.code == "invalid_skill"
    return caught.value.detail


def test_everything_in_a_folder_becomes_the_skill(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "input.schema.json").write_text('{"type": "object"}')
    (path / "output.schema.json").write_text('{"type": "integer"}')
    (path / "assets").mkdir()
    (path / "assets" / "words.txt").write_text("one two")
    (path / ".hidden").write_text("not part of it")
    found = load(path)
    assert found.skill.name == "count-words"
    assert found.skill.prompt == "# Count words\n\nCount them."
    assert found.skill.tools == ("files.read", "calc")
    assert found.skill.grounded
    assert found.skill.input_schema == {"type": "object"}
    assert found.skill.contract == {"type": "integer"}
    assert [(file.path, file.bytes) for file in found.skill.files] == [("assets/words.txt", 7)]
    assert found.skill.files[0].digest == sha256(b"one two").hexdigest()
    assert found.contents == {"assets/words.txt": b"one two"}


def test_the_body_of_a_deployment_holds_all_of_it(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "data.csv").write_bytes(b"a,b\n")
    body = deployment(load(path))
    assert body["tools"] == ("files.read", "calc")
    assert body["files"] == [{"path": "data.csv", "base64": "YSxiCg=="}]


def test_tools_may_be_a_list_and_absent_means_all(tmp_path: Path) -> None:
    listed = GOOD.replace("files.read calc", "[files.read, calc]")
    assert load(folder(tmp_path, listed)).skill.tools == ("files.read", "calc")
    absent = GOOD.replace("allowed-tools: files.read calc\n", "")
    assert load(folder(tmp_path, absent)).skill.tools is None
    assert load(folder(tmp_path, GOOD.replace("files.read calc", '""'))).skill.tools == ()


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("name: count-words", "name: Count_Words", "line 2: name"),
        ("name: count-words\n", "", "name is missing"),
        ("name: count-words", "name: other", "its folder is 'count-words'"),
        ("description: Counts the words of a text.", "description: ''", "line 3: description"),
        ("description: Counts the words of a text.", f"description: {'x' * 1025}", "1025 characters"),
        ("allowed-tools", "allowed_tools", "line 5: allowed_tools is not a field"),
        ("files.read calc", "Bash(git:*)", "line 5: allowed-tools names 'Bash(git:*)'"),
        ('callboard.grounded: "true"', "callboard.grounded: perhaps", "callboard.grounded 'perhaps'"),
        ("callboard.grounded", "callboard.magic", "callboard.magic"),
        ("license: Apache-2.0", "license: [", "line 6"),
        ("---\nname", "name", "line 1"),
        ('"true"\n---', '"true"', "ends the front matter"),
    ],
)
def test_what_is_wrong_in_the_front_matter_is_named(tmp_path: Path, before: str, after: str, named: str) -> None:
    assert before in GOOD
    detail = wrong(folder(tmp_path, GOOD.replace(before, after)))
    assert named in detail
    assert "SKILL.md" in detail


@pytest.mark.parametrize("text", ["{", "[1]", '{"type": "nonsense"}'])
@pytest.mark.parametrize("name", ["input.schema.json", "output.schema.json"])
def test_a_schema_that_is_none_is_named(tmp_path: Path, name: str, text: str) -> None:
    path = folder(tmp_path)
    (path / name).write_text(text)
    assert name in wrong(path)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (tmp_path / "secret").write_text("x")
    (path / "inside").symlink_to(tmp_path / "secret")
    assert "leads out" in wrong(path)


def test_a_folder_of_folders_is_all_of_them(tmp_path: Path) -> None:
    folder(tmp_path)
    folder(tmp_path, GOOD.replace("name: count-words", "name: other"), "other")
    (tmp_path / "no-skill").mkdir()
    assert [found.skill.name for found in load_all(tmp_path)] == ["count-words", "other"]
    assert [found.skill.name for found in load_all(tmp_path / "other")] == ["other"]


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_folder_without_skills_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CallboardError, match=name):
        load_all(tmp_path / name)


def test_windows_line_ends_and_a_byte_order_mark_are_no_problem(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "SKILL.md").write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(path).skill.prompt == "# Count words\n\nCount them."
