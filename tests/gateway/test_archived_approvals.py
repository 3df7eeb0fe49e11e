"""A request of a run that left the journal is shown as it was, and nobody can vote any more."""

from pathlib import Path
from typing import Any

from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import approval, ids
from callboard_contracts.policy import Rule
from tests.gateway.conftest import site_on
from tests.gateway.test_archived import left
from tests.gateway.test_events import ROOT
from tests.ledger.archive import SOON

REQUEST = ids.call_id(ROOT, 2, 9)


def _told(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a request, the run's latest steps aside: the journal alone has them."""
    return {name: value for name, value in answer.items() if name != "steps"}


async def test_an_archived_request_is_told_as_before_and_takes_no_vote(fresh_broker: str, tmp_path: Path) -> None:
    path = f"/v1/approvals/{REQUEST}"
    async with site_on(fresh_broker, tmp_path) as site:
        play = Play(BusSink(site.bus))
        rule = Rule(name="r", reason="much")
        asked = approval.Request(
            id=REQUEST, run=ROOT, tool="pay", version="1", rule=rule, digest="d", arguments={"amount": 80}
        )
        await play.record("approval", REQUEST, approval.Requested(request=asked, at_ms=1, expires_ms=9))
        voted = approval.Voted(id="v", vote="approve", principal="ann", digest="d", at_ms=2)
        ending = approval.Decided(outcome="approved", by=("ann",), digest="d", at_ms=2)
        await play.record("approval", REQUEST, voted, ending)
        await play.write(ROOT, rounds=1, costs=Costs(model=1))
        before = (await site.http.get(path)).json()
    async with site_on(fresh_broker, tmp_path, retention_s=SOON) as site:
        await left(site)
        answer = await site.http.get(path)
        assert _told(answer.json()) == _told(before)
        assert (before["status"], before["arguments"]) == ("approved", {"amount": 80})
        late = await site.http.post(f"{path}/votes", json={"decision": "deny"})
        assert (late.status_code, late.json()["code"]) == (409, "approval_decided")
        unknown = await site.http.get(f"/v1/approvals/{ROOT}-7-7")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_approval")
