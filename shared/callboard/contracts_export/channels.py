"""The subject grammar as AsyncAPI channels, and who says what on each."""

from typing import Final, Literal

import msgspec

Action = Literal["send", "receive"]

RESULTS: Final = ("call.completed.v1", "call.failed.v1", "call.refused.v1", "call.lost.v1")
RECORD: Final = ("journal.record.v1",)
API: Final = "$JS.API"

PARAMETERS: Final = {
    "tenant": "Whose data: one lower-case token.",
    "skill": "The name of the skill; `_` for a goal without one.",
    "p": "The partition: crc32 of the tree modulo 64.",
    "tree": "The root run's id, a ULID.",
    "run": "The run that the message concerns; for approvals the request.",
    "kind": "What kind of record it is, for filters and people: one or more tokens. The body says it exactly.",
    "tool": "The tool's token: its name with hyphens for dots.",
    "call": "The call's id.",
    "actor": "`run`, `tree` or `approval`.",
    "service": "The service, or the tool's token.",
    "question": "What is asked.",
    "webhook": "The name of a webhook of the deployment.",
    "notice": "A token that follows from the notice's id.",
    "id": "The id of what is remembered; for a note its run's id and its own.",
    "version": "The document's `version`.",
    "n": "The number of the part, from 0.",
    "stream": "A journal, `JOURNAL-<i>`.",
    "durable": "The consumer: `tool-<token>` for tools.",
    "name": "The micro service's name: the tool's token.",
    "reply": "The rest of the reply subject of the message that is acknowledged.",
}


class Channel(msgspec.Struct, frozen=True):
    """One form of subject."""

    address: str
    text: str
    messages: tuple[str, ...]
    stream: str = ""
    """The stream that stores it; empty: it is not stored."""


class Operation(msgspec.Struct, frozen=True):
    """One service sends or receives on one channel."""

    service: str
    action: Action
    channel: str
    text: str
    durable: str = ""
    """The consumer that it pulls from."""


_JOURNAL: Final = "JOURNAL-<p mod n>"
_RUN: Final = "cb.{tenant}.run.{p}.{tree}.{run}"
_TREE: Final = "cb.{tenant}.tree.{p}.{tree}.{run}"
_APPROVAL: Final = "cb.{tenant}.approval.{p}.{tree}.{run}"

