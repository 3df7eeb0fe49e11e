"""Every fault of a provider is an error by name, or an answer; never a hang and never an exception of another kind."""

from contextlib import aclosing

import anyio
import pytest

from callboard.testing.openai_server import Behaviour, Body, Cut, Hang, OpenAIServer, Say, Stall, Status
from callboard_contracts import model
from callboard_services.models.errors import ProviderError
from callboard_services.models.openai import OpenAI
from callboard_services.models.provider import Prompt, Reply, Tokens
from tests.unit.models import kit

pytestmark = pytest.mark.anyio


async def told(*behaviours: Behaviour, prompt: Prompt | None = None, key: str = "", idle_s: float = 5.0) -> Reply:
    async with OpenAIServer(*behaviours) as server, aclosing(OpenAI(server.url, key, idle_s=idle_s)) as provider:
        return await provider.complete(prompt or kit.prompt(), lambda _: None)


async def refused(
    *behaviours: Behaviour, prompt: Prompt | None = None, key: str = "", idle_s: float = 5.0
) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await told(*behaviours, prompt=prompt, key=key, idle_s=idle_s)
    return caught.value


def facts(error: ProviderError) -> tuple[str, bool, bool]:
    return error.code, error.retryable, error.free


async def test_too_many_requests_is_free_and_says_how_long_to_wait() -> None:
    error = await refused(Status(429, headers={"retry-after": "7"}))
    assert facts(error) == ("rate_limited", True, True)
    assert error.retry_after_s == 7


