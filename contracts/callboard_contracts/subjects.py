"""The subject grammar as values: `str()` and `parse()` are inverse, so no service glues strings together.

cb.<tenant>.goal.<skill>                                                    a goal, into GOALS
cb.<tenant>.{run|tree|approval}.<p>.<tree>.<run>.{in|log|send}.<kind>       an actor's input, record, command
cb.<tenant>.{timer|due}.{run|tree|approval}.<p>.<tree>.<run>                a timer, and where it comes out
cb.<tenant>.live.<tree>.<run>.<kind>                                        what people subscribe to
cb.<tenant>.ask.<service>.<question>                                        request and reply, never stored
cb.<tenant>.dead.<service>                                                  what could not be handled
cb.<tenant>.notice.<kind>                                                   what people should hear of now
cb.<tenant>.post.<webhook>.<notice>                                         a notice on its way to one webhook
cb.<tenant>.memory.<kind>.<id>                                              what is remembered, one message each
cb.<tenant>.read.<tree>.<call>                                              what a call read of it
cb.<tenant>.audit.<journal>                                                 signed checkpoints, `_` for all tenants
"""

from typing import Literal, Self, get_args

import msgspec

from callboard_contracts import ids, names

Actor = Literal["run", "tree", "approval"]
Lane = Literal["in", "log", "send"]

_ACTORS: tuple[str, ...] = get_args(Actor)
_LANES: tuple[str, ...] = get_args(Lane)


class SubjectError(ValueError):
    """A text is not a subject of Callboard's grammar. Give up: the sender must be corrected."""


class Goal(msgspec.Struct, frozen=True):
    """Where a goal is published: `cb.<tenant>.goal.<skill>`, `_` for a goal without a skill."""

    tenant: str
    skill: str = names.ADHOC

    def __str__(self) -> str:
        return f"cb.{self.tenant}.goal.{self.skill}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a goal's subject.

        :raises SubjectError: it is none.
        """
        match text.split("."):
            case ["cb", tenant, "goal", skill]:
                return cls(tenant, skill)
            case _:
                raise SubjectError(f"{text!r} is not cb.<tenant>.goal.<skill>")


class Address(msgspec.Struct, frozen=True):
    """Whom a message concerns: an actor's kind and key. `run` is the run, or the request for approvals."""

    tenant: str
    actor: Actor
    tree: str
    run: str

    @property
    def partition(self) -> int:
        """The partition token `<p>`, which follows from the tree."""
        return ids.partition(self.tree)

    def __str__(self) -> str:
        return f"cb.{self.tenant}.{self.actor}.{self.partition}.{self.tree}.{self.run}"

    def at(self, lane: Lane, kind: str) -> "Subject":
        """Return the subject of one message of this actor."""
        return Subject(self, lane, kind)

    @property
    def fence(self) -> str:
        """The group of subjects on which this actor's records are fenced: a tree's cover all its runs."""
        if self.actor == "tree":
            return f"cb.{self.tenant}.tree.{self.partition}.{self.tree}.*.log.>"
        return f"{self}.log.>"

    @property
    def timer(self) -> str:
        """Where this actor's one timer is armed."""
        return f"cb.{self.tenant}.timer.{self.actor}.{self.partition}.{self.tree}.{self.run}"

    @property
    def due(self) -> str:
        """Where this actor's timer comes out, from which the journal takes it as `in.timer`."""
        return f"cb.{self.tenant}.due.{self.actor}.{self.partition}.{self.tree}.{self.run}"

    @classmethod
    def of_run(cls, tenant: str, run: str) -> Self:
        """Return the address of a run by its id alone."""
        return cls(tenant, "run", ids.tree_of(run), run)

    @classmethod
    def of_tree(cls, tenant: str, run: str) -> Self:
        """Return the guard's address for a run of a tree; the key is the tree, the run says whom a record is about."""
        return cls(tenant, "tree", ids.tree_of(run), run)

    @classmethod
    def of_request(cls, tenant: str, call: str) -> Self:
        """Return the address of the request about a call: its id is the call's."""
        return cls(tenant, "approval", ids.tree_of(call), call)


