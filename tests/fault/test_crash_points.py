"""A crash at every commit, publish and acknowledgement of an actor: the run ends, and every invariant holds.

One system is hurt again and again, as in life: what an earlier crash left behind is there at the next one.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from callboard_contracts import names
from tests.fault import invariants
from tests.fault.house import House, breakable, living, priced
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
"""The first time, and in the middle of several runs, when there is something to go back to."""
USUAL = (
    ("planner", "after_record:1"),
    ("planner", "after_command:1"),
    ("guard", "after_record:1"),
    ("guard", "after_command:1"),
)
"""Where it matters most; the last is between the grants of a turn with calls side by side."""
MODEL_CALLS = 5
"""How often the model is asked in a run of `DEEP` and its part."""


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """A system for all cases: only what is to crash is started anew. Its model costs money."""
    folder = tmp_path_factory.mktemp("crashes")
    services = ("tools", "models", "guard", "planner")
    with pytest.MonkeyPatch.context() as patch:
        priced(folder, patch)
        async with (
            breakable(folder / "nats") as broker,
            living(broker.url, folder, script=DEEP, services=services) as house,
        ):
            await house.system.until_admitted(names.AGENT)
            yield house


def _case(name: str, point: str) -> Any:
    marks = () if (name, point) in USUAL else (pytest.mark.slow,)
    return pytest.param(name, point, id=f"{name}.{point}", marks=marks)


@pytest.mark.parametrize(("name", "point"), [_case(*one) for one in CASES])
async def test_a_run_ends_as_it_should_wherever_its_owner_dies(house: House, name: str, point: str) -> None:
    await house.process(name).stop()
    dying = await house.host.start(name, crash_at=f"{name}.{point}")
    await house.goals(1 if point.endswith(":1") else 5)
    assert await dying.ended() == CRASHED
    await house.host.start(name)
    records = await house.sound(timeout_s=30)
    assert len(invariants.executions(records)) == MODEL_CALLS * len(house.accepted)
    assert await house.letters() == []
