"""Whatever people, runs and operators do in whatever order: what runs is what was approved, to the byte."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from callboard_contracts import approval, guard, ids, run
from callboard_contracts.journal import Event
from callboard_contracts.tool import Entry
from tests.unit.asking import PAY, RULE, HeldOf, pay, yes
from tests.unit.given import RUN

WORDS = st.lists(
    st.tuples(
        st.sampled_from(("ask", "yes", "edit", "no", "late", "stale", "pause", "resume", "version", "cancel", "end")),
        st.integers(1, 4),
    ),
    max_size=16,
)


class Played:
    """A tree to which people and runs say things, what it recorded, and which bytes people approved."""

    def __init__(self) -> None:
        self.tree = HeldOf(RULE)
        self.found: list[Event] = []
        self.approved: set[str] = set()

    @property
    def asked(self) -> dict[str, approval.Request]:
        return {one.id: one for event in self.found if isinstance(event, guard.Held) for one in event.requests}

    def says(self, what: str, turn: int) -> None:
        match what:
            case "ask":
                self.found += self.tree.asks(pay(turn=turn), seq=turn + 10)
            case "pause" | "resume" | "cancel":
                word = {"pause": guard.Pause, "resume": guard.Resume, "cancel": guard.Cancel}[what]
                self.found += self.tree.told(word(run=RUN))
            case "version":
                changed = Entry(spec=msgspec.structs.replace(PAY, version=f"2.{turn}.0"), instances=1)
                self.tree.facts = msgspec.structs.replace(
                    self.tree.facts, tools=self.tree.facts.tools | {PAY.name: changed}
                )
            case "end":
                decision = self.tree.reads(run.Ended(status="failed"))
                self.found += decision if isinstance(decision, tuple) else ()
            case _:
                self.decides(what, self.asked.get(ids.call_id(RUN, turn, 0)), {"amount": 60 + turn})

    def decides(self, what: str, request: approval.Request | None, arguments: Any) -> None:
        if request is None:
            return
        edited = what == "edit"
        digest = "0" * 64 if what == "stale" else approval.binding(request, arguments, edited=edited)
        word = yes(request, edited=edited, arguments=arguments if edited else None)
        outcome: Any = {"no": "denied", "late": "expired"}.get(what, "approved")
        self.approved |= {digest} if what in ("yes", "edit") else set()
        self.found += self.tree.hears(msgspec.structs.replace(word, outcome=outcome, digest=digest))


@given(WORDS)
def test_whatever_happens_a_payment_is_granted_only_on_bytes_that_were_approved(words: list[tuple[str, int]]) -> None:
    played = Played()
    for what, turn in words:
        played.says(what, turn)
    for granted in (event for event in played.found if isinstance(event, guard.Granted)):
        bound = approval.binding(played.asked[granted.call.id], granted.call.arguments, edited=granted.edited)
        assert granted.approved == bound
        assert granted.approved in played.approved
    assert all(state.reserved_micro_usd <= 1_000_000 for state in played.tree.history)
