"""Functions in processes of their own: what kills the process costs the call and nothing else."""

import os
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callboard.bus import Bus, objects
from callboard.tools import ToolContext, tool
from callboard_contracts import ids
from callboard_contracts.call import Completed, Failed, Lost
from callboard_contracts.errors import CallboardError
from tests.tools import outside
from tests.tools.conftest import GROUPS, Serve
from tests.tools.parts import Processes, World, alive, durables, until


async def test_a_function_in_a_process_of_its_own_answers_as_any_other(world: World, serve: Serve) -> None:
    await serve(outside.add, outside.later, outside.fails, outside.breaks, outside.wrong)
    said = await world.result(await world.grant("outside.add", {"a": 1, "b": 2}))
    assert isinstance(said, Completed)
    assert said.output["sum"] == 3
    assert said.output["pid"] != os.getpid()
    assert said.output["call"] == said.call
    later = await world.result(await world.grant("outside.later"))
    assert isinstance(later, Completed)
    assert later.output == "later"
    failed, broke, wrong = [
        await world.result(await world.grant(name)) for name in ("outside.fails", "outside.breaks", "outside.wrong")
    ]
    assert isinstance(failed, Failed)
    assert (failed.code, failed.message, failed.retryable) == ("rate_limited", "not now", True)
    assert isinstance(broke, Failed)
    assert (broke.code, broke.message) == ("tool_failed", "KeyError: 'key'")
    assert isinstance(wrong, Failed)
    assert wrong.code == "output_invalid"


async def test_a_function_in_a_process_of_its_own_happens_within_the_span_of_its_call(
    world: World, serve: Serve
) -> None:
    await serve(outside.traced)
    said = await world.result(await world.grant("outside.traced"))
    assert isinstance(said, Completed)
    assert said.output == ids.span_id(said.call)


DEATHS = {
    "exit": "ended with exit code 3 before it answered",
    "fault": "was killed by SIGSEGV before it answered",
    "killed": "was killed by SIGKILL before it answered",
}


@pytest.mark.parametrize("how", DEATHS)
async def test_a_function_that_kills_its_process_costs_its_call_alone(world: World, serve: Serve, how: str) -> None:
    await serve(outside.dies, outside.dies_writing, outside.add)
    read = await world.result(await world.grant("outside.dies", {"how": how}))
    assert isinstance(read, Failed)
    assert (read.code, read.message) == ("tool_failed", f"the tool's process {DEATHS[how]} (it may take 64 MB)")
    wrote = await world.result(await world.grant("outside.dies_writing", {"how": how}))
    assert isinstance(wrote, Lost)
    assert isinstance(await world.result(await world.grant("outside.add", {"a": 1, "b": 2})), Completed)


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not keep to RLIMIT_AS")
async def test_a_function_gets_the_memory_it_asked_for_and_no_more(world: World, serve: Serve) -> None:
    await serve(outside.takes)
    within, beyond = [await world.result(await world.grant("outside.takes", {"mb": mb})) for mb in (32, 512)]
    assert isinstance(within, Completed)
    assert isinstance(beyond, Failed)
    assert (beyond.code, beyond.message) == (
        "tool_failed",
        "MemoryError: the function needs more memory than it may take",
    )


async def test_a_loop_that_never_ends_is_ended_with_its_process(world: World, serve: Serve, tmp_path: Path) -> None:
    await serve(outside.loops)
    call = await world.grant("outside.loops", {"file": str(tmp_path / "pid")}, timeout_s=4)
    pid = await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    assert alive(int(pid))
    result = await world.result(call)
    assert isinstance(result, Failed)
    assert result.code == "call_timeout"
    assert not alive(int(pid))


async def test_an_output_of_many_megabytes_comes_through_and_one_byte_too_many_is_told(
    world: World, serve: Serve, bus: Bus
) -> None:
    await serve(outside.says)
    most = objects.MAX_FILE_BYTES - 2  # and the quotes
    large, too_large = [await world.grant("outside.says", {"letters": n}) for n in (most, most + 8192)]
    said = await world.result(large, within_s=60)
    assert isinstance(said, Completed)
    assert len(await objects.get_blob(bus, said.output_ref)) == objects.MAX_FILE_BYTES
    refused = await world.result(too_large, within_s=60)
    assert isinstance(refused, Failed)
    assert (refused.code, refused.message) == ("output_invalid", "the output has more than 67,108,864 bytes")


SCRIPT = """
    import os
    from callboard.tools import serve_tools, tool

    @tool(name="scripted", process=True)
    def scripted(text: str) -> str:
        '''Return a text in capitals.'''
        print("this is no answer")
        os.write(1, b"nor is this")
        return text.upper()

    serve_tools(scripted)
"""


async def test_a_script_may_hold_such_a_function_and_end_with_serving_it(
    world: World, bus: Bus, processes: Processes
) -> None:
    await durables(bus, GROUPS, "scripted")
    processes.start(textwrap.dedent(SCRIPT))
    result = await world.result(await world.grant("scripted", {"text": "a"}), within_s=20)
    assert isinstance(result, Completed)
    assert result.output == "A"


async def test_a_module_that_cannot_be_imported_again_is_a_failed_call_that_says_so(
    world: World, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside.plain, "__module__", "no.such.module")
    await serve(tool(name="gone", process=True)(outside.plain))
    result = await world.result(await world.grant("gone"))
    assert isinstance(result, Failed)
    assert result.code == "tool_failed"
    assert "no.such.module cannot be used in a process of its own: ModuleNotFoundError" in result.message


def _with_context(context: ToolContext) -> None:
    """Take a context."""


def test_a_function_that_another_process_could_not_run_is_refused_when_it_is_declared() -> None:
    def inner() -> None:
        """Be inside another function."""

    def refused(function: Callable[..., Any], *, process: bool = True, memory_mb: int | None = None) -> str:
        with pytest.raises(CallboardError) as raised:
            tool(name="x", process=process, memory_mb=memory_mb)(function)
        assert raised.value.code == "invalid_tool"
        return str(raised.value)

    assert "is not at the top of a module" in refused(inner)
    assert "takes a ToolContext" in refused(_with_context)
    assert "memory_mb" in refused(outside.plain, memory_mb=0)
    assert "memory_mb" in refused(outside.plain, process=False, memory_mb=5)
