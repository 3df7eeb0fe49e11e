"""`GET /v1/policies` and `PUT /v1/policies/{name}`: which calls wait for a person.

Where there are keys, only one of the group `operators` changes that: whoever may start runs must not be able to say
that nobody looks at them.
"""

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from callboard import policy as rules
from callboard.bus import layout, reader
from callboard.bus.registry import POLICIES, put_policy
from callboard_contracts import names, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import Policy, Rule, digest_of
from callboard_services.gateway.bodies import decode, json, read
from callboard_services.gateway.house import House, house_of, voter_of

OPERATORS = "operators"
"""The group of keys that may change policies."""
_MAX_BODY = 512 * 1024


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `PUT /v1/policies/{name}`. No rules: the policy is removed, if there is one."""

    rules: tuple[rules.Written, ...]


async def page(request: Request) -> Response:
    """List every policy, in the order in which they are tried."""
    return json({"policies": [_shown(policy) for policy in await _policies(house_of(request))]})


async def put(request: Request) -> Response:
    """Put rules in force in the place of those of the same name."""
    house, name = house_of(request), str(request.path_params["name"])
    if house.keys.keys and OPERATORS not in voter_of(request).groups:
        raise CallboardError("not_permitted", f"Only a key of the group `{OPERATORS}` changes policies.")
    if not names.is_skill(name):
        raise rules.wrong(f"{name[:80]!r} cannot be a policy's name: use a-z, 0-9 and single hyphens.")
    wanted = decode(await read(request, _MAX_BODY, rules.wrong("The body may have 512 KiB.")), Rules, "invalid_policy")
    rules.check(wanted.rules)
    policy, before = Policy(name=name, rules=wanted.rules), await _rules(house, name)
    if policy.rules or before:
        await put_policy(house.bus, policy)
    return json({"name": name, "digest": digest_of(policy), "rules": len(policy.rules), "replaced": before})


async def _rules(house: House, name: str) -> int:
    """Return how many rules a policy has, 0 when there is none of that name."""
    found = await reader.last(house.bus, f"KV_{layout.REGISTRY}", f"{POLICIES}.{name}")
    return len(wire.decode(found.body, Policy).rules) if found is not None and found.body else 0


async def _policies(house: House) -> list[Policy]:
    """Return what is stored: what this gateway writes itself, it does not hear."""
    where = reader.scan(house.bus, f"KV_{layout.REGISTRY}", f"{POLICIES}.*")
    found = [wire.decode(message.body, Policy) async for message in where if message.body]
    return sorted(found, key=lambda policy: policy.name)


def _shown(policy: Policy) -> dict[str, Any]:
    every = [field.name for field in msgspec.structs.fields(Rule)]
    shown = [{name: msgspec.to_builtins(getattr(rule, name)) for name in every} for rule in policy.rules]
    return {"name": policy.name, "digest": digest_of(policy), "rules": shown}
