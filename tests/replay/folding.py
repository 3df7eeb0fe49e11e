"""A history as today's actors read it: their inputs, their states after each record, and what the JSON itself says.

What a history says is counted on plain JSON, so that no contract of today stands between the bytes and the check.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from callboard.actor import Actor, Input, Seen
from callboard.runtime.journal import folded
from callboard_contracts import ids, model, names, run, wire
from callboard_contracts.call import Completed, Result
from callboard_contracts.policy import Policy, Rule
from callboard_contracts.registry import Facts
from callboard_contracts.subjects import Subject
from callboard_contracts.tool import Entry as Tool
from callboard_contracts.tool import Model, Spec
from callboard_services.approval.actor import Approval
from callboard_services.approval.serve import read_input as read_request
from callboard_services.guard.actor import Guard
from callboard_services.guard.serve import read_record
from callboard_services.guard.state import State as Tree
from callboard_services.models.history import Entry
from callboard_services.planner.actor import Planner
from callboard_services.planner.inputs import read_delegation, read_goal, read_input
from callboard_services.planner.state import State as Run
from tests.replay.history import History, Line

ACTORS: dict[str, Actor[Any]] = {"run": Planner(), "tree": Guard(), "approval": Approval()}


def logs(history: History) -> Iterator[tuple[Actor[Any], list[Line]]]:
    """Yield each actor's log with the actor that folds it."""
    for fence, lines in history.logs.items():
        yield ACTORS[fence.split(".")[2]], lines


def fence(line: Line) -> str:
    """Return the group of subjects on which a record is fenced."""
    return Subject.parse(line.subject).address.fence


def states(actor: Actor[Any], lines: Sequence[Line], start: Any = None) -> list[Any]:
    """Return the state before the first of some records and after each."""
    found = [actor.initial() if start is None else start]
    for line in lines:
        found.append(folded(actor, found[-1], line.record.events))
    return found


def inputs(history: History) -> dict[str, list[Input]]:
    """Return everything that each actor was given, in order, by the group on which its records are fenced."""
    found: dict[str, list[Input]] = {}
    for message in _read(history):
        whole = msgspec.structs.replace(message, blobs=history.blobs)
        found.setdefault(message.address.fence, []).append(whole)
    return found


def _read(history: History) -> Iterator[Input]:
    yield from (read_goal(line.delivery, line.time_ms) for line in history.lines if line.stream == "GOALS")
    for line, where in history.placed("in", "log", "send"):
        match where.address.actor, where.lane:
            case "run", "in":
                yield read_input(line.delivery)
            case ("run", "log") | ("tree", "in"):
                yield read_record(line.delivery)
            case ("approval", "in") | ("tree", "send") if where.kind.startswith(("vote", "timer", "held", "withdrawn")):
                yield read_request(line.delivery)
            case _ if where.kind.startswith(f"call.{names.token(names.AGENT)}"):
                yield read_delegation(line.delivery)
            case _:
                pass


def said_again(actor: Actor[Any], state: Any, again: Sequence[Input], known: Facts) -> dict[str, Any]:
    """Return what would be recorded if inputs were delivered once more, by the id of each input."""
    decided = {one.id: actor.decide(state, one, known) for one in again}
    return {cause: decision for cause, decision in decided.items() if not nothing(decision)}


def nothing(decision: object) -> bool:
    """Tell whether a decision records nothing."""
    return isinstance(decision, Seen) or decision == ()


def facts(history: History) -> Facts:
    """Return a registry with what the history speaks of: its model, and every tool that was granted."""
    granted = [event["call"] for event in events(history.lines, "guard.granted.v1")]
    specs = {call["tool"]: _spec(call) for call in granted}
    rules = [one["rule"] for event in events(history.lines, "guard.held.v1") for one in event.get("requests", ())]
    policy = Policy(name="recorded", rules=tuple(msgspec.convert(rules, list[Rule])))
    tools = {name: Tool(spec=spec, instances=1) for name, spec in specs.items()}
    return Facts(revision=1, tools=tools, policies={policy.name: policy} if rules else {})


def _spec(call: dict[str, Any]) -> Spec:
    if call["tool"] != names.MODEL:
        return Spec(name=call["tool"], description="Recorded.", input_schema={"type": "object"})
    known = Model(name=call["arguments"]["model"], input_micro_usd=1, output_micro_usd=1)
    return Spec(name=names.MODEL, description="Recorded.", input_schema={}, hidden=True, models=(known,))


def events(lines: Sequence[Line], type_: str = "") -> list[dict[str, Any]]:
    """Return the events of records, of one type or of all, as plain JSON."""
    said = [line.said for line in lines if ".log." in line.subject]
    return [event for record in said for event in record["events"] if type_ in ("", event["type"])]


def run_as_folded(state: Run) -> dict[str, Any]:
    """Return what a run's last state says."""
    return {
        "ended": state.ended,
        "open": dict(state.open),
        "unsettled": state.unsettled,
        "turn": state.turn,
        "turns": state.asked,
        "calls": state.made,
        "cost_micro_usd": state.cost_micro_usd,
    }


