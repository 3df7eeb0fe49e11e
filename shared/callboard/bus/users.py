"""Who may say what: each broker user's subjects, derived from the grammar. The guard alone may publish a call.

A publish permission is not enough. A direct get, or a pull, makes the *server* publish stored bytes to whatever
reply subject the request names, and it asks nobody's permission for that: whoever shares an account with the journal
and may read it can copy a body of his own choice onto a call's subject. So the journal's account holds the services
that decide, and everybody else (`edge`) has an account of his own, in which no stream listens: what he may publish
there is imported subject by subject, and the server rewrites every reply.

NATS has no wildcard within a token: `tool-*` would be a literal. Whoever may pull any tool's calls is therefore
allowed all durables but those that are named.
"""

from typing import Final

import msgspec

from callboard.bus import layout
from callboard_contracts import names

OPERATOR: Final = "operator"
CLIENT: Final = "client"
TOOL: Final = "tool"

_API = "$JS.API"
_ACKS = "$JS.ACK"
_CORE_DURABLES = ("planner", "guard", "approval", "memory", "notifier", "poster")
_OWN_TOOLS = (names.durable(names.MODEL), names.durable(names.AGENT))

STREAMED = "cb.*.live.*.*.stream.>"
"""Tokens and progress: what executors say without asking anybody."""

SKILLS_CHANGE = f"$KV.{layout.SKILLS}.>"
POLICIES_CHANGE = f"$KV.{layout.REGISTRY}.policy.*"
"""Which calls wait for a person: people say that, through the gateway, and no service or tool may."""

ANSWERS = ("_INBOX.>", "_R_.>")
"""Where answers go: to inboxes of the same account, and to those that the server made up for another one."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A broker user. `publish` without `deny` is all it may say, `subscribe` all it may hear."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    deny: tuple[str, ...] = ()
    edge: bool = False
    """It has an account of its own, and reaches the journal's through imports."""


def users(tenant: str = "default") -> tuple[User, ...]:
    """Return every user; `tenant` is the one whose goals people without credentials may start and follow."""
    return (
        User(name=OPERATOR, publish=(">",), subscribe=(">",)),
        _planner(),
        _guard(),
        _approval(),
        _ledger(),
        _tools(),
        _gateway(),
        _models(),
        _memory(),
        _tool(),
        _client(tenant),
    )


def _inbox(name: str) -> str:
    return f"_INBOX.{name}.>"


def _pull(*durables: str) -> tuple[str, ...]:
    """Pull and acknowledge named durables, of any stream."""
    asked = tuple(f"{_API}.CONSUMER.MSG.NEXT.*.{durable}" for durable in durables)
    return asked + tuple(f"{_ACKS}.*.{durable}.>" for durable in durables)


def _take_turns(service: str, *durables: str) -> tuple[str, ...]:
    """Find the other workers of a service, and have delivered again what a dead one left."""
    again = tuple(f"{_API}.CONSUMER.RESET.*.{durable}" for durable in (service, *durables))
    return (f"$SRV.PING.{service}", *again)


def _read(*streams: str) -> tuple[str, ...]:
    return tuple(f"{_API}.DIRECT.GET.{stream}" for stream in streams)


_FIND = f"{_API}.DIRECT.GET.*.{layout.PROBE}"
"""Asking how many journals there are."""
_ABOUT = (f"{_API}.STREAM.INFO.*", f"{_API}.CONSUMER.INFO.*.*", f"{_API}.STREAM.NAMES", f"{_API}.INFO")
_JOURNALS = tuple(layout.journal(group) for group in range(layout.MAX_GROUPS))
_FACTS = (f"KV_{layout.REGISTRY}", f"KV_{layout.SKILLS}")
_OBJECTS = (f"OBJ_{layout.BLOBS}", f"OBJ_{layout.ARTIFACTS}")
_CHANGES = (f"$KV.{layout.REGISTRY}.>", SKILLS_CHANGE)
_BLOBS = f"$O.{layout.BLOBS}.>"
_ARTIFACTS = f"$O.{layout.ARTIFACTS}.>"
_RECORDS = "cb.*.live.*.*.*"
"""Records as they were stored: how an executor hears that a run was cancelled."""


