"""A system without memory: its doors say so, and everything else goes on."""

import asyncio
import time

from callboard.bus import registry
from callboard_contracts import names
from callboard_contracts.tool import Entry, Spec
from callboard_services.gateway import preferring
from tests.gateway.conftest import Site


async def test_without_a_memory_its_doors_say_how_to_get_one_and_goals_are_taken(site: Site) -> None:
    for method, path in (("GET", "stats"), ("GET", "search?q=x"), ("GET", "preferences"), ("POST", "rebuild")):
        answer = await site.http.request(method, f"/v1/memory/{path}")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "pip install 'callboard[memory]'" in answer.json()["detail"]
    document = {"text": "Hello", "source": "a.txt"}
    assert (await site.http.post("/v1/memory/documents", json=document)).status_code == 503
    assert (await site.post({"objective": "Say hello"})).status_code == 202


async def test_a_goal_never_waits_for_a_memory_that_is_gone_and_not_long_for_one_that_hangs(site: Site) -> None:
    entry = Entry(
        spec=Spec(name="memory.recall", description="Look it up.", input_schema={"type": "object"}), instances=1
    )
    await registry.put_tool(site.bus, names.token("memory.recall"), entry)
    await _known(site)
    assert await _taken_after(site) < preferring._PATIENCE_S / 2
    stop = await site.bus.subscribe("cb.*.ask.memory.*", lambda _: None)
    try:
        assert preferring._PATIENCE_S <= await _taken_after(site) < 2 * preferring._PATIENCE_S
    finally:
        await stop()


async def _known(site: Site) -> None:
    """Wait until the gateway has heard of the tool: it shows it."""
    async with asyncio.timeout(10):
        while "memory.recall" not in (await site.http.get("/v1/tools")).text:  # noqa: ASYNC110 - it is asked
            await asyncio.sleep(0.02)


async def _taken_after(site: Site) -> float:
    began = time.monotonic()
    assert (await site.post({"objective": "Say hello"})).status_code == 202
    return time.monotonic() - began
