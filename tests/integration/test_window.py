"""A run that outgrows its model's window, end to end: it goes on from a summary, and forgets neither goal nor deed."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from callboard.bus import Bus
from callboard.client import Client
from callboard.testing.openai_server import OpenAIServer, Reaction, Say, Status, Think
from callboard.tools import Tool, tool
from callboard.tools.executor import serving
from callboard_contracts import run
from callboard_contracts.errors import CallboardError
from callboard_contracts.goal import Limits, Submit
from callboard_services.models import summing, told, window
from tests.conftest import empty_broker
from tests.integration.stage import WHOLE, client_of
from tests.integration.system import System, Watched, free_port, new_id, running

pytestmark = pytest.mark.anyio

WINDOW = 9000
PAGES = 50
PAGE_BYTES = 5600
"""Fifty such pages are ten windows."""
LIMITS = Limits(max_turns=4 * PAGES, max_calls=4 * PAGES, max_tokens=10**9, timeout_s=600.0, budget_micro_usd=None)
OBJECTIVE = f"Read the pages 1 to {PAGES} of the ledger of Käthe O'Brien, each once, and put out every key; in order."
_DONE = re.compile(r'number"?[=:] ?(\d+)(?:…(\d+))?')
_KEY = re.compile(r"KEY-\d+-[a-f0-9]{6}")

reads: Counter[int] = Counter()
"""How often each page was read by the present test's runs."""
held: dict[int, asyncio.Event] = {}
"""Pages whose reading waits for a test."""
entered: dict[int, asyncio.Event] = {}


def key(number: int) -> str:
    """What is to be found on a page."""
    return f"KEY-{number}-{(number * 7_654_321) % 0xFFFFFF:06x}"


