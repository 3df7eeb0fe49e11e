"""What the registrar decides: pure, so that a whole day of polls takes no time."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts.tool import Entry, Spec
from callboard_services.tools import admission, watch
from callboard_services.tools.admission import Instance
from callboard_services.tools.watch import LONG_PATIENCE, PATIENCE, Watch

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}


def spec(**changes: Any) -> Spec:
    return Spec(**({"name": "text.count", "description": "Count.", "input_schema": SCHEMA} | changes))


def instance(id_: str = "one", *, started: int = 0, **changes: Any) -> Instance:
    found = spec(**changes)
    return Instance(id=id_, token="text-count", started=started, spec=found, problem=admission.problem_of(found))


def info(name: str, metadata: dict[str, str] | None) -> bytes:
    return msgspec.json.encode({"name": name, "id": "x", "version": "1.0.0", "metadata": metadata, "endpoints": []})


def said(**changes: Any) -> dict[str, str]:
    return {"callboard.tool": msgspec.json.encode(spec(**changes)).decode()}


class Registry:
    """The registry as registrars see and write it."""

    def __init__(self) -> None:
        self.known: dict[str, Entry] = {}
        self.writes: list[tuple[str, Entry]] = []


class Registrar:
    """Polls like the service's own loop, against a registry in memory."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.watch = Watch()

    def poll(self, *answers: Instance, unreachable: set[str] | None = None) -> dict[str, Entry]:
        gone = {silent.id for silent in watch.silent(self.watch, answers)} if unreachable is None else unreachable
        known = self.registry.known
        self.watch = watch.observe(self.watch, answers, known, unreachable=gone)
        written = watch.to_write(self.watch, known)
        self.registry.known = {**known, **written}
        self.registry.writes += written.items()
        return written


@pytest.fixture
def registrar() -> Registrar:
    return Registrar(Registry())


def test_a_tool_is_admitted_at_the_first_poll_that_sees_it(registrar: Registrar) -> None:
    assert registrar.poll(instance()) == {"text-count": Entry(spec=spec(), instances=1)}


def test_nothing_is_written_when_nothing_changed(registrar: Registrar) -> None:
    registrar.poll(instance())
    assert all(registrar.poll(instance()) == {} for _ in range(10))


def test_a_second_process_counts_at_once(registrar: Registrar) -> None:
    registrar.poll(instance())
    assert registrar.poll(instance(), instance("two"))["text-count"].instances == 2


def test_a_process_that_misses_two_polls_is_still_there(registrar: Registrar) -> None:
    registrar.poll(instance())
    for _ in range(5):
        assert registrar.poll() == registrar.poll() == registrar.poll(instance()) == {}


def test_a_process_is_gone_after_three_polls(registrar: Registrar) -> None:
    registrar.poll(instance())
    found = [registrar.poll() for _ in range(PATIENCE + 3)]
    assert found[: PATIENCE - 1] == [{}] * (PATIENCE - 1)
    assert [entry.instances for writes in found for entry in writes.values()] == [0]


def test_a_busy_process_that_is_connected_is_not_taken_for_gone(registrar: Registrar) -> None:
    registrar.poll(instance())
    assert all(registrar.poll(unreachable=set()) == {} for _ in range(LONG_PATIENCE - 1))
    assert any(registrar.poll(unreachable=set()) for _ in range(PATIENCE + 1))
    assert registrar.registry.known["text-count"].instances == 0


def test_a_tool_that_comes_back_is_there_again_at_once(registrar: Registrar) -> None:
    registrar.poll(instance())
    for _ in range(10):
        registrar.poll()
    assert registrar.poll(instance("again"))["text-count"].instances == 1


def test_a_registrar_that_starts_trusts_the_registry_before_it_knows_better(registrar: Registrar) -> None:
    registrar.registry.known = {
        "text-count": Entry(spec=spec(), instances=2),
        "gone": Entry(spec=spec(name="gone"), instances=1),
    }
    assert registrar.poll(instance()) == {}
    for _ in range(PATIENCE):
        registrar.poll(instance())
    assert {token: entry.instances for token, entry in registrar.registry.known.items()} == {
        "text-count": 1,
        "gone": 0,
    }


