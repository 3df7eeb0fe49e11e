"""`callboard keys`: who may use the API over the network."""

import sys
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Data, Where, settings_of

app = App(name="keys", help="Make and remove API keys.")

Name = Annotated[str, Parameter(help="The key's name.")]


@app.command
def add(
    name: Name,
    /,
    *,
    group: Annotated[list[str] | None, Parameter(help="A group that it belongs to; may be repeated.")] = None,
    data: Data = None,
) -> int:
    """Make a key and print it. It is shown this once. Its name and groups say what it may approve."""
    from callboard import keys

    print(keys.add(settings_of(Where(data=data)).data, name, group or ()))
    print("Send it as `Authorization: Bearer <key>`. It is kept nowhere.", file=sys.stderr)
    return exits.OK


@app.command(name="ls")
def list_(*, data: Data = None) -> int:
    """List keys by name."""
    from callboard import keys

    found = keys.entries(settings_of(Where(data=data)).data)
    for key in found:
        made = datetime.fromtimestamp(key.created_ms / 1000, UTC).isoformat(timespec="minutes")
        print(f"{key.name}  made {made}" + (f"  groups {', '.join(key.groups)}" if key.groups else ""))
    if not found:
        print("No keys: only this machine may use the API.", file=sys.stderr)
    return exits.OK


@app.command
def rm(name: Name, /, *, data: Data = None) -> int:
    """Make a key worthless, at once."""
    from callboard import keys

    keys.remove(settings_of(Where(data=data)).data, name)
    print(f"{name} is worthless now.")
    return exits.OK
