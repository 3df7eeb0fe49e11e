"""`callboard policy`: which calls wait for a person."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Where, reach, run_async

app = App(name="policy", help="Say which calls wait for a person, in a file of rules.")

_ANYWHERE = Where()
File = Annotated[Path, Parameter(help="A TOML file of rules; its name is the policy's.")]


@app.command
def show(
    *, json: Annotated[bool, Parameter(help="One line of JSON per policy.")] = False, where: Where = _ANYWHERE
) -> int:
    """Show the rules that are in force, in the order in which they are tried."""
    found = run_async(_policies(where))
    if json:
        import msgspec

        for policy in found:
            print(msgspec.json.encode(policy).decode())
    else:
        _table(found)
    return exits.OK


@app.command
def check(file: File, /) -> int:
    """Check a file of rules without applying it."""
    from callboard.policy import load

    policy = load(file)
    print(f"{policy.name}: {_rules(len(policy.rules))}, nothing wrong")
    return exits.OK


@app.command
def apply(file: File, /, *, where: Where = _ANYWHERE) -> int:
    """Put a file of rules in force, in the place of the policy of the same name. A file without rules removes it."""
    from callboard.policy import load

    policy = load(file)
    print(_applied(run_async(_apply(where, policy))))
    return exits.OK


def _applied(done: dict[str, Any]) -> str:
    """Return what came of it, in a line."""
    name, before = done["name"], _rules(done["replaced"])
    if done["rules"]:
        instead = f", in the place of {before}" if done["replaced"] else ""
        return f"{name}  {done['digest'][:12]}  {_rules(done['rules'])}{instead}"
    if done["replaced"]:
        return f"The policy {name} is removed, with {before}."
    return f"Nothing changed: the file has no rules, and there is no policy {name} to remove."


def _rules(count: int) -> str:
    return f"{count} rule{'' if count == 1 else 's'}"


async def _policies(where: Where) -> list[dict[str, Any]]:
    async with reach(where, only=("gateway",)) as reached:
        return list((await reached.client.ask("GET", "/v1/policies"))["policies"])


async def _apply(where: Where, policy: Any) -> dict[str, Any]:
    import msgspec

    body = {"rules": msgspec.to_builtins(policy.rules)}
    async with reach(where, only=("gateway",)) as reached:
        return await reached.client.ask("PUT", f"/v1/policies/{policy.name}", body=body)


def _table(found: list[dict[str, Any]]) -> None:
    from callboard.cli.story import span
    from callboard.cli.tables import columns, print_table

    if not any(policy["rules"] for policy in found):
        print("No rules: no call waits for a person. Apply some: callboard policy apply FILE")
        return
    table = columns(
        "POLICY", "RULE", "TOOL", "EFFECT", "WHO", "QUORUM", "EXPIRES", "REASON", right=("QUORUM",), free="REASON"
    )
    for policy in found:
        for rule in policy["rules"]:
            who = ", ".join(rule["approvers"]) or "any key"
            tool, effect = ", ".join(rule["tool"]), ", ".join(rule["effect"]) or "any"
            last = (str(rule["quorum"]), span(rule["expires_s"]), rule["reason"])
            table.add_row(policy["name"], rule["name"], tool, effect, who, *last)
    print_table(table)
