"""`callboard skills`: what is deployed, and deploying more."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Where, reach, run_async

app = App(name="skills", help="List skills, or deploy a folder of them.")

_ANYWHERE = Where()


@app.default
def skills(
    *, json: Annotated[bool, Parameter(help="One line of JSON per skill.")] = False, where: Where = _ANYWHERE
) -> int:
    """List the skills that are deployed."""
    found = run_async(_find(where))
    if json:
        import msgspec

        for skill in found:
            print(msgspec.json.encode(skill).decode())
    else:
        _table(found)
    return exits.OK


async def _find(where: Where) -> list[dict[str, Any]]:
    async with reach(where, only=("gateway",)) as reached:
        return await reached.client.skills()


def _table(found: list[dict[str, Any]]) -> None:
    from callboard.cli.tables import columns, print_table

    if not found:
        print("No skills yet. Deploy some: callboard skills deploy FOLDER")
        return
    table = columns("SKILL", "VERSION", "TOOLS", "FILES", "DESCRIPTION", right=("FILES",), free="DESCRIPTION")
    for skill in found:
        tools = skill.get("tools")
        shown = "all" if tools is None else ", ".join(tools)
        table.add_row(
            skill["name"], skill["digest"][:12], shown, str(len(skill.get("files", ()))), skill["description"]
        )
    print_table(table)


@app.command
def deploy(
    folder: Annotated[Path, Parameter(help="A skill's folder, or a folder of such folders.")],
    /,
    *,
    where: Where = _ANYWHERE,
) -> int:
    """Deploy skills. Runs that are under way keep the version they began with."""
    from callboard.skills import load_all

    return run_async(_deploy(where, load_all(folder)))


async def _deploy(where: Where, found: Any) -> int:
    from callboard.skills import deployment

    async with reach(where, only=("gateway",)) as reached:
        for folder in found:
            digest = await reached.client.put_skill(folder.skill.name, deployment(folder))
            print(f"{folder.skill.name}  {digest[:12]}")
    return exits.OK
