"""The handler of `model` over a real journal: what it reads back, and how it says that it cannot."""

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest

from callboard.actor import violations
from callboard.bus import Bus
from callboard.bus.registry import Registry
from callboard.testing.openai_server import OpenAIServer, Say
from callboard.tools.context import ToolContext
from callboard.tools.errors import ToolError
from callboard_contracts import call, goal, guard, ids, model, names
from callboard_services.models.gather import Gatherer
from callboard_services.models.serve import _Models
from tests.unit.models import kit
from tests.unit.models.written import GROUPS, LOOK, Written, provisioned

pytestmark = pytest.mark.anyio

REQUEST = msgspec.to_builtins(model.Request(model="", prompt_tokens=700, max_output_tokens=50))


@pytest.fixture
async def bus(fresh_broker: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(fresh_broker, name="models") as bus:
        await provisioned(bus)
        yield bus


def _models(bus: Bus, url: str) -> _Models:
    """The handler of a process that has just begun."""
    return _Models(Gatherer(bus, GROUPS, Registry(bus), kit.catalogue(url)))


def _granted(bus: Bus, one: Written, attempt: int = 1) -> ToolContext:
    made = call.Call(id=ids.call_id(one.address.run, 9, 0), tool=names.MODEL, arguments=REQUEST)
    granted = guard.Granted(call=made, source=one.asked[-1], expires_ms=0)
    return ToolContext(bus, one.address.tenant, granted, timeout_s=60, attempt=attempt)


async def _begun(bus: Bus, tenant: str, retry: goal.Retry | None = None) -> Written:
    run_id = ids.ulid(time.time_ns() // 1_000_000, time.time_ns().to_bytes(10))
    return await Written(bus, tenant, run_id).begin(retry=retry)


def test_a_request_may_leave_out_its_type_and_nothing_else() -> None:
    schema = kit.catalogue("http://127.0.0.1:1").spec().input_schema
    assert violations(schema, {"model": ""}) == violations(schema, REQUEST) == ()
    assert violations(schema, {"type": "model.request.v1"})
    assert violations(schema, {"type": "model.answer.v1", "model": ""})


async def test_another_process_asks_the_same_and_charges_once(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    await one.rounds(3)
    async with OpenAIServer(Say(text="{}", usage=None), Say(text="{}", usage=None)) as server:
        used = []
        for attempt in (1, 2):
            context = _granted(bus, one, attempt)
            assert (await _models(bus, server.url).handle(context, REQUEST)).output == {}
            used.append(context.used)
    assert server.requests[0] == server.requests[1]
    assert used[0] is not None
    assert [(one.input_tokens, one.output_tokens, one.estimated) for one in used if one] == [(700, 50, True)] * 2


async def test_a_question_that_is_broken_off_is_charged_as_it_was_reserved(bus: Bus, tenant: str) -> None:
    one = await _begun(bus, tenant)
    async with OpenAIServer(Say(text="{}", pause_s=30)) as server:
        context = _granted(bus, one)
        work = asyncio.create_task(_models(bus, server.url).handle(context, REQUEST))
        async with asyncio.timeout(10):
            while not server.requests:  # noqa: ASYNC110 - the server tells by being asked
                await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert context.used is not None
    assert (context.used.input_tokens, context.used.output_tokens, context.used.estimated) == (700, 50, True)


async def test_a_grounded_answer_is_looked_up_in_the_whole_run(bus: Bus, tenant: str) -> None:
    one = await Written(bus, tenant, ids.ulid(time.time_ns() // 1_000_000, bytes(10))).begin(grounded=True)
    await one.answer(LOOK)
    await one.result("They met in Turin.")
    await one.rounds(400, 1000)
    said = Say(calls=(("finish", '{"output": {"city": "Turin", "country": "France"}}'),))
    async with OpenAIServer(said) as server:
        answer = await _models(bus, server.url).handle(_granted(bus, one), REQUEST)
    assert "earlier steps are left out" in str(server.requests[0]["messages"][1]["content"])
    assert answer.ungrounded == ("/country",)


async def test_a_retry_of_what_is_not_that_run_fails_as_internal_and_asks_nobody(bus: Bus, tenant: str) -> None:
    other = await _begun(bus, tenant)
    await other.rounds(1)
    retry = goal.Retry(of=ids.ulid(1, bytes(10)), turn=2, seq=other.turns[2].seq)
    one = await _begun(bus, tenant, retry=retry)
    async with OpenAIServer(Say(text="{}")) as server:
        with pytest.raises(ToolError, match="cannot be read back") as caught:
            await _models(bus, server.url).handle(_granted(bus, one), REQUEST)
    assert (caught.value.code, caught.value.retryable, server.requests) == ("internal", False, [])
