"""People decide from the command line, with a whole system behind it: what is shown, what is said, what comes of it."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.cli.test_end_to_end import up

from callboard.cli import asked
from callboard.cli.main import call
from callboard.cli.plain import plain
from callboard.cli.story import Story

HIDDEN = "pay\u202eme"


def write(text: str) -> dict[str, Any]:
    return {"asks": [{"tool": "files.write", "arguments": {"path": "a.txt", "text": text}}]}


SCRIPT: dict[str, Any] = {
    "runs": [
        {"match": "[ask]", "steps": [
            {"asks": [{"tool": "human.ask", "arguments": {"question": "Which?", "choices": ["red", "blue"]}}]},
            {"output": {"$result": 0, "at": "/answer"}},
        ]},
    ],
    "steps": [write(HIDDEN), {"output": "written"}],
}  # fmt: skip
POLICY = """
[[rule]]
name = "writes"
tool = ["files.write"]
approvers = ["group:finance", "cat"]
reason = "Files are for finance"
"""


class Said(NamedTuple):
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


class Office:
    """A system with a policy, and people with keys."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.keys: dict[str, str] = {}

    def say(self, *tokens: str, who: str = "") -> Said:
        """Run a command as somebody, in this process: another one takes a second to start."""
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            for name in [name for name in os.environ if name.startswith(("CALLBOARD_", "NATS_"))]:
                patch.delenv(name)
            patch.setenv("CALLBOARD_DATA", str(self.data))
            if who:
                patch.setenv("CALLBOARD_KEY", self.keys[who])
            code = call(tokens)
        return Said(code, out.getvalue(), err.getvalue())

    def waiting(self, goal: str) -> str:
        """Start a run, and return the request that it waits for."""
        run = self.say("run", goal, "--detach", who="ann").stdout.strip()
        for _ in range(60):
            rows = [json.loads(line) for line in self.say("approvals", "ls", "--json", who="ann").stdout.splitlines()]
            if found := [row["request"] for row in rows if row["run"] == run]:
                return str(found[0])
            time.sleep(0.2)
        raise AssertionError(self.say("runs", "why", run, who="ann").stdout)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    (folder / "script.json").write_text(json.dumps(SCRIPT))
    (folder / "finance.toml").write_text(POLICY)
    found = Office(folder / "data")
    with up(found.data, "--model", f"scripted:{folder / 'script.json'}"):
        nothing = found.say("approvals", "ls")
        assert "Nothing waits for a person." in nothing.stdout
        assert found.say("policy", "apply", str(folder / "finance.toml")).returncode == 0
        for name, *groups in (("ann",), ("bob", "--group", "finance"), ("cat",)):
            found.keys[name] = found.say("keys", "add", name, *groups).stdout.strip()
        yield found


def test_what_would_run_is_shown_whole_and_denied_by_who_may(office: Office) -> None:
    request = office.waiting("write it")
    listed = office.say("approvals", "ls", who="bob")
    assert request in listed.stdout
    assert "files.write" in listed.stdout
    shown = office.say("approvals", "show", request, who="ann").stdout
    assert '"text": "pay\\u202eme"' in shown
    assert HIDDEN not in shown
    assert "Files are for finance  (rule writes of policy:finance)" in shown
    assert "your key, ann, may not" in shown
    assert f"callboard approvals approve {request}" in shown
    refused = office.say("approvals", "approve", request, who="ann")
    assert refused.returncode == 2
    assert "group:finance" in refused.stderr
    denied = office.say("approvals", "deny", request, "--reason", "not today", who="bob")
    assert denied.stdout.splitlines()[0] == "Denied: the model reads the reason and may go another way."
    late = office.say("approvals", "approve", request, who="cat")
    assert late.returncode == 2
    assert "denied by bob: not today" in late.stderr
    told = office.say("runs", "tail", request.rsplit("-", 2)[0], who="ann")
    assert "☞ a person must decide: files.write" in told.stderr
    assert "☞ denied by bob: not today" in told.stderr


