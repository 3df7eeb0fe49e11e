"""From a typed function to what a model and the guard read."""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from callboard.actor import check_schema, violations
from callboard.tools import Tool, ToolContext, ToolError, tool
from callboard_contracts.errors import CallboardError


@dataclass
class Point:
    """Where."""

    x: float
    y: float = 0.0


class Node(msgspec.Struct):
    """A tree."""

    name: str
    children: list["Node"] = []


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@tool(name="draw.line", effect="write", timeout_s=5, price_usd="0.002", tags=("draw",))
def draw(
    start: Point,  # noqa: ARG001 - it only describes, as the rest
    end: Point,  # noqa: ARG001
    context: ToolContext,
    *,
    width: Annotated[int, Meta(ge=1, le=10, description="In pixels")] = 1,
    style: Literal["solid", "dashed"] = "solid",  # noqa: ARG001
    colour: Colour | None = None,  # noqa: ARG001
    labels: list[str] = ["a"],  # noqa: B006 - a default is copied
) -> dict[str, int]:
    """Draw a line.

    Twice draws two.
    """
    return {"width": width, "labels": len(labels), "call": len(context.call)}


def test_a_tool_is_described_by_its_function() -> None:
    spec = draw.spec
    assert (spec.name, spec.version, spec.effect, spec.timeout_s) == ("draw.line", "1.0.0", "write", 5)
    assert spec.price_micro_usd == 2000
    assert spec.description == "Draw a line.\n\nTwice draws two."
    assert spec.output_schema == {"type": "object", "additionalProperties": {"type": "integer"}}


def test_the_schema_says_what_the_annotations_say_and_hides_the_context() -> None:
    schema = draw.spec.input_schema
    assert check_schema(schema) == ""
    assert schema["required"] == ["start", "end"]
    assert set(schema["properties"]) == {"start", "end", "width", "style", "colour", "labels"}
    assert schema["properties"]["width"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 10,
        "description": "In pixels",
        "default": 1,
    }
    assert schema["properties"]["style"]["enum"] == ["dashed", "solid"] or schema["properties"]["style"]["enum"] == [
        "solid",
        "dashed",
    ]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Point"]["additionalProperties"] is False


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"start": {"x": 1}},
        {"start": {"x": 1}, "end": {"x": "1"}},
        {"start": {"x": 1}, "end": {"x": 1}, "width": 11},
        {"start": {"x": 1}, "end": {"x": 1}, "style": "dotted"},
        {"start": {"x": 1}, "end": {"x": 1}, "context": {}},
        {"start": {"x": 1, "z": 1}, "end": {"x": 1}},
    ],
)
def test_the_schema_refuses_what_the_function_does_not_take(arguments: dict[str, Any]) -> None:
    assert violations(draw.spec.input_schema, arguments)


def test_a_type_that_contains_itself_has_a_schema_that_ends() -> None:
    @tool
    def walk(tree: Node) -> Node:
        """Walk."""
        return tree

    assert check_schema(walk.spec.input_schema) == ""
    assert walk.spec.output_schema is not None
    assert check_schema(walk.spec.output_schema) == ""
    good = {"name": "a", "children": [{"name": "b"}]}
    assert violations(walk.spec.output_schema, good) == ()
    assert violations(walk.spec.output_schema, {"name": "a", "children": [{"name": 1}]})


def test_a_bare_decorator_takes_the_name_of_the_function() -> None:
    @tool
    async def today() -> str:
        """Tell the date."""
        return "1970-01-01"

    assert isinstance(today, Tool)
    assert today.spec.name == "today"
    assert today.spec.input_schema == {
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


def test_a_tool_without_a_promise_has_no_output_schema() -> None:
    @tool
    def anything():  # type: ignore[no-untyped-def]
        """Return anything."""

    @tool
    def nothing() -> None:
        """Return nothing."""

    assert anything.spec.output_schema is None
    assert nothing.spec.output_schema == {"type": "null"}


def test_a_tool_can_be_called_as_the_function_that_it_is() -> None:
    @tool
    def double(number: int) -> int:
        """Double a number."""
        return number * 2

    assert double(21) == 42


def no_docstring(text: str) -> str:
    return text


def no_type(text) -> str:  # type: ignore[no-untyped-def]
    """Lack a type."""
    return str(text)


def stars(*texts: str) -> str:
    """Take any number."""
    return "".join(texts)


def by_place(text: str, /) -> str:
    """Take it by place alone."""
    return text


def strange(text: Callable[[], None]) -> str:
    """Take what JSON does not have."""
    return str(text)


def unknown(text: "Unknown") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Name a type that is not there."""
    return str(text)


def fine(text: str) -> str:
    """Be fine."""
    return text


@pytest.mark.parametrize(
    ("function", "options", "word"),
    [
        (no_docstring, {}, "docstring"),
        (no_type, {}, "'text' has no type"),
        (stars, {}, "by name"),
        (by_place, {}, "by name"),
        (strange, {}, "strange"),
        (unknown, {}, "Unknown"),
        (fine, {"name": "Fine"}, "lower-case"),
        (fine, {"name": "a-b"}, "lower-case"),
        (fine, {"effect": "sometimes"}, "effect"),
        (fine, {"timeout_s": 0}, "timeout_s"),
        (fine, {"timeout_s": "long"}, "timeout_s"),
        (fine, {"price_usd": -1}, "US dollars"),
        (fine, {"concurrency": 0}, "concurrency"),
        (fine, {"nothing": 1}, "nothing"),
    ],
)
def test_a_bad_definition_is_refused_with_what_is_wrong(
    function: Callable[..., Any], options: dict[str, Any], word: str
) -> None:
    with pytest.raises(CallboardError) as caught:
        tool(**options)(function)
    assert caught.value.code == "invalid_tool"
    assert word in str(caught.value)


@given(st.sampled_from(["tool_failed", "arguments_invalid"]), st.text(), st.booleans())
def test_a_tool_error_carries_a_code_of_the_catalogue(code: str, text: str, retryable: bool) -> None:
    error = ToolError(text, retryable=retryable, code=code)
    assert (error.code, error.message, error.retryable) == (code, text, retryable)


def test_a_code_outside_the_catalogue_is_a_bug() -> None:
    with pytest.raises(KeyError):
        ToolError("x", code="whatever")
