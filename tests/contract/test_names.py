import pytest
from hypothesis import given
from tests.contract.strategies import SKILLS, TENANTS, TOOLS

from callboard_contracts import names


@given(TOOLS)
def test_a_tools_token_gives_its_name_back_and_is_one_subject_token(tool: str) -> None:
    assert names.is_tool(tool)
    assert names.tool(names.token(tool)) == tool
    assert "." not in names.token(tool)


@given(TOOLS)
def test_a_durable_is_the_token_behind_a_prefix(tool: str) -> None:
    assert names.durable(tool) == f"tool-{names.token(tool)}"


@given(SKILLS, TENANTS)
def test_skills_and_tenants_are_one_subject_token(skill: str, tenant: str) -> None:
    assert names.is_skill(skill)
    assert names.is_tenant(tenant)


@pytest.mark.parametrize(
    "name", ["", "Files.read", "files-read", "files..read", ".files", "a.b.c.d.e", "1st", "a" * 65, "a\n"]
)
def test_what_would_not_survive_as_a_token_is_no_tools_name(name: str) -> None:
    assert not names.is_tool(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a--b", "A", "a_b", "a.b", "a" * 65, "a\n"])
def test_what_the_agent_skills_format_forbids_is_no_skills_name(name: str) -> None:
    assert not names.is_skill(name)


@pytest.mark.parametrize("name", ["", "A", "a.b", "*", ">", "_a", "a b", "a" * 64, "a\n"])
def test_a_tenant_cannot_be_a_wildcard_or_more_than_a_token(name: str) -> None:
    assert not names.is_tenant(name)


def test_the_token_of_a_goal_without_a_skill_is_no_skills_name() -> None:
    assert not names.is_skill(names.ADHOC)


def test_the_systems_own_tools_have_valid_names() -> None:
    assert names.is_tool(names.MODEL)
    assert names.is_tool(names.AGENT)
