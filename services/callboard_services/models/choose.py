"""Which model a name stands for, and which models there are when nobody named one. Pure.

In this order, the first being the default: keys of providers in the environment, an OpenAI-compatible server on this
machine, the local model. Explicitly named models come before all of them.
"""

from collections.abc import Sequence

from callboard_contracts.errors import CallboardError
from callboard_services.models.known import DEFAULTS, OPENAI_URL, SCRIPTED_WINDOW, Choice, Environment, Served, Server


def models(named: Sequence[str], env: Environment, kept: Sequence[str] = ()) -> tuple[Choice, ...]:
    """Return every model that can be asked, the default first, each once.

    :param kept: names of model files on disk, which come last.
    :raises CallboardError: `unknown_model` for a name, or `no_model` when there is nothing.
    """
    wanted, last = ([resolve(name, env) for name in some] for some in (named, kept))
    found = {choice.name: choice for choice in (*wanted, *detected(env), *last)}
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
