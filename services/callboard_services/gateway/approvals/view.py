"""A request as people see it: a fold of its records. Pure; the approval service alone decides what a vote does."""

from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from callboard_contracts import approval, names
from callboard_contracts.policy import GROUP

OPEN = "open"


class View(msgspec.Struct, kw_only=True):
    """A request, what would run now, and what was said of it."""

    asked: approval.Requested
    status: str = OPEN
    """`open`, or how it ended."""
    digest: str
    """Of what would run now: a vote binds to it."""
    arguments: Any
    """What would run now."""
    edited_by: str = ""
    approvers: tuple[str, ...] = ()
    """Who may decide now; empty: whoever has a key."""
    gave_away: tuple[str, ...] = ()
    """Who delegated, and therefore may not decide."""
    approved_by: tuple[str, ...] = ()
    """Who approved what would run now."""
    heard: list[approval.Voted | approval.VoteRefused] = []
    """Every vote, whether or not it counts."""
    reminded: int = 0
    decided: approval.Decided | None = None

    @property
    def request(self) -> approval.Request:
        """What is asked."""
        return self.asked.request

    @property
    def question(self) -> bool:
        """Whether the agent asks a person, instead of a rule."""
        return self.request.tool == names.ASK

    def may_decide(self, principal: str, groups: Iterable[str]) -> bool:
        """Tell whether somebody is among those who may decide."""
        names = {principal, *(GROUP + group for group in groups)}
        return principal not in self.gave_away and (not self.approvers or not names.isdisjoint(self.approvers))

    def vote(self, id_: str) -> approval.Voted | approval.VoteRefused | None:
        """Return what came of a vote, None when it is not recorded."""
        return next((vote for vote in self.heard if vote.id == id_), None)


def fold(events: Iterable[approval.Event]) -> View | None:
    """Return the view after events, None before the first."""
    view: View | None = None
    for event in events:
        if isinstance(event, approval.Requested):
            view = _asked(event)
        elif view is not None:
            _evolve(view, event)
    return view


def _asked(event: approval.Requested) -> View:
    request = event.request
    return View(asked=event, digest=request.digest, arguments=request.arguments, approvers=request.rule.approvers)


def _evolve(view: View, event: approval.Event) -> None:
    match event:
        case approval.Voted():
            _voted(view, event)
        case approval.VoteRefused():
            view.heard.append(event)
        case approval.Escalated():
            view.approvers = _with(view.approvers, event.to) if view.approvers else ()
        case approval.Reminded():
            view.reminded = event.nth
        case approval.Decided():
            view.decided = event
            view.status = event.outcome
        case approval.Requested() | approval.Armed():
            return
        case _:
            assert_never(event)


def _voted(view: View, event: approval.Voted) -> None:
    view.heard.append(event)
    match event.vote:
        case "edit":
            same = view.approved_by if event.digest == view.digest else ()
            view.digest, view.arguments, view.edited_by = event.digest, event.arguments, event.principal
            view.approved_by = _with(same, (event.principal,))
        case "approve":
            view.approved_by = _with(view.approved_by, (event.principal,))
        case "delegate":
            view.approvers = _with(view.approvers, (event.to,)) if view.approvers else ()
            view.gave_away = _with(_without(view.gave_away, event.to), (event.principal,))
            view.approved_by = _without(view.approved_by, event.principal)
        case "deny" | "answer":
            return
        case _:
            assert_never(event.vote)


def _without(those: tuple[str, ...], one: str) -> tuple[str, ...]:
    return tuple(who for who in those if who != one)


def _with(those: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*those, *more)))