def _planner() -> User:
    return User(
        name="planner",
        publish=(
            "cb.*.run.*.*.*.log.>",
            "cb.*.run.*.*.*.in.child",
            "cb.*.timer.run.>",
            "cb.*.dead.planner",
            _BLOBS,
            _FIND,
            *_ABOUT,
            *_read(layout.GOALS, *_JOURNALS, *_FACTS, *_OBJECTS),
            *_pull("planner", names.durable(names.AGENT)),
            *_take_turns("planner", names.durable(names.AGENT)),
            *ANSWERS,
        ),
        subscribe=(_inbox("planner"), "cb.*.ask.planner.>", "$SRV.>", *_CHANGES, _RECORDS),
    )


def _guard() -> User:
    return User(
        name="guard",
        publish=(
            "cb.*.tree.*.*.*.log.>",
            "cb.*.tree.*.*.*.send.>",
            "cb.*.run.*.*.*.in.result",
            "cb.*.run.*.*.*.in.answer",
            "cb.*.run.*.*.*.in.cancel",
            "cb.*.run.*.*.*.in.control",
            "cb.*.timer.tree.>",
            "cb.*.dead.guard",
            _FIND,
            *_ABOUT,
            *_read(*_JOURNALS, *_FACTS, *_OBJECTS),
            *_pull("guard"),
            *_take_turns("guard"),
            *ANSWERS,
        ),
        subscribe=(_inbox("guard"), "cb.*.ask.guard.>", "$SRV.>", *_CHANGES),
    )


def _approval() -> User:
    return User(
        name="approval",
        publish=(
            "cb.*.approval.*.*.*.log.>",
            "cb.*.tree.*.*.*.in.decided",
            "cb.*.timer.approval.>",
            "cb.*.notice.approval",
            "cb.*.dead.approval",
            _FIND,
            *_ABOUT,
            *_read(*_JOURNALS, *_FACTS, *_OBJECTS),
            *_pull("approval"),
            *_take_turns("approval"),
            *ANSWERS,
        ),
        subscribe=(_inbox("approval"), "cb.*.ask.approval.>", "$SRV.>", *_CHANGES),
    )


_PURGES = tuple(f"{_API}.STREAM.PURGE.{stream}" for stream in (*_JOURNALS, f"OBJ_{layout.ARTIFACTS}"))
"""Taking out of a stream what is in the archive. No permission can say which messages: one who has it is trusted."""


def _ledger() -> User:
    return User(
        name="ledger",
        publish=(
            "cb.*.dead.ledger",
            "cb.*.audit.*",
            "cb.*.notice.spend",
            "cb.*.ask.models.prompt",
            _FIND,
            *_ABOUT,
            *_read(layout.DEAD, layout.AUDIT, *_JOURNALS, *_FACTS, *_OBJECTS),
            *_PURGES,
            *ANSWERS,
        ),
        subscribe=(_inbox("ledger"), "cb.*.ask.ledger.>", "$SRV.>", *_CHANGES, "cb.*.live.>"),
    )


_TIME = f"{_API}.STREAM.INFO.{layout.DEAD}"
"""Any description says what time the broker has; this one says nothing else that matters."""
_EXECUTES = ("cb.*.run.*.*.*.in.result", STREAMED, "cb.*.ask.planner.>", _BLOBS, _FIND, _TIME)
_ANY_TOOL = (f"{_API}.CONSUMER.MSG.NEXT.*.*", f"{_ACKS}.>")
_NOT_THEIRS = _pull(*_CORE_DURABLES, *_OWN_TOOLS)


