"""`callboard memory`: what is remembered, where it comes from, who read it; and how it goes again."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from callboard.cli.documents import Found

app = App(name="memory", help="Documents, facts, what runs did: find them, trace them, forget them.")

_ANYWHERE = Where()
_NEEDED = ("gateway", "memory")
_LONG_S = 900.0
_LOOK_S = 0.2

Json = Annotated[bool, Parameter(help="One line of JSON for each.")]
Workspace = Annotated[str, Parameter(help="Whose knowledge: the label `workspace` of goals. [default: default]")]
Source = Annotated[str, Parameter(help="A source as `callboard memory ls` names it, or a file that was ingested.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class As:
    """How documents are remembered."""

    scope: Annotated[str, Parameter(help="Whose runs read it: workspace, user (you), or skill:NAME.")] = "workspace"
    trust: Annotated[str, Parameter(help="Who vouches for it: person, agent, tool, web. [default: by source]")] = ""
    title: Annotated[str, Parameter(help="What a single document is called.")] = ""
    tag: Annotated[list[str] | None, Parameter(name=["--tag", "-t"], help="A word to find it by; again for more.")] = (
        None
    )
    workspace: Workspace = ""
    allow_private: Annotated[bool, Parameter(help="Fetch from this network's own addresses as well.")] = False


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """What is looked for."""

    kind: Annotated[str, Parameter(help="note, fact, document, episode, preference or procedure.")] = ""
    since: Annotated[str, Parameter(help="7d, 24h, 2026-11-03: no older.")] = ""
    until: Annotated[str, Parameter(help="No newer.")] = ""
    tag: Annotated[str, Parameter(help="Only what has this tag.")] = ""
    source: Annotated[str, Parameter(help="Only what comes from this source.")] = ""
    skill: Annotated[str, Parameter(help="What the runs of this skill see too.")] = ""
    workspace: Workspace = ""
    limit: Annotated[int, Parameter(help="How many. [default: 8]")] = 8


_ANYHOW = As()
_ANYTHING = Filters()


@app.command
def ingest(
    places: Annotated[tuple[str, ...], Parameter(help="Files, folders, or URLs.")],
    /,
    *,
    under: Annotated[str, Parameter(name="--as", help="The name to keep in place of the path that is given.")] = "",
    given: As = _ANYHOW,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Remember documents: text, Markdown, HTML, PDF, CSV, JSON. Again, it replaces only what has changed."""
    from callboard.cli.documents import find, options

    wanted = options(given.scope, given.trust, given.tag or [], given.workspace)
    wanted |= {"title": given.title, "allow_private": given.allow_private}
    found = [one for place in places for one in find(place, under)]
    return run_async(_ingest(where, found, wanted, json=json))


async def _ingest(where: Where, found: "list[Found]", given: dict[str, Any], *, json: bool) -> int:
    from callboard.cli.ingesting import Ingesting

    async with reach(where, only=_NEEDED) as reached:
        told = Ingesting(len(found), json=json)
        for one in found:
            await told.remember(reached.client, one, given, _LONG_S)
    return told.ended()