CHANNELS: Final = {
    "goal": Channel(
        "cb.{tenant}.goal.{skill}",
        "Start a run. Published as a request: JetStream's answer is the receipt. Header `ce-id`: the goal's ULID.",
        ("goal.submit.v1",),
        "GOALS",
    ),
    "runResult": Channel(
        _RUN + ".in.result",
        "What came of a call. Header `ce-id`, where there is one: the call's id.",
        RESULTS,
        _JOURNAL,
    ),
    "runChild": Channel(_RUN + ".in.child", "What came of a sub-agent, for its parent.", RESULTS, _JOURNAL),
    "runAnswer": Channel(
        _RUN + ".in.answer",
        "What a person answered to a question. The guard alone may publish it.",
        ("call.completed.v1",),
        _JOURNAL,
    ),
    "runCancel": Channel(_RUN + ".in.cancel", "End the run.", ("run.cancel.v1",), _JOURNAL),
    "runControl": Channel(
        _RUN + ".in.control",
        "Pause, go on, wait for people, or hear what a person says.",
        ("run.pause.v1", "run.resume.v1", "run.park.v1", "run.steer.v1"),
        _JOURNAL,
    ),
    "runSignal": Channel(_RUN + ".in.signal", "Make a failed call again.", ("run.retry.v1",), _JOURNAL),
    "runTimer": Channel(_RUN + ".in.timer", "The run's timer came due.", ("run.wake.v1",), _JOURNAL),
    "runLog": Channel(_RUN + ".log.{kind}", "A turn of the run. Fenced per run.", RECORD, _JOURNAL),
    "treeControl": Channel(
        _TREE + ".in.control",
        "Cancel, pause, resume or steer a run and its descendants.",
        ("guard.cancel.v1", "guard.pause.v1", "guard.resume.v1", "guard.steer.v1"),
        _JOURNAL,
    ),
    "treeDecided": Channel(_TREE + ".in.decided", "What people decided about a call.", ("guard.decide.v1",), _JOURNAL),
    "treeTimer": Channel(_TREE + ".in.timer", "The tree's timer came due.", ("run.wake.v1",), _JOURNAL),
    "treeLog": Channel(_TREE + ".log.{kind}", "A turn of the guard. Fenced per tree.", RECORD, _JOURNAL),
    "grant": Channel(
        _TREE + ".log.call.{tool}",
        "A turn of the guard that grants exactly one call: record and command in one message.",
        RECORD,
        _JOURNAL,
    ),
    "grantBeside": Channel(
        _TREE + ".send.call.{tool}.{call}",
        "One grant of a turn that grants several: a record with that event alone, on its own subject, fenced at 0.",
        RECORD,
        _JOURNAL,
    ),
    "held": Channel(
        _TREE + ".send.held.{call}",
        "A call that is held until people decide; fenced at 0.",
        ("approval.request.v1",),
        _JOURNAL,
    ),
    "withdrawn": Channel(
        _TREE + ".send.withdrawn.{call}",
        "Nobody waits for the decision any more; fenced at 0.",
        ("approval.withdraw.v1",),
        _JOURNAL,
    ),
    "approvalVote": Channel(
        _APPROVAL + ".in.vote",
        "What a person says. Header `ce-id`: the vote's id. The gateway alone may publish it.",
        ("approval.vote.v1",),
        _JOURNAL,
    ),
    "approvalTimer": Channel(_APPROVAL + ".in.timer", "The request's timer came due.", ("run.wake.v1",), _JOURNAL),
    "approvalLog": Channel(_APPROVAL + ".log.{kind}", "A turn of a request. Fenced per request.", RECORD, _JOURNAL),
    "timer": Channel(
        "cb.{tenant}.timer.{actor}.{p}.{tree}.{run}",
        "An actor's one timer: a scheduled message with `Nats-Schedule: @at <RFC 3339>` and as `Nats-Schedule-Target`"
        " the same subject with `due` for `timer`. Published again it is armed anew.",
        ("run.wake.v1",),
        "TIMERS-<p mod n>",
    ),
    "due": Channel(
        "cb.{tenant}.due.{actor}.{p}.{tree}.{run}",
        "Where a timer comes out; the journal takes it from there as `in.timer`.",
        ("run.wake.v1",),
        "TIMERS-<p mod n>",
    ),
    "live": Channel(
        "cb.{tenant}.live.{tree}.{run}.{kind}",
        "Every stored record, republished by the server after it is stored. Subscribe to `cb.<tenant>.live.<tree>.>`."
        " Headers: see the message. Core NATS: gaps are repaired by direct get.",
        RECORD,
    ),
    "stream": Channel(
        "cb.{tenant}.live.{tree}.{run}.stream.{call}",
        "Tokens and progress of a call. Never stored.",
        ("live.chunk.v1", "live.progress.v1"),
    ),
    "ask": Channel(
        "cb.{tenant}.ask.{service}.{question}",
        "Request and reply with a service, outside every stream. Not part of what is promised to other languages.",
        (),
    ),
    "dead": Channel("cb.{tenant}.dead.{service}", "What could not be handled.", ("dead.letter.v1",), "DEAD"),
    "notice": Channel(
        "cb.{tenant}.notice.{kind}",
        "What people should hear of now. Subscribe to it, or have it posted to a webhook. An `id` may come twice.",
        ("notice.approval.v1", "notice.spend.v1"),
        "NOTICES",
    ),
    "post": Channel(
        "cb.{tenant}.post.{webhook}.{notice}",
        "A notice that waits to be posted to one webhook; fenced at 0. The gateway's own.",
        ("notice.approval.v1", "notice.spend.v1"),
        "NOTICES",
    ),
    "memory": Channel(
        "cb.{tenant}.memory.{kind}.{id}",
        "What is remembered, one message a subject: `kind` is a row's, `document` or `quarantine`. The memory service's"
        " own: agents call its tools, people ask it.",
        (
            "memory.remembered.v1",
            "memory.ingested.v1",
            "memory.forgotten.v1",
            "memory.quarantined.v1",
            "memory.released.v1",
        ),
        "MEMORY",
    ),
    "memoryPart": Channel(
        "cb.{tenant}.memory.part.{id}.{version}.{n}",
        "Chunks of a document that is larger than 32 KiB, stored before its own message.",
        ("memory.part.v1",),
        "MEMORY",
    ),
    "memoryRead": Channel(
        "cb.{tenant}.read.{tree}.{call}", "What a call read of what is remembered.", ("memory.read.v1",), "MEMORY"
    ),
    "audit": Channel(
        "cb.{tenant}.audit.{stream}",
        "How far a journal went, signed. The tenant is `_`: all of them. Fenced on the one before. The ledger's own.",
        ("audit.checkpoint.v1",),
        "AUDIT",
    ),
    "pull": Channel(
        "$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", "JetStream: pull from a consumer.", ("jetstream.pull",)
    ),
    "directGet": Channel(
        "$JS.API.DIRECT.GET.{stream}",
        "JetStream: read a stored message. The answer is the message with the headers `Nats-Stream`, `Nats-Subject`,"
        " `Nats-Sequence` and its own; status 404: there is none.",
        ("jetstream.direct-get",),
    ),
    "ack": Channel("$JS.ACK.{reply}", "JetStream: the reply subject of a message that was pulled.", ("jetstream.ack",)),
    "discover": Channel("$SRV.INFO", "NATS micro: who is there? Every service and tool answers.", ("micro.info",)),
    "discoverOne": Channel("$SRV.INFO.{name}", "NATS micro: the same, of one name.", ("micro.info",)),
}

