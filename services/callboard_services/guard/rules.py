"""Which rule asks for a person: the first of the deployment that fits, then the first of the run's skill. All pure."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from callboard.actor import violations
from callboard_contracts import ids, names
from callboard_contracts.call import Call
from callboard_contracts.policy import Policy, Rule, digest_of
from callboard_contracts.registry import Facts
from callboard_contracts.skill import Skill
from callboard_contracts.tool import Spec
from callboard_services.guard.state import Run

QUESTION = Rule(name="question", tool=(names.ASK,))
"""What holds for a question about which no rule says anything: whoever has a key answers it, within a week."""


class Found(msgspec.Struct, frozen=True):
    """A rule that fits, and where it stands."""

    rule: Rule
    policy: str = ""
    digest: str = ""


def ruled(run: Run, call: Call, arguments: Any, spec: Spec, facts: Facts) -> Found | None:
    """Return the rule by which people must decide about a call, None when it may run without."""
    skill = facts.versions.get(run.skill_digest) if run.skill_digest else None
    if call.tool == names.MODEL or not (facts.policies or call.tool == names.ASK or (skill and skill.rules)):
        return None
    for found in _every(skill, run.skill_digest, facts):
        if _fits(found.rule, call, arguments, spec, skill.name if skill else ""):
            return found
    return Found(QUESTION) if call.tool == names.ASK else None


def _every(skill: Skill | None, digest: str, facts: Facts) -> Iterator[Found]:
    for name in sorted(facts.policies):
        policy: Policy = facts.policies[name]
        for rule in policy.rules:
            yield Found(rule, f"policy:{name}", digest_of(policy))
    for rule in skill.rules if skill else ():
        yield Found(rule, f"skill:{skill.name}" if skill else "", digest)


def _fits(rule: Rule, call: Call, arguments: Any, spec: Spec, skill: str) -> bool:
    if not any(fnmatchcase(call.tool, pattern) for pattern in rule.tool):
        return False
    if rule.effect and spec.effect not in rule.effect:
        return False
    if not any(fnmatchcase(skill, pattern) for pattern in rule.skill):
        return False
    below = ids.depth_of(ids.run_of(call.id)) > 0
    if rule.agent != "any" and below != (rule.agent == "sub"):
        return False
    return rule.when is None or _met(rule.when, arguments)


def _met(when: dict[str, Any], arguments: Any) -> bool:
    """Tell whether a condition holds; one that cannot be evaluated does, so that nothing slips through."""
    try:
        return not violations(when, arguments)
    except Exception:  # noqa: BLE001 - whatever the validator trips over, a person looks at the call
        return True
