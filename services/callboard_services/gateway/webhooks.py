"""The webhooks of a deployment: a TOML file, read when the gateway starts. What is wrong with it stops the start.

[[webhook]]
name = "slack"
url = "https://hooks.example.org/…"
secret = "whsec_…"            # or secret_env = "NAME", a variable of the gateway's environment
kinds = ["approval", "spend"] # or one stage alone, such as "approval.requested"; without it: every notice
"""

import binascii
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook

from callboard.settings import Settings
from callboard_contracts.errors import CallboardError

FILE = "webhooks.toml"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_KIND = Annotated[str, Meta(pattern=r"^(approval|spend)(\.[a-z]+)?$")]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str
    secret: str = ""
    secret_env: str = ""
    kinds: tuple[_KIND, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    webhook: tuple[_Entry, ...] = ()


class Endpoint:
    """One webhook. Its secret is inside and in no `repr`."""

    def __init__(self, name: str, url: str, signer: Webhook, kinds: tuple[str, ...] = ()) -> None:
        self.name = name
        self.url = url
        self.signer = signer
        self._kinds = kinds

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    def wants(self, kind: str) -> bool:
        """Tell whether notices of a kind, such as `approval.requested`, are to be posted there."""
        return not self._kinds or kind in self._kinds or kind.partition(".")[0] in self._kinds


def configured(settings: Settings, environment: Mapping[str, str] | None = None) -> tuple[Endpoint, ...]:
    """Return the webhooks of the settings, none when no file is named or there.

    :raises CallboardError: `invalid_request`, the file cannot be used; what and where is said, a secret never.
    """
    path = Path(settings.webhooks).expanduser() if settings.webhooks else settings.data / FILE
    if not settings.webhooks and not path.exists():
        return ()
    found = _read(path)
    env = os.environ if environment is None else environment
    endpoints = tuple(_endpoint(entry, f"{path}: webhook {n}", env) for n, entry in enumerate(found.webhook, 1))
    names = [endpoint.name for endpoint in endpoints]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise CallboardError("invalid_request", f"{path}: two webhooks are called {twice[0]!r}")
    return endpoints


def _read(path: Path) -> _File:
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return msgspec.convert(found, _File)
    except OSError as error:
        raise CallboardError("invalid_request", f"{path} cannot be read: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise CallboardError("invalid_request", f"{path}: {error}") from None


def _endpoint(entry: _Entry, where: str, env: Mapping[str, str]) -> Endpoint:
    if not _NAME.fullmatch(entry.name):
        raise CallboardError("invalid_request", f"{where}: the name {entry.name!r} is not made of a-z, 0-9, _ and -")
    return Endpoint(entry.name, _url(entry.url, where), _signer(_secret(entry, where, env), where), entry.kinds)


def _url(text: str, where: str) -> str:
    try:
        found = urlsplit(text)
        usable = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise CallboardError("invalid_request", f"{where}: the url is not that of an http or https server")
    return text


def _secret(entry: _Entry, where: str, env: Mapping[str, str]) -> str:
    if bool(entry.secret) == bool(entry.secret_env):
        raise CallboardError("invalid_request", f"{where}: give one of secret and secret_env")
    if entry.secret_env and not env.get(entry.secret_env):
        raise CallboardError("invalid_request", f"{where}: there is no variable {entry.secret_env!r}")
    return entry.secret or env[entry.secret_env]


def _signer(secret: str, where: str) -> Webhook:
    try:
        if secret.startswith("whsec_"):
            return Webhook(secret)
    except (EmptyWebhookSecretError, binascii.Error, ValueError):
        pass
    raise CallboardError("invalid_request", f"{where}: the secret is not `whsec_` and base64")
