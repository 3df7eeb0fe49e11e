"""The request: what the approval actor records, and what is said to it. A request's id is that of the held call."""

from typing import Any, Literal

import msgspec

from callboard_contracts.policy import Rule, digest_of
from callboard_contracts.tool import Effect
from callboard_contracts.units import MicroUsd

Outcome = Literal["approved", "denied", "answered", "expired", "withdrawn"]
"""How a request ends. `expired` is nobody's decision, `withdrawn` is the run's own end."""
Choice = Literal["approve", "deny", "edit", "answer", "delegate"]


class Request(msgspec.Struct, tag="approval.request.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Ask people to decide about a call. Sent by the guard, once, to the tree's `send.held.<call>`."""

    id: str
    run: str
    tool: str
    """The name of the tool, with dots; `human.ask`: it is a question, and the arguments hold it."""
    version: str
    """The tool's version, which runs and no other."""
    effect: Effect = "read"
    arguments: Any = None
    """Exactly what will run."""
    arguments_ref: str = ""
    """The digest of the arguments in the blob store when they are over 32 KiB; then `arguments` is absent."""
    worst_micro_usd: MicroUsd = 0
    """The most that it can cost, in micro-US-dollars."""
    rule: Rule
    """The rule that asks for a person."""
    policy: str = ""
    """Where the rule stands: `policy:<name>` or `skill:<name>`; empty: nowhere, the agent asks by itself."""
    policy_digest: str = ""
    """The digest of that policy, or of that version of the skill."""
    skill_digest: str = ""
    digest: str
    """What a vote binds to: see `binding`."""
    accepted: int = 0
    """The sequence of the run's first record, which holds its goal."""
    root: int = 0
    """The sequence of the root run's first record, which names who started the tree."""


def binding(request: Request, arguments: Any = None, *, edited: bool = False) -> str:
    """Return the digest of what runs: tool, version, arguments (edited ones, if any), run, call and rule."""
    proposed = {"ref": request.arguments_ref} if request.arguments_ref else request.arguments
    return digest_of(
        {
            "tool": request.tool,
            "version": request.version,
            "arguments": arguments if edited else proposed,
            "run": request.run,
            "call": request.id,
            "rule": digest_of(request.rule),
        }
    )


class Vote(msgspec.Struct, tag="approval.vote.v1", frozen=True, kw_only=True, omit_defaults=True):
    """One person's word. Published by the gateway alone to the request's `in.vote`; `ce-id` is the vote's id."""

    vote: Choice
    """What the person says."""
    digest: str
    """Of what the person saw: `Requested.request.digest`, or that of the latest edit."""
    principal: str
    """Who votes: stamped by the gateway from the key."""
    groups: tuple[str, ...] = ()
    """The groups of the voter's key, without `group:`; stamped by the gateway."""
    reason: str = ""
    arguments: Any = None
    """With `edit`: what is to run instead, at most 32 KiB."""
    answer: Any = None
    """With `answer`: the answer, as the question wants it."""
    to: str = ""
    """With `delegate`: who may decide from now on, in the voter's place."""


class Withdraw(msgspec.Struct, tag="approval.withdraw.v1", frozen=True, kw_only=True, omit_defaults=True):
    """Nobody waits for the decision any more. Sent by the guard, once, to the tree's `send.withdrawn.<call>`."""

    request: str
    """The id of the request."""
    reason: str = ""


class Requested(msgspec.Struct, tag="approval.requested.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A request is open: people may vote."""

    request: Request
    """What is to be decided."""
    at_ms: int
    expires_ms: int
    """From then on it is too late, in ms since 1970."""
    objective: str = ""
    """What the run is to achieve, in its first 2,000 characters."""
    skill: str = ""
    principal: str = ""
    """Who started the tree."""


class Voted(msgspec.Struct, tag="approval.voted.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A vote counts."""

    id: str
    """The vote's id."""
    vote: Choice
    """What was said."""
    principal: str
    reason: str = ""
    digest: str
    """Of what it binds to: with `edit` the digest of the edited call, to which later votes must bind."""
    arguments: Any = None
    """With `edit`: what is to run instead."""
    to: str = ""
    """With `delegate`: who may decide in the voter's place."""
    at_ms: int


class VoteRefused(msgspec.Struct, tag="approval.vote_refused.v1", frozen=True, kw_only=True, omit_defaults=True):
    """A vote does not count, and changed nothing."""

    id: str
    """The vote's id."""
    principal: str
    code: str
    message: str
    at_ms: int


class About(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a notice says of a request."""

    tool: str
    objective: str = ""
    """What the run is to achieve, in its first 500 characters."""
    reason: str = ""
    """The reason of the rule; of a question its text."""
    approvers: tuple[str, ...] = ()
    """Who may decide by now: names of keys, and `group:<name>`; empty: whoever has a key."""
    quorum: int = 1
    """How many of them must approve."""
    expires_ms: int = 0
    """When it is too late to decide, in ms since 1970."""


class Reminded(msgspec.Struct, tag="approval.reminded.v1", frozen=True, kw_only=True, omit_defaults=True):
    """People are told again that a request is open."""

    at_ms: int
    nth: int
    """How often they were reminded, with this time."""
    about: About
    """What they are reminded of."""


class Escalated(msgspec.Struct, tag="approval.escalated.v1", frozen=True, kw_only=True, omit_defaults=True):
    """More people may decide from now on."""

    at_ms: int
    to: tuple[str, ...]
    """They: names of keys, and `group:<name>`."""
    about: About
    """What they are asked."""


class Armed(msgspec.Struct, tag="approval.armed.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The request's one timer is set (ms since 1970)."""

    at_ms: int


class Decided(msgspec.Struct, tag="approval.decided.v1", frozen=True, kw_only=True, omit_defaults=True):
    """The request is closed. Later votes change nothing."""

    outcome: Outcome
    """How it ended."""
    digest: str = ""
    """Of what was decided about: the proposed call, or the edited one."""
    by: tuple[str, ...] = ()
    """Whose votes decided; empty when nobody's did."""
    reason: str = ""
    edited: bool = False
    """The call runs with `arguments` instead of those that were proposed."""
    arguments: Any = None
    """With `edited`: what runs."""
    answer: Any = None
    """To a question: the answer."""
    about: About | None = None
    """What was decided; absent when it was withdrawn before anybody was asked."""
    at_ms: int


Event = Requested | Voted | VoteRefused | Reminded | Escalated | Armed | Decided
