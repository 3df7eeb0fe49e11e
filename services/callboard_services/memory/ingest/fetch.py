"""Fetches a page of the web for somebody else. Effects; see `address` for whom it speaks to.

The host's name is resolved here, the addresses are looked at, and the connection goes to one of those, so that nothing
can be told to us and something else to the connection. Every redirect is looked at in the same way. No proxy of the
environment is used: it would resolve the name again.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from urllib.parse import urldefrag

import httpx
import msgspec

from callboard_contracts.errors import CallboardError
from callboard_services.memory.ingest.address import is_public

MAX_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 30.0
_CONNECT_S = 5.0
MOST_REDIRECTS = 5
_HEADERS = {"User-Agent": "callboard-memory", "Accept-Encoding": "identity"}
"""What is packed could become any size; so nothing is to be packed."""
_TIMEOUT = httpx.Timeout(TIMEOUT_S, connect=_CONNECT_S)
_PORTS = {"http": 80, "https": 443}


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched, and where it was in the end."""

    url: str
    content_type: str
    data: bytes


Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host's name."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system knows for a name.

    :raises OSError: none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def normal(url: str) -> str:
    """Return a URL in the one form by which its page is known: without its fragment, its host in lower case.

    :raises CallboardError: `invalid_request`, it is no http(s) URL, or carries a password.
    """
    try:
        parsed = httpx.URL(urldefrag(url.strip()).url)
    except (httpx.InvalidURL, ValueError) as error:
        raise CallboardError("invalid_request", f"{url[:200]!r} is no URL: {error}") from None
    if parsed.scheme not in _PORTS or not parsed.host:
        raise CallboardError("invalid_request", f"{url[:200]!r} is no http or https URL")
    if parsed.userinfo:
        raise CallboardError("invalid_request", "a URL may carry no user and password")
    return str(parsed)


async def fetch(url: str, *, allow_private: bool = False, resolve: Resolve = resolve) -> Page:
    """Return a page.

    :param allow_private: addresses that are not public may be spoken to as well.
    :raises CallboardError: `invalid_request`, `address_refused`, `file_too_large`, or `fetch_failed`.
    """
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(trust_env=False, verify=_trusted(), timeout=_TIMEOUT, headers=_HEADERS) as client,
        ):
            for _ in range(MOST_REDIRECTS + 1):
                found = await _once(client, normal(url), allow_private, resolve)
                if isinstance(found, Page):
                    return found
                url = found
    except TimeoutError:
        raise CallboardError("fetch_failed", f"{url[:200]} did not answer within {TIMEOUT_S:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        raise CallboardError("fetch_failed", f"{url[:200]}: {str(error) or type(error).__name__}") from None
    raise CallboardError("fetch_failed", f"{url[:200]}: more than {MOST_REDIRECTS} redirects")


@cache
def _trusted() -> ssl.SSLContext:
    """Return whom this machine trusts, certificates of its owner included."""
    return ssl.create_default_context()


async def _once(client: httpx.AsyncClient, url: str, allow_private: bool, resolve: Resolve) -> Page | str:
    """Ask once. Returns the page, or the URL that it is to be found at."""
    wanted = httpx.URL(url)
    answer = await _answered(client, wanted, await _addresses(wanted, allow_private, resolve))
    try:
        if answer.has_redirect_location:
            return str(wanted.join(answer.headers["location"]))
        return Page(url=url, content_type=answer.headers.get("content-type", ""), data=await _body(url, answer))
    finally:
        await answer.aclose()


async def _answered(client: httpx.AsyncClient, url: httpx.URL, addresses: Sequence[str]) -> httpx.Response:
    """Ask at the first address that takes a connection: a machine may have no way to some of them."""
    host, name = url.netloc.decode("ascii"), url.raw_host.decode("ascii")
    for left, address in enumerate(addresses, 1 - len(addresses)):
        request = client.build_request(
            "GET", url.copy_with(host=address), headers={"Host": host}, extensions={"sni_hostname": name}
        )
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if not left:
                raise
    raise CallboardError("fetch_failed", f"{url.host} has no address")


async def _addresses(url: httpx.URL, allow_private: bool, resolve: Resolve) -> Sequence[str]:
    """Return the addresses that may be connected to.

    :raises CallboardError: `address_refused`, one of those that the name stands for is not public.
    """
    addresses = await resolve(url.host, url.port or _PORTS[url.scheme])
    if not allow_private and (refused := [one for one in addresses if not is_public(one)]):
        raise CallboardError("address_refused", f"{url.host} is {refused[0]}, which is not on the public internet")
    return addresses


async def _body(url: str, answer: httpx.Response) -> bytes:
    if answer.status_code != 200:
        raise CallboardError("fetch_failed", f"{url[:200]} answered {answer.status_code}")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise CallboardError("fetch_failed", f"{url[:200]} is packed, which was not asked for")
    parts, size = list[bytes](), 0
    async for part in answer.aiter_raw():
        parts.append(part)
        size += len(part)
        if size > MAX_BYTES:
            raise CallboardError("file_too_large", f"{url[:200]} has more than {MAX_BYTES:,} bytes")
    return b"".join(parts)
