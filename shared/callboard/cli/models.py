"""`callboard models`: what can be asked, fetching a model file, and choosing the default."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from callboard.cli import exits
from callboard.cli.where import Data, Where, reach, run_async, settings_of

app = App(name="models", help="List, fetch and choose models.")

_ANYWHERE = Where()


@app.command(name="ls")
def list_(
    *, json: Annotated[bool, Parameter(help="One line of JSON per model.")] = False, where: Where = _ANYWHERE
) -> int:
    """List the models that can be asked, the default first, and those on disk."""
    from callboard.models_store import stored

    found = run_async(_find(where))
    if json:
        import msgspec

        for model in found:
            print(msgspec.json.encode(model).decode())
        return exits.OK
    _table(found)
    for file in stored(settings_of(where).data):
        print(f"on disk: {file.path}  {file.bytes / 1e6:,.0f} MB")
    return exits.OK


async def _find(where: Where) -> list[dict[str, Any]]:
    async with reach(where, only=("gateway", "models", "tools")) as reached:
        return await reached.client.models()


def _table(found: list[dict[str, Any]]) -> None:
    from rich.text import Text

    from callboard.cli.tables import columns, print_table
    from callboard_contracts.errors import CATALOGUE

    if not found:
        entry = CATALOGUE["no_model"]
        print(f"{entry.title}. {entry.advice}")
        return
    table = columns("MODEL", "WINDOW", "USD PER MILLION TOKENS", "", right=("WINDOW",))
    for at, model in enumerate(found):
        window = f"{model['context_tokens']:,}" if model.get("context_tokens") else ""
        note = " · ".join(["default"] * (at == 0) + ["scripted: answers from a file"] * bool(model.get("scripted")))
        table.add_row(model["name"], window, _price(model), Text(note, "dim"))
    print_table(table)


def _price(model: dict[str, Any]) -> str:
    prices = (model.get("input_micro_usd_per_million"), model.get("output_micro_usd_per_million"))
    if None in prices:
        return "unknown"
    return (
        "free"
        if not any(prices)
        else " in, ".join(f"{price / 1e6:g}" for price in prices if price is not None) + " out"
    )


@app.command
def pull(
    source: Annotated[str, Parameter(help="The model file: a URL or a path that ends in .gguf.")],
    /,
    *,
    sha256: Annotated[str, Parameter(help="Its digest: what is another is not kept.")],
    data: Data = None,
) -> int:
    """Fetch a model file into the data folder."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from callboard.models_store import pull as fetch

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(source.rpartition("/")[2], total=None)
        found = fetch(
            settings_of(Where(data=data)).data,
            source,
            sha256,
            lambda done, total: progress.update(task, completed=done, total=total or None),
        )
    print(f"{found.path}  {found.bytes / 1e6:,.0f} MB")
    print(f"Make it the default with `callboard models use local/{found.name}`.")
    return exits.OK


@app.command
def use(
    model: Annotated[str, Parameter(help="The model's name, as `callboard models ls` shows it.")],
    /,
    *,
    data: Data = None,
) -> int:
    """Make a model the default, from the next start on."""
    from callboard.models_store import use as choose

    choose(settings_of(Where(data=data)).data, model)
    print(f"{model} is asked from the next start on, unless a goal or --model says otherwise.")
    return exits.OK