@tool(name="ledger.page")
async def page(number: int) -> str:
    """Return a page of the ledger."""
    reads[number] += 1
    if number in held:
        entered[number].set()
        await held[number].wait()
    return f"Page {number}. {key(number)}. " + f"line of page {number} " * (PAGE_BYTES // 15)


def text_of(body: dict[str, Any]) -> str:
    """All that the model is shown."""
    return json.dumps([one for one in body["messages"] if one["role"] != "system"], ensure_ascii=False)


class Forgetful:
    """A model that repeats any step which it cannot find in its prompt, and knows only the keys that it is shown.

    :param pages: how many it reads. :param gives_up: instead of reading this page it gives up, once.
    """

    def __init__(self, pages: int = PAGES, *, gives_up: int = 0, notes: Reaction | None = None) -> None:
        self.pages = pages
        self.gives_up = gives_up
        self.notes = notes
        self.prompts: list[str] = []
        self.goals_missing = self.summaries = self.longest = 0

    def answer(self, body: dict[str, Any]) -> Reaction:
        """Ask for the first page that the prompt does not tell of, or put out all keys that it shows."""
        shown = text_of(body).replace("\\\\", "\\").replace('\\"', '"')
        self.prompts.append(shown)
        self.longest = max(self.longest, sum(len(str(one["content"]).encode()) for one in body["messages"]))
        if body["messages"][0]["content"] == summing.RULES:
            self.summaries += 1
            assert "tools" not in body
            return self.notes or Say(text=" ".join(dict.fromkeys(_KEY.findall(shown))) or "nothing")
        self.goals_missing += body["messages"][1]["content"].split("\n\n")[0] != OBJECTIVE
        return self._step(shown)

    def _step(self, shown: str) -> Say:
        done = {number for first, last in _DONE.findall(shown) for number in range(int(first), int(last or first) + 1)}
        left = [number for number in range(1, self.pages + 1) if number not in done]
        if left and left[0] == self.gives_up:
            self.gives_up = 0
            return Say(calls=(("give_up", json.dumps({"reason": "enough"})),), usage=None)
        if left:
            return Say(calls=(("ledger-page", json.dumps({"number": left[0]})),), usage=None)
        keys = sorted(set(_KEY.findall(shown)), key=lambda one: int(one.split("-")[1]))
        return Say(calls=(("finish", json.dumps({"output": " ".join(keys)})),), usage=None)


class House:
    """The services with a model of a small window, and the ledger's pages."""

    def __init__(self, system: System, client: Client, think: Callable[[Forgetful], None]) -> None:
        self.system = system
        self.client = client
        self._think = think

    def thinks(self, mind: Forgetful) -> Forgetful:
        """Let the model be this one from now on."""
        self._think(mind)
        reads.clear()
        held.clear()
        return mind

    def hold(self, number: int) -> None:
        """Let the reading of a page wait."""
        held[number], entered[number] = asyncio.Event(), asyncio.Event()

    async def begin(self) -> str:
        """Start a run, and watch it."""
        goal = Submit(id=new_id(), objective=OBJECTIVE, limits=LIMITS)
        self.system.watch(goal.id)
        await self.system.publish(goal)
        return goal.id

    async def run(self, mind: Forgetful) -> Watched:
        """Start a run, and return it when it has ended."""
        self.thinks(mind)
        return await self.system.ended(await self.begin(), 90)

    async def window(self, name: str, turn: object, **query: str) -> dict[str, Any]:
        """Return what was in the window of a turn."""
        return await self.client.ask("GET", f"/v1/runs/{name}/turns/{turn}/context", query=query)


def _latest(minds: list[Forgetful]) -> Forgetful:
    return minds[-1]


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("window")
    minds = [Forgetful()]
    assert isinstance(page, Tool)
    with empty_broker(tmp_path_factory.mktemp("nats")) as url, pytest.MonkeyPatch.context() as env:
        async with OpenAIServer(Think(lambda body: _latest(minds).answer(body)), context_tokens=WINDOW) as server:
            env.setenv("OPENAI_BASE_URL", server.url)
            http = f"127.0.0.1:{free_port()}"
            async with (
                running(url, folder, services=WHOLE, model="openai/fake", http=http) as system,
                client_of(system) as client,
                await Bus.connect(url, name="pages") as bus,
                serving(bus, system.groups, [page]),
            ):
                await system.until_admitted("ledger.page")
                yield House(system, client, minds.append)


@pytest.fixture(scope="module")
async def long_run(house: House) -> tuple[Forgetful, Watched, Counter[int]]:
    """A run that saw ten times its window."""
    mind = Forgetful()
    watched = await house.run(mind)
    return mind, watched, Counter(reads)


def summaries(watched: Watched) -> list[run.Taken]:
    """The answers to the wish to be summed up."""
    return [one for took in watched.events(run.Took) for one in took.results if one.context_tokens]


def keys(pages: int) -> str:
    """What is to be put out."""
    return " ".join(key(number) for number in range(1, pages + 1))


async def test_ten_windows_of_observations_are_summed_up_and_no_completed_step_is_repeated(
    long_run: tuple[Forgetful, Watched, Counter[int]],
) -> None:
    mind, watched, read = long_run
    assert (watched.ended.status, watched.ended.output) == ("completed", keys(PAGES))
    assert read == Counter(dict.fromkeys(range(1, PAGES + 1), 1))
    assert watched.ended.turns == PAGES + 1
    assert len(summaries(watched)) == mind.summaries > 5
    assert {one.status for one in summaries(watched)} == {"completed"}


async def test_the_goal_stands_word_for_word_in_every_prompt_and_none_exceeds_the_window(
    long_run: tuple[Forgetful, Watched, Counter[int]],
) -> None:
    mind, *_ = long_run
    assert mind.goals_missing == 0
    assert all(OBJECTIVE in prompt for prompt in mind.prompts)
    assert mind.longest < 3 * WINDOW


async def test_the_window_of_every_turn_is_built_again_to_the_byte(
    house: House, long_run: tuple[Forgetful, Watched, Counter[int]]
) -> None:
    _, watched, _ = long_run
    asked = [one for called in watched.events(run.Called) for one in called.calls if one.tool == "model"]
    questions = [one for one in asked if not run.summarises(one)]
    for turn, made in enumerate(questions, 1):
        found = await house.window(watched.tree, turn)
        assert (found["turn"], found["call"], found["exact"]) == (turn, made.id, True)
        assert found["digest"] == found["recorded"]
        assert found["tokens"] <= found["window_tokens"] - found["answer_tokens"]
        kinds = [part["kind"] for part in found["parts"]]
        assert {"rules", "contract", "goal", "tools"} <= set(kinds)
        assert ("did" in kinds) == ("summary" in kinds) == ("summary" in found) == (found.get("summarised", 0) > 0)
        covered = found.get("summarised", 0) + sum(
            part.get("steps", 0) for part in found["parts"] if part["kind"] == "step"
        )
        assert covered == turn - 1


async def test_contents_are_told_only_when_they_are_asked_for(
    house: House, long_run: tuple[Forgetful, Watched, Counter[int]]
) -> None:
    mind, watched, _ = long_run
    bare = await house.window(watched.tree, 20)
    whole = await house.window(watched.tree, 20, contents="true")
    assert not any("messages" in part for part in bare["parts"])
    said = [message for part in whole["parts"] for message in part.get("messages", [])]
    told_of_done = next(one["content"] for one in said if one["content"].startswith(window.SUMMED_UP))
    assert "ledger.page, completed" in told_of_done
    assert any(told_of_done.splitlines()[1] in prompt for prompt in mind.prompts)
    assert [dict(part, messages=[]) for part in whole["parts"]] == [dict(part, messages=[]) for part in bare["parts"]]


@pytest.mark.parametrize("turn", [0, PAGES + 2, 10**8, "abc", "-1", "1.5", 10**30])
async def test_a_turn_that_never_was_is_told_as_such(
    house: House, long_run: tuple[Forgetful, Watched, Counter[int]], turn: object
) -> None:
    with pytest.raises(CallboardError) as caught:
        await house.window(long_run[1].tree, turn)
    assert caught.value.code == "unknown_turn"


async def test_a_run_that_never_was_has_no_window(house: House) -> None:
    for name in (new_id(), "nonsense"):
        with pytest.raises(CallboardError) as caught:
            await house.window(name, 1)
        assert caught.value.code == "unknown_run"


async def test_the_window_of_a_question_that_is_being_asked_has_no_recorded_digest(house: House) -> None:
    house.thinks(Forgetful(1))
    house.hold(1)
    name = await house.begin()
    await asyncio.wait_for(entered[1].wait(), 20)
    with pytest.raises(CallboardError) as caught:
        await house.window(name, 2)
    assert caught.value.code == "unknown_turn"
    assert (await house.window(name, 1))["exact"]
    held[1].set()
    await house.system.ended(name)


async def test_a_run_that_cannot_be_summed_up_goes_on_with_its_oldest_results_elided(house: House) -> None:
    class Counting(Forgetful):
        def _step(self, shown: str) -> Say:  # noqa: ARG002 - it remembers by itself
            done = len(reads) if len(reads) < self.pages else 0
            left = () if not done and reads else (("ledger-page", json.dumps({"number": done + 1})),)
            return Say(calls=left or (("finish", json.dumps({"output": "done"})),), usage=None)

    watched = await house.run(Counting(12, notes=Status(500)))
    assert (watched.ended.status, watched.ended.output) == ("completed", "done")
    assert {one.status for one in summaries(watched)} == {"failed"}
    assert len(summaries(watched)) <= 2
    last = await house.window(watched.tree, watched.ended.turns)
    assert {"elided"} <= {part.get("state", "kept") for part in last["parts"]}
    assert last["exact"]


async def test_what_a_person_said_stays_word_for_word_when_its_step_is_summed_up(house: House) -> None:
    words = 'Ärgere dich nicht: leave out nothing, and say "done" at the end.'
    mind = house.thinks(Forgetful(16))
    house.hold(2)
    name = await house.begin()
    await asyncio.wait_for(entered[2].wait(), 20)
    await house.client.steer(name, words)
    held[2].set()
    watched = await house.system.ended(name, 60)
    assert watched.ended.output == keys(16)
    last = await house.window(name, watched.ended.turns, contents="true")
    said = [part for part in last["parts"] if part["kind"] == "said"]
    assert [part["sources"] for part in said] == [[last["summary"]]]
    assert said[0]["messages"][0]["content"] == told.PERSON + words
    assert words in mind.prompts[-1]


async def test_an_ended_run_that_was_summed_up_is_taken_up_and_repeats_nothing(house: House) -> None:
    mind = house.thinks(Forgetful(30, gives_up=18))
    first = await house.system.ended(await house.begin(), 60)
    assert first.ended.status == "unachievable"
    again = await house.client.retry(first.tree)
    ended = await house.system.settled(again.run, 60)
    assert (ended.status, ended.output) == ("completed", keys(30))
    assert reads == Counter(dict.fromkeys(range(1, 31), 1))
    assert mind.goals_missing == 0
    window_ = await house.window(again.run, 1)
    assert window_["summarised"] > 10
    assert window_["exact"]


async def test_a_run_that_is_paused_and_resumed_goes_on_from_its_summary(house: House) -> None:
    house.thinks(Forgetful(14))
    house.hold(9)
    name = await house.begin()
    await asyncio.wait_for(entered[9].wait(), 30)
    await house.client.pause(name)
    held[9].set()
    await house.client.resume(name)
    watched = await house.system.ended(name, 60)
    assert watched.ended.output == keys(14)
    assert reads == Counter(dict.fromkeys(range(1, 15), 1))