def run_as_recorded(lines: Sequence[Line]) -> dict[str, Any]:
    """Return what the records of a run that is over say."""
    called = events(lines, "run.called.v1")
    calls = [call for event in called for call in event["calls"]]
    taken = [result for event in events(lines, "run.took.v1") for result in event["results"]]
    return {
        "ended": True,
        "open": {},
        "unsettled": (),
        "turn": max((event["turn"] for event in called), default=0),
        "turns": sum(call["tool"] == "model" for call in calls),
        "calls": len(calls),
        "cost_micro_usd": sum(result.get("cost_micro_usd", 0) for result in taken),
    }


def tree_as_folded(state: Tree) -> dict[str, Any]:
    """Return what a tree's last state says."""
    return {
        "closed": state.closed,
        "runs": dict(state.runs),
        "reserved": (dict(state.reserved), state.reserved_micro_usd, state.reserved_tokens),
        "committed": (state.committed_micro_usd, state.tokens),
        "calls": state.calls,
        "started": state.started,
        "cancelled": state.cancelled,
    }


def tree_as_recorded(lines: Sequence[Line]) -> dict[str, Any]:
    """Return what the records of a tree that is closed say."""
    settled = [entry for event in events(lines, "guard.settled.v1") for entry in event["entries"]]
    return {
        "closed": True,
        "runs": {},
        "reserved": ({}, 0, 0),
        "committed": (sum(cost for _, cost, _ in settled), sum(tokens for *_, tokens in settled)),
        "calls": len(events(lines, "guard.granted.v1")),
        "started": len(events(lines, "guard.opened.v1")),
        "cancelled": tuple(event["run"] for event in events(lines, "guard.cancelled.v1")),
    }


def differences(old: Any, one: Any, other: Any, where: str = "state") -> list[str]:
    """Return where two states differ, leaving out the fields that an old snapshot lacks."""
    if isinstance(one, msgspec.Struct) and type(one) is type(other) and isinstance(old, dict):
        known = [field for field in one.__struct_fields__ if field in old]
        pairs = [(old[field], getattr(one, field), getattr(other, field), f"{where}.{field}") for field in known]
        return [found for pair in pairs for found in differences(*pair)]
    if isinstance(one, dict) and isinstance(other, dict) and isinstance(old, dict) and one.keys() == other.keys():
        pairs = [(old.get(key), one[key], other[key], f"{where}[{key}]") for key in one]
        return [found for pair in pairs for found in differences(*pair)]
    return [] if one == other else [f"{where}: {one!r} is not {other!r}"]


def entries(history: History, run_id: str, source: int) -> tuple[Entry, ...]:
    """Return a run's records up to the one that asked for a model call, as the models service reads them back."""
    by_seq = {line.seq: line for line, where in history.placed("in") if where.kind in ("result", "child", "answer")}
    found: list[Entry] = []
    for line in history.log("run", run_id):
        if line.seq <= source:
            told = tuple(event for event in line.record.events if isinstance(event, run.Event))
            taken = [one.seq for event in told if isinstance(event, run.Took) for one in event.results]
            results = {seq: _whole(history, by_seq[seq]) for seq in taken if seq in by_seq}
            found.append(Entry(events=told, results=results))
    return tuple(found)


def _whole(history: History, line: Line) -> Result:
    result: Result = wire.decode(line.body.encode(), Result)
    if not isinstance(result, Completed) or not result.output_ref:
        return result
    output = msgspec.json.decode(history.blobs[result.output_ref])
    return msgspec.structs.replace(result, output=output, output_ref="")


def answers(history: History, call: str) -> list[dict[str, Any]]:
    """Return what the model had answered in a run before a call of its own, as the plain JSON of the results."""
    said = [line.said for line, where in history.placed("in") if where.address.run == ids.run_of(call)]
    done = [one for one in said if one["type"] == "call.completed.v1" and isinstance(one.get("output"), dict)]
    before = [one for one in done if ids.turn_of(one["call"]) < ids.turn_of(call)]
    return [one for one in before if one["output"].get("type") == wire.type_of(model.Answer)]


def asked(answer: dict[str, Any]) -> list[str]:
    """Return the ids of the calls that an answer of the model led to."""
    run_id, turn = ids.run_of(answer["call"]), ids.turn_of(answer["call"]) + 1
    return [ids.call_id(run_id, turn, index) for index in range(len(answer["output"].get("asks", ())))]


def result(history: History, call: str) -> dict[str, Any]:
    """Return the first result of a call as plain JSON; one that a timer gave up is lost to the model."""
    of_runs = [line.said for line, where in history.placed("in") if where.address.actor == "run"]
    found = [said for said in of_runs if said.get("call") == call and said["type"].startswith("call.")]
    return found[0] if found else {"type": "call.failed.v1", "code": "call_timeout"}


def output(history: History, result: dict[str, Any]) -> bytes:
    """Return what a call returned, as JSON, from the blobs when it is large."""
    reference = result.get("output_ref", "")
    return history.blobs[reference] if reference else wire.encode(result.get("output"))
