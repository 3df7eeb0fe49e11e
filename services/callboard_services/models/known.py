"""What a choice of model depends on, and what comes of it: plain values and the defaults. Pure."""

from typing import Literal

import msgspec

OPENAI_URL = "https://api.openai.com/v1"
SERVERS = ("http://127.0.0.1:11434/v1", "http://127.0.0.1:8080/v1", "http://127.0.0.1:1234/v1")
"""Where Ollama, llama.cpp and LM Studio listen unless told otherwise."""
DEFAULTS = {
    "OPENAI": "openai/gpt-4.1-mini",
    "ANTHROPIC": "anthropic/claude-haiku-4-5",
    "GEMINI": "gemini/gemini-flash-lite-latest",
}
"""Small models that do not think at length, which would use up the answer's tokens. `<PROVIDER>_MODEL` wins."""
SCRIPTED_WINDOW = 128_000
"""That of a real model, so that a long run costs the same with a script."""
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
