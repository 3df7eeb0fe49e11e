"""One call of the tool `model`: what it asks, what it tries again, and what it charges."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callboard.bus import NoAnswer
from callboard.testing.openai_server import Behaviour, Body, Cut, Hang, OpenAIServer, Say, Status
from callboard_contracts import call, model
from callboard_services.models import complete, environment, known, prices
from callboard_services.models.catalogue import Catalogue
from callboard_services.models.complete import Deps, answer
from callboard_services.models.errors import ProviderError
from callboard_services.models.job import Job
from tests.unit.models import broken_local, kit
from tests.unit.models.kit import Story, ask

pytestmark = pytest.mark.anyio


class Clock:
    """Time that passes only while one sleeps."""

    def __init__(self) -> None:
        self.now, self.waits = 100.0, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


async def told(*behaviours: Behaviour, job: Job | None = None, clock: Clock | None = None, **table: Any) -> Any:
    clock = clock or Clock()
    async with OpenAIServer(*behaviours) as server:
        catalogue = kit.catalogue(server.url, table.get("table"))
        deps = Deps(catalogue=catalogue, clock=clock, sleep=clock.sleep)
        result = await answer(job or kit.job(Story()), deps)
        await catalogue.aclose()
    return msgspec.structs.replace(result, usage=msgspec.structs.replace(result.usage, duration_ms=0)), server


async def test_a_call_asks_with_the_whole_run_and_offers_its_tools() -> None:
    story = Story().said(model.Answer(asks=(ask(path="a"),))).returned("Turin").noted("hurry")
    result, server = await told(Say(calls=(("finish", '{"output": {"city": "Turin"}}'),)), job=kit.job(story))
    sent = server.requests[0]
    assert [one["role"] for one in sent["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert [one["function"]["name"] for one in sent["tools"]] == ["files-read", "finish", "give_up"]
    assert msgspec.convert(result.output, model.Answer).output == {"city": "Turin"}


def charged(result: call.Completed | call.Failed) -> call.Usage:
    """What a call used, without the digest of its prompt."""
    assert len(result.usage.prompt) == 16
    return msgspec.structs.replace(result.usage, prompt="")


async def test_tokens_are_charged_at_the_models_price() -> None:
    result, _ = await told(Say(text="{}", usage=(1000, 10)))
    price = (1_000_000, 2_000_000)
    usage = call.Usage(cost_micro_usd=1020, input_tokens=1000, output_tokens=10, model="openai/fake", price=price)
    assert charged(result) == usage


async def test_the_providers_own_cost_wins_over_the_price() -> None:
    usage = '{"prompt_tokens": 5, "completion_tokens": 1, "cost": 0.5}'
    result, _ = await told(Body(f'{{"choices": [{{"message": {{"content": "{{}}"}}}}], "usage": {usage}}}'))
    assert result.usage.cost_micro_usd == 500_000


async def test_usage_that_was_not_reported_is_charged_as_reserved() -> None:
    job = kit.job(Story(), prompt_tokens=700, max_output_tokens=50)
    result, _ = await told(Say(text="{}", usage=None), job=job)
    assert charged(result) == call.Usage(
        cost_micro_usd=800,
        input_tokens=700,
        output_tokens=50,
        estimated=True,
        model="openai/fake",
        price=(1_000_000, 2_000_000),
    )


async def test_a_model_without_a_price_is_unpriced_and_still_counted() -> None:
    result, _ = await told(Say(text="{}"), table={})
    assert charged(result) == call.Usage(input_tokens=100, output_tokens=10, unpriced=True, model="openai/fake")


async def test_too_many_requests_are_tried_again_as_late_as_the_provider_asked() -> None:
    clock = Clock()
    limited = Status(429, headers={"retry-after": "2"})
    result, server = await told(limited, limited, Say(text="{}"), job=kit.job(Story(), timeout_s=60), clock=clock)
    assert isinstance(result, call.Completed)
    assert len(server.requests) == 3
    assert all(2 <= wait <= 2.2 for wait in clock.waits)


async def test_a_wait_beyond_the_calls_time_is_not_begun() -> None:
    clock = Clock()
    job = kit.job(Story(), timeout_s=10)
    result, server = await told(Status(429, headers={"retry-after": "60"}), job=job, clock=clock)
    assert (result.code, result.retryable, result.usage) == ("rate_limited", True, call.Usage(model="openai/fake"))
    assert (len(server.requests), clock.waits) == (1, [])


async def test_a_provider_that_refuses_for_ever_ends_with_the_calls_time() -> None:
    clock = Clock()
    result, _ = await told(Status(429), job=kit.job(Story(), timeout_s=30), clock=clock)
    assert result.code == "rate_limited"
    assert 15 < sum(clock.waits) < 30


async def test_a_refused_connection_is_tried_again_and_costs_nothing() -> None:
    async with OpenAIServer() as server:
        gone = server.url
    clock = Clock()
    result = await answer(kit.job(Story()), Deps(catalogue=kit.catalogue(gone), clock=clock, sleep=clock.sleep))
    assert isinstance(result, call.Failed)
    assert (result.code, result.retryable) == ("provider_error", True)
    assert result.usage.cost_micro_usd == result.usage.input_tokens == 0
    assert len(clock.waits) > 1


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Status(500), "provider_error"),
        (Cut(), "provider_malformed"),
        (Body('{"choices": [{"mess'), "provider_malformed"),
        (Body("<html>", "text/html"), "provider_malformed"),
        (Body('{"choices": []}'), "provider_empty"),
    ],
)
async def test_what_may_have_cost_is_asked_once_and_charged_as_reserved(behaviour: Behaviour, code: str) -> None:
    job = kit.job(Story(), prompt_tokens=700, max_output_tokens=50)
    result, server = await told(behaviour, job=job)
    assert (result.code, result.retryable) == (code, True)
    assert (result.usage.cost_micro_usd, result.usage.estimated) == (800, True)
    assert len(server.requests) == 1


async def test_tool_arguments_that_are_not_json_are_an_answer_and_charged_as_counted() -> None:
    result, server = await told(Say(calls=(("files-read", "{'path': "),), usage=(1000, 10)))
    assert msgspec.convert(result.output, model.Answer).asks == (model.Ask(tool="files.read", invalid="{'path': "),)
    assert (result.usage.cost_micro_usd, result.usage.estimated, len(server.requests)) == (1020, False, 1)


async def test_a_call_that_is_delivered_again_asks_the_same_and_is_charged_as_one() -> None:
    job = kit.job(Story().said(model.Answer(asks=(ask(path="a"),))).returned("Turin"))
    told_twice = [await told(Say(text="{}", usage=(1000, 10)), job=job) for _ in range(2)]
    first, second = ((result, server.requests) for result, server in told_twice)
    assert first == second
    assert (first[0].usage.cost_micro_usd, first[0].usage.input_tokens, len(first[1])) == (1020, 1000, 1)


async def test_a_hang_ends_with_the_calls_time_and_is_charged() -> None:
    result, _ = await told(Hang(), job=kit.job(Story(), timeout_s=0.1))
    assert (result.code, result.usage.estimated) == ("provider_timeout", True)


async def test_a_bug_in_an_adapter_is_a_failure_that_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "LOCAL", broken_local.__name__)
    heard: list[str] = []
    choice = known.Choice(name="local/m", kind="local", target="m")
    result = await answer(kit.job(Story()), Deps(catalogue=Catalogue([choice], prices.Prices(), {}), emit=heard.append))
    assert isinstance(result, call.Failed)
    assert (result.code, result.retryable, result.usage.estimated) == ("internal", False, True)
    assert heard == ["m is asked for m"]


async def test_a_model_that_is_not_offered_here_costs_nothing() -> None:
    result, server = await told(Say(text="{}"), job=kit.job(Story(), model="openai/other"))
    assert (result.code, result.retryable, result.usage) == ("unknown_model", False, call.Usage())
    assert server.requests == []


async def test_records_that_are_not_a_runs_cost_nothing() -> None:
    job = msgspec.structs.replace(kit.job(Story()), history=())
    result, server = await told(Say(text="{}"), job=job)
    assert (result.code, server.requests) == ("internal", [])


async def test_a_grounded_goal_learns_which_values_were_invented() -> None:
    for grounded, pointers in ((True, ("/country",)), (False, ())):
        story = Story(kit.accepted(grounded=grounded))
        story.said(model.Answer(asks=(ask(path="a"),))).returned("They met in Turin.")
        said = Say(calls=(("finish", '{"output": {"city": "Turin", "country": "France"}}'),))
        result, _ = await told(said, job=kit.job(story))
        assert msgspec.convert(result.output, model.Answer).ungrounded == pointers


@pytest.mark.parametrize(("silent", "code"), [(2, ""), (1_000, "unavailable")])
async def test_results_that_cannot_be_read_just_now_cost_no_second_answer(silent: int, code: str) -> None:
    story = Story(kit.accepted(grounded=True)).said(model.Answer(asks=(ask(path="a"),))).returned("Turin")
    clock, left = Clock(), [silent]

    async def outputs() -> AsyncGenerator[Any, None]:
        left[0] -= 1
        if left[0] >= 0:
            raise NoAnswer("the broker is away")
        async for output in story.outputs():
            yield output

    job = msgspec.structs.replace(kit.job(story, timeout_s=30), outputs=outputs)
    result, server = await told(Say(text='{"city": "Turin"}', usage=(1000, 10)), job=job, clock=clock)
    assert (getattr(result, "code", ""), len(server.requests), result.usage.cost_micro_usd) == (code, 1, 1020)
    assert sum(clock.waits) <= 30


async def test_text_is_emitted_as_it_is_written() -> None:
    heard: list[str] = []
    async with OpenAIServer(Say(text="a b c")) as server:
        await answer(kit.job(Story()), Deps(catalogue=kit.catalogue(server.url), emit=heard.append))
    assert heard == ["a", " b", " c"]


def test_waits_grow_and_calls_that_failed_together_do_not_come_back_together() -> None:
    error = ProviderError("rate_limited", "", free=True)
    waits = [complete.wait_s(error, attempt, "x") for attempt in range(12)]
    assert 0.25 <= waits[0] <= 0.5
    assert all(10 <= wait <= 20 for wait in waits[6:])
    assert len({complete.wait_s(error, 3, f"call-{at}") for at in range(50)}) == 50


async def test_a_script_follows_the_run_and_not_the_process(tmp_path: Path) -> None:
    steps = [
        {"asks": [{"tool": "files.read", "arguments": {"path": "a"}}], "text": "Reading."},
        {"output": {"city": {"$result": -1, "at": "/city"}}, "tokens": {"input": 7, "output": 3}},
    ]
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"runs": [{"match": "Find the city", "steps": steps}]}))
    story = Story()
    for _ in range(2):  # asked again after a crash, it says the same
        result = await answer(kit.job(story), Deps(catalogue=kit.scripted(str(path))))
        assert msgspec.convert(_output(result), model.Answer) == model.Answer(text="Reading.", asks=(ask(path="a"),))
    story.said(model.Answer(asks=(ask(path="a"),))).returned({"city": "Turin"})
    result = await answer(kit.job(story), Deps(catalogue=kit.scripted(str(path))))
    assert msgspec.convert(_output(result), model.Answer).output == {"city": "Turin"}
    assert (result.usage.input_tokens, result.usage.cost_micro_usd, result.usage.unpriced) == (7, 0, False)


async def test_a_script_without_a_step_left_says_so(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_text('{"steps": [{"fail": {"code": "provider_error"}}]}')
    deps = Deps(catalogue=kit.scripted(str(path)))
    first = await answer(kit.job(Story()), deps)
    second = await answer(kit.job(Story().failed()), deps)
    assert isinstance(first, call.Failed)
    assert isinstance(second, call.Failed)
    assert (first.code, first.retryable, second.code) == ("provider_error", True, "script_exhausted")


def _output(result: call.Completed | call.Failed) -> Any:
    assert isinstance(result, call.Completed), result
    return result.output
