"""The doors of control: what is let in, what it becomes, and what is refused with which code."""

from typing import Any

import pytest

from callboard.bus import reader
from callboard.testing.records import BusSink, Play
from callboard.why import why
from callboard.why.gather import Edge, gather
from callboard_contracts import call, goal, guard, ids, journal, run, subjects, wire
from callboard_contracts.registry import Facts
from tests.gateway.conftest import Site

ROOT = ids.ulid(1_767_225_600_000, b"0123456789")
TOOL_CALL = ids.call_id(ROOT, 2, 0)
WORDS = guard.Cancel | guard.Pause | guard.Resume | guard.Steer


async def said(site: Site, name: str = ROOT) -> list[tuple[str, Any]]:
    """Return what was said to a tree: each word with its id."""
    where = str(subjects.Address.of_tree("default", name).at("in", "control"))
    stream = f"JOURNAL-{ids.partition(ids.tree_of(name)) % 2}"
    return [(word.id, wire.decode(word.body, WORDS)) async for word in reader.scan(site.bus, stream, where)]


async def live(site: Site) -> Play:
    """Begin a run that asks its model."""
    play = Play(BusSink(site.bus))
    await play.accept(ROOT)
    asked = call.Call(id=ids.call_id(ROOT, 1, 0), tool="model", arguments={"prompt_tokens": 50})
    await play.record("run", ROOT, run.Called(turn=1, at_ms=0, calls=(asked,)))
    return play


async def test_each_word_becomes_one_message_to_the_tree_with_an_id_of_its_own(site: Site) -> None:
    await live(site)
    bodies: dict[str, dict[str, Any]] = {
        "pause": {"reason": "lunch"},
        "resume": {},
        "steer": {"text": "Use metric units."},
        "cancel": {"reason": "enough"},
    }
    for verb, body in bodies.items():
        answer = await site.http.post(f"/v1/runs/{ROOT}/{verb}", json=body)
        assert (answer.status_code, answer.json()["run"], answer.json()["was"]) == (202, ROOT, "running")
    words = await said(site)
    assert [word for _, word in words] == [
        guard.Pause(run=ROOT, reason="lunch", principal="local"),
        guard.Resume(run=ROOT, principal="local"),
        guard.Steer(run=ROOT, text="Use metric units.", principal="local"),
        guard.Cancel(run=ROOT, reason="enough", principal="local"),
    ]
    assert [cause.rsplit(":", 1)[0] for cause, _ in words] == [f"{verb}:{ROOT}" for verb in bodies]
    assert all(len(cause.rsplit(":", 1)[1]) == 8 for cause, _ in words)


async def test_an_empty_body_is_enough_where_nothing_must_be_said(site: Site) -> None:
    await live(site)
    for verb in ("pause", "resume", "cancel"):
        assert (await site.http.post(f"/v1/runs/{ROOT}/{verb}")).status_code == 202
    assert (await site.http.post(f"/v1/runs/{ROOT}/steer")).json()["code"] == "invalid_request"


async def test_the_same_key_is_the_same_word_and_another_is_another(site: Site) -> None:
    await live(site)
    for key in ("one", "one", "two"):
        body = {"text": "Again?"}
        await site.http.post(f"/v1/runs/{ROOT}/steer", json=body, headers={"Idempotency-Key": key})
    first, again, other = [cause for cause, _ in await said(site)]
    assert first == again != other


