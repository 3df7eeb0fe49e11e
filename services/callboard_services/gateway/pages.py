"""Pages for people, each one file with its script and style inside, allowed by their hashes and nothing else."""

import base64
from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_FOLDER = Path(__file__).parent / "html"


async def index(_: Request) -> Response:
    """The runs."""
    return _page("index")


async def run(_: Request) -> Response:
    """One run, live."""
    return _page("run")


async def approvals(_: Request) -> Response:
    """The requests that wait for people."""
    return _page("approvals")


async def approval(_: Request) -> Response:
    """One request, and the decision."""
    return _page("approval")


@cache
def _page(name: str) -> Response:
    style = (_FOLDER / "style.css").read_text()
    script = "\n".join((_FOLDER / file).read_text() for file in ("common.js", f"{name}.js"))
    page = (_FOLDER / f"{name}.html").read_text()
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }
    body = page.replace("/*style*/", style).replace("/*script*/", script)
    return Response(body, 200, headers, "text/html; charset=utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(sha256(text.encode()).digest()).decode()
