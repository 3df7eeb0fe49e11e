"""What was recorded once is read for ever: old runs, folded and carried on by today's code."""

import json
from typing import Any

import msgspec
import pytest

from callboard.actor import Actor, Dead
from callboard_contracts import guard, ids, names, wire
from callboard_contracts.journal import Record, granted
from callboard_services.models import history as transcript
from callboard_services.models import prompt
from tests.replay import folding, ledger
from tests.replay.history import EXPECTED, FOLDER, MANIFEST, History, Line, digest, every, manifest, referenced

HISTORIES = every()
MOST_BYTES = 160_000
_WINDOW = 200_000
_SHOWN = 22
"""How much of a result is compared: up to the code of an error."""

each = pytest.mark.parametrize("history", HISTORIES, ids=repr)
CLASSES = {wire.type_of(message): message for message in wire.MESSAGES}


def test_what_is_in_the_manifest_was_never_edited() -> None:
    assert {name: digest(FOLDER / name) for name in manifest()} == manifest()


def test_a_history_that_is_added_is_in_the_manifest_with_its_expectations() -> None:
    added = {path.name for path in FOLDER.iterdir()} - {MANIFEST.name}
    assert added == manifest().keys()
    assert {path.with_suffix(EXPECTED).name for path in FOLDER.glob("*.jsonl")} <= added


def test_a_history_stays_small() -> None:
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_the_histories_hold_what_is_hard_to_read_back() -> None:
    lines = [line for history in HISTORIES for line in history.lines]
    statuses = {event["status"] for event in folding.events(lines, "run.ended.v1")}
    assert statuses == {"completed", "failed", "unachievable", "cancelled"}
    kept = {line.subject.split(".")[2] for line in lines if ".log." in line.subject and "state" in line.said}
    assert kept >= {"run", "tree"}
    assert any(line.said.get("genesis") for line in lines)
    assert {"run.refused.v1", "run.deferred.v1", "run.noted.v1"} <= {event["type"] for event in folding.events(lines)}
    assert max(event["turn"] for event in folding.events(lines, "run.called.v1")) > 40


@each
def test_every_message_says_the_same_when_it_is_read_and_written_again(history: History) -> None:
    for line in history.lines:
        read = wire.decode(line.body.encode(), CLASSES[line.said["type"]])
        assert json.loads(wire.encode(read)) == line.said


@each
def test_every_blob_that_is_referred_to_is_there(history: History) -> None:
    assert {one for line in history.lines for one in referenced(line.said)} == history.blobs.keys()


@each
def test_a_log_is_one_chain_of_fences(history: History) -> None:
    for _, lines in folding.logs(history):
        assert [line.delivery.prev for line in lines] == [0, *(line.seq for line in lines[:-1])]


@each
def test_a_run_folds_to_what_its_records_say(history: History) -> None:
    for run_id in history.expected:
        lines = history.log("run", run_id)
        state = folding.states(folding.ACTORS["run"], lines)[-1]
        assert folding.run_as_folded(state) == folding.run_as_recorded(lines)


@each
def test_each_record_of_a_run_tells_what_the_fold_before_it_knew(history: History) -> None:
    planner = folding.ACTORS["run"]
    for run_id in history.expected:
        state = planner.initial()
        for line in history.log("run", run_id):
            before = [list(one) for one in state.unsettled]
            for event, said in zip(line.record.events, line.said["events"], strict=True):
                if said["type"] in ("run.called.v1", "run.ended.v1"):
                    unsettled = [list(one) for one in state.unsettled]
                    assert said.get("settled", []) in (unsettled, before)  # today without what it took itself
                if said["type"] == "run.ended.v1":
                    assert list(state.open) == said.get("open", [])
                    assert (state.asked, state.made) == (said.get("turns", 0), said.get("calls", 0))
                    assert state.cost_micro_usd == said.get("cost_micro_usd", 0)
                state = planner.evolve(state, event)


@each
def test_a_tree_folds_to_its_bill_with_nothing_left_reserved(history: History) -> None:
    tree = next(iter(history.expected))
    lines = history.log("tree", tree)
    if not lines:  # it could not be started
        assert [event["type"] for event in folding.events(history.lines)] == ["run.refused.v1"]
        return
    state = folding.states(folding.ACTORS["tree"], lines)[-1]
    assert folding.tree_as_folded(state) == folding.tree_as_recorded(lines)
    (bill,) = (event for event in folding.events(lines, "guard.closed.v1") if event["run"] == tree)
    assert state.committed_micro_usd == bill["committed_micro_usd"] == history.expected[tree]["committed"]


@each
def test_what_is_committed_and_reserved_stays_within_the_envelope(history: History) -> None:
    for state in folding.states(folding.ACTORS["tree"], history.log("tree", next(iter(history.expected)))):
        if state.limits is not None:
            assert state.committed_micro_usd + state.reserved_micro_usd <= state.envelope.budget_micro_usd
            assert state.reserved_micro_usd == sum(kept.micro_usd for kept in state.reserved.values())


def test_a_snapshot_is_the_fold_of_all_records_up_to_it() -> None:
    found = [one for history in HISTORIES for one in _snapshots(history)]
    assert found
    for actor, lines, at, snapshot in found:
        states = folding.states(actor, lines)
        assert folding.differences(snapshot, _restored(actor, lines, at), states[at + 1]) == []


