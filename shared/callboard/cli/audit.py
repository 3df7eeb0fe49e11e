"""`callboard audit`: export who did what, as a log or as proof, and verify a proof without any system."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Where, reach, run_async

if TYPE_CHECKING:
    from callboard.audit.report import Report

app = App(name="audit", help="Export who did what, and verify what was exported.")

_ANYWHERE = Where()
_LOOK = ("gateway", "ledger")


@app.command
def export(
    run: Annotated[str, Parameter(help="The run's id, or its beginning.")],
    /,
    *,
    output: Annotated[
        Path | None, Parameter(name=("--output", "-o"), help="Where to write it. [default: audit-RUN.jsonl]")
    ] = None,
    contents: Annotated[bool, Parameter(help="Values over 32 KiB too, not only their digests.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Write the records of a run's whole tree, signed, to a file that `audit verify` checks anywhere."""
    return run_async(_export(where, run, output, contents=contents))


async def _export(where: Where, run: str, output: Path | None, *, contents: bool) -> int:
    from callboard.cli.runs import whole_id
    from callboard_contracts import ids
    from callboard_contracts.errors import CallboardError

    async with reach(where, only=_LOOK) as reached:
        name = await whole_id(reached, run)
        path = output or Path(f"audit-{ids.tree_of(name)}.jsonl")
        pieces = reached.client.download(f"/v1/audit/{name}", {"contents": "true" if contents else ""})
        data = b"".join([piece async for piece in pieces])
    if b'"kind":"seal"' not in data[-1024:]:
        raise CallboardError("unavailable", "the export ended before its seal; the gateway's log says why")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CallboardError("invalid_request", f"{path} cannot be written: {error.strerror or error}") from None
    lines = data.count(b"\n")
    print(f"{path}  {lines:,} lines, {len(data):,} bytes. `callboard audit verify {path}` checks it.")
    return exits.OK


@app.command
def verify(
    file: Annotated[Path, Parameter(help="A bundle that `audit export` wrote.")],
    /,
    *,
    key: Annotated[
        list[str] | None,
        Parameter(help="A public key that may have signed it, in hex or a file that holds it; may be repeated."),
    ] = None,
    json: Annotated[bool, Parameter(help="The whole report, as one line of JSON.")] = False,
) -> int:
    """Check a bundle, offline. The exit code is 0 when nothing is wrong with it, and 1 when something is."""
    from callboard.audit.report import told
    from callboard.audit.verify import verify as verified

    report = verified(_read(file), [_key(one) for one in key or ()])
    report.file = str(file)
    if json:
        import msgspec

        print(msgspec.json.encode(told(report)).decode())
    else:
        _tell(report)
    return exits.OK if report.ok else exits.INTERNAL


def _read(file: Path) -> bytes:
    from callboard_contracts.errors import CallboardError

    try:
        return file.read_bytes()
    except OSError as error:
        raise CallboardError("invalid_bundle", f"{file} cannot be read: {error.strerror or error}") from None


def _key(given: str) -> str:
    """Return a public key: the argument itself, or the first word of the file that it names."""
    from callboard_contracts.errors import CallboardError

    text = given.strip().lower()
    path = Path(given).expanduser()
    if len(text) != 64 and path.is_file():
        text = (path.read_text(errors="replace").split() or [""])[0].lower()
    try:
        if len(bytes.fromhex(text)) == 32:
            return text
    except ValueError:
        pass
    raise CallboardError("invalid_request", f"--key {given[:80]!r} is not 64 hex digits, nor a file that holds them")


def _tell(report: "Report") -> None:
    from callboard.cli.audited import problems, proof, tell_acts

    if report.summary is not None:
        tell_acts(report.summary)
    if report.ok:
        proof(report)
    else:
        problems(report)


@app.command
def key(*, where: Where = _ANYWHERE) -> int:
    """Print the public key that signs this system's audit: give it to whoever verifies."""
    return run_async(_show_key(where))


async def _show_key(where: Where) -> int:
    async with reach(where, only=_LOOK) as reached:
        print((await reached.client.ask("GET", "/v1/audit/key"))["key"])
    return exits.OK


@app.command
def log(
    *,
    since: Annotated[str, Parameter(help="Only since then: 7d, 24h, 2026-01-31, or a time.")] = "",
    until: Annotated[str, Parameter(help="Only before then; a day counts as a whole.")] = "",
    user: Annotated[str, Parameter(help="Only what was done on behalf of this principal.")] = "",
    tool: Annotated[str, Parameter(help="Only calls of this tool, and what was decided of them.")] = "",
    run: Annotated[str, Parameter(help="Only this run and its sub-agents.")] = "",
    csv: Annotated[bool, Parameter(help="All columns, as CSV.")] = False,
    json: Annotated[bool, Parameter(help="All columns, an object per line.")] = False,
    where: Where = _ANYWHERE,
) -> int:
    """Tell what was done: a line for each act, with on whose behalf, by which decision, and what came of it."""
    wanted = {"since": since, "until": until, "user": user, "tool": tool, "run": run, "format": "csv" if csv else ""}
    if csv and json:
        return exits.usage("--csv and --json: one of them.", "callboard audit log")
    return run_async(_log(where, wanted, raw=csv or json))


async def _log(where: Where, wanted: dict[str, str], *, raw: bool) -> int:
    from callboard.cli.audited import tell_act
    from callboard.cli.runs import whole_id

    told = 0
    async with reach(where, only=_LOOK) as reached:
        if wanted["run"]:
            wanted["run"] = await whole_id(reached, wanted["run"])
        rest = b""
        async for piece in reached.client.download("/v1/audit", wanted):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                told += 1
                print(line.decode() if raw else tell_act(line), flush=False)
    sys.stdout.flush()
    if not told:
        print("Nothing was done that fits.", file=sys.stderr)
    return exits.OK
