"""A question without a tenant cannot be put, and no text in one widens what it finds."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from callboard_contracts import memory
from callboard_contracts.errors import CallboardError
from callboard_services.memory import rows
from callboard_services.memory.changes import Changes
from callboard_services.memory.query import Query, Run, Whole, audience, checked, where
from callboard_services.memory.tables import Tables
from callboard_services.memory.vector import pack
from tests.memory.kit import fact, opened

NASTY = ["' OR 1=1 --", "x') OR true OR ('", "\\' OR '1'='1", "a']) OR array_has_any(sources, ['b", "%", "\0", '"); /*']


def test_a_query_cannot_be_made_without_a_tenant() -> None:
    with pytest.raises(TypeError):
        Query(sight=Whole())  # type: ignore[call-arg]


@pytest.mark.parametrize("tenant", ["", "*", ">", "../other", "a/b", "A", "a.b", "_position", " acme", "a" * 64])
def test_what_cannot_be_a_tenant_is_refused_wherever_it_comes_from(tenant: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no tenant"):
        Query(tenant, Whole())
    with pytest.raises(ValueError, match="is no tenant"):
        asyncio.run(opened(tmp_path).of(tenant))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"kinds": ("secret",)}, "kind 'secret' is none of"),
        ({"trust": ("me",)}, "trust 'me' is none of"),
        ({"limit": 0}, "limit 0"),
        ({"limit": 51}, "limit 51"),
        ({"since_ms": 2, "until_ms": 1}, "since is later"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(CallboardError, match=told) as error:
        checked(Query("acme", Whole(), **wrong))
    assert error.value.code == "invalid_request"


def test_a_run_sees_its_own_its_users_its_skills_and_its_workspaces_rows() -> None:
    seen = Run("w", "r", "anna", "invoices").audiences
    scopes: list[tuple[memory.Scope, str]] = [("workspace", ""), ("run", "r"), ("user", "anna"), ("skill", "invoices")]
    assert seen == tuple(audience("w", scope, owner) for scope, owner in scopes)


def test_a_run_of_nobody_sees_nobodys_rows_and_not_everybodys() -> None:
    seen = Run("w", "r").audiences
    assert seen is not None
    assert audience("w", "user", "") not in seen
    assert audience("w", "user", "-") not in seen
    assert len(seen) == 2


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Tables]]:
    """Tables with rows of several owners, one of them in another tenant."""
    with asyncio.Runner() as runner:
        found = opened(tmp_path_factory.mktemp("tables"))

        async def fill() -> None:
            await found.open("now", 0)
            mine, other = Changes(), Changes()
            owners: list[tuple[memory.Scope, str]] = [
                ("user", "anna"),
                ("user", "bob"),
                ("workspace", ""),
                ("run", "x"),
            ]
            for n, (scope, owner) in enumerate(owners):
                said = fact(f"r{n}", f"text {n}", scope=scope, owner=owner, source="s", derived_from=("d",))
                mine.take(_with_vector(said), (), n + 1)
            other.take(_with_vector(fact("other", "text of others")), (), 9)
            await found.commit({"acme": mine, "other": other}, 9)

        runner.run(fill())
        yield runner, found


def _with_vector(said: memory.Remembered) -> memory.Remembered:
    return memory.Remembered(
        id=said.id, kind=said.kind, text=said.text, origin=said.origin, embedder="words@1", vector=pack([1.0] * 128)
    )


@given(user=st.text(max_size=40), tag=st.text(max_size=40), source=st.text(max_size=40))
@settings(max_examples=80)
@example(user=NASTY[0], tag="", source="")
@example(user="anna' OR owner='bob", tag="", source="")
@example(user="", tag=NASTY[3], source=NASTY[1])
@example(user="", tag=NASTY[5], source=NASTY[6])
@example(user="", tag=NASTY[2], source=NASTY[4])
def test_no_text_in_a_filter_widens_it(tables: tuple[asyncio.Runner, Tables], user: str, tag: str, source: str) -> None:
    runner, found = tables
    table = runner.run(found.of("acme"))
    by_user = runner.run(table.find(where(Query("acme", Run(memory.WORKSPACE, "r", user))), ["id"]))
    assert {row["id"] for row in by_user} <= {"r2"} | ({"r0"} if user == "anna" else {"r1"} if user == "bob" else set())
    by_tag = runner.run(table.find(where(Query("acme", Whole(), tags=(tag,))), ["id"]))
    assert by_tag == []
    by_source = runner.run(table.find(where(Query("acme", Whole(), source=source)), ["id"]))
    assert len(by_source) == (4 if source in ("", "s", "d") else 0)
    hidden = runner.run(table.find(where(Query("acme", Whole()), [source]), ["id"]))
    assert len(hidden) == (0 if source in ("s", "d") else 4)


def test_another_tenants_rows_are_in_another_database(tables: tuple[asyncio.Runner, Tables]) -> None:
    runner, found = tables
    everything = runner.run(runner.run(found.of("acme")).find("true", ["id"]))
    assert {row["id"] for row in everything} == {"r0", "r1", "r2", "r3"}


def test_a_document_has_one_id_for_each_audience_and_keeps_it() -> None:
    here = fact("x", "y", source="https://a.example").origin
    there = fact("x", "y", source="https://a.example", scope="user", owner="anna").origin
    assert rows.document_id(here) != rows.document_id(there)
    assert rows.document_id(here) == rows.document_id(fact("z", "q", source="https://a.example", at_ms=5).origin)


def test_trust_goes_down_and_never_up() -> None:
    assert rows.least(("person", "agent")) == "agent"
    assert rows.least(("agent", "web", "tool")) == "web"