def test_of_two_descriptions_the_higher_version_wins_then_the_later_start(registrar: Registrar) -> None:
    old, new = instance("old", version="1.9.0", started=9), instance("new", version="1.10.0", started=1)
    assert registrar.poll(old, new)["text-count"].spec.version == "1.10.0"
    first, later = instance("a", started=1), instance("b", started=2, description="Count better.")
    assert admission.entry_of([later, first]) == admission.entry_of([first, later])
    assert admission.entry_of([first, later]).spec.description == "Count better."


def test_the_same_version_with_two_descriptions_is_told_once(registrar: Registrar) -> None:
    registrar.poll(instance())
    registrar.poll(instance(), instance("two", description="Count otherwise."))
    assert list(watch.disagreements(registrar.watch)) == ["text-count"]
    registrar.poll(instance(), instance("two", description="Count otherwise."))
    assert watch.disagreements(registrar.watch) == {}


def test_two_versions_side_by_side_are_no_disagreement() -> None:
    assert admission.disagreement([instance(), instance("two", version="1.0.1", description="Other.")]) == ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": "Text"}, "name"),
        ({"description": " "}, "description"),
        ({"version": "one"}, "version"),
        ({"price_micro_usd": -1}, "price"),
        ({"timeout_s": 0.0}, "timeout"),
        ({"input_schema": {}}, "input_schema"),
        ({"input_schema": {"type": "array"}}, "input_schema"),
        ({"input_schema": {"type": "object", "properties": {"a": {"type": "objekt"}}}}, "input_schema"),
        ({"output_schema": {"type": 1}}, "output_schema"),
        ({"input_schema": {"type": "object", "properties": {"a": {"$ref": "http://169.254.169.254/"}}}}, "169.254"),
        ({"input_schema": {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}}, "passwd"),
        ({"input_schema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}}, "input_schema"),
    ],
)
def test_a_tool_that_cannot_be_used_is_written_with_its_problem(changes: dict[str, Any], word: str) -> None:
    name = changes.get("name", "text.count")
    found = admission.read(info(name.replace(".", "-"), said(**changes)))
    assert found is not None
    entry = admission.entry_of([found])
    assert not entry.admitted
    assert word in entry.problem


def test_a_micro_service_that_is_no_tool_is_nobody_s_business() -> None:
    assert admission.read(info("planner", None)) is None
    assert admission.read(info("planner", {})) is None
    assert admission.read(b"not JSON") is None


def test_what_a_tool_says_of_itself_must_be_readable_small_and_its_own() -> None:
    for metadata, word in (
        ({"callboard.tool": "{"}, "cannot be read"),
        ({"callboard.tool": "x" * 70_000}, "64 KiB"),
        (said(name="other.name"), "other.name"),
    ):
        found = admission.read(info("text-count", metadata))
        assert found is not None
        assert found.spec.name == "text.count"  # under another's name it would take that one's place
        assert word in found.problem


IDS = ("a", "b", "c")
POLL = st.tuples(st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)))


@given(st.lists(POLL, max_size=30), st.sets(st.sampled_from(IDS), min_size=1))
def test_two_registrars_agree_in_the_end_and_then_both_are_silent(
    lost: list[tuple[set[str], set[str]]], alive: set[str]
) -> None:
    """Whatever answers each of them missed, soon after that stops they write no more and the count is right."""
    registry = Registry()
    first, second = Registrar(registry), Registrar(registry)
    every = {id_: instance(id_) for id_ in sorted(alive)}
    for missed in lost:
        for registrar, not_heard in zip((first, second), missed, strict=True):
            registrar.poll(*(one for id_, one in every.items() if id_ not in not_heard))
    for _ in range(3 * PATIENCE):
        first.poll(*every.values())
        second.poll(*every.values())
    registry.writes.clear()
    for _ in range(5):
        first.poll(*every.values())
        second.poll(*every.values())
    assert registry.writes == []
    assert registry.known["text-count"].instances == len(alive)


@given(st.lists(POLL, max_size=30))
def test_a_lost_answer_of_a_connected_process_never_makes_two_registrars_flap(lost: list[Any]) -> None:
    """Once both have seen every process, a poll that misses some changes nothing."""
    registry = Registry()
    first, second = Registrar(registry), Registrar(registry)
    every = {id_: instance(id_) for id_ in IDS}
    for registrar in (first, second, first, second):
        registrar.poll(*every.values())
    registry.writes.clear()
    for missed in lost[: LONG_PATIENCE - 1]:
        for registrar, not_heard in zip((first, second), missed, strict=True):
            registrar.poll(*(one for id_, one in every.items() if id_ not in not_heard), unreachable=set())
    assert registry.writes == []
