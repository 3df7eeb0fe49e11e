"""One notice to one webhook, as Standard Webhooks has it: what is sent, how it is signed, when it is tried again.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import asyncio
from datetime import UTC, datetime
from typing import Any, assert_never

import httpx
import msgspec

from callboard_contracts import notice
from callboard_contracts.units import dollars
from callboard_services.gateway.webhooks import Endpoint

TIMEOUT_S = 15.0
DELAYS_S = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""After each try that failed, how long until the next: the recommendation of Standard Webhooks, three days in all."""
_GONE = 410


class PostError(Exception):
    """A webhook did not take a notice.

    :param for_good: it will not take it later either. :param silent: it did not answer at all.
    """

    def __init__(self, reason: str, *, for_good: bool = False, silent: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good
        self.silent = silent


async def post(
    client: httpx.AsyncClient, endpoint: Endpoint, said: notice.Notice, url: str, timeout_s: float = TIMEOUT_S
) -> None:
    """Post a notice once. `url` is where people reach the gateway. No redirect is followed.

    :raises PostError: it was not taken.
    """
    body = payload(said, url)
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "callboard",
        "webhook-id": said.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": endpoint.signer.sign(said.id, now, body.decode()),
    }
    try:
        async with (
            asyncio.timeout(timeout_s),
            client.stream("POST", endpoint.url, content=body, headers=headers) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        raise PostError(f"no answer: {type(error).__name__}", silent=True) from None
    if not 200 <= status < 300:
        raise PostError(f"answered {status}", for_good=status == _GONE)


def kind(said: notice.Notice) -> str:
    """Return the type under which a notice is posted, as `approval.requested`."""
    match said:
        case notice.Approval():
            return f"approval.{said.stage}"
        case notice.Spend():
            return "spend.exceeded"
        case _:
            assert_never(said)


def payload(said: notice.Notice, url: str) -> bytes:
    """Return the body. `text` is a sentence for chat programs; `data` is the notice, with its link."""
    link = said.link or _link(said, url)
    data: dict[str, Any] = msgspec.to_builtins(said)
    del data["type"]
    at = datetime.fromtimestamp(said.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    whole = {"type": kind(said), "timestamp": at.replace("+00:00", "Z"), "text": f"{sentence(said)} {link}"}
    return msgspec.json.encode(whole | {"data": data | {"link": link}})


def _link(said: notice.Notice, url: str) -> str:
    match said:
        case notice.Approval():
            return f"{url}/approvals/{said.request}"
        case notice.Spend():
            return f"{url}/runs/{said.key}" if said.scope in ("run", "tree") else f"{url}/"
        case _:
            assert_never(said)


def sentence(said: notice.Notice) -> str:
    """Return what a person should know, in one sentence."""
    match said:
        case notice.Approval(stage="decided"):
            by = f" by {', '.join(said.by)}" if said.by else ""
            return f"{said.tool} for “{_brief(said.objective)}”: {said.outcome}{by}."
        case notice.Approval():
            return f"{_ASKED[said.stage]}: {said.tool} for “{_brief(said.objective)}”. {_brief(said.reason)}".strip()
        case notice.Spend():
            return f"{said.scope} {said.key} spent ${dollars(said.spent_micro_usd):.2f}: {said.reason}"
        case _:
            assert_never(said)


_ASKED = {
    "requested": "A decision is needed",
    "reminded": "A decision is still needed",
    "escalated": "A decision is needed, and was passed on",
}


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:119]}…"
