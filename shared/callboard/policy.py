"""Rules as people write them: a TOML file of the deployment, or `approval.toml` in a skill's folder.

    [[rule]]
    name = "large-payments"
    tool = "payments.*"
    when = { properties.amount.exclusiveMinimum = 50, required = ["amount"] }
    approvers = ["group:finance", "ann"]
    quorum = 2
    reason = "Payments above 50 EUR need two people."

Every field of `callboard_contracts.policy.Rule` may stand there; one word may stand where a list is meant.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from callboard.actor import check_schema
from callboard_contracts import names
from callboard_contracts.errors import CallboardError
from callboard_contracts.policy import GROUP, Policy, Rule

MOST_RULES: Final = 500
_MOST_BYTES: Final = 256 * 1024
_MOST_S: Final = 365 * 86_400.0
_LISTS = ("tool", "effect", "skill", "approvers", "escalate_to")
_HEAD = re.compile(r"\s*\[\[\s*rule\s*\]\]")
_WHO = re.compile(rf"({GROUP})?[A-Za-z0-9][A-Za-z0-9._-]{{0,62}}")
_TOOLS = re.compile(r"[a-z0-9_.*]{1,64}")
_SKILLS = re.compile(r"[a-z0-9*-]{1,64}")


class Written(Rule, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A rule as somebody writes it: a misspelt field is an error. One that is stored may be of a newer version."""


def load(path: Path) -> Policy:
    """Read a policy of the deployment. Its name is the field `name`, else the file's.

    :raises CallboardError: `invalid_policy`, with the place in the file.
    """
    text = _text(path)
    found = _toml(path, text)
    name = found.pop("name", path.stem)
    if not isinstance(name, str) or not names.is_skill(name):
        raise wrong(f"{path}: the name {str(name)[:80]!r} must be a-z, 0-9 and single hyphens")
    return Policy(name=name, rules=_rules(path, text, found))


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Read the rules of a skill.

    :raises CallboardError: `invalid_policy`, with the place in the file.
    """
    text = _text(path)
    return _rules(path, text, _toml(path, text))


def check(rules: Sequence[Rule]) -> None:
    """Check rules that came some other way.

    :raises CallboardError: `invalid_policy`, with the rule that is wrong.
    """
    if len(rules) > MOST_RULES:
        raise wrong(f"there are {len(rules)} rules, {MOST_RULES} are the most")
    for at, rule in enumerate(rules, 1):
        if problem := problem_of(rule):
            raise wrong(f'rule {at} "{rule.name[:80]}": {problem}')
    if twice := [name for name, count in Counter(rule.name for rule in rules).items() if count > 1]:
        raise wrong(f'two rules have the name "{twice[0]}"')
    if len(msgspec.json.encode(rules)) > _MOST_BYTES:
        raise wrong(f"the rules have more than {_MOST_BYTES:,} bytes")


def problem_of(rule: Rule) -> str:
    """Return what is wrong with a rule, empty when nothing is."""
    if not names.is_skill(rule.name):
        return "name must be a-z, 0-9 and single hyphens"
    if not rule.tool or not all(_TOOLS.fullmatch(glob) for glob in rule.tool):
        return "tool: a name has a-z, 0-9, dots, `_` and `*`"
    if not rule.skill or not all(glob == "" or _SKILLS.fullmatch(glob) for glob in rule.skill):
        return "skill: a name has a-z, 0-9, hyphens and `*`"
    if rule.when is not None and (problem := check_schema(rule.when)):
        return f"when: {problem}"
    return _people(rule) or _times(rule)


def _people(rule: Rule) -> str:
    if bad := [who for who in (*rule.approvers, *rule.escalate_to) if not _WHO.fullmatch(who)]:
        return f"{bad[0][:80]!r} is neither the name of a key nor `{GROUP}<name>`"
    if rule.quorum < 1:
        return "quorum is at least 1"
    named = {*rule.approvers, *rule.escalate_to}
    if named and rule.quorum > len(named) and not any(who.startswith(GROUP) for who in named):
        return f"quorum is {rule.quorum}, and there are {len(named)} who may approve"
    if rule.escalate_to and not rule.approvers:
        return "escalate_to says nothing where everybody may approve"
    return ""


def _times(rule: Rule) -> str:
    if not 0 < rule.expires_s <= _MOST_S:
        return "expires_s is more than 0 and at most a year"
    if rule.remind_after_s and not 1 <= rule.remind_after_s < rule.expires_s:
        return "remind_after_s is at least 1 and less than expires_s"
    if bool(rule.escalate_after_s) != bool(rule.escalate_to):
        return "escalate_after_s and escalate_to belong together"
    if rule.escalate_after_s and not 0 < rule.escalate_after_s < rule.expires_s:
        return "escalate_after_s is more than 0 and less than expires_s"
    return ""


def wrong(detail: str) -> CallboardError:
    """Return the error about a policy."""
    return CallboardError("invalid_policy", detail)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise wrong(f"{path} is missing") from None
    except (OSError, UnicodeDecodeError) as error:
        raise wrong(f"{path} cannot be read: {error}") from None


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise wrong(f"{path} is not TOML: {error}") from None


def _rules(path: Path, text: str, found: dict[str, Any]) -> tuple[Rule, ...]:
    given = found.pop("rule", [])
    if unknown := sorted(found):
        raise wrong(f"{path}: {unknown[0]!r} is not known here; there are `name` and `[[rule]]`")
    if not isinstance(given, list):
        raise wrong(f"{path}: write [[rule]], in two brackets")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if _HEAD.match(line)]
    rules = tuple(_rule(_place(path, lines, at), one) for at, one in enumerate(given))
    for at, rule in enumerate(rules):
        if problem := problem_of(rule):
            raise wrong(f"{_place(path, lines, at)}: {problem}")
    try:
        check(rules)
    except CallboardError as error:
        raise wrong(f"{path}: {error}") from None
    return rules


def _place(path: Path, lines: Sequence[int], at: int) -> str:
    return f"{path}, line {lines[at]}, rule {at + 1}" if at < len(lines) else f"{path}, rule {at + 1}"


def _rule(place: str, given: Any) -> Rule:
    if not isinstance(given, dict):
        raise wrong(f"{place}: a rule is a table of fields")
    lists = {key: [given[key]] for key in _LISTS if isinstance(given.get(key), str)}
    try:
        when = msgspec.json.decode(given["when"]) if isinstance(given.get("when"), str) else given.get("when")
        return msgspec.convert(given | lists | ({"when": when} if when is not None else {}), Written)
    except msgspec.MsgspecError as error:
        raise wrong(f"{place}: {str(error).replace('$.', '')}") from None
