"""Settings of a process, from the environment: `CALLBOARD_<NAME>`. Flags of the command line win over them."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from callboard_contracts.errors import CallboardError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a service process may be told."""

    nats: str = "nats://127.0.0.1:4222"
    """URL of the broker; may carry a user and password."""
    data: Path = Path("~/.callboard").expanduser()
    """Folder for what this process keeps: projections, keys, models. Deleting it loses no run."""
    tenant: str = "default"
    groups: int = 2
    """Journal groups to create when the broker has none yet (1 to 64)."""
    replicas: int = 1
    """On how many servers of a cluster each stream to be created is kept: 1, 3 or 5."""
    model: str = ""
    """The default model; empty: detected."""
    prices: str = ""
    """A JSON file of model prices in USD per million tokens: `{"name": {"input": 1.0, "output": 2.0}}`."""
    http: str = "127.0.0.1:8420"
    """Where the gateway listens."""
    url: str = ""
    """The gateway's URL as people reach it, for links in notices; empty: made from `http`."""
    webhooks: str = ""
    """A TOML file of webhooks that are told of notices; empty: `webhooks.toml` in the data folder, if it is there."""
    concurrency: int = 8
    """How many calls an executor process runs at once."""
    ack_wait_s: float = 30.0
    """After this silence the broker delivers an input again."""
    retention_s: float = 30 * 86_400.0
    """How long after its end a tree stays in the journal before the ledger archives it; 0 or `never`: for ever."""
    alerts: str = ""
    """A TOML file of spend alerts; empty: `alerts.toml` in the data folder, else the usual ones; `off`: none."""
    memory: str = ""
    """Where memory keeps its LanceDB tables: a folder or an object storage URI; empty: `<data>/memory`."""
    embeddings: str = ""
    """What makes vectors: empty for the built-in model, `https://host/v1#model`, or a model name of litellm."""
    trace_content: bool = False
    """Send prompts, arguments and outputs with traces, where OpenTelemetry's variables name a collector."""
    log: str = "info"


def from_environment(environment: Mapping[str, str] | None = None, **given: object) -> Settings:
    """Read the settings; what is `given` and not None wins.

    :raises CallboardError: `invalid_request` with the name of the setting that cannot be read.
    """
    env = os.environ if environment is None else environment
    fields = Settings.__struct_fields__
    found: dict[str, object] = {f: env[f"CALLBOARD_{f.upper()}"] for f in fields if f"CALLBOARD_{f.upper()}" in env}
    if "nats" not in found and "NATS_URL" in env:
        found["nats"] = env["NATS_URL"]
    found |= {key: value for key, value in given.items() if value is not None}
    if found.get("retention_s") == "never":
        found["retention_s"] = 0
    try:
        return msgspec.convert(found, Settings, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise CallboardError("invalid_request", f"setting {error}") from None


def _path(type_: type, value: object) -> object:
    if type_ is Path:
        return Path(str(value)).expanduser()
    raise NotImplementedError(type_)
