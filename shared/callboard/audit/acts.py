"""The acts of a tree, as its records tell them: pure, and the same for the same messages."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec

from callboard.audit.act import Act
from callboard.audit.tree import Logged, Tree, by_run
from callboard_contracts import approval, call, guard, ids, names, run, wire
from callboard_contracts.call import Call
from callboard_contracts.journal import Event

_BRIEF: Final = 200
_CONTROL: Final = {guard.Cancelled: "cancel", guard.Paused: "pause", guard.Resumed: "resume", guard.Steered: "steer"}


def acts(tree: Tree, effects: Mapping[str, str]) -> list[Act]:
    """Return what was done in a tree, in the order in which it was first recorded.

    :param effects: the effect class of each tool that is known.
    """
    fold = _Fold(tree, effects)
    for logged in tree.records:
        for event in logged.record.events:
            fold.take(logged, event)
    return fold.found


def digest_of(value: Any) -> str:
    """Return the sha256 of a value's JSON, in hex."""
    return sha256(wire.encode(value)).hexdigest()


class _Fold:
    """The acts so far."""

    def __init__(self, tree: Tree, effects: Mapping[str, str]) -> None:
        self.found: list[Act] = []
        self._tree = tree
        self._effects = effects
        self._calls: dict[str, Act] = {}
        self._skills: dict[str, str] = {}
        self._principals: dict[str, str] = {}
        self._reserved: dict[str, int] = {}

    def take(self, logged: Logged, event: Event) -> None:
        """Take the next event. Those that say nothing of who did what are passed over."""
        match event:
            case run.Accepted():
                self._accepted(logged, event)
            case run.Refused():
                self._act(logged, "goal", tool="goal", decision="refused", code=event.code, reason=event.message)
            case run.Called():
                for made in event.calls:
                    self._called(logged, made)
            case run.Took():
                for taken in event.results:
                    self._took(taken)
            case run.Retried():
                self._act(logged, "control", tool="retry", call=event.call, by=event.principal)
            case run.Ended():
                self._act(logged, "ending", tool="ending", outcome=event.status, code=event.code, reason=event.reason)
            case (
                run.Noted() | run.Deferred() | run.Paused() | run.Resumed() | run.Parked() | run.Steered() | run.Armed()
            ):
                return  # of what persons said, the guard's record is the one that counts
            case _:
                self._decided(logged, event)

    def _decided(self, logged: Logged, event: guard.Event | approval.Event) -> None:
        """Take what the guard or an approval recorded."""
        match event:
            case guard.Granted():
                self._granted(event)
            case guard.Refused():
                self._refused(event)
            case guard.Held():
                for act in (self._calls[name] for name in event.calls if name in self._calls):
                    act.decision = "held"
            case guard.Settled():
                self._settled(event)
            case guard.Cancelled() | guard.Paused() | guard.Resumed() | guard.Steered():
                self._controlled(logged, event)
            case approval.Requested() | approval.Voted() | approval.VoteRefused() | approval.Decided():
                self._approval(logged, event)
            case approval.Reminded() | approval.Escalated() | approval.Armed():
                return
            case _:
                _passed_over(event)

    def _act(self, logged: Logged, kind: Any, *, about: str = "", **told: Any) -> Act:
        name = about or (ids.run_of(logged.run) if ".approval." in logged.actor else logged.run)
        act = Act(
            time_ms=logged.message.time_ms,
            seq=logged.seq,
            kind=kind,
            tenant=logged.actor.split(".", 1)[0],
            principal=by_run(self._principals, name),
            run=name,
            skill=self._skills.get(name, ""),
            **told,
        )
        self.found.append(act)
        return act

    def _accepted(self, logged: Logged, event: run.Accepted) -> None:
        self._skills[logged.run] = "" if event.skill == names.ADHOC else event.skill
        self._principals[logged.run] = event.goal.principal
        said = event.goal.objective or _brief(event.goal.input)
        by = event.goal.principal if not event.parent else f"agent {event.parent}"
        digest = f"{event.goal_digest}" if event.goal_digest else ""
        self._act(
            logged, "goal", tool="goal", by=by, decision="accepted", arguments=said[:_BRIEF], arguments_digest=digest
        )

    def _called(self, logged: Logged, made: Call) -> None:
        act = self._act(
            logged,
            "call",
            call=made.id,
            tool=made.tool,
            by="agent" if made.tool != names.MODEL else "planner",
            effect=self._effects.get(made.tool, ""),
            decision="proposed",
        )
        _argue(act, made)
        self._calls[made.id] = act

    def _granted(self, event: guard.Granted) -> None:
        self._reserved[event.call.id] = event.reserved_micro_usd
        act = self._calls.get(event.call.id)
        if act is None:
            return
        act.decision, act.unpriced = "granted", event.unpriced
        _argue(act, event.call)

    def _refused(self, event: guard.Refused) -> None:
        act = self._calls.get(event.call)
        if act is not None:
            act.decision, act.outcome, act.code, act.reason = "refused", "refused", event.code, event.message

    def _settled(self, event: guard.Settled) -> None:
        for name, cost, _ in event.entries:
            if name in self._calls:
                self._calls[name].cost_micro_usd = self._reserved.get(name, 0) if cost == run.IN_FULL else cost

    def _took(self, taken: run.Taken) -> None:
        act = self._calls.get(taken.call)
        if act is None:
            return
        act.outcome, act.model = taken.status, taken.model
        act.code, act.reason = taken.code or act.code, taken.message or act.reason
        act.unpriced = act.unpriced or taken.unpriced
        act.cost_micro_usd = act.cost_micro_usd or taken.cost_micro_usd
        result = self._tree.result_of(taken.seq, taken.call)
        if isinstance(result, call.Completed):
            act.output_seq = taken.seq
            act.output_digest = result.output_ref or digest_of(result.output)

    def _controlled(
        self, logged: Logged, event: guard.Cancelled | guard.Paused | guard.Resumed | guard.Steered
    ) -> None:
        said = event.text if isinstance(event, guard.Steered) else getattr(event, "reason", "")
        by = event.principal or "system"
        self._act(logged, "control", about=event.run, tool=_CONTROL[type(event)], by=by, reason=said)

    def _approval(
        self,
        logged: Logged,
        event: approval.Requested | approval.Voted | approval.VoteRefused | approval.Decided,
    ) -> None:
        held = self._calls.get(logged.run)
        match event:
            case approval.Requested():
                rule = f"{event.request.policy}/{event.request.rule.name}".lstrip("/")
                if held is not None:
                    held.rule, held.effect = rule, event.request.effect
            case approval.Voted():
                self._vote(logged, event.principal, event.vote, event.digest, reason=event.reason)
            case approval.VoteRefused():
                self._vote(logged, event.principal, "refused", "", code=event.code, reason=event.message)
            case approval.Decided():
                by = " ".join(event.by)
                rule = held.rule if held is not None else ""
                if held is not None and event.outcome in ("answered", "withdrawn"):  # of others the guard tells
                    held.decision = event.outcome
                if held is not None and event.outcome in ("approved", "answered"):
                    held.approvers = by
                self._act(
                    logged,
                    "decision",
                    call=logged.run,
                    tool="approval",
                    by=by,
                    decision=event.outcome,
                    rule=rule,
                    approvers=by,
                    arguments_digest=event.digest,
                    reason=event.reason,
                )

    def _vote(self, logged: Logged, by: str, vote: str, digest: str, *, code: str = "", reason: str = "") -> None:
        said = {"decision": vote, "arguments_digest": digest, "code": code, "reason": reason}
        self._act(logged, "vote", call=logged.run, tool="vote", by=by, **said)


_Silent = (
    guard.Opened | guard.Postponed | guard.Answered | guard.Withdrawn | guard.Waiting
    | guard.Closing | guard.Armed | guard.Closed
)  # fmt: skip
"""What says nothing of who did what that another record does not say better."""


def _passed_over(event: _Silent) -> None:
    """Do nothing; a new kind of event must be put somewhere, or the type checker says so."""


def _argue(act: Act, made: Call) -> None:
    """Say with which arguments a call is made; those of the model's question are its window, and not said."""
    if made.arguments_ref:
        act.arguments, act.arguments_digest = "", made.arguments_ref
        return
    act.arguments_digest = digest_of(made.arguments)
    act.arguments = "" if made.tool == names.MODEL else _brief(made.arguments)


def _brief(value: Any) -> str:
    text = "" if value is None else msgspec.json.encode(value).decode()
    return text if len(text) <= _BRIEF else f"{text[: _BRIEF - 1]}…"
