"""The broker's accounts as text: one for the journal and those who decide, one for every user at the edge. Pure.

What an edge user may publish is imported from the journal's account as a service, subject by subject, and what it may
hear as a stream. The server answers across accounts under names of its own making, so no reply subject that somebody
chooses reaches the journal: that is the reason for all of this (see `callboard.bus.users`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from callboard.bus.users import ANSWERS, OPERATOR, SKILLS_CHANGE, STREAMED, User

CORE = "CORE"
_MICRO = "$SRV.>"
_ASKED = "cb.*.ask."
"""What a user who subscribes to it answers by request and reply."""
_SHADOW = "$JS.API.INFO"
"""An account that imports this is spared the server's own answers to its API calls: "not enabled for account"."""
_MANY = ("$JS.API.CONSUMER.MSG.NEXT.", "$JS.API.DIRECT.GET.", "$SRV.PING.")
"""What is answered with more than one message."""


def render_accounts(users: Sequence[User], passwords: Mapping[str, str]) -> list[str]:
    """Return the `accounts` block, line by line."""
    edge = [user for user in users if user.edge]
    core = [user for user in users if not user.edge]
    lines = ["accounts {", f"  {CORE} {{", "    jetstream: enabled", *_users(core, passwords)]
    lines += _list("exports", _core_exports(edge)) + _list("imports", _core_imports(edge)) + ["  }"]
    for user in edge:
        others = [other for other in edge if other is not user]
        lines += [f"  {account(user)} {{", *_users([user], passwords)]
        lines += _list("exports", _edge_exports(user)) + _list("imports", _edge_imports(user, others)) + ["  }"]
    return [*lines, "}"]


def account(user: User) -> str:
    """Return the name of a user's account."""
    return user.name.upper() if user.edge else CORE


def _users(users: Iterable[User], passwords: Mapping[str, str]) -> list[str]:
    return _list("users", (_user(user, passwords[user.name]) for user in users))


def _user(user: User, password: str) -> str:
    head = f"user: {_text(user.name)}, password: {_text(password)}"
    if user.name == OPERATOR:
        return f"{{ {head} }}"
    deny = f", deny: {json.dumps(user.deny)}" if user.deny else ""
    publish = f"publish: {{ allow: {json.dumps(user.publish)}{deny} }}"
    return f"{{ {head}, permissions: {{ {publish}, subscribe: {{ allow: {json.dumps(user.subscribe)} }} }} }}"


def _core_exports(edge: Sequence[User]) -> list[str]:
    services = dict.fromkeys(subject for user in edge for subject in _asked(user))
    streams = dict.fromkeys(subject for user in edge for subject in _heard(user))
    return [_service(subject) for subject in services] + [f"{{ stream: {_text(subject)} }}" for subject in streams]


def _core_imports(edge: Sequence[User]) -> list[str]:
    services = [_import("service", account(user), subject) for user in edge for subject in _answered(user)]
    return services + [_import("stream", account(user), STREAMED) for user in edge if STREAMED in user.publish]


def _edge_exports(user: User) -> list[str]:
    answered = [_service(subject) for subject in _answered(user)]
    return answered + [f"{{ stream: {_text(subject)} }}" for subject in _told(user)]


def _told(user: User) -> list[str]:
    """Return what edge users hear from this one directly: the server passes nothing on that it imported itself."""
    return [subject for subject in user.publish if subject in (STREAMED, SKILLS_CHANGE)]


def _edge_imports(user: User, others: Sequence[User]) -> list[str]:
    found = [_import("service", CORE, subject) for subject in _asked(user)]
    for subject in _heard(user):
        found.append(_import("stream", CORE, subject))
        if subject.endswith(".live.>"):
            streamed = subject.removesuffix(">") + STREAMED.partition(".live.")[2]
            found += [_import("stream", account(other), streamed) for other in others if STREAMED in _told(other)]
        found += [_import("stream", account(other), subject) for other in others if subject in _told(other)]
    return found


def _asked(user: User) -> list[str]:
    """Return what an edge user publishes into the journal's account."""
    asked = (subject for subject in user.publish if subject != STREAMED and subject not in ANSWERS)
    return list(dict.fromkeys((_SHADOW, *asked)))


def _heard(user: User) -> list[str]:
    """Return what an edge user hears from the journal's account."""
    mine = ("_INBOX.", *_answered(user))
    return [subject for subject in user.subscribe if not subject.startswith(mine)]


def _answered(user: User) -> list[str]:
    """Return what an edge user answers, which the journal's account imports."""
    return [subject for subject in user.subscribe if subject == _MICRO or subject.startswith(_ASKED)]


def _service(subject: str) -> str:
    many = ", response_type: stream" if subject == _MICRO or subject.startswith(_MANY) else ""
    return f"{{ service: {_text(subject)}{many} }}"


def _import(kind: str, source: str, subject: str) -> str:
    return f"{{ {kind}: {{ account: {source}, subject: {_text(subject)} }} }}"


def _list(name: str, items: Iterable[str]) -> list[str]:
    return [f"    {name}: [", *(f"      {item}" for item in items), "    ]"]


def _text(value: str) -> str:
    return json.dumps(value)
