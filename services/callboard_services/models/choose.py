"""Which model a name stands for, and which models there are when nobody named one. Pure.

In this order, the first being the default: keys of providers in the environment, an OpenAI-compatible server on this
machine, the local model. Explicitly named models come before all of them.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from callboard_contracts.errors import CallboardError

OPENAI_URL = "https://api.openai.com/v1"
SERVERS = ("http://127.0.0.1:11434/v1", "http://127.0.0.1:8080/v1", "http://127.0.0.1:1234/v1")
"""Where Ollama, llama.cpp and LM Studio listen unless told otherwise."""
DEFAULTS = {
    "OPENAI": "openai/gpt-4.1-mini",
    "ANTHROPIC": "anthropic/claude-haiku-4-5",
    "GEMINI": "gemini/gemini-flash-lite-latest",
}
"""Small models that do not think at length, which would use up the answer's tokens. `<PROVIDER>_MODEL` wins."""
SCRIPTED_WINDOW = 10_000_000
"""A script reads everything: its steps copy from results that must not be elided."""
KEYS = tuple(f"{provider}_API_KEY" for provider in DEFAULTS)
SETTINGS = ("OPENAI_BASE_URL", *(f"{provider}_MODEL" for provider in DEFAULTS))

Kind = Literal["openai", "litellm", "scripted", "local"]


class Served(msgspec.Struct, frozen=True):
    """A model that a server lists. 0 tokens: it does not say how many it reads."""

    name: str
    context_tokens: int = 0


class Server(msgspec.Struct, frozen=True):
    """A server that answered, with its models."""

    url: str
    models: tuple[Served, ...]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """All that a choice depends on. It holds no secret: of keys only the names."""

    keys: frozenset[str] = frozenset()
    settings: dict[str, str] = {}
    servers: tuple[Server, ...] = ()
    litellm: bool = False
    """It is installed."""
    providers: frozenset[str] = frozenset()
    """The prefixes that litellm knows."""
    local: bool = False
    """The local model's packages are installed."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """A model and how to reach it."""

    name: str
    kind: Kind
    target: str
    """The model's name as its provider knows it; of a script its file."""
    url: str = ""
    key: str = ""
    """The name of the variable that holds the key. Servers that were only found get none."""
    context_tokens: int = 0


def models(named: Sequence[str], env: Environment) -> tuple[Choice, ...]:
    """Return every model that can be asked, the default first, each once.

    :raises CallboardError: `unknown_model` for a name, or `no_model` when there is nothing.
    """
    found = {choice.name: choice for choice in (*(resolve(name, env) for name in named), *detected(env))}
    if not found:
        raise CallboardError(
            "no_model", "no provider's key is set, no local server answers, no local model is installed"
        )
    return tuple(found.values())


def resolve(name: str, env: Environment) -> Choice:
    """Return what a name stands for.

    :raises CallboardError: `unknown_model` or `no_model`, saying what is missing.
    """
    prefix, _, rest = name.partition("/")
    if name.startswith("scripted:"):
        file = name.removeprefix("scripted:")
        return Choice(name=name, kind="scripted", target=file, context_tokens=SCRIPTED_WINDOW)
    if prefix == "local":
        return _local(name, rest, env)
    if prefix == "openai" and rest:
        return _openai(rest, env)
    if rest and (prefix == "litellm" or prefix in env.providers):
        return _litellm(name, env)
    hint = f"write openai/{name}, or provider/{name}" if not rest else "litellm, which may know it, is not installed"
    raise CallboardError(
        "unknown_model", f"model {name!r}: {hint if not env.litellm or not rest else 'no such provider'}"
    )


def detected(env: Environment) -> tuple[Choice, ...]:
    """Return the models that can be asked without any being named, in the order of preference."""
    keyed = [_openai(_openai_default(env), env)] if "OPENAI_API_KEY" in env.keys else []
    others = [one for one in ("ANTHROPIC", "GEMINI") if f"{one}_API_KEY" in env.keys and env.litellm]
    found = [_served(server, one, env) for server in env.servers for one in server.models]
    return (
        *keyed,
        *(_litellm(_default(one, env), env) for one in others),
        *found,
        *([_local("local", "", env)] if env.local else []),
    )


def _default(provider: str, env: Environment) -> str:
    """Return the model of a provider to ask when none is named; its prefix may be left away."""
    prefix = f"{provider.lower()}/"
    told = env.settings.get(f"{provider}_MODEL", "").removeprefix(prefix)
    return f"{prefix}{told}" if told else DEFAULTS[provider]


def _openai_default(env: Environment) -> str:
    """Return the model to ask with a key alone: at a server of one's own the first that it lists."""
    url = env.settings.get("OPENAI_BASE_URL", "")
    listed = [one.name for server in env.servers if url and server.url == url for one in server.models]
    if listed and "OPENAI_MODEL" not in env.settings:
        return listed[0]
    return _default("OPENAI", env).removeprefix("openai/")


def _openai(target: str, env: Environment) -> Choice:
    """Find the server: the one that is set, else OpenAI itself when there is a key, else one that lists the model."""
    url = env.settings.get("OPENAI_BASE_URL", "") or (OPENAI_URL if "OPENAI_API_KEY" in env.keys else "")
    listed = [(server, one) for server in env.servers for one in server.models if one.name == target]
    for server, one in listed:
        if not url or server.url == url:
            return _served(server, one, env)
    if not url:
        raise CallboardError("no_model", f"openai/{target} needs OPENAI_API_KEY or OPENAI_BASE_URL")
    return Choice(name=f"openai/{target}", kind="openai", target=target, url=url, key="OPENAI_API_KEY")


def _served(server: Server, one: Served, env: Environment) -> Choice:
    key = "OPENAI_API_KEY" if server.url == env.settings.get("OPENAI_BASE_URL", "") else ""
    name = f"openai/{one.name}"
    return Choice(name=name, kind="openai", target=one.name, url=server.url, key=key, context_tokens=one.context_tokens)


def _litellm(name: str, env: Environment) -> Choice:
    if not env.litellm:
        raise CallboardError("no_model", f"{name} is reached by litellm: pip install 'callboard[litellm]'")
    return Choice(name=name, kind="litellm", target=name.removeprefix("litellm/"))


def _local(name: str, target: str, env: Environment) -> Choice:
    if not env.local:
        raise CallboardError("no_model", f"{name} needs the local model: pip install 'callboard[local]'")
    return Choice(name=name, kind="local", target=target)
