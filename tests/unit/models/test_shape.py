"""What a model wrote becomes an answer: asks, an output or a reason."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import model, wire
from callboard_services.models import chat, loose, shape
from callboard_services.models.errors import ProviderError
from callboard_services.models.heard import Heard
from callboard_services.models.provider import Asked, Message
from callboard_services.models.shape import Raw, RawCall
from callboard_services.models.sse import Events
from tests.unit.models import kit

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def called(*calls: tuple[str, str], text: str = "", contract: dict[str, Any] | None = None) -> model.Answer:
    raw = Raw(text=text, calls=tuple(RawCall(*one) for one in calls))
    return shape.read(raw, contract or kit.OBJECT)


def test_finish_hands_over_its_output() -> None:
    answer = called(("finish", '{"output": {"city": "Turin"}}'), text="Done.")
    assert answer == model.Answer(text="Done.", finished=True, output={"city": "Turin"})


def test_an_output_that_was_not_wrapped_counts_as_it_is() -> None:
    assert called(("finish", '{"city": "Turin"}')).output == {"city": "Turin"}


def test_give_up_hands_over_its_reason_and_never_an_empty_one() -> None:
    assert called(("give_up", '{"reason": "no such file"}')).give_up == "no such file"
    assert called(("give_up", "{}")).give_up


def test_asks_for_tools_win_over_finish_and_the_text_says_so() -> None:
    answer = called(("finish", '{"output": 1}'), ("files-read", '{"path": "a"}'))
    assert answer.asks == (kit.ask(path="a"),)
    assert not answer.finished
    assert "finish" in answer.text


def test_an_unknown_function_is_passed_through() -> None:
    assert called(("no-such_tool", "{}")).asks[0].tool == "no.such_tool"


def test_a_model_cannot_ask_for_model_calls() -> None:
    assert called(("model", "{}")).asks[0].tool == "unknown.model"


def test_no_arguments_are_an_empty_object() -> None:
    assert called(("files-read", "")).asks == (model.Ask(tool="files.read", arguments={}),)


def test_finish_that_is_not_json_is_never_an_output() -> None:
    answer = called(("finish", '{"output": "half'), contract=kit.STRING)
    assert answer.asks == (model.Ask(tool="finish", invalid='{"output": "half'),)


def test_text_that_was_cut_off_is_never_an_output() -> None:
    answer = shape.read(Raw(text="The report begins", cut=True), kit.STRING)
    assert not answer.finished
    assert answer.asks[0].invalid == "The report begins"


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"city": "Turin"}', {"city": "Turin"}),
        ('Here it is:\n```json\n{"city": "Turin"}\n```\nDone.', {"city": "Turin"}),
        ('```\n{"city": "draft"}\n```\n```JSON\n{"city": "Turin"}\n```', {"city": "Turin"}),
        ("It is Turin.", "It is Turin."),
        ("<think>Rome?</think>\n{}", {}),
    ],
)
def test_text_counts_as_the_output(text: str, output: Any) -> None:
    answer = shape.read(Raw(text=text), kit.OBJECT)
    assert answer.finished
    assert answer.output == output


def test_where_a_string_is_wanted_json_stays_text() -> None:
    assert shape.read(Raw(text='{"a": 1}'), kit.STRING).output == '{"a": 1}'


def test_a_refusal_of_the_provider_is_a_reason_to_give_up() -> None:
    assert shape.read(Raw(refusal="I cannot help with that."), kit.STRING).give_up == "I cannot help with that."


def test_nothing_is_empty() -> None:
    with pytest.raises(ProviderError, match="nothing"):
        shape.read(Raw(text=" \n"), kit.STRING)


@pytest.mark.parametrize(
    ("contract", "admits"),
    [
        ({"type": "string"}, True),
        ({"type": ["string", "null"]}, True),
        ({}, True),
        ({"enum": ["a", 1]}, True),
        ({"enum": [1]}, False),
        ({"const": 3}, False),
        ({"type": "object"}, False),
        ({"anyOf": [{"type": "object"}, {"type": "string"}]}, True),
        ({"oneOf": [{"type": "object"}, {"type": "array"}]}, False),
        ({"allOf": [{"type": ["string", "object"]}, {"type": "object"}]}, False),
        ({"$ref": "#/$defs/city", "$defs": {"city": {"type": "object"}}}, False),
        ({"$ref": "#/$defs/city", "$defs": {"city": {"$ref": "#/$defs/city"}}}, True),
    ],
)
def test_a_contract_admits_a_string_or_not(contract: dict[str, Any], admits: bool) -> None:
    assert loose.admits_string(contract) is admits


def test_definitions_of_a_contract_move_where_references_look_for_them() -> None:
    contract = {"$schema": "x", "$ref": "#/$defs/city", "$defs": {"city": {"type": "string"}}}
    parameters = shape.functions((), contract)[0]["function"]["parameters"]
    assert parameters["$defs"] == contract["$defs"]
    assert parameters["properties"]["output"] == {"$ref": "#/$defs/city"}


def test_tools_are_offered_beside_the_control_functions_under_names_without_dots() -> None:
    offered = [one["function"]["name"] for one in shape.functions((kit.spec(), kit.spec("finish")), kit.OBJECT)]
    assert offered == ["files-read", "finish", "give_up"]


@given(JSON)
def test_any_output_of_finish_arrives_as_it_was_written(output: Any) -> None:
    arguments = loose.strict_json("null") if output is None else output
    text = chat.messages(
        (Message(role="assistant", asks=(Asked(id="i", tool="finish", arguments={"output": arguments}),)),)
    )
    written = text[0]["tool_calls"][0]["function"]["arguments"]
    assert called(("finish", written)).output == output


@given(st.text(), st.booleans())
def test_whatever_a_model_writes_is_an_answer_or_empty(text: str, cut: bool) -> None:
    raw = Raw(text=text, calls=(RawCall(text, text),) if text[:1].isupper() else (), cut=cut)
    with contextlib.suppress(ProviderError):
        answer = shape.read(raw, kit.OBJECT)
        assert answer.finished or answer.asks or answer.give_up


@given(st.text(), st.integers(1, 7))
def test_events_arrive_whole_however_the_bytes_are_split(text: str, size: int) -> None:
    data = wire.encode(text)
    stream, events = b": comment\r\ndata: " + data + b"\r\n\r\ndata:[DONE]", Events()
    found = [event for at in range(0, len(stream), size) for event in events.feed(stream[at : at + size])]
    assert [*found, *events.close()] == [data, b"[DONE]"]


@pytest.mark.parametrize(
    "deltas",
    [
        # As OpenAI writes them; with the index always 0 but new ids; without index or ids, whole; arguments as objects.
        [(0, "a", "x", '{"n":'), (0, None, None, "1}"), (1, "b", "y", "{}")],
        [(0, "a", "x", '{"n":1}'), (0, "b", "y", "{}")],
        [(None, None, "x", '{"n":1}'), (None, None, "y", "{}")],
        [(0, "a", "x", {"n": 1}), (1, "b", "y", {})],
    ],
)
def test_tool_calls_are_put_together_however_servers_count_them(deltas: list[Any]) -> None:
    heard = Heard()
    for index, id_, name, arguments in deltas:
        one = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
        heard.add(wire.encode({"choices": [{"delta": {"tool_calls": [one]}}]}))
    asks = shape.read(heard.raw(), kit.OBJECT).asks
    assert asks == (model.Ask(tool="x", arguments={"n": 1}), model.Ask(tool="y", arguments={}))


def test_a_call_is_told_again_under_an_id_that_every_provider_accepts() -> None:
    asked = Asked(id=f"{kit.RUN}-3-0-14-1-22-0", tool="files.read", invalid="{'a")
    told = chat.messages((Message(role="assistant", asks=(asked,)), Message(role="tool", tool_call_id=asked.id)))
    call = told[0]["tool_calls"][0]
    assert call["id"] == told[1]["tool_call_id"] == asked.id[-40:]
    assert loose.strict_json(call["function"]["arguments"]) == {"not_json": "{'a"}
