"""The models that this process can ask: what the registry is told of them, and the provider behind each name."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from callboard_contracts import model, names, tool
from callboard_contracts.errors import CallboardError
from callboard_services.models import choose, environment, known
from callboard_services.models.litellm_provider import LiteLLM
from callboard_services.models.openai import OpenAI
from callboard_services.models.prices import FREE, UNKNOWN, Prices
from callboard_services.models.provider import Provider
from callboard_services.models.scripted import Scripted

TIMEOUT_S = 120.0
_REQUEST = msgspec.json.schema_components([model.Request])[1]["Request"] | {"required": ["model"]}
"""Its type may be left out: the tool that is called says what its arguments are."""


class Catalogue:
    """Models by name. Providers are opened when first asked and shared by models of one server.

    :param choices: the default first. :param variables: where keys are found.
    """

    def __init__(
        self, choices: Sequence[known.Choice], table: Prices, variables: Mapping[str, str], data: Path | None = None
    ) -> None:
        self._choices = {choice.name: choice for choice in choices}
        self._variables = variables
        self._data = data
        self._open: dict[tuple[str, str], Provider] = {}
        self.models = tuple(entry(choice, table) for choice in choices)

    def find(self, name: str) -> tuple[tool.Model, known.Choice]:
        """Return a model, the default for an empty name.

        :raises CallboardError: `unknown_model`.
        """
        found = next((one for one in self.models if not name or one.name == name), None)
        if found is None:
            raise CallboardError("unknown_model", f"model {name!r} is not among those that this service can ask")
        return found, self._choices[found.name]

    def provider(self, choice: known.Choice) -> Provider:
        """Return the provider of a choice.

        :raises CallboardError: a script cannot be read.
        """
        where = (choice.kind, choice.url or choice.target if choice.kind != "litellm" else "")
        if where not in self._open:
            self._open[where] = _opened(choice, self._variables, self._data)
        return self._open[where]

    def spec(self) -> tool.Spec:
        """Return the tool `model` as it announces itself."""
        return tool.Spec(
            name=names.MODEL,
            description="Asks a language model for the next step of a run.",
            input_schema=_REQUEST,
            effect="read",
            timeout_s=TIMEOUT_S,
            hidden=True,
            models=self.models,
        )

    async def aclose(self) -> None:
        """Let go of every provider."""
        for provider in self._open.values():
            await provider.aclose()


async def open_catalogue(
    named: Sequence[str], variables: Mapping[str, str], prices: str = "", data: Path | None = None
) -> Catalogue:
    """Look around and return the models there are: those that are named first, then what was found.

    :param prices: the operator's table of prices, a file; empty: none. :param data: the folder with model files.
    :raises CallboardError: `unknown_model`, `no_model`, or `invalid_request` for a table or script.
    """
    table = await environment.read_prices(prices)
    found = await environment.gather(variables, table)
    choices = choose.models(named, found, environment.kept(data) if found.local else ())
    catalogue = Catalogue(choices, table, variables, data)
    for choice in choices:
        if choice.kind in ("scripted", "local"):  # a name that stands for nothing is told now, not at the first goal
            catalogue.provider(choice)
    return catalogue


def entry(choice: known.Choice, table: Prices) -> tool.Model:
    """Return what the registry is told of a model. Pure."""
    price = table.of(choice.name, _known_as(choice), FREE if choice.kind in ("scripted", "local") else UNKNOWN)
    return tool.Model(
        name=choice.name,
        input_micro_usd=price.input_micro_usd,
        output_micro_usd=price.output_micro_usd,
        context_tokens=price.context_tokens or choice.context_tokens,
        scripted=choice.kind == "scripted",
    )


def _known_as(choice: known.Choice) -> str:
    """Return the name in litellm's table. On a server of one's own the same name is another price: none."""
    match choice.kind:
        case "openai":
            return f"openai/{choice.target}" if choice.url.rstrip("/") == known.OPENAI_URL else ""
        case "litellm":
            return choice.target
        case "scripted" | "local":
            return ""


def _opened(choice: known.Choice, variables: Mapping[str, str], data: Path | None) -> Provider:
    match choice.kind:
        case "openai":
            return OpenAI(choice.url, variables.get(choice.key, "") if choice.key else "")
        case "litellm":
            return LiteLLM()
        case "scripted":
            return _scripted(Path(choice.target))
        case "local":
            provider: Provider = importlib.import_module(environment.LOCAL).open_provider(choice.target, data)
            return provider


def _scripted(path: Path) -> Provider:
    try:
        return Scripted(path.expanduser())
    except OSError as error:
        raise CallboardError("invalid_request", f"the script {path} cannot be read: {error}") from None
