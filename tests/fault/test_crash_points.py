"""A crash at every commit, publish and acknowledgement of an actor: the run ends, and every invariant holds.

One system is hurt again and again, as in life: what an earlier crash left behind is there at the next one.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fault.house import House, breakable, living
from tests.integration.processes import CRASHED
from tests.integration.system import asks, script

pytestmark = pytest.mark.anyio

DEEP = script(
    [
        asks(("agent.run", {"objective": "a part"}), ("calc", {"expression": "1+1"})),
        asks(("calc", {"expression": "2+2"}), ("calc", {"expression": "3+3"})),
        {"output": "done"},
    ],
    part=[asks(("calc", {"expression": "4+4"})), {"output": "a part"}],
)
POINTS = ("before_record", "after_record", "after_command", "after_commands", "before_ack", "after_ack")
"""In the order of a turn: nothing is stored, the record is, one command is sent, all are, all was done, all is over."""
CASES = [(name, f"{point}:{nth}") for name in ("planner", "guard") for point in POINTS for nth in (1, 4)]
"""The first time, and in the middle of a run, when there is something to go back to."""
RARE = ("planner", "after_command:4")
"""One run sends no fourth command."""


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A system for all cases: only what is to crash is started anew."""
    folder = tmp_path_factory.mktemp("crashes")
    services = ("tools", "models", "guard", "planner")
    with pytest.MonkeyPatch.context() as patch:
        priced(folder, patch)
        async with (
        breakable(folder / "nats") as broker,
        living(broker.url, folder, script=DEEP, services=services) as house,
    ):
        yield house


def _case(name: str, point: str) -> Any:
    marks = (pytest.mark.slow,) if point.endswith("4") else ()
    return pytest.param(name, point, id=f"{name}.{point}", marks=marks)


@pytest.mark.parametrize(("name", "point"), [_case(*one) for one in CASES if one != RARE])
async def test_a_run_ends_as_it_should_wherever_its_owner_dies(house: House, name: str, point: str) -> None:
    await house.process(name).stop()
    dying = await house.host.start(name, crash_at=f"{name}.{point}")
    await house.goal()
    assert await dying.ended() == CRASHED
    await house.host.start(name)
    await house.sound(timeout_s=30)
    assert await house.letters() == []
