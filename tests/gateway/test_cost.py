"""What was spent, over HTTP: by everything, exactly, and with what is not to be believed of it."""

import csv
import io
from functools import partial
from typing import Any

from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import call, goal, guard, ids, names, run
from tests.gateway.conftest import Site

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
OTHER = ids.ulid(1_767_225_700_000, b"0123456789")
FAILED = ids.ulid(1_767_225_800_000, b"0123456789")
CHILD = ids.call_id(ROOT, 2, 0)
TOTAL = 2 * 107 + 13 + 4 * 50 + 2 * 900


async def write(site: Site) -> None:
    """Write three trees: one with a sub-agent, one of another user, and one that failed."""
    play = Play(BusSink(site.bus))
    submitted = goal.Submit(id=ROOT, objective="Find it.", labels={"team": "x"}, principal="ada")
    await play.write(CHILD, rounds=1, costs=Costs(model=10, tool=3), skill="helper")
    await play.write(ROOT, rounds=2, costs=Costs(model=100, tool=7), submit=submitted, skill="totals")
    other = goal.Submit(id=OTHER, objective="Find more.", labels={"team": "y"}, principal="bob")
    await play.write(OTHER, rounds=4, costs=Costs(model=50), submit=other, skill="totals")
    failed = goal.Submit(id=FAILED, objective="Find nothing.", principal="ada")
    await play.write(FAILED, rounds=2, costs=Costs(model=900), submit=failed, status="failed")


