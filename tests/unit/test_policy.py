"""Rules as people write them: what is right is read, what is wrong is named with its place in the file."""

from pathlib import Path

import pytest

from callboard import policy
from callboard.skills import deployment, load
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import Rule

GOOD = """
[[rule]]
name = "large-payments"
tool = "payments.*"
effect = ["irreversible"]
skill = "invoice-*"
when = { properties.amount.exclusiveMinimum = 50, required = ["amount"] }
approvers = ["group:finance", "ann"]
quorum = 2
expires_s = 86400
remind_after_s = 3600
escalate_after_s = 7200
escalate_to = "group:managers"
reason = "Payments above 50 EUR need two people."
four_eyes = true

[[rule]]
name = "mail"
tool = "mail.send"
when = '{"properties": {"to": {"not": {"pattern": "@example.com$"}}}}'
on_expiry = "fail"
"""


def written(tmp_path: Path, text: str, name: str = "house.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def wrong(tmp_path: Path, text: str) -> str:
    with pytest.raises(CallboardError) as caught:
        policy.load(written(tmp_path, text))
    assert caught.value.code == "invalid_policy"
    return caught.value.detail.replace(str(tmp_path), "")


def test_a_file_of_rules_is_a_policy_of_the_files_name(tmp_path: Path) -> None:
    found = policy.load(written(tmp_path, GOOD))
    large, mail = found.rules
    assert (found.name, large.name, mail.name) == ("house", "large-payments", "mail")
    assert (large.tool, large.skill, large.escalate_to) == (("payments.*",), ("invoice-*",), ("group:managers",))
    assert large.when == {"properties": {"amount": {"exclusiveMinimum": 50}}, "required": ["amount"]}
    assert (mail.quorum, mail.expires_s, mail.on_expiry) == (1, 604_800.0, "fail")
    assert mail.when == {"properties": {"to": {"not": {"pattern": "@example.com$"}}}}


def test_a_policy_may_say_its_own_name_and_have_no_rules(tmp_path: Path) -> None:
    assert policy.load(written(tmp_path, 'name = "other"')).name == "other"
    assert policy.load(written(tmp_path, "")).rules == ()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("quorom = 2", "unknown field `quorom`"),
        ('quorum = "2"', "Expected `int`, got `str` - at `quorum`"),
        ("quorum = 0", "quorum is at least 1"),
        ('approvers = ["ann"]\nquorum = 2', "quorum is 2, and there are 1 who may approve"),
        ('approvers = ["group:"]', "'group:' is neither the name of a key nor `group:<name>`"),
        ('when = { type = "colour" }', "when: "),
        ("when = '{'", "Input data was truncated"),
        ("expires_s = 0", "expires_s is more than 0"),
        ("expires_s = 1e9", "at most a year"),
        ("remind_after_s = 1e6", "remind_after_s is at least 1 and less than expires_s"),
        ("escalate_after_s = 10", "escalate_after_s and escalate_to belong together"),
        ('escalate_to = ["ann"]', "escalate_to says nothing where everybody may approve"),
        ('effect = "terrible"', "Invalid enum value 'terrible'"),
        ('on_expiry = "approve"', "Invalid enum value 'approve'"),
        ('tool = "payments-send"', "tool: a name has a-z, 0-9, dots, `_` and `*`"),
        ("tool = []", "tool: a name has"),
        ('skill = "A b"', "skill: a name has a-z"),
        ('agent = "all"', "Invalid enum value 'all'"),
    ],
)
def test_a_rule_that_cannot_be_used_is_named_with_its_line(tmp_path: Path, line: str, problem: str) -> None:
    told = wrong(tmp_path, f'[[rule]]\nname = "first"\n\n[[rule]]\nname = "second"\n{line}\n')
    assert told.startswith("/house.toml, line 4, rule 2: ")
    assert problem in told


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[[rule]\n", "is not TOML: "),
        ('[rule]\nname = "a"', "write [[rule]], in two brackets"),
        ("rule = [1]", "a rule is a table of fields"),
        ("rules = []", "'rules' is not known here"),
        ('name = "A B"', "the name 'A B' must be"),
        ("name = 7", "the name '7' must be"),
        ('[[rule]]\nname = "a"\n[[rule]]\nname = "a"', 'two rules have the name "a"'),
        ("[[rule]]\n", "missing required field `name`"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in wrong(tmp_path, text)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with pytest.raises(CallboardError, match=f"{path} is missing"):
        policy.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CallboardError, match=f"{path} cannot be read"):
        policy.load(path)
    with pytest.raises(CallboardError, match=f"{tmp_path} cannot be read"):
        policy.load(tmp_path)


def test_rules_without_end_are_refused() -> None:
    with pytest.raises(CallboardError, match="501 rules"):
        policy.check([Rule(name=f"r{number}") for number in range(501)])


def skill(tmp_path: Path, rules: str) -> Path:
    folder = tmp_path / "bills"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: bills\ndescription: Pays bills.\n---\nPay.\n")
    (folder / "approval.toml").write_text(rules)
    return folder


def test_a_skill_brings_rules_of_its_own_in_its_digest_and_not_among_its_files(tmp_path: Path) -> None:
    found = load(skill(tmp_path, GOOD))
    assert [rule.name for rule in found.skill.rules] == ["large-payments", "mail"]
    assert found.skill.files == ()
    assert [rule["name"] for rule in deployment(found)["rules"]] == ["large-payments", "mail"]


def test_a_skill_with_a_wrong_rule_is_no_skill(tmp_path: Path) -> None:
    with pytest.raises(CallboardError, match=r"approval\.toml, line 1, rule 1: quorum") as caught:
        load(skill(tmp_path, '[[rule]]\nname = "a"\nquorum = 0'))
    assert caught.value.code == "invalid_skill"
