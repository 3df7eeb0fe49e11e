"""The public doors over the real system: HTTP in, events out, a provider that speaks the usual protocol behind it."""

import json
import random
from collections.abc import AsyncIterator

import httpx
import pytest

from callboard.client import Client, Event, Goal
from callboard.testing.openai_server import OpenAIServer, Say
from callboard_services.gateway.serve import serve as gateway
from callboard_services.ledger.serve import serve as ledger
from tests.conftest import empty_broker
from tests.integration.system import CORE, System, free_port, running

pytestmark = pytest.mark.anyio

CALC = ("calc", '{"expression": "6*7"}')
THREE_ROUNDS = (
    Say(text="First.", calls=(CALC, CALC)),
    Say(calls=(CALC, CALC)),
    Say(calls=(("finish", '{"output": 42}'),)),
)


@pytest.fixture
async def provider(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(*THREE_ROUNDS) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-canary")
        yield server


@pytest.fixture
async def url(tmp_path_factory: pytest.TempPathFactory, provider: OpenAIServer) -> AsyncIterator[str]:
    assert provider.url
    http = f"127.0.0.1:{free_port()}"
    services = CORE | {"ledger": ledger, "gateway": gateway}
    with empty_broker(tmp_path_factory.mktemp("nats")) as broker:
        data = tmp_path_factory.mktemp("data")
        async with running(broker, data, services=services, model="openai/fake", http=http) as system:
            assert isinstance(system, System)
            yield f"http://{http}"


async def test_three_rounds_through_a_provider_end_with_the_answer_and_resume_anywhere_without_loss(
    url: str, provider: OpenAIServer
) -> None:
    async with Client(url) as client:
        taken = await client.submit(Goal(objective="compute", contract={"type": "integer"}))
        whole = [event async for event in client.events(taken.run)]
        ended = await client.get(taken.run)
        assert (ended.status, ended.output, ended.turns) == ("completed", 42, 3)
        assert [event.id for event in whole] == sorted(event.id for event in whole)
        dice = random.Random(7)  # noqa: S311 - the same places in every run
        for _ in range(20):
            cut = dice.randrange(len(whole))
            again = [event async for event in client.events(taken.run, after=whole[cut].id)]
            assert _plain(again) == _plain(whole[cut + 1 :])
    assert len(provider.requests) == 3
    assert provider.keys == ["Bearer sk-test-canary"] * 3
    assert "sk-test-canary" not in json.dumps(_plain(whole))


async def test_a_run_that_is_cancelled_ends_and_says_who_did_it(url: str, provider: OpenAIServer) -> None:
    provider.behaviours = [Say(text="slow", pause_s=5)]
    async with Client(url) as client:
        taken = await client.submit(Goal(objective="never ending"))
        kinds = []
        async for event in client.events(taken.run):
            kinds.append(event.kind)
            if event.kind == "call.model":
                await client.cancel(taken.run, reason="enough")
        ended = await client.get(taken.run)
    told = [kind for kind in kinds if kind != "took"]  # the model, which is told too, may answer before the run ends
    assert told == ["called", "call.model", "cancelled", "ended"]
    assert (ended.status, ended.code, ended.reason) == ("cancelled", "cancelled", "enough")


async def test_the_same_key_twice_is_one_run_and_nothing_is_said_before_it_is_stored(url: str) -> None:
    async with httpx.AsyncClient(base_url=url) as http:
        posts = [
            await http.post("/v1/goals", json={"objective": "once"}, headers={"Idempotency-Key": "k"}) for _ in range(3)
        ]
        other = await http.post("/v1/goals", json={"objective": "other"}, headers={"Idempotency-Key": "k"})
    assert [post.status_code for post in posts] == [202, 202, 202]
    assert len({post.json()["run"] for post in posts}) == 1
    assert (other.status_code, other.json()["code"]) == (409, "conflict")


def _plain(events: list[Event]) -> list[tuple[int, str, str]]:
    return [(event.id, event.kind, json.dumps(event.data, sort_keys=True)) for event in events]