OPERATIONS: Final = (
    Operation("anyone", "send", "goal", "Start a goal."),
    Operation("planner", "receive", "goal", "Begin the run with its first record.", "planner"),
    Operation("tool", "send", "runResult", "Say what came of a call."),
    Operation("models", "send", "runResult", "Say what the model answered."),
    Operation("guard", "send", "runResult", "Refuse a call."),
    Operation("planner", "receive", "runResult", "Take results into the next turn.", "planner"),
    Operation("planner", "send", "runChild", "Give a sub-agent's ending to its parent."),
    Operation("planner", "receive", "runChild", "Take a sub-agent's ending.", "planner"),
    Operation("guard", "send", "runAnswer", "Give a person's answer to the call that asked."),
    Operation("planner", "receive", "runAnswer", "Take it into the next turn.", "planner"),
    Operation("guard", "send", "runCancel", "End a run of the tree."),
    Operation("planner", "receive", "runCancel", "Write the ending.", "planner"),
    Operation("guard", "send", "runControl", "Pause, resume or steer a run of the tree."),
    Operation("planner", "receive", "runControl", "Obey.", "planner"),
    Operation("gateway", "send", "runSignal", "Have a failed call made again."),
    Operation("planner", "receive", "runSignal", "Propose it at the next step.", "planner"),
    Operation("planner", "receive", "runTimer", "Act on the earliest deadline.", "planner"),
    Operation("planner", "send", "runLog", "Record a turn."),
    Operation("guard", "receive", "runLog", "Decide each call of a turn.", "guard"),
    Operation("ledger", "receive", "runLog", "Book and archive it."),
    Operation("gateway", "send", "treeControl", "Control a tree."),
    Operation("guard", "receive", "treeControl", "Record it, and tell the runs.", "guard"),
    Operation("guard", "receive", "treeTimer", "Settle what never answered.", "guard"),
    Operation("guard", "send", "treeLog", "Record a turn."),
    Operation("ledger", "receive", "treeLog", "Book and archive it."),
    Operation("guard", "send", "grant", "Grant a call. The guard alone may."),
    Operation("tool", "receive", "grant", "Run a call.", "tool-<token>"),
    Operation("models", "receive", "grant", "Ask a model.", "tool-model"),
    Operation("planner", "receive", "grant", "Begin a sub-agent.", "tool-agent-run"),
    Operation("guard", "send", "grantBeside", "Grant a call of several. The guard alone may."),
    Operation("tool", "receive", "grantBeside", "Run a call.", "tool-<token>"),
    Operation("models", "receive", "grantBeside", "Ask a model.", "tool-model"),
    Operation("planner", "receive", "grantBeside", "Begin a sub-agent.", "tool-agent-run"),
    Operation("guard", "send", "held", "Ask people to decide about a call."),
    Operation("approval", "receive", "held", "Open a request.", "approval"),
    Operation("guard", "send", "withdrawn", "Take that back."),
    Operation("approval", "receive", "withdrawn", "Close the request.", "approval"),
    Operation("gateway", "send", "approvalVote", "Vote."),
    Operation("approval", "receive", "approvalVote", "Count votes.", "approval"),
    Operation("approval", "receive", "approvalTimer", "Remind, escalate, expire.", "approval"),
    Operation("approval", "send", "approvalLog", "Record a turn."),
    Operation("approval", "send", "treeDecided", "Tell what people decided. The approval service alone may."),
    Operation("guard", "receive", "treeDecided", "Grant or refuse what was held, after every check anew.", "guard"),
    Operation("ledger", "receive", "approvalLog", "Book and archive it."),
    Operation("planner", "send", "timer", "Arm a run's timer."),
    Operation("guard", "send", "timer", "Arm a tree's timer."),
    Operation("approval", "send", "timer", "Arm a request's timer."),
    Operation("broker", "send", "due", "A timer came due."),
    Operation("broker", "send", "live", "Republish what is stored."),
    Operation("subscriber", "receive", "live", "Follow a tree."),
    Operation("tool", "send", "stream", "Stream progress."),
    Operation("models", "send", "stream", "Stream tokens."),
    Operation("subscriber", "receive", "stream", "See it being written."),
    Operation("gateway", "send", "ask", "Ask a service."),
    Operation("planner", "receive", "ask", "Answer."),
    Operation("tool", "send", "dead", "Set aside what cannot be read."),
    Operation("planner", "send", "dead", "Set aside what cannot be handled."),
    Operation("operator", "receive", "dead", "Look at it."),
    Operation("approval", "send", "notice", "Ask people to decide, and tell what they decided."),
    Operation("ledger", "send", "notice", "Warn of spending."),
    Operation("gateway", "receive", "notice", "Find the webhooks that want it.", "notifier"),
    Operation("subscriber", "receive", "notice", "Hear of it."),
    Operation("gateway", "send", "post", "Keep what each webhook is to be told."),
    Operation("gateway", "receive", "post", "Post it, and again until it is taken.", "poster"),
    Operation("memory", "send", "memory", "Remember, replace, forget, hide."),
    Operation("memory", "send", "memoryPart", "Remember a large document."),
    Operation("memory", "send", "memoryRead", "Record what is about to be shown."),
    Operation("memory", "receive", "runLog", "Forget the notes of a run that ended, remember what it did.", "memory"),
    Operation("ledger", "send", "audit", "Sign how far the records of a journal go."),
    Operation("ledger", "receive", "audit", "Prove that a record is the last of its actor."),
    Operation("tool", "send", "pull", "Ask for work."),
    Operation("tool", "send", "ack", "Acknowledge, or say that it is in progress."),
    Operation("subscriber", "send", "directGet", "Repair a gap, or read from the start."),
    Operation("ledger", "send", "directGet", "Read on, a page of records at a time."),
    Operation("tool", "receive", "discover", "Announce itself."),
    Operation("tool", "receive", "discoverOne", "Announce itself."),
)
