"""A process in another language joins from contracts/asyncapi.json alone: it must be valid, and true."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest

from callboard.bus import layout
from callboard.contracts_export.__main__ import CONTRACTS
from callboard.contracts_export.channels import CHANNELS, OPERATIONS
from callboard_contracts import approval, ids, names, subjects, wire

DOCUMENT: dict[str, Any] = json.loads((CONTRACTS / "asyncapi.json").read_text("utf-8"))
TREE = "01KDVDNA00CDGPRV32DXGQ4S11"
TOKENS = {
    "tenant": "acme",
    "skill": "invoice-total",
    "p": str(ids.partition(TREE)),
    "tree": TREE,
    "run": f"{TREE}-2-0",
    "kind": "accepted",
    "tool": "files-read",
    "call": f"{TREE}-2-0-1-0",
    "actor": "run",
    "service": "planner",
    "question": "open",
    "webhook": "slack",
    "stream": "JOURNAL-0",
    "notice": "4711",
    "id": "5f2c0d1e9b7a4c83",
    "version": "9f86",
    "n": "0",
}
OURS = {name: channel for name, channel in CHANNELS.items() if channel.address.startswith("cb.")}
JOURNAL = [name for name, channel in OURS.items() if channel.stream.startswith("JOURNAL")]


def _subject(channel: str) -> str:
    return CHANNELS[channel].address.format_map(TOKENS)


def test_the_document_is_valid_asyncapi_3() -> None:
    official = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text("utf-8"))
    assert [str(error) for error in jsonschema_rs.validator_for(official).iter_errors(DOCUMENT)] == []


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)):
        node = DOCUMENT
        for key in reference.split("/"):
            node = node[key]


@pytest.mark.parametrize("channel", JOURNAL)
def test_every_journal_subject_reads_with_the_grammar(channel: str) -> None:
    subject = subjects.Subject.parse(_subject(channel))
    assert str(subject) == _subject(channel)


def test_every_other_subject_is_what_the_grammar_builds() -> None:
    run = subjects.Address("acme", "run", TREE, TOKENS["run"])
    built = {
        "goal": subjects.Goal("acme", "invoice-total"),
        "timer": run.timer,
        "due": run.due,
        "live": subjects.Live("acme", TREE, TOKENS["run"], "accepted"),
        "stream": subjects.stream("acme", TOKENS["call"]),
        "ask": subjects.ask("acme", "planner", "open"),
        "dead": subjects.dead("acme", "planner"),
        "audit": subjects.audit("JOURNAL-0", "acme"),
        "notice": subjects.notice("acme", "accepted"),
        "post": subjects.post("acme", "slack", "4711"),
        "memory": subjects.memory("acme", "accepted", "5f2c0d1e9b7a4c83"),
        "memoryPart": subjects.memory("acme", "part", "5f2c0d1e9b7a4c83", "9f86", "0"),
        "memoryRead": subjects.read("acme", TOKENS["call"]),
    }
    assert {name: str(subject) for name, subject in built.items()} == {name: _subject(name) for name in built}
    assert built.keys() == OURS.keys() - set(JOURNAL)


def test_every_message_that_travels_alone_is_on_a_channel_and_in_the_document() -> None:
    in_records = ("run.", "guard.", *(wire.type_of(event) for event in get_args(approval.Event)))
    in_calls_or_buckets = ("goal.delegate", "model.", "tool.", "skill.", "policy.")
    alone = {name for name in map(wire.type_of, wire.MESSAGES) if not name.startswith(in_records + in_calls_or_buckets)}
    said = {name for channel in CHANNELS.values() for name in channel.messages}
    assert alone <= said
    assert set(map(wire.type_of, wire.MESSAGES)) <= DOCUMENT["components"]["messages"].keys()


def test_every_channel_is_used_and_no_operation_is_said_twice() -> None:
    assert {operation.channel for operation in OPERATIONS} == CHANNELS.keys()
    assert len(DOCUMENT["operations"]) == len(OPERATIONS)


def test_the_guard_alone_sends_grants() -> None:
    granting = {o.service for o in OPERATIONS if o.action == "send" and o.channel in ("grant", "grantBeside")}
    assert granting == {"guard"}


def test_a_tools_durable_filters_just_what_is_documented() -> None:
    config = layout.tool_consumer("files.read")
    documented = [
        operation["x-jetstream"]
        for name, operation in DOCUMENT["operations"].items()
        if name.startswith("tool.receive.g")
    ]
    assert {d["durable"].replace("<token>", names.token("files.read")) for d in documented} == {config["durable_name"]}
    assert {d["filter"].replace("<token>", "files-read") for d in documented} == set(config["filter_subjects"])
    assert {d["ackWaitSeconds"] * 10**9 for d in documented} == {config["ack_wait"]}


def test_every_stored_channel_is_captured_by_the_stream_that_is_documented() -> None:
    groups = 4
    streams = {config["name"]: config["subjects"] for config in layout.streams(groups)}
    for name, channel in OURS.items():
        expected = channel.stream.replace("<p mod n>", str(ids.partition(TREE) % groups))
        captured = {stream for stream, filters in streams.items() if any(_matches(f, _subject(name)) for f in filters)}
        assert captured == ({expected} if expected else set()), name


def _matches(pattern: str, subject: str) -> bool:
    regular = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(regular, subject) is not None


@pytest.mark.parametrize(
    "needed",
    [
        wire.ID,
        wire.TYPE,
        wire.TRACE,
        wire.FENCE,
        "callboard.tool",
        "$JS.API.CONSUMER.MSG.NEXT",
        "$JS.API.DIRECT.GET",
        "next_by_subj",
        "Nats-Sequence",
        "Nats-Subject",
        "+WPI",
        "expires_ms",
        "crc32",
    ],
)
def test_the_guide_tells_what_a_newcomer_needs(needed: str) -> None:
    assert needed in DOCUMENT["info"]["description"]
