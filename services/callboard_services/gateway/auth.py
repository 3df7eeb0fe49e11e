"""Who may come in. A valid key everywhere but `/healthz` and `/readyz`; none is needed only on loopback without keys.

A browser sends the key as the password of HTTP Basic, which it then adds by itself. So that no other page can use
what a browser adds, or an open gateway on loopback, requests that another origin caused are turned away.
"""

import base64
import binascii
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from callboard.keys import LOCAL, find
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.house import House, Principal
from callboard_services.gateway.problems import problem

OPEN = frozenset({"/healthz", "/readyz"})
_BEARER = 'Bearer realm="callboard"'
_BASIC = 'Basic realm="callboard", charset="UTF-8"'


class Door:
    """ASGI middleware: names the principal in the scope, or answers 401; 503 while there is no broker."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self._app = app
        self._house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or not."""
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        try:
            scope["callboard.principal"] = admit(self._house, scope["method"], Headers(scope=scope))
        except CallboardError as error:
            await _challenge(error, Headers(scope=scope))(scope, receive, send)
            return
        if not self._house.bus.connected and scope["path"].startswith("/v1/"):
            await problem("unavailable", "The broker is not connected.")(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _challenge(error: CallboardError, headers: Headers) -> Response:
    """Return the answer to who is not let in: a challenge a header, because a browser reads the first of each alone.

    Who came with a key is not asked for a password: a page shows itself what is wrong with the one that was typed in.
    """
    answer = problem("unauthorized", error.detail, headers={"WWW-Authenticate": _BEARER})
    if not headers.get("authorization", "").lower().startswith("bearer "):
        answer.headers.append("WWW-Authenticate", _BASIC)
    return answer


def admit(house: House, method: str, headers: Headers) -> Principal:
    """Return whose request it is.

    :raises CallboardError: nobody is let in with these headers.
    """
    if not _is_a_followed_link(method, headers):
        _check_origin(headers)
    keys = house.keys.keys
    if not keys and house.loopback:
        _check_local(headers)
        return Principal(LOCAL)
    key = find(keys, token_of(headers.get("authorization", "")))
    if key is None:
        raise CallboardError("unauthorized", "The request carries no valid key.")
    return Principal(key.name, key.groups)


def token_of(authorization: str) -> str:
    """Return the token of `Bearer <token>`, or of `Basic` with the token as password; empty when there is none."""
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _is_a_followed_link(method: str, headers: Headers) -> bool:
    """Tell whether a person opens one of our pages from elsewhere, which changes nothing and shows nobody else."""
    return method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"


def _check_origin(headers: Headers) -> None:
    """Turn away what another site's page caused.

    :raises CallboardError: it did.
    """
    origin = headers.get("origin", "")
    foreign = bool(origin) and origin.partition("://")[2] != headers.get("host", "")
    if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise CallboardError("unauthorized", "The request was caused by a page of another origin.")


def _check_local(headers: Headers) -> None:
    """Without keys the name must be loopback's too, or a page whose name resolves to 127.0.0.1 could come in.

    :raises CallboardError: it is another.
    """
    name = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
    if not is_loopback(name):
        raise CallboardError("unauthorized", f"Without keys the gateway answers to localhost alone, not to {name!r}.")


def is_loopback(name: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    if name in ("localhost", "::1"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