async def ask(site: Site, **query: Any) -> dict[str, Any]:
    """Ask, once everything is folded."""
    answer = await site.http.get("/v1/cost", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["behind"] is False
    return found


async def test_costs_by_user_skill_and_agent_are_what_the_runs_themselves_tell(site: Site) -> None:
    await write(site)
    told = {name: (await site.http.get(f"/v1/runs/{name}")).json() for name in (ROOT, OTHER, FAILED, CHILD)}
    trees = {name: told[name]["tree_totals"]["cost_micro_usd"] for name in (ROOT, OTHER, FAILED)}
    assert trees == {ROOT: 227, OTHER: 200, FAILED: 1800}
    by_user = await ask(site, by="user")
    assert [(row["user"], row["cost_micro_usd"]) for row in by_user["rows"]] == [("ada", 2027), ("bob", 200)]
    by_skill = await ask(site, by="skill")
    assert {row["skill"]: row["cost_micro_usd"] for row in by_skill["rows"]} == {"": 1800, "totals": 414, "helper": 13}
    by_agent = await ask(site, by="agent", tree=ROOT)
    agents = [(row["agent"], row["cost_micro_usd"]) for row in by_agent["rows"]]
    assert agents == [({"skill": "totals", "depth": 0}, 214), ({"skill": "helper", "depth": 1}, 13)]
    by_run = {row["run"]: row["cost_micro_usd"] for row in (await ask(site, by="run"))["rows"]}
    assert by_run == {name: one["totals"]["cost_micro_usd"] for name, one in told.items()}
    assert by_user["totals"]["cost_micro_usd"] == by_skill["totals"]["cost_micro_usd"] == sum(trees.values()) == TOTAL


async def test_what_failed_is_metered_and_billed_nothing(site: Site) -> None:
    await write(site)
    rows = (await ask(site, by="status"))["rows"]
    sums = {row["status"]: (row["cost_micro_usd"], row["billed_micro_usd"], row["billed_usd"]) for row in rows}
    assert sums == {"failed": (1800, 0, 0.0), "completed": (427, 427, 0.000427)}
    one = (await ask(site, by="tree", tree=FAILED))["rows"][0]
    assert (one["cost_micro_usd"], one["billed_micro_usd"]) == (1800, 0)


async def test_every_call_of_a_run_is_told_with_its_model_tokens_and_price_and_they_add_up(site: Site) -> None:
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    usage = call.Usage(cost_micro_usd=354, input_tokens=310, output_tokens=22, model="m", price=(1_000_000, 2_000_000))
    taken = await play.call(ROOT, 1, names.MODEL, partial(completed, usage), Costs(reserved=500))
    await play.record("run", ROOT, run.Took(results=(taken,)))
    await play.end(ROOT, "completed", "x", 354, [(taken.call, 354, 332)])
    told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
    (one,) = told["breakdown"]
    assert (one["model"], one["input_tokens"], one["output_tokens"]) == ("m", 310, 22)
    assert one["price"] == [1_000_000, 2_000_000]
    assert one["cost_micro_usd"] == told["totals"]["cost_micro_usd"] == 310 * 1 + 22 * 2
    (price,) = (await site.http.get("/v1/cost/prices")).json()["prices"]
    assert (price["model"], price["input_usd"], price["output_usd"]) == ("m", 1.0, 2.0)


def completed(usage: call.Usage, name: str) -> call.Completed:
    return call.Completed(call=name, usage=usage)


async def test_what_has_no_price_is_counted_and_what_told_no_usage_is_marked(site: Site) -> None:
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    usages = (
        call.Usage(input_tokens=40, output_tokens=2, unpriced=True, model="m"),
        call.Usage(cost_micro_usd=500, input_tokens=90, estimated=True, model="n"),
    )
    for turn, usage in enumerate(usages, 1):
        taken = await play.call(ROOT, turn, names.MODEL, partial(completed, usage), Costs())
        await play.record("run", ROOT, run.Took(results=(taken,)))
    silent = call.Call(id=ids.call_id(ROOT, 3, 0), tool="files.read")
    await play.record("run", ROOT, run.Called(turn=3, at_ms=1, calls=(silent,)))
    await play.record("tree", ROOT, guard.Granted(call=silent, source=1, expires_ms=2, reserved_micro_usd=700))
    await play.end(ROOT, "failed", None, 0, [], unanswered=(silent.id,))
    rows = {row["model"]: row for row in (await ask(site, by="model"))["rows"]}
    asked = ("unpriced_calls", "unpriced_tokens", "estimated_calls", "estimated_micro_usd")
    marks = {name: tuple(row[what] for what in asked) for name, row in rows.items()}
    assert marks == {"m": (1, 42, 0, 0), "n": (0, 0, 1, 500), "": (0, 0, 1, 700)}
    told = (await site.http.get(f"/v1/runs/{ROOT}")).json()
    assert (told["totals"]["unpriced"], told["totals"]["estimated"]) == (True, True)
    assert [one["estimated"] for one in told["breakdown"]] == [False, True, False]


async def test_as_csv_there_is_every_row_in_whole_micro_dollars(site: Site) -> None:
    await write(site)
    answer = await site.http.get("/v1/cost", params={"by": "agent,tool"}, headers={"accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(int(row["cost_micro_usd"]) for row in rows) == TOTAL
    assert ("totals", "0", "model", "400") in [
        (row["agent_skill"], row["agent_depth"], row["tool"], row["cost_micro_usd"]) for row in rows
    ]
    none = await site.http.get("/v1/cost", params={"by": "day", "user": "nobody", "format": "csv"})
    assert none.text.splitlines() == [answer.text.splitlines()[0].replace("agent_skill,agent_depth,tool", "day")]


async def test_pages_in_the_order_of_keys_hold_everything_once(site: Site) -> None:
    await write(site)
    seen: list[str] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = await ask(site, by="run", order="key", limit=1, after=page["next"])
        seen += [row["run"] for row in page["rows"]]
    assert seen == sorted([ROOT, CHILD, OTHER, FAILED])


WRONG = (
    ("/v1/cost?by=bogus", "by: 'bogus'"),
    ("/v1/cost?by=call", "by:"),
    ("/v1/cost?since=soon", "since 'soon'"),
    ("/v1/cost?since=2026-02-02&until=2026-02-01", "until:"),
    ("/v1/cost?limit=0", "limit"),
    ("/v1/cost?order=size", "order"),
    ("/v1/cost?run=x", "run="),
    (f"/v1/cost?tree={CHILD}", "tree="),
    ("/v1/cost?after=%25%25&order=key&by=run", "after="),
    ("/v1/cost?after=WyJ4Il0&by=run", "after:"),
    ("/v1/cost?skil=x", "skil"),
    ("/v1/cost?format=xml", "format"),
    ("/v1/cost?by=bogus&format=csv", "by: 'bogus'"),
    ("/v1/runs?status=done", "status"),
    ("/v1/runs?min_cost=-1", "min_cost"),
    ("/v1/runs?max_cost=x", "max_cost"),
    ("/v1/runs?until=x", "until 'x'"),
)


async def test_a_parameter_that_cannot_be_meant_is_named(site: Site) -> None:
    for path, named in WRONG:
        answer = await site.http.get(path)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), path
        assert named in answer.json()["detail"], path


async def test_costs_of_a_run_that_nobody_knows_are_no_empty_sum(site: Site) -> None:
    answer = await site.http.get("/v1/cost", params={"run": ROOT})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_run")


async def test_history_is_found_by_user_status_label_time_and_cost(site: Site) -> None:
    await write(site)
    await ask(site)  # all of it is folded

    async def found(**query: Any) -> list[str]:
        answer = await site.http.get("/v1/runs", params=query)
        assert answer.status_code == 200, answer.text
        return [row["run"] for row in answer.json()["runs"]]

    assert await found() == [FAILED, OTHER, ROOT]
    assert await found(user="ada") == [FAILED, ROOT]
    assert await found(user="ada", status="completed") == [ROOT]
    assert await found(skill="totals", label=["team", "team:y"]) == [OTHER]
    assert await found(min_cost="0.000227") == [FAILED, ROOT]
    assert await found(min_cost="0.0002", max_cost="0.001") == [OTHER, ROOT]
    assert await found(since="1h", before=FAILED) == [OTHER, ROOT]
    assert await found(until="1h") == []
