"""litellm for real, against a fake server: the same answers and the same errors as our own adapter's."""

from typing import Any

import anyio
import pytest

from callboard.testing.openai_server import Behaviour, Body, Cut, Hang, OpenAIServer, Say, Status
from callboard_contracts import model
from callboard_services.models.errors import ProviderError
from callboard_services.models.litellm_provider import LiteLLM
from callboard_services.models.provider import Reply, Tokens
from tests.unit.models import kit

# What litellm and pydantic warn each other of is not ours to mend.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(autouse=True, scope="module")
def _installed() -> None:
    pytest.importorskip("litellm", reason="needs the extra `litellm`", exc_type=ImportError)


async def told(*behaviours: Behaviour, timeout_s: float = 30.0, **more: Any) -> tuple[Reply, OpenAIServer, list[str]]:
    heard: list[str] = []
    prompt = kit.prompt(kit.STRING, timeout_s, tools=(kit.spec(),))
    async with OpenAIServer(*behaviours) as server:
        provider = LiteLLM(api_base=server.url, api_key="sk-test", custom_llm_provider="openai", **more)
        reply = await provider.complete(prompt, heard.append)
    return reply, server, heard


async def test_text_and_usage_arrive() -> None:
    reply, _, heard = await told(Say(text="The city is Turin"))
    assert reply.answer.output == "".join(heard) == "The city is Turin"
    assert reply.tokens == Tokens(100, 10)


async def test_tool_calls_arrive_and_tools_are_offered() -> None:
    reply, server, _ = await told(Say(calls=(("files-read", '{"path": "a"}'), ("files-read", "{bad"))))
    assert reply.answer.asks == (kit.ask(path="a"), model.Ask(tool="files.read", invalid="{bad"))
    assert [one["function"]["name"] for one in server.requests[0]["tools"]] == ["files-read", "finish", "give_up"]


@pytest.mark.parametrize(
    ("behaviour", "facts"),
    [
        (Status(429, headers={"retry-after": "7"}), ("rate_limited", True, True, 7)),
        (Status(401), ("provider_auth", False, True, 0)),
        (Status(500), ("provider_error", True, False, 0)),
        (Status(404, '{"error": {"message": "no such model", "code": "x"}}'), ("unknown_model", False, True, 0)),
        (
            Status(400, '{"error": {"message": "maximum context length", "code": "context_length_exceeded"}}'),
            ("context_overflow", False, True, 0),
        ),
    ],
)
async def test_errors_have_the_codes_of_our_own_adapter_and_are_not_tried_again(behaviour: Status, facts: Any) -> None:
    async with OpenAIServer(behaviour) as server:
        provider = LiteLLM(api_base=server.url, api_key="sk-test", custom_llm_provider="openai")
        with pytest.raises(ProviderError) as caught:
            await provider.complete(kit.prompt(timeout_s=30), lambda _: None)
    error = caught.value
    assert (error.code, error.retryable, error.free, error.retry_after_s) == facts
    assert len(server.requests) == 1


@pytest.mark.parametrize("behaviour", [Cut(), Body("<html>", "text/html"), Body('{"choices": []}'), Body("{bad")])
async def test_an_answer_that_cannot_be_read_is_an_error_that_may_have_cost(behaviour: Behaviour) -> None:
    with pytest.raises(ProviderError) as caught:
        await told(behaviour)
    assert caught.value.code in ("provider_malformed", "provider_empty", "provider_error")
    assert not caught.value.free


async def test_a_refused_connection_is_free() -> None:
    provider = LiteLLM(api_base="http://127.0.0.1:9/v1", api_key="sk-test", custom_llm_provider="openai")
    with pytest.raises(ProviderError) as caught:
        await provider.complete(kit.prompt(timeout_s=30), lambda _: None)
    assert (caught.value.code, caught.value.free, caught.value.retryable) == ("provider_error", True, True)


async def test_a_hang_ends_with_the_time_of_the_call() -> None:
    await told(Say(text="warm"))  # imported, so that the time is the answer's
    with anyio.fail_after(10), pytest.raises(ProviderError) as caught:
        await told(Hang(), timeout_s=0.2)
    assert (caught.value.code, caught.value.free) == ("provider_timeout", False)


async def test_its_own_mock_is_read_like_any_answer() -> None:
    reply, server, _ = await told(Say(), mock_response="from the mock")
    assert reply.answer.output == "from the mock"
    assert server.requests == []
