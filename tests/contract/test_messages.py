"""The wire is for ever: names, golden bytes and schemas of every message."""

import ast
import inspect
import json
import re
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

import callboard_contracts
from callboard.contracts_export import __main__ as export
from callboard.contracts_export import schemas
from callboard_contracts import wire

CONTRACTS = export.CONTRACTS
EVERY = [pytest.param(message, id=wire.type_of(message)) for message in wire.MESSAGES]
Message = type[msgspec.Struct]


def _example(message: Message) -> bytes:
    return (CONTRACTS / "examples" / f"{wire.type_of(message)}.json").read_bytes()


@pytest.mark.parametrize("message", EVERY)
def test_class_wire_type_and_schema_file_have_one_name(message: Message) -> None:
    module = message.__module__.rpartition(".")[2]
    words = "_".join(re.findall(r"[A-Z][a-z]*", message.__name__)).lower()
    assert re.fullmatch(rf"{module}\.{words}\.v[1-9]", wire.type_of(message))
    schema = json.loads((CONTRACTS / "schemas" / f"{wire.type_of(message)}.json").read_text("utf-8"))
    assert schema["title"] == wire.type_of(message)


def test_every_message_with_a_wire_type_is_said_and_no_type_is_said_twice() -> None:
    types = [wire.type_of(message) for message in wire.MESSAGES]
    tagged = re.compile(r'tag="([^"]+)"')
    in_source = [tag for path in _sources() for tag in tagged.findall(path.read_text("utf-8"))]
    assert sorted(types) == sorted(in_source)
    assert len(set(types)) == len(types)


@pytest.mark.parametrize("message", EVERY)
def test_a_golden_example_is_read_and_written_again_with_the_same_bytes(message: Message) -> None:
    golden = _example(message)
    read: object = wire.decode(golden, message)
    assert wire.encode(read) == golden


@pytest.mark.parametrize("message", EVERY)
def test_the_schema_accepts_the_golden_example_and_refuses_another_type(message: Message) -> None:
    schema = json.loads((CONTRACTS / "schemas" / f"{wire.type_of(message)}.json").read_text("utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    validator.validate(json.loads(_example(message)))
    assert not validator.is_valid(json.loads(_example(message)) | {"type": "goal.submit.v0"})


@pytest.mark.parametrize("message", EVERY)
def test_a_field_that_is_not_known_yet_is_ignored(message: Message) -> None:
    newer = json.loads(_example(message)) | {"of_tomorrow": 1}
    assert wire.encode(wire.decode(wire.encode(newer), message)) == _example(message)


@pytest.mark.parametrize("message", EVERY)
def test_every_field_of_every_schema_says_what_it_means(message: Message) -> None:
    every = schemas.components()
    schema = schemas.standalone(wire.type_of(message), every)
    for struct in [schema, *schema.get("$defs", {}).values()]:
        assert struct["description"].endswith(".")
        silent = [
            name for name, field in struct["properties"].items() if not field.get("description", "").endswith(".")
        ]
        assert silent == [], f"give each a line below the field in {struct['title']}"


@pytest.mark.parametrize("message", EVERY)
def test_a_message_is_frozen_and_built_by_names(message: Message) -> None:
    assert message.__struct_config__.frozen
    assert all(field.kind is field.KEYWORD_ONLY for field in inspect.signature(message).parameters.values())


def test_every_example_is_of_a_message_that_is_still_read() -> None:
    assert set(export.examples()) == {wire.type_of(message) for message in wire.MESSAGES}


def test_what_is_committed_is_what_would_be_generated() -> None:
    assert export.stale(export.generated()) == []


def test_contracts_import_msgspec_the_standard_library_and_nothing_else() -> None:
    allowed = sys.stdlib_module_names | {"msgspec", "callboard_contracts"}
    for path in _sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            assert _imported(node) <= allowed, path.name


def _sources() -> list[Path]:
    return sorted(Path(*callboard_contracts.__path__).glob("*.py"))


def _imported(node: ast.AST) -> set[str]:
    match node:
        case ast.Import():
            return {alias.name.partition(".")[0] for alias in node.names}
        case ast.ImportFrom():
            return {(node.module or "").partition(".")[0]}
        case _:
            return set()