def _tools() -> User:
    """The built-in tools and the registrar, who creates durables.

    That makes it one of those who are trusted: a durable may push stored messages to any subject.
    """
    journals = tuple(f"{_API}.CONSUMER.DURABLE.CREATE.{stream}.*" for stream in _JOURNALS)
    kept = tuple(f"{_API}.CONSUMER.DURABLE.CREATE.*.{durable}" for durable in (*_CORE_DURABLES, *_OWN_TOOLS))
    return User(
        name="tools",
        publish=(
            *_EXECUTES,
            "cb.*.dead.tools",
            "$SRV.>",
            f"$KV.{layout.REGISTRY}.tool.>",
            _ARTIFACTS,
            *_ABOUT,
            *_read(*_FACTS, *_OBJECTS),
            *_ANY_TOOL,
            *journals,
            *ANSWERS,
        ),
        deny=_NOT_THEIRS + kept,
        subscribe=(_inbox("tools"), "$SRV.>", *_CHANGES, _RECORDS),
    )


def _gateway() -> User:
    return User(
        name="gateway",
        publish=(
            "cb.*.goal.*",
            "cb.*.run.*.*.*.in.signal",
            "cb.*.tree.*.*.*.in.control",
            "cb.*.approval.*.*.*.in.vote",
            "cb.*.ask.*.>",
            "cb.*.dead.gateway",
            "cb.*.post.*.*",
            SKILLS_CHANGE,
            POLICIES_CHANGE,
            f"$KV.{layout.IDEMPOTENCY}.>",
            "$SRV.PING.*",  # who lives: it must then export no `$SRV.>` itself, or the imports would be a cycle
            _BLOBS,
            _ARTIFACTS,
            _FIND,
            *_ABOUT,
            *_read(layout.GOALS, layout.DEAD, f"KV_{layout.IDEMPOTENCY}", *_JOURNALS, *_FACTS, *_OBJECTS),
            *_pull("notifier", "poster"),
            *ANSWERS,
        ),
        subscribe=(_inbox("gateway"), *_CHANGES, "cb.*.live.>"),
        edge=True,
    )


def _models() -> User:
    return User(
        name="models",
        publish=(
            *_EXECUTES,
            "cb.*.dead.models",
            *_read(*_JOURNALS, *_FACTS, *_OBJECTS),
            *_pull(names.durable(names.MODEL)),
            *ANSWERS,
        ),
        subscribe=(_inbox("models"), "cb.*.ask.models.>", "$SRV.>", *_CHANGES, _RECORDS),
        edge=True,
    )


def _memory() -> User:
    return User(
        name="memory",
        publish=(
            *_EXECUTES,
            "cb.*.dead.memory",
            "cb.*.memory.>",
            "cb.*.read.*.*",
            f"{_API}.STREAM.INFO.{layout.MEMORY}",
            f"{_API}.STREAM.MSG.DELETE.{layout.MEMORY}",  # what is forgotten is overwritten on the disk as well
            _ARTIFACTS,
            *_read(layout.MEMORY, *_JOURNALS, *_FACTS, *_OBJECTS),
            *_ANY_TOOL,
            *ANSWERS,
        ),
        deny=tuple(subject for subject in _NOT_THEIRS if subject not in _pull("memory")),
        subscribe=(_inbox("memory"), "cb.*.ask.memory.>", "$SRV.>", *_CHANGES, _RECORDS),
        edge=True,
    )


def _tool() -> User:
    """Other people's tools: they share an account, and cannot read the journal."""
    return User(
        name=TOOL,
        publish=(
            *_EXECUTES,
            "cb.*.dead.tools",
            _ARTIFACTS,
            *_read(f"KV_{layout.SKILLS}", *_OBJECTS),
            *_ANY_TOOL,
            *ANSWERS,
        ),
        deny=_NOT_THEIRS,
        subscribe=("_INBOX.>", "$SRV.>", _RECORDS),
        edge=True,
    )


def _client(tenant: str) -> User:
    """People and processes without credentials, on loopback: start goals of one tenant, and follow them."""
    return User(
        name=CLIENT,
        publish=(f"cb.{tenant}.goal.*", _FIND, *_read(*_JOURNALS)),
        subscribe=("_INBOX.>", f"cb.{tenant}.live.>", f"cb.{tenant}.notice.*"),
        edge=True,
    )