@app.command
def search(
    words: Annotated[str, Parameter(help="What is looked for, in words.")],
    /,
    *,
    filters: Filters = _ANYTHING,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Find what is remembered, as a run of yours would."""
    wanted = {"q": words} | asdict(filters) | {"limit": min(50, max(1, filters.limit))}
    wanted["source"] = _known(filters.source) if filters.source else ""
    answer = run_async(_asked(where, "GET", "search", query=wanted))
    return _show(answer["rows"], "found", "Nothing that is remembered fits.", json=json)


@app.command(name="ls")
def list_(
    *,
    kind: Annotated[str, Parameter(help="Only of this kind, such as episode: what runs did.")] = "",
    workspace: Annotated[str, Parameter(help="Only this one's.")] = "",
    limit: Annotated[int, Parameter(help="How many. [default: 200]")] = 200,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """List the sources of what is remembered, newest first."""
    wanted = {"workspace": workspace, "kind": kind, "limit": min(1000, max(1, limit))}
    answer = run_async(_asked(where, "GET", "sources", query=wanted))
    none = "Nothing is remembered" if not answer["kinds"] or kind else "No documents, facts or preferences are known"
    empty = f"{none} yet. Give it something: callboard memory ingest FILE"
    runs = answer["kinds"].get("episode", 0) if not kind else 0
    code = _show(answer["sources"], "sources", empty, json=json)
    if not json:
        _rest(runs, more=answer["more"])
    return code


def _rest(runs: int, *, more: bool) -> None:
    """Say what is not listed."""
    if more:
        print("There are more: --limit.")
    if runs:
        print(f"And what {runs:,} run{'' if runs == 1 else 's'} did: --kind episode.")


@app.command
def show(
    id: Annotated[str, Parameter(help="The id of a row or of a document.")],  # noqa: A002 - as it is called everywhere
    /,
    *,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Show a row whole, with where it comes from; of a document its chunks."""
    return _show(run_async(_asked(where, "GET", f"rows/{_path(id)}"))["rows"], "rows", "", json=json)


@app.command
def trace(source: Source, /, *, json: Json = False, where: Where = _ANYWHERE) -> int:
    """List every row that comes from a source, and every run that read one."""
    answer = run_async(_asked(where, "GET", "trace", query={"source": _known(source)}))
    return _show([answer], "trace", "", json=json)


@app.command
def quarantine(
    source: Source,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why, for the record.")] = "",
    release: Annotated[bool, Parameter(help="Show it again.")] = False,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Hide a source, with all that was derived from it, from every run; --release shows it again."""
    body = {"source": _known(source), "reason": reason, "release": release}
    return _show([run_async(_asked(where, "POST", "quarantine", body=body))], "quarantine", "", json=json)


@app.command
def forget(
    id: Annotated[str, Parameter(help="A row's id, as search shows it.")] = "",  # noqa: A002 - as above
    /,
    *,
    source: Annotated[str, Parameter(help="Instead: a whole source, as ls names it.")] = "",
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Forget a row, or a source with all its rows. What is forgotten is gone from the disk as well."""
    if bool(id) == bool(source):
        return exits.usage("Name a row's id, or a --source", "callboard memory forget")
    question = {"source": _known(source)} if source else None
    asked = _asked(where, "DELETE", "sources" if source else f"rows/{_path(id)}", query=question)
    return _show([run_async(asked)], "forgotten", "", json=json)


@app.command
def prefer(
    text: Annotated[str, Parameter(help="What you prefer, in one sentence; left out: list what is known.")] = "",
    /,
    *,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Say what you prefer: every run of yours is told from then on. Without a text, list it."""
    if text:
        answer = run_async(_asked(where, "POST", "preferences", body={"text": text}))
        return _show([answer], "preferred", "", json=json)
    rows = run_async(_asked(where, "GET", "preferences"))["rows"]
    empty = 'No preferences yet. Say one: callboard memory prefer "Answer in French."'
    return _show(rows, "preferences", empty, json=json)


@app.command
def rebuild(*, json: Json = False, where: Where = _ANYWHERE) -> int:
    """Build the tables anew from what is remembered. Nothing is lost by it, and answers stay the same."""
    return _show([run_async(_rebuilt(where))], "stats", "", json=json)


async def _rebuilt(where: Where) -> dict[str, Any]:
    """Have the tables built, and wait until they are."""
    import asyncio

    async with reach(where, only=_NEEDED) as reached:
        found = await reached.client.ask("POST", "/v1/memory/rebuild")
        while found["building"]:
            await asyncio.sleep(_LOOK_S)
            found = await reached.client.ask("GET", "/v1/memory/stats")
    return found


@app.command
def stats(*, json: Json = False, where: Where = _ANYWHERE) -> int:
    """Tell how much is remembered, and how the tables are."""
    return _show([run_async(_asked(where, "GET", "stats"))], "stats", "", json=json)


async def _asked(
    where: Where, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None
) -> dict[str, Any]:
    reached: Reached
    async with reach(where, only=_NEEDED) as reached:
        return await reached.client.ask(method, f"/v1/memory/{path}", query=query, body=body, timeout_s=_LONG_S)


def _known(source: str) -> str:
    """Return the name of a source: of a file that lies here, the whole path, by which it was ingested."""
    from pathlib import Path

    path = Path(source).expanduser()
    return str(path.absolute()) if "://" not in source and path.exists() else source


def _path(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _show(rows: list[dict[str, Any]], what: str, empty: str, *, json: bool) -> int:
    if json:
        import msgspec

        for row in rows:
            print(msgspec.json.encode(row).decode())
    elif not rows:
        print(empty)
    else:
        from callboard.cli import remembered

        getattr(remembered, what)(rows)
    return exits.OK