def test_what_follows_a_snapshot_folds_to_the_same_end() -> None:
    for actor, lines, at, snapshot in [one for history in HISTORIES for one in _snapshots(history)]:
        state = folding.states(actor, lines[at + 1 :], _restored(actor, lines, at))[-1]
        assert folding.differences(snapshot, state, folding.states(actor, lines)[-1]) == []


def test_every_field_of_an_old_snapshot_is_still_read() -> None:
    for actor, _, _, snapshot in [one for history in HISTORIES for one in _snapshots(history)]:
        assert snapshot.keys() <= set(type(actor.initial()).__struct_fields__)


def _snapshots(history: History) -> list[tuple[Actor[Any], list[Line], int, dict[str, Any]]]:
    """Return each record with a state: its actor, its log, its place there, and the state as plain JSON."""
    return [
        (actor, lines, at, line.said["state"])
        for actor, lines in folding.logs(history)
        for at, line in enumerate(lines)
        if "state" in line.said
    ]


def _restored(actor: Actor[Any], lines: list[Line], at: int) -> Any:
    """Return the state that a record holds, with the first record of its log; it may be that one itself."""
    record = lines[at].record
    (genesis,) = (line.record for line in lines if line.seq == (record.genesis or lines[at].seq))
    return actor.restore(bytes(record.state), genesis)


@each
def test_an_input_that_is_delivered_again_changes_nothing_at_any_later_record(history: History) -> None:
    known, given = folding.facts(history), folding.inputs(history)
    for actor, lines in folding.logs(history):
        taken: set[str] = set()
        for line, state in zip(lines, folding.states(actor, lines)[1:], strict=True):
            taken.update(line.record.causes)
            again = [one for one in given[folding.fence(line)] if one.id in taken]
            assert taken == {one.id for one in again}
            assert folding.said_again(actor, state, again, known) == {}


@each
def test_an_input_that_is_delivered_again_changes_nothing_after_a_snapshot(history: History) -> None:
    known, given = folding.facts(history), folding.inputs(history)
    for actor, lines, at, _ in _snapshots(history):
        taken = {cause for line in lines[: at + 1] for cause in line.record.causes}
        again = [one for one in given[folding.fence(lines[0])] if one.id in taken]
        for state in folding.states(actor, lines[at + 1 :], _restored(actor, lines, at)):
            assert folding.said_again(actor, state, again, known) == {}


@each
def test_a_run_that_was_left_half_way_is_carried_on_by_todays_code(history: History) -> None:
    known, given = folding.facts(history), folding.inputs(history)
    for actor, lines in folding.logs(history):
        for line, state in zip(lines, folding.states(actor, lines), strict=False):
            first = next(one for one in given[folding.fence(line)] if one.id == line.record.causes[0])
            decision = actor.decide(state, first, known)
            assert not isinstance(decision, Dead), decision
            assert not folding.nothing(decision), first.id


@each
def test_the_models_service_reads_the_run_back_as_a_prompt(history: History) -> None:
    asked = [grant for grant in _grants(history) if grant.call.tool == names.MODEL]
    assert asked or not history.log("tree", next(iter(history.expected)))
    for grant in asked:
        entries = folding.entries(history, ids.run_of(grant.call.id), grant.source)
        accepted = transcript.accepted(entries)
        messages = prompt.build(accepted, None, entries, (), _WINDOW)
        answers = folding.answers(history, grant.call.id)
        assert accepted.goal.objective in messages[1].content
        assert sum(one.role == "assistant" for one in messages) == len(answers)
        told = [(one.tool_call_id, one.failed, one.content[:_SHOWN]) for one in messages if one.role == "tool"]
        assert told == [_told(history, call) for answer in answers for call in folding.asked(answer)]


def _told(history: History, call: str) -> tuple[str, bool, str]:
    """Return how the model reads the result of a call, by the plain JSON of that result."""
    said = folding.result(history, call)
    if said["type"] == "call.completed.v1":
        return (call, False, folding.output(history, said).decode()[:_SHOWN])
    code = "outcome_unknown" if said["type"] == "call.lost.v1" else said["code"]
    return (call, True, f'{{"error":{{"code":"{code}"'[:_SHOWN])


def _grants(history: History) -> list[guard.Granted]:
    records = [line.record for line, where in history.placed("log") if where.address.actor == "tree"]
    return [event for record in records for event in record.events if isinstance(event, guard.Granted)]


@each
def test_an_executor_finds_its_grant_in_what_it_pulls(history: History) -> None:
    pulled = [(line, where) for line, where in history.placed("log", "send") if where.kind.startswith("call.")]
    for line, where in pulled:
        grant = granted(wire.decode(line.body.encode(), Record))
        assert grant is not None
        assert names.token(grant.call.tool) == where.kind.split(".")[1]
        assert msgspec.to_builtins(grant.call)["id"] in line.body


@each
@pytest.mark.parametrize("batch", [1, 64])
def test_the_ledger_tells_of_an_old_tree_what_it_told_then(history: History, batch: int) -> None:
    assert ledger.told(history.lines, batch=batch) == history.expected
