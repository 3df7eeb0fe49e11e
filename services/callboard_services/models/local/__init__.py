"""A language model in this process, without any key: SmolLM2-135M or a larger GGUF, loaded when it is first asked."""

from pathlib import Path

from callboard_services.models.local.provider import Local
from callboard_services.models.local.weights import find


def open_provider(name: str = "", data: Path | None = None) -> Local:
    """Return the provider of a local model; it is loaded when it is first asked.

    :param name: empty or `smollm2`, a model in `<data>/models`, or the path of a GGUF.
    :raises CallboardError: `no_model` without the extra `local`, `unknown_model` when there is no such file.
    """
    return Local(find(name, data))
