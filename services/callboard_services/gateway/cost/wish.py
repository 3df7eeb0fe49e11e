"""The parameters of `GET /v1/cost`, and the question to the ledger that they make."""

import base64
import time
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request

from callboard import when
from callboard_contracts import ids, names
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.bodies import query


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every filter that is given must hold."""

    by: str = ""
    """What to add up by, separated by commas: tenant, user, skill, agent, model, tool, status, day, tree, run, call."""
    since: str = ""
    """Only calls that were asked for since: `7d`, `24h`, a date or a time."""
    until: str = ""
    """Only calls that were asked for before: as `since`; a date counts whole."""
    skill: str = ""
    """The skill of the run itself; `_`: none."""
    user: str = ""
    """Who started the tree; `_`: nobody was named."""
    model: str = ""
    tool: str = ""
    status: str = ""
    """How the tree's root ended, or `running` or `paused`."""
    label: str = ""
    """`name` or `name:value`, of the tree's root."""
    tree: str = ""
    run: str = ""
    order: Literal["cost", "key"] = "cost"
    """The most expensive first, or in the order of what is added up by: only that can be paged."""
    after: str = ""
    """With `order=key`: the `next` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 1000
    format: Literal["", "json", "csv"] = ""
    """`csv`, as `Accept: text/csv` says it too: all rows."""


def wish_of(request: Request) -> Wish:
    """Return the parameters of a request.

    :raises CallboardError: `invalid_request`, naming the one that is wrong.
    """
    found = query(request, Wish)
    if not found.format and "text/csv" in request.headers.get("accept", ""):
        return msgspec.structs.replace(found, format="csv")
    return found


def question(wish: Wish) -> dict[str, Any]:
    """Return the question to the ledger.

    :raises CallboardError: `invalid_request`, naming the parameter that is wrong.
    """
    asked: dict[str, Any] = {"order": wish.order, "limit": wish.limit}
    asked["by"] = [name.strip() for name in wish.by.split(",") if name.strip()]
    asked["since_ms"], asked["until_ms"] = when.period(wish.since, wish.until, time.time_ns() // 1_000_000)
    for name in ("skill", "user"):
        if text := getattr(wish, name):
            asked[name] = "" if text == names.ADHOC else text
    asked |= {name: text for name in ("model", "tool", "status", "label") if (text := getattr(wish, name))}
    for name in ("tree", "run"):
        if text := getattr(wish, name):
            asked[name] = _id(name, text)
    return asked | ({"after": _cursor(wish.after)} if wish.after else {})


def _id(name: str, text: str) -> str:
    if not ids.is_run(text) or (name == "tree" and "-" in text):
        raise CallboardError("invalid_request", f"{name}={text[:80]!r} is not the id of a {name}.")
    return text


def cursor(at: list[Any]) -> str:
    """Return a row's place in the order of keys."""
    return base64.urlsafe_b64encode(msgspec.json.encode(at)).decode().rstrip("=")


def _cursor(text: str) -> list[Any]:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=list[str | int])
    except (ValueError, msgspec.MsgspecError):
        raise CallboardError("invalid_request", f"after={text[:40]!r} is not the `next` of a page.") from None
