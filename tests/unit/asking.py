"""Builders for what people decide: a policy, a request, votes, and a tree whose calls are held."""

from typing import Any

import msgspec

from callboard.actor import Decision, Input
from callboard_contracts import approval, goal, guard, ids, run, subjects
from callboard_contracts.call import Call
from callboard_contracts.journal import Event, Record
from callboard_contracts.policy import Policy, Rule
from callboard_contracts.registry import Facts
from callboard_contracts.tool import Entry, Spec
from callboard_services.approval.actor import Approval
from callboard_services.approval.human import ASK
from callboard_services.approval.state import State
from tests.unit.given import NOW, RUN, TreeOf, facts

CALL = ids.call_id(RUN, 2, 0)
PAY_SCHEMA = {
    "type": "object",
    "properties": {"amount": {"type": "number"}, "to": {"type": "string"}},
    "required": ["amount"],
}
PAY = Spec(
    name="payments.send", version="1.2.0", description="Pay.", input_schema=PAY_SCHEMA, effect="irreversible",
    price_micro_usd=100,
)  # fmt: skip
RULE = Rule(
    name="large",
    tool=("payments.*",),
    when={"properties": {"amount": {"exclusiveMinimum": 50}}},
    approvers=("group:finance", "ann"),
    expires_s=100.0,
    reason="Large payments need a person.",
)


def known(*rules: Rule, pay: Spec = PAY) -> Facts:
    """Return the registry of `given` with a tool that pays, questions, and a policy."""
    base = facts()
    more = {spec.name: Entry(spec=spec, instances=1) for spec in (pay, ASK)}
    policies = {"payments": Policy(name="payments", rules=rules)} if rules else {}
    return msgspec.structs.replace(base, tools=base.tools | more, policies=policies)


def pay(amount: float = 80, *, turn: int = 2, index: int = 0, name: str = RUN) -> Call:
    """Return a call that pays."""
    return Call(id=ids.call_id(name, turn, index), tool="payments.send", arguments={"amount": amount, "to": "DE02"})


def ask(turn: int = 2, **more: Any) -> Call:
    """Return a question."""
    return Call(id=ids.call_id(RUN, turn, 0), tool="human.ask", arguments={"question": "Which colour?"} | more)


class HeldOf(TreeOf):
    """A tree that is asked for calls; records are kept by sequence, as the journal does."""

    def __init__(self, *rules: Rule, **more: Any) -> None:
        super().__init__(known=known(*rules), **more)
        self.records: dict[int, Record] = {}

    def asks(self, *calls: Call, seq: int = 7, name: str = RUN) -> list[Event]:
        """Let a run propose calls in the record `seq`, and return what the guard made of them."""
        turn = ids.turn_of(calls[0].id)
        record = Record(causes=("x",), events=(run.Called(turn=turn, at_ms=NOW, calls=calls),))
        self.records[seq] = record
        return self._fold(self._input(record, seq=seq, name=name))

    def hears(self, word: guard.Decide, *, now: int = NOW) -> list[Event]:
        """Let the guard hear what people decided, with the records that it reads."""
        return self._fold(self._input(word, now=now))

    def told(self, wish: guard.Control) -> list[Event]:
        """Let the guard hear a word of control."""
        return self._fold(self._input(wish, cause=f"w{len(self.history)}"))

    def _input(self, body: Any, *, seq: int = 9, now: int = NOW, name: str = RUN, cause: str = "x") -> Input:
        found = {at: self.records[at] for at in self.actor.reads(self.state, body)}
        return Input(cause, subjects.Address.of_run("acme", name), body, seq, now, records=found)

    def _fold(self, message: Input) -> list[Event]:
        decision = self.actor.decide(self.state, message, self.facts)
        for event in decision if isinstance(decision, tuple) else ():
            self.state = self.actor.evolve(self.state, event)
            self.history.append(self.state)
        return list(decision) if isinstance(decision, tuple) else []


def requested(found: list[Event]) -> approval.Request:
    """Return the request of the first call that was held."""
    return next(event.requests[0] for event in found if isinstance(event, guard.Held) and event.requests)


def yes(request: approval.Request, **more: Any) -> guard.Decide:
    """Return the word that people approved a request."""
    return guard.Decide(call=request.id, outcome="approved", digest=request.digest, by=("ann",), **more)


class RequestOf:
    """A request and the events it recorded. `takes` decides and folds, as the runtime does."""

    def __init__(self, rule: Rule = RULE, *, call: Call | None = None, principal: str = "carl") -> None:
        self.facts = known(rule)
        self.actor = Approval()
        self.state: State = self.actor.initial()
        self.events: list[Event] = []
        self.votes = 0
        tree = HeldOf(msgspec.structs.replace(rule, when=None, tool=("*",)))
        held = requested(tree.asks(call or pay()))
        asked = msgspec.structs.replace(held, rule=rule, accepted=3, root=3)
        self.request = msgspec.structs.replace(asked, digest=approval.binding(asked))
        accepted = run.Accepted(
            goal=goal.Submit(id=RUN, objective="Pay the bills.", principal=principal),
            goal_digest="d", contract={}, model="m", skill="bills", deadline_ms=NOW,
        )  # fmt: skip
        self.first = {3: Record(causes=("x",), events=(accepted,))}
        self.takes(self.request)

    def takes(self, body: Any, now: int = NOW, *, cause: str = "x") -> Decision:
        """Decide one message and fold what it caused."""
        where = subjects.Address.of_request("acme", CALL)
        found = {at: self.first[at] for at in self.actor.reads(self.state, body)}
        decision = self.actor.decide(self.state, Input(cause, where, body, 9, now, records=found), self.facts)
        for event in decision if isinstance(decision, tuple) else ():
            self.state = self.actor.evolve(self.state, event)
            self.events.append(event)
        return decision

    def votes_for(
        self, vote: approval.Choice, principal: str = "ann", *groups: str, now: int = NOW, digest: str = "", **more: Any
    ) -> str:
        """Vote, and return the code of the refusal; `counted` when there is none."""
        self.votes += 1
        body = approval.Vote(vote=vote, digest=digest or self.state.digest, principal=principal, groups=groups, **more)
        self.takes(body, now, cause=f"v{self.votes}")
        refused = [one for one in self.events if isinstance(one, approval.VoteRefused) and one.id == f"v{self.votes}"]
        return refused[0].code if refused else "counted"

    @property
    def outcome(self) -> str:
        """How it ended, empty while it is open."""
        return self.state.decided.outcome if self.state.decided else ""
