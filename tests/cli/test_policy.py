"""`callboard policy check`: what a file of rules says, and what is wrong with it, without a system."""

from pathlib import Path

import pytest

from callboard.cli import exits, policy
from callboard.cli.main import call

GOOD = '[[rule]]\nname = "writes"\ntool = "files.write"\n'


def test_a_file_that_can_be_used_says_how_many_rules_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "house.toml"
    path.write_text(GOOD)
    assert call(["policy", "check", str(path)]) == exits.OK
    assert capsys.readouterr().out == "house: 1 rule, nothing wrong\n"


def test_a_file_that_cannot_be_used_says_where_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "house.toml"
    path.write_text(GOOD + '\n[[rule]]\nname = "more"\nquorum = 0\n')
    for verb in ("check", "apply"):
        assert call(["policy", verb, str(path)]) == exits.USAGE
        told = capsys.readouterr().err
        assert f"The policy cannot be used: {path}, line 5, rule 2: quorum is at least 1." in told
        assert "callboard policy check FILE" in told


RULE = {"name": "writes", "tool": ["files.write"], "effect": [], "approvers": [], "quorum": 1, "reason": "Look at it"}


@pytest.mark.parametrize(
    ("expires_s", "told"), [(604_800.0, "7 d"), (5400.0, "1 h 30 min"), (90.0, "1 min 30 s"), (0.5, "0.5 s")]
)
def test_how_long_a_request_waits_is_told_in_the_largest_units(
    expires_s: float, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policy._table([{"name": "house", "rules": [RULE | {"expires_s": expires_s}]}])
    assert f"  {told}  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rules", "replaced", "told"),
    [
        (2, 0, "house  0123456789ab  2 rules"),
        (1, 2, "house  0123456789ab  1 rule, in the place of 2 rules"),
        (0, 1, "The policy house is removed, with 1 rule."),
        (0, 0, "Nothing changed: the file has no rules, and there is no policy house to remove."),
    ],
)
def test_what_applying_a_file_did_is_said(rules: int, replaced: int, told: str) -> None:
    answer = {"name": "house", "digest": "0123456789abcdef", "rules": rules, "replaced": replaced}
    assert policy._applied(answer) == told