@pytest.mark.parametrize(
    ("verb", "body", "code"),
    [
        ("steer", b'{"text": ""}', "invalid_request"),
        ("steer", b'{"text": "  \\n "}', "invalid_request"),
        ("steer", b'{"text": "%s"}' % (b"x" * 8001), "invalid_request"),
        ("steer", b'{"text": 7}', "invalid_request"),
        ("steer", b'{"text": "x", "to": "y"}', "invalid_request"),
        ("steer", b"{", "invalid_json"),
        ("pause", b'{"reasons": "x"}', "invalid_request"),
        ("pause", b'{"reason": "%s"}' % (b"x" * 1001), "invalid_request"),
        ("resume", b'{"reason": "x"}', "invalid_request"),
        ("cancel", b"[]", "invalid_request"),
        ("cancel", b'"%s"' % (b"x" * 70_000), "invalid_request"),
        ("retry", b'{"call": "x", "from_turn": 1}', "invalid_request"),
        ("retry", b'{"from_turn": -1}', "invalid_request"),
    ],
)
async def test_what_cannot_be_understood_is_refused_and_says_nothing(
    site: Site, verb: str, body: bytes, code: str
) -> None:
    await live(site)
    answer = await site.http.post(f"/v1/runs/{ROOT}/{verb}", content=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert await said(site) == []


async def test_the_longest_text_goes_through(site: Site) -> None:
    await live(site)
    assert (await site.http.post(f"/v1/runs/{ROOT}/steer", json={"text": "ü" * 8000})).status_code == 202


async def test_a_run_that_is_not_there_or_not_begun_or_over_says_so(site: Site) -> None:
    verbs: dict[str, dict[str, Any]] = {"pause": {}, "resume": {}, "steer": {"text": "x"}, "cancel": {}, "retry": {}}
    for verb, body in verbs.items():
        for name in (ROOT, "nonsense"):
            answer = await site.http.post(f"/v1/runs/{name}/{verb}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_run")
    queued = (await site.post({"objective": "wait"})).json()["run"]
    assert (await site.http.post(f"/v1/runs/{queued}/steer", json={"text": "x"})).json()["code"] == "not_started"
    assert (await site.http.post(f"/v1/runs/{queued}/retry")).json()["code"] == "not_ended"
    paused = await site.http.post(f"/v1/runs/{queued}/pause")
    assert (paused.status_code, paused.json()["was"], paused.json()["changed"]) == (202, "queued", True)
    await Play(BusSink(site.bus)).write(ROOT)
    for verb in ("pause", "resume", "steer"):
        answer = await site.http.post(f"/v1/runs/{ROOT}/{verb}", json=verbs[verb])
        assert (answer.status_code, answer.json()["code"]) == (409, "not_live")
    ended = (await site.http.post(f"/v1/runs/{ROOT}/cancel")).json()
    assert (ended["was"], ended["changed"]) == ("completed", False)
    assert await said(site) == []


async def test_a_word_that_changes_nothing_says_so(site: Site) -> None:
    play = await live(site)
    child = ids.call_id(ROOT, 4, 0)
    submit = goal.Submit(id=child, objective="x")
    accepted = run.Accepted(goal=submit, goal_digest="d", contract={}, model="m", parent=ROOT, deadline_ms=1)
    assert (await site.http.post(f"/v1/runs/{ROOT}/resume")).json()["changed"] is False
    await play.record("tree", ROOT, guard.Paused(id="w", run=ROOT, nth=1, principal="ada", open=(ROOT,)))
    assert (await site.http.post(f"/v1/runs/{ROOT}/pause")).json() | {"status_url": ""} == {
        "run": ROOT, "was": "paused", "changed": False, "status_url": "",
    }  # fmt: skip
    await play.record("run", child, accepted)
    await play.record("tree", child, guard.Opened(run=child, limits=goal.Limits(), parent=ROOT, paused=1))
    below = (await site.http.post(f"/v1/runs/{child}/resume")).json()
    assert (below["was"], below["changed"], below["paused_above"]) == ("paused", False, ROOT)
    await play.record("tree", ROOT, guard.Resumed(id="v", run=ROOT, nth=2))
    assert (await site.http.post(f"/v1/runs/{ROOT}/resume")).json()["changed"] is False
    await play.record("tree", ROOT, guard.Cancelled(run=ROOT))
    assert (await site.http.post(f"/v1/runs/{ROOT}/cancel")).json()["changed"] is False


async def test_a_pause_long_ago_is_found_behind_whatever_happened_since(site: Site) -> None:
    play = await live(site)
    await play.record("tree", ROOT, guard.Paused(id="w", run=ROOT, nth=1, open=(ROOT,)))
    await play.record("run", ROOT, run.Paused(at_ms=0, nth=1))
    for number in range(40):
        await play.record("tree", ROOT, guard.Steered(id=str(number), run=ROOT, text="x"))
    assert (await site.http.post(f"/v1/runs/{ROOT}/resume")).json()["changed"] is True
    assert (await site.http.get(f"/v1/runs/{ROOT}/why")).json()["status"] == "paused"


async def test_a_grant_behind_very_many_records_of_others_is_found(site: Site) -> None:
    play = await live(site)
    asked = call.Call(id=ids.call_id(ROOT, 1, 0), tool="model")
    await play.record("tree", ROOT, guard.Granted(call=asked, source=1, expires_ms=5))
    other = ids.call_id(ROOT, 8, 0)
    for number in range(30):
        await play.record("tree", other, guard.Steered(id=str(number), run=other, text="x"))
    edge = Edge(site.bus, 2, "default", most_back=10)
    (link,) = why(await gather(edge, ROOT, Facts()))
    assert (link.waiting_for, link.until_ms) == ("model", 5)


async def failing(site: Site, status: Any) -> Play:
    """Begin a run whose first tool call ended in a certain way, and whose second one has not answered."""
    play = await live(site)
    asked = tuple(call.Call(id=ids.call_id(ROOT, 2, index), tool="files.read") for index in (0, 1))
    model = run.Taken(call=ids.call_id(ROOT, 1, 0), tool="model", status="completed", seq=1)
    await play.record("run", ROOT, run.Took(results=(model,)), run.Called(turn=2, at_ms=0, calls=asked))
    taken = run.Taken(call=TOOL_CALL, tool="files.read", status=status, seq=1, code="not_found")
    await play.record("run", ROOT, run.Took(results=(taken,)))
    return play


@pytest.mark.parametrize("status", ["failed", "lost", "refused"])
async def test_a_failed_call_is_asked_for_again_by_the_record_that_made_it(site: Site, status: str) -> None:
    await failing(site, status)
    answer = await site.http.post(f"/v1/runs/{ROOT}/retry", json={"call": TOOL_CALL})
    assert answer.status_code == 202, answer.text
    where = subjects.Address.of_run("default", ROOT)
    stream = f"JOURNAL-{ids.partition(ROOT) % 2}"
    word = await reader.last(site.bus, stream, str(where.at("in", "signal")))
    asked = await reader.last(site.bus, stream, str(where.at("log", "called")))
    assert word is not None
    assert asked is not None
    assert wire.decode(word.body, run.Retry) == run.Retry(call=TOOL_CALL, source=asked.seq, principal="local")
    assert word.id.startswith(f"retry:{TOOL_CALL}:")


async def test_a_call_that_did_not_fail_is_not_made_again(site: Site) -> None:
    play = await failing(site, "completed")
    for name, code in (
        (TOOL_CALL, "not_failed"),
        (ids.call_id(ROOT, 2, 1), "not_failed"),
        (ids.call_id(ROOT, 1, 0), "invalid_request"),
        (ids.call_id(ROOT, 3, 0), "unknown_call"),
        (ids.call_id(ids.call_id(ROOT, 2, 0), 1, 0), "unknown_call"),
        ("nonsense", "unknown_call"),
    ):
        answer = await site.http.post(f"/v1/runs/{ROOT}/retry", json={"call": name})
        assert answer.json()["code"] == code, name
    await play.record("run", ROOT, run.Ended(status="failed", code="time_budget"))
    answer = await site.http.post(f"/v1/runs/{ROOT}/retry", json={"call": TOOL_CALL})
    assert answer.json()["code"] == "not_live"


async def test_a_run_without_a_good_turn_begins_anew_and_a_refused_one_cannot(site: Site) -> None:
    play = await failing(site, "lost")
    await play.record("run", ROOT, run.Ended(status="failed", code="time_budget"))
    answer = await site.http.post(f"/v1/runs/{ROOT}/retry")
    assert answer.status_code == 400, answer.text  # the played ending names no first record
    refused = ids.ulid(1_767_225_600_000, b"9876543210")
    await play.record("run", refused, run.Refused(code="no_model", message="none"))
    answer = await site.http.post(f"/v1/runs/{refused}/retry")
    assert (answer.json()["code"], "never began" in answer.json()["detail"]) == ("invalid_request", True)


async def test_a_run_that_left_the_journal_cannot_be_taken_up(site: Site) -> None:
    ended = journal.Record(causes=("x",), events=(run.Ended(status="failed", code="gave_up"),), genesis=4711)
    where = subjects.Address.of_run("default", ROOT).at("log", "ended")
    await site.bus.publish(str(where), wire.encode(ended), {wire.ID: "x", wire.TYPE: wire.type_of(journal.Record)})
    answer = await site.http.post(f"/v1/runs/{ROOT}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "archived")


async def test_why_of_a_run_is_told_without_a_planner_a_guard_or_an_executor(site: Site) -> None:
    await failing(site, "failed")
    told = (await site.http.get(f"/v1/runs/{ROOT}/why")).json()
    assert (told["run"], told["status"]) == (ROOT, "running")
    (link,) = told["chain"]
    assert set(link) == {
        "run", "waiting_for", "sentence", "detail", "since_ms", "until_ms", "tool", "call", "executors", "advice",
    }  # fmt: skip
    assert (link["waiting_for"], link["call"]) == ("guard", ids.call_id(ROOT, 2, 1))
    missing = await site.http.get(f"/v1/runs/{ids.ulid(1, b'0123456789')}/why")
    assert (missing.status_code, missing.json()["code"]) == (404, "unknown_run")


async def test_a_run_that_failed_tells_what_was_done_and_what_nobody_knows(site: Site) -> None:
    play = await failing(site, "completed")
    open_ = ids.call_id(ROOT, 2, 1)
    granted = guard.Granted(call=call.Call(id=open_, tool="files.read"), source=1, expires_ms=1)
    await play.record("run", ROOT, run.Ended(status="failed", code="time_budget", open=(open_,)))
    before = (await site.http.get(f"/v1/runs/{ROOT}")).json()["outcome"]
    assert [one["call"] for one in before["done"]] == [TOOL_CALL]
    assert [one["call"] for one in before["not_started"]] == [open_]
    await play.record("tree", ROOT, granted)
    await play.record("run", ROOT, run.Armed(at_ms=1))  # so that the ledger has to come this far
    after = (await site.http.get(f"/v1/runs/{ROOT}")).json()["outcome"]
    assert ([one["call"] for one in after["unknown"]], after["not_started"]) == ([open_], [])


async def test_a_start_timeout_is_taken_over_http(site: Site) -> None:
    posted = await site.post({"objective": "x", "limits": {"start_timeout_s": 1.5}})
    assert posted.status_code == 202, posted.text
    stored = await reader.last(site.bus, "GOALS", "cb.default.goal._")
    assert stored is not None
    assert wire.decode(stored.body, goal.Submit).limits.start_timeout_s == 1.5
    wrong = await site.post({"objective": "x", "limits": {"start_timeout_s": 0}})
    assert wrong.json()["code"] == "invalid_goal"