def test_edited_arguments_run_and_the_story_says_so(office: Office) -> None:
    request = office.waiting("write it")
    wrong = office.say("approvals", "edit", request, "--arguments", '{"path": "a.txt"}', who="cat")
    assert wrong.returncode == 2
    assert "text" in wrong.stderr
    new = '{"path": "a.txt", "text": "fine"}'
    edited = office.say("approvals", "edit", request[:26], "--arguments", new, "--reason", "shorter", who="cat")
    assert edited.stdout.startswith("Approved"), edited.stderr
    told = office.say("runs", "tail", request.rsplit("-", 2)[0], who="ann").stderr
    assert f"approved by cat with other arguments: {new.replace(': ', ':').replace(', ', ',')}: shorter" in told
    assert '✓ files.write(path="a.txt", text="fine")' in told
    shown = office.say("approvals", "show", request, who="ann").stdout
    assert shown.index("What was asked for") < shown.index("pay") < shown.index("The decision") < shown.index("fine")


def test_a_question_is_answered_and_the_answer_comes_out(office: Office) -> None:
    request = office.waiting("[ask] me")
    wrong = office.say("approvals", "answer", request, "green", who="ann")
    assert (wrong.returncode, "red, blue" in wrong.stderr) == (2, True)
    assert office.say("approvals", "answer", request, "red", who="ann").returncode == 0
    assert office.say("runs", "tail", request.rsplit("-", 2)[0], who="ann").stdout == "red\n"
    rows = office.say("approvals", "ls", "--status", "answered", "--mine", "--json", who="cat").stdout.splitlines()
    assert [(row["status"], row["decided_by"], row["reason"]) for row in map(json.loads, rows)] == [
        ("answered", ["ann"], "Which?")
    ]


WRONG = [
    (("approvals", "show", "nonsense"), "begins with 'nonsense'"),
    (("approvals", "ls", "--status", "maybe"), "is none of open"),
    (("approvals", "approve", "01ARZ3NDEKTSV4RRFFQ69G5FAV-1-0"), "There is no request"),
    (("approvals", "edit", "x", "--arguments", "{"), "--arguments"),
    (("approvals", "delegate", "x"), "TO"),
    (("keys", "add", "eve", "--group", "a b"), "cannot name a group"),
]


@pytest.mark.parametrize(("tokens", "problem"), WRONG, ids=[problem for _, problem in WRONG])
def test_what_cannot_be_done_says_why_in_one_sentence(office: Office, tokens: tuple[str, ...], problem: str) -> None:
    said = office.say(*tokens, who="bob")
    assert (said.returncode, said.stdout) == (2, "")
    assert problem in said.stderr
    assert "Traceback" not in said.stderr


def test_keys_are_listed_with_their_groups(office: Office) -> None:
    assert "groups finance" in next(line for line in office.say("keys", "ls").stdout.splitlines() if "bob" in line)


def test_text_shows_what_it_is_made_of_and_plain_text_stays_as_it_is() -> None:
    assert plain("Grüße, 世界\n") == "Grüße, 世界\n"
    assert plain("a\u202eb\x1b[2Jc\u200bd") == "a\\u202eb\\u001b[2Jc\\u200bd"


RUN = "01K0000000000000000000000A"
REQUESTED = {
    "type": "approval.requested.v1",
    "request": {"id": f"{RUN}-2-0", "tool": "pay", "arguments": {"amount": 80}, "rule": {"reason": "much"}},
}
VOTED = {"type": "approval.voted.v1", "vote": "approve", "principal": "ann", "reason": "fine"}
TOLD = [
    ([REQUESTED], "a person must decide: pay(amount=80), much"),
    ([VOTED], "ann: approve: fine"),
    ([VOTED, {"type": "approval.decided.v1", "outcome": "approved", "by": ["ann", "bob"]}], "approved by ann, bob"),
    ([{"type": "approval.decided.v1", "outcome": "expired", "reason": "nobody came"}], "expired: nobody came"),
    ([{"type": "approval.escalated.v1", "to": ["group:ops"]}], "nobody decided yet: group:ops may decide too"),
    ([{"type": "approval.reminded.v1", "nth": 2}], "still waits for a person"),
    ([VOTED | {"vote": "delegate", "to": "bob", "reason": ""}], "ann passes the decision on to bob"),
]


@pytest.mark.parametrize(("events", "line"), TOLD, ids=[line for _, line in TOLD])
def test_each_turn_of_a_request_is_one_line_of_its_runs_story(events: list[dict[str, Any]], line: str) -> None:
    story = Story(RUN)
    data = {"run": f"{RUN}-2-0", "actor": "approval", "events": events}
    assert [(told.kind, told.depth, told.text) for told in story.take("voted", data)] == [("person", 1, line)]


def test_a_refused_vote_and_an_armed_timer_are_no_story() -> None:
    assert asked.told("x", [{"type": "approval.vote_refused.v1"}, {"type": "approval.armed.v1"}]) == []
