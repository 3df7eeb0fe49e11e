"""A run that left the journal is told over HTTP as it was before, and its id starts nothing new."""

from pathlib import Path
from typing import Any

import msgspec

from callboard.bus import reader
from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import goal, ids, names, subjects
from callboard_services.gateway.archive import Replay, is_archived
from callboard_services.gateway.house import House
from tests.gateway.conftest import Event, Site, site_on
from tests.gateway.test_events import CHILD, EVENTS, ROOT, STREAM, write_tree
from tests.ledger.archive import SOON, eventually

RUN = f"/v1/runs/{ROOT}"
OTHER = ids.ulid(1_767_225_600_000, b"other-----")


async def left(site: Site, run_id: str = ROOT) -> None:
    """Wait until a run's tree left the journal."""
    address = subjects.Address.of_run("default", run_id)
    inputs = f"cb.default.*.{address.partition}.{run_id}.*.in.>"

    async def purged() -> bool:
        stream = STREAM if run_id == ROOT else f"JOURNAL-{address.partition % 2}"
        return await reader.last(site.bus, stream, inputs) is None

    await eventually(purged)


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of a run, the flag of the archive aside."""
    children = [dict(child, archived=False) for child in answer["children"]]
    return dict(answer, archived=False, children=children)


async def before_and_after(fresh_broker: str, data: Path) -> tuple[list[Any], list[Any], list[Event]]:
    """Return what is told of root and sub-agent before and after they are archived, and what was told before."""
    paths = (RUN, f"/v1/runs/{CHILD}")
    async with site_on(fresh_broker, data) as site:
        await write_tree(site.bus)
        before = [(await site.http.get(path)).json() for path in paths]
        told = await site.events(EVENTS)
    async with site_on(fresh_broker, data, retention_s=SOON) as site:
        await left(site)
        after = [(await site.http.get(path)).json() for path in paths]
    return before, after, told


async def test_an_archived_run_is_told_as_before(fresh_broker: str, tmp_path: Path) -> None:
    before, after, _ = await before_and_after(fresh_broker, tmp_path)
    assert [shown(answer) for answer in after] == [shown(answer) for answer in before]
    assert before[0]["output"] == {"total": 128.5}
    assert [answer["archived"] for answer in (*before, *after)] == [False, False, True, True]


async def test_its_events_are_told_as_before_and_end(fresh_broker: str, tmp_path: Path) -> None:
    _, _, told = await before_and_after(fresh_broker, tmp_path)
    async with site_on(fresh_broker, tmp_path, retention_s=SOON) as site:
        assert await site.events(EVENTS) == told
        middle = len(told) // 2
        assert await site.events(EVENTS, last_event_id=told[middle].id) == told[middle + 1 :]
        assert (await site.http.get(EVENTS, headers={"last-event-id": told[-1].id})).status_code == 204
        of_child = await site.events(f"/v1/runs/{CHILD}/events")
        assert of_child == [event for event in told if event.data["run"] == CHILD][: len(of_child)]
        assert (of_child[0].kind, of_child[-1].kind) == ("accepted", "ended")
    outputs = [event for event in told if event.kind == "took" and "output" in event.data["events"][0]["results"][0]]
    assert len(outputs) > 5


async def test_results_that_were_read_long_before_are_asked_for_again(fresh_broker: str, tmp_path: Path) -> None:
    _, _, told = await before_and_after(fresh_broker, tmp_path)
    async with site_on(fresh_broker, tmp_path, retention_s=SOON) as site:
        house = House(site.bus, 2, "default", registry=None, keys=None, loopback=True)  # type: ignore[arg-type]
        assert await is_archived(house, CHILD)
        replay = Replay(house, CHILD)
        taken = [event.data["events"][0]["results"][0]["seq"] for event in told if event.kind == "took"]
        found = [await replay.get(seq) for seq in taken]
        assert [message.seq for message in found if message] == taken
        assert await replay.get(taken[-1] + 1_000_000) is None


async def test_of_two_ledgers_the_one_that_has_it_answers(fresh_broker: str, tmp_path: Path) -> None:
    _, _, told = await before_and_after(fresh_broker, tmp_path)
    async with site_on(fresh_broker, tmp_path, ledgers=2) as site:
        for _ in range(4):
            assert await site.events(EVENTS) == told


async def test_its_id_is_the_same_run_for_the_same_goal_and_a_conflict_for_another(
    fresh_broker: str, tmp_path: Path
) -> None:
    async with site_on(fresh_broker, tmp_path, retention_s=SOON) as site:
        body = {"id": OTHER, "objective": "Find the total."}
        first = await site.post(body)
        assert first.status_code == 202
        waiting = await reader.last(site.bus, "GOALS", f"cb.default.goal.{names.ADHOC}")
        assert waiting is not None
        published = msgspec.json.decode(waiting.body, type=goal.Submit)
        await Play(BusSink(site.bus)).write(OTHER, submit=published, costs=Costs())
        await left(site, OTHER)
        again = await site.post(body)
        assert (again.status_code, again.json()["run"]) == (202, OTHER)
        assert await site.goals() == 1
        other = await site.post(body | {"objective": "Something else."})
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        assert await site.goals() == 1


async def test_without_the_ledger_an_archived_run_is_not_told_in_part(fresh_broker: str, tmp_path: Path) -> None:
    await before_and_after(fresh_broker, tmp_path)
    async with site_on(fresh_broker, tmp_path, ledgers=0) as site:
        events = await site.http.get(EVENTS)
        assert (events.status_code, events.json()["code"]) == (503, "unavailable")
        again = await site.post({"id": ROOT, "objective": "x"})
        assert (again.status_code, again.json()["code"]) == (503, "unavailable")
        assert (await site.http.get(RUN)).json()["status"] == "completed"