async def test_the_wait_may_be_a_date_by_the_providers_own_clock() -> None:
    dates = {"date": "Wed, 21 Oct 2026 07:28:00 GMT", "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}
    assert (await refused(Status(429, headers=dates))).retry_after_s == 30


async def test_an_empty_account_is_not_asked_again() -> None:
    error = await refused(Status(429, '{"error": {"code": "insufficient_quota"}}'))
    assert facts(error) == ("rate_limited", False, True)


async def test_a_refused_connection_is_free() -> None:
    async with OpenAIServer() as server:
        url = server.url
    async with aclosing(OpenAI(url)) as provider:
        with pytest.raises(ProviderError) as caught:
            await provider.complete(kit.prompt(), lambda _: None)
    assert facts(caught.value) == ("provider_error", True, True)


async def test_a_server_error_may_have_cost() -> None:
    assert facts(await refused(Status(500))) == ("provider_error", True, False)


async def test_a_refused_key_is_never_shown() -> None:
    error = await refused(Status(401, '{"error": {"message": "bad key sk-secret"}}'), key="sk-secret")
    assert facts(error) == ("provider_auth", False, True)
    assert "sk-" not in str(error)


async def test_a_key_that_a_server_repeats_is_struck() -> None:
    error = await refused(Status(500, "failed for Bearer sk-secret"), key="sk-secret")
    assert "***" in error.message
    assert "sk-secret" not in error.message


async def test_an_unknown_model_is_told_from_a_wrong_address() -> None:
    unknown = await refused(Status(404, '{"error": {"message": "The model `fake` does not exist"}}'))
    assert facts(unknown) == ("unknown_model", False, True)
    assert facts(await refused(Status(404, "404 page not found"))) == ("provider_error", False, True)


async def test_a_prompt_that_is_too_long_is_an_overflow() -> None:
    body = '{"error": {"code": "context_length_exceeded", "message": "maximum context length is 8192 tokens"}}'
    assert facts(await refused(Status(400, body))) == ("context_overflow", False, True)


async def test_a_hang_ends_with_the_time_of_the_call() -> None:
    with anyio.fail_after(5):
        error = await refused(Hang(), prompt=kit.prompt(timeout_s=0.1))
    assert facts(error) == ("provider_timeout", True, False)


async def test_silence_within_an_answer_ends_it() -> None:
    with anyio.fail_after(5):
        error = await refused(Stall(), idle_s=0.1)
    assert facts(error) == ("provider_timeout", True, False)


async def test_slow_tokens_are_no_silence() -> None:
    reply = await told(Say(text="a b c d e f", pause_s=0.03), prompt=kit.prompt(kit.STRING), idle_s=1.0)
    assert reply.answer.output == "a b c d e f"


async def test_the_first_piece_may_take_longer_than_the_idle_time() -> None:
    reply = await told(Say(text="slow", pause_s=0.15), prompt=kit.prompt(kit.STRING), idle_s=0.1)
    assert reply.answer.output == "slow"


async def test_a_body_that_is_cut_off_is_malformed() -> None:
    assert facts(await refused(Cut())) == ("provider_malformed", True, False)


async def test_a_stream_that_ends_without_an_ending_is_malformed() -> None:
    body = 'data: {"choices": [{"delta": {"content": "half"}}]}\n\n'
    assert facts(await refused(Body(body, "text/event-stream"))) == ("provider_malformed", True, False)


@pytest.mark.parametrize(
    "body",
    [
        Body('{"choices": [{"mess'),
        Body("data: {nonsense}\n\n", "text/event-stream"),
        Body("<html><body>Sign in</body></html>", "text/html"),
        Body('{"choices": 7}'),
        Body("[1]"),
        Body(""),
    ],
)
async def test_an_answer_that_is_no_completion_is_malformed(body: Body) -> None:
    assert facts(await refused(body)) == ("provider_malformed", True, False)


@pytest.mark.parametrize("body", ['{"choices": []}', '{"choices": [], "usage": {"prompt_tokens": 9}}', "{}"])
async def test_an_answer_without_choices_is_empty(body: str) -> None:
    assert (await refused(Body(body))).code == "provider_empty"


async def test_an_answer_that_says_nothing_is_empty_and_tells_what_it_used() -> None:
    error = await refused(Say(text="", finish="length"))
    assert error.code == "provider_empty"
    assert error.tokens == Tokens(100, 10)


async def test_no_usage_is_not_made_up() -> None:
    assert (await told(Say(text="{}", usage=None))).tokens is None
    assert (await told(Say(text="{}", usage=(0, 0)))).tokens is None


async def test_usage_and_text_arrive_streamed_and_whole() -> None:
    for streams in (True, False):
        heard: list[str] = []
        behaviour = Say(text="The city is Turin", streams=streams)
        async with OpenAIServer(behaviour) as server, aclosing(OpenAI(server.url)) as provider:
            reply = await provider.complete(kit.prompt(kit.STRING), heard.append)
        assert reply.tokens == Tokens(100, 10)
        assert reply.answer == model.Answer(text="The city is Turin", finished=True, output="The city is Turin")
        assert "".join(heard) == "The city is Turin"


async def test_arguments_that_are_not_json_are_an_ask_that_is_invalid() -> None:
    reply = await told(Say(calls=(("files-read", "{'path': "), ("files-read", '{"path": "b"}'))))
    assert reply.answer.asks == (model.Ask(tool="files.read", invalid="{'path': "), kit.ask(path="b"))


async def test_a_tool_call_that_is_cut_off_is_invalid() -> None:
    for arguments in ('{"path": "a', ""):
        reply = await told(Say(calls=(("files-read", arguments),), finish="length"))
        assert reply.answer.asks[0].invalid


async def test_an_error_within_an_answer_is_the_providers() -> None:
    body = 'data: {"error": {"message": "overloaded"}}\n\n'
    assert facts(await refused(Body(body, "text/event-stream"))) == ("provider_error", True, False)


async def test_an_answer_of_200_may_name_the_status_it_should_have_had() -> None:
    assert facts(await refused(Body('{"error": {"message": "slow down", "code": 429}}'))) == (
        "rate_limited",
        True,
        True,
    )


async def test_a_parameter_that_a_server_refuses_is_left_out() -> None:
    no_options = Status(400, '{"error": {"message": "unknown field stream_options"}}')
    no_limit = Status(400, '{"error": {"message": "max_tokens is not supported, use max_completion_tokens"}}')
    async with OpenAIServer(no_options, no_limit, Say(text="{}")) as server, aclosing(OpenAI(server.url)) as provider:
        await provider.complete(kit.prompt(max_output_tokens=7), lambda _: None)
    last = server.requests[-1]
    assert "stream_options" not in last
    assert (last.get("max_tokens"), last["max_completion_tokens"]) == (None, 7)


async def test_a_model_without_tools_is_told_in_words_when_the_run_has_none() -> None:
    refusal = Status(400, '{"error": {"message": "fake does not support tools"}}')
    reply = await told(refusal, Say(text='{"city": "Turin"}'))
    assert reply.answer.output == {"city": "Turin"}
    error = await refused(refusal, Say(text="{}"), prompt=kit.prompt(tools=(kit.spec(),)))
    assert facts(error) == ("provider_error", False, True)


async def test_events_without_their_content_type_are_read() -> None:
    body = 'data: {"choices": [{"delta": {"content": "{}"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    assert (await told(Body(body, "text/plain"))).answer.output == {}


async def test_what_cancels_a_prompt_lets_go_of_it_at_once() -> None:
    async with OpenAIServer(Hang()) as server, aclosing(OpenAI(server.url)) as provider:
        with anyio.move_on_after(0.1) as scope:
            await provider.complete(kit.prompt(timeout_s=60), lambda _: None)
    assert scope.cancelled_caught


async def test_the_key_is_sent_only_as_a_bearer_token() -> None:
    async with OpenAIServer(Say(text="{}")) as server, aclosing(OpenAI(server.url, "sk-secret")) as provider:
        await provider.complete(kit.prompt(), lambda _: None)
    assert server.keys == ["Bearer sk-secret"]
    assert "sk-secret" not in str(server.requests)
