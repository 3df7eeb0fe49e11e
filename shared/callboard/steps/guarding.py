"""What the guard and persons made of each call of a tree, with how the tree stood at that moment. Pure."""

from callboard.audit.tree import Logged, Tree
from callboard.steps.step import Decision
from callboard_contracts import approval, guard
from callboard_contracts.call import Call
from callboard_contracts.goal import Limits
from callboard_contracts.units import MicroUsd


class Guarding:
    """A fold of the guard's records, and of those of approvals."""

    def __init__(self, tree: Tree) -> None:
        self.granted: dict[str, Call] = {}
        """Calls as they were granted: with the arguments that ran."""
        self.costs: dict[str, MicroUsd] = {}
        """What calls were settled at."""
        self._decisions: dict[str, Decision] = {}
        self._reserved: dict[str, MicroUsd] = {}
        self._committed = 0
        """What is settled, and what is reserved for calls that are not."""
        self._limits = Limits()
        for logged in tree.records:
            for event in logged.record.events:
                self._take(logged, event)

    def decision(self, call: str) -> Decision:
        """Return what became of a call; one that nobody decided yet is `proposed`."""
        return self._decisions.setdefault(call, Decision())

    def _take(self, logged: Logged, event: object) -> None:
        match event:
            case guard.Opened() if not event.parent:
                self._limits = event.limits
            case guard.Granted():
                found = self._decide(logged, event.call.id, "granted")
                found.reserved_micro_usd = event.reserved_micro_usd
                self.granted[event.call.id] = event.call
                self._reserved[event.call.id] = event.reserved_micro_usd
                self._committed += event.reserved_micro_usd
            case guard.Refused():
                found = self._decide(logged, event.call, "refused")
                found.code, found.message = event.code, event.message
            case guard.Held():
                for call in event.calls:
                    self._decide(logged, call, "held").message = event.reason
            case guard.Settled():
                for call, cost, _ in event.entries:
                    self.costs[call] = cost
                    self._committed += cost - self._reserved.pop(call, 0)
            case approval.Requested():
                self.decision(logged.run).rule = f"{event.request.policy}/{event.request.rule.name}".lstrip("/")
            case approval.Decided():
                found = self.decision(logged.run)
                found.approval, found.by = event.outcome, " ".join(event.by)
            case _:
                return

    def _decide(self, logged: Logged, call: str, word: str) -> Decision:
        """Note a decision, with what the tree had spent and reserved before it."""
        found = self.decision(call)
        found.decision, found.seq, found.at_ms = word, logged.seq, logged.message.time_ms
        found.committed_micro_usd = self._committed
        found.budget_micro_usd = self._limits.budget_micro_usd
        found.calls, found.max_calls = len(self.granted), self._limits.max_calls
        return found