class Subject(msgspec.Struct, frozen=True):
    """One message of an actor: its address, its lane (`in`, `log`, `send`) and its kind (one or more tokens)."""

    address: Address
    lane: Lane
    kind: str

    def __str__(self) -> str:
        return f"{self.address}.{self.lane}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a journal subject.

        :raises SubjectError: it is none, or its partition is not that of its tree.
        """
        parts = text.split(".", 7)
        if len(parts) != 8 or not all(parts) or parts[0] != "cb" or parts[2] not in _ACTORS or parts[6] not in _LANES:
            raise SubjectError(f"{text!r} is not cb.<tenant>.<actor>.<p>.<tree>.<run>.<lane>.<kind>")
        address = Address(parts[1], parts[2], parts[4], parts[5])  # type: ignore[arg-type]
        if str(address.partition) != parts[3]:
            raise SubjectError(f"{text!r} names partition {parts[3]}, its tree has {address.partition}")
        return cls(address, parts[6], parts[7])  # type: ignore[arg-type]


class Live(msgspec.Struct, frozen=True):
    """What people subscribe to: `cb.<tenant>.live.<tree>.<run>.<kind>`."""

    tenant: str
    tree: str
    run: str
    kind: str

    def __str__(self) -> str:
        return f"cb.{self.tenant}.live.{self.tree}.{self.run}.{self.kind}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a live subject.

        :raises SubjectError: it is none.
        """
        match text.split(".", 5):
            case ["cb", tenant, "live", tree, run, kind] if kind:
                return cls(tenant, tree, run, kind)
            case _:
                raise SubjectError(f"{text!r} is not cb.<tenant>.live.<tree>.<run>.<kind>")


def live_tree(tenant: str, tree: str) -> str:
    """Return the filter for everything that happens in a tree."""
    return f"cb.{tenant}.live.{tree}.>"


def stream(tenant: str, call: str) -> str:
    """Return where an executor streams tokens and progress of a call: core NATS, never stored."""
    run = ids.run_of(call)
    return f"cb.{tenant}.live.{ids.tree_of(run)}.{run}.stream.{call}"


def records_of_tree(tenant: str, tree: str) -> str:
    """Return the filter for every stored record of a tree, of all its actors, in stream order."""
    return f"cb.{tenant}.*.{ids.partition(tree)}.{tree}.*.log.>"


def result(tenant: str, call: str) -> str:
    """Return where the result of a call goes: into the run that asked for it."""
    return str(Address.of_run(tenant, ids.run_of(call)).at("in", "result"))


def ask(tenant: str, service: str, question: str) -> str:
    """Return where a service answers a question by request and reply, outside every stream."""
    return f"cb.{tenant}.ask.{service}.{question}"


def dead(tenant: str, service: str) -> str:
    """Return where a service puts what it could not handle."""
    return f"cb.{tenant}.dead.{service}"


def notice(tenant: str, kind: str) -> str:
    """Return where something is said that people should hear of now."""
    return f"cb.{tenant}.notice.{kind}"


def post(tenant: str, webhook: str, notice: str) -> str:
    """Return where a notice waits to be posted to one webhook; `notice` is a token that follows from its id."""
    return f"cb.{tenant}.post.{webhook}.{notice}"


def memory(tenant: str, kind: str, *id: str) -> str:  # noqa: A002 - as it is called everywhere
    """Return where something is remembered; a note's id is its run and its call, a part's its document and more."""
    return ".".join(("cb", tenant, "memory", kind, *id))


def read(tenant: str, call: str) -> str:
    """Return where it is recorded what a call read of what is remembered."""
    return f"cb.{tenant}.read.{ids.tree_of(call)}.{call}"


def audit(journal: str, tenant: str = names.EVERYBODY) -> str:
    """Return where the signed checkpoints of a journal are; it is all tenants'."""
    return f"cb.{tenant}.audit.{journal}"
