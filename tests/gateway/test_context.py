"""The window of a turn over HTTP, where it cannot be shown: each time it is told why."""

from pathlib import Path

from callboard_contracts import goal, ids, subjects, wire
from tests.gateway.conftest import Site, site_on
from tests.gateway.test_archived import left
from tests.gateway.test_events import ROOT, write_tree
from tests.ledger.archive import SOON

WINDOW = f"/v1/runs/{ROOT}/turns/1/context"


async def told(site: Site, path: str) -> tuple[int, str]:
    """Return the status and the code of a refusal."""
    answer = await site.http.get(path)
    return answer.status_code, answer.json()["code"]


async def test_without_a_models_service_a_window_is_unavailable_and_wrong_questions_are_told(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with site_on(fresh_broker, tmp_path) as site:
        await write_tree(site.bus)
        assert await told(site, WINDOW) == (503, "unavailable")
        assert "models service" in (await site.http.get(WINDOW)).json()["detail"]
        assert await told(site, f"{WINDOW}?contents=perhaps") == (400, "invalid_request")
        assert await told(site, f"{WINDOW}?everything=1") == (400, "invalid_request")
        assert await told(site, WINDOW.replace("turns/1/", "turns/0/")) == (404, "unknown_turn")
        assert await told(site, WINDOW.replace(ROOT, "nonsense")) == (404, "unknown_run")


async def test_a_goal_that_waits_has_no_window_yet(fresh_broker: str, tmp_path: Path) -> None:
    waiting = ids.ulid(1_790_000_000_000, b"waiting---")
    async with site_on(fresh_broker, tmp_path) as site:
        submit = wire.encode(goal.Submit(id=waiting, objective="wait"))
        await site.bus.publish(str(subjects.Goal("default")), submit, {wire.ID: waiting})
        assert await told(site, f"/v1/runs/{waiting}/turns/1/context") == (409, "not_started")


async def test_an_archived_run_has_no_window_any_more(fresh_broker: str, tmp_path: Path) -> None:
    async with site_on(fresh_broker, tmp_path) as site:
        await write_tree(site.bus)
    async with site_on(fresh_broker, tmp_path, retention_s=SOON) as site:
        await left(site)
        assert await told(site, WINDOW) == (409, "archived")
