"""The system keeps its promises whatever fails, the same seed plays the same, and a bug would be seen."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest

from callboard.actor import Decision, Input
from callboard.bus import Bus, Delivery, Puller, ack
from callboard.runtime import Journal, Source, Worker
from callboard.tools import once
from callboard.tools.clock import BrokerClock
from callboard_contracts.registry import Facts
from callboard_services.approval import voting
from callboard_services.guard.actor import Guard
from callboard_services.planner.actor import Planner
from callboard_services.planner.state import Open
from tests.simulation.plan import POINTS
from tests.simulation.world import simulate

_ROOT = Path(__file__).parents[2]
_SEEDS = 500
_ENOUGH = 60
"""Seeds in which a bug must show."""
_DIGESTS = """
from tests.simulation.world import simulate
for seed in range(25):
    outcome = simulate(seed)
    print(seed, outcome.stored, outcome.virtual_s, outcome.digest)
"""


def _python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | environment
    return subprocess.run(
        [sys.executable, *arguments], cwd=_ROOT, env=env, capture_output=True, text=True, check=False, timeout=300
    )


def test_no_seed_violates_anything() -> None:
    done = _python("-m", "tests.simulation", "--seeds", str(_SEEDS), "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 with violations" in done.stdout
    assert "nobody died at: no crash point" in done.stdout


def test_every_crash_point_of_the_simulated_processes_is_known_to_the_plan() -> None:
    folders = (_ROOT / "shared/callboard/runtime", _ROOT / "shared/callboard/tools")
    text = "".join(path.read_text() for folder in folders for path in sorted(folder.glob("*.py")))
    named = re.findall(r'crash\.point\(f?"([^"]+)"\)', text)
    assert len(named) == text.count("crash.point(")
    each = {name.replace("{self._actor.name}", actor) for name in named for actor in ("planner", "guard", "approval")}
    assert sorted(each) == sorted(POINTS)


def test_the_same_seed_gives_the_same_trace_in_every_process() -> None:
    first = _python("-c", _DIGESTS, PYTHONHASHSEED="1")
    second = _python("-c", _DIGESTS, PYTHONHASHSEED="2", TZ="Asia/Tokyo")
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    digests = [line.split()[-1] for line in first.stdout.splitlines()]
    assert len(set(digests)) == len(digests) == 25


def _seen(*, fences: bool = True) -> Iterator[str]:
    for seed in range(_ENOUGH):
        yield from simulate(seed, fences=fences).violations


def test_a_broker_that_ignores_the_fence_is_noticed() -> None:
    assert any(violation.startswith("I2 record") for violation in _seen(fences=False))


def test_an_executor_that_claims_nothing_is_noticed() -> None:
    async def claim(_: Bus, __: str) -> bool:
        return True

    with patch.object(once, "claim", claim):
        assert any(violation.startswith("I3") for violation in _seen())


def test_processes_that_believe_their_own_clocks_are_noticed() -> None:
    async def untold(*_: object) -> None:
        pass

    with patch.object(BrokerClock, "set", untold), patch.object(BrokerClock, "told", True):
        assert any(violation.startswith("I8") for violation in _seen())


def test_a_planner_that_takes_a_result_as_often_as_it_comes_is_noticed() -> None:
    decide = Planner.decide

    def forgetful(self: Planner, state: Any, message: Input, facts: Facts) -> Decision:
        call = getattr(message.body, "call", "")
        if state.accepted is not None and not state.ended and call and call not in state.open:
            state = msgspec.structs.replace(state, open=state.open | {call: Open("sim.look", message.time_ms)})
        return decide(self, state, message, facts)

    with patch.object(Planner, "decide", forgetful):
        assert any("was taken twice" in violation for violation in _seen())


def test_a_guard_that_forgets_what_it_decided_is_noticed() -> None:
    decide = Guard.decide

    def forgetful(self: Guard, state: Any, message: Input, facts: Facts) -> Decision:
        runs = {name: msgspec.structs.replace(run, turn=0) for name, run in state.runs.items()}
        return decide(self, msgspec.structs.replace(state, runs=runs), message, facts)

    with patch.object(Guard, "decide", forgetful):
        assert any("was granted twice" in violation for violation in _seen())


def test_a_worker_that_acknowledges_before_it_records_is_noticed() -> None:
    receive = Worker._receive

    def hasty(self: Worker[Any], source: Source, puller: Puller, delivery: Delivery) -> None:
        ack(self._bus, delivery)
        receive(self, source, puller, delivery)

    with patch.object(Worker, "_receive", hasty):
        assert any(violation.startswith("I1") for violation in _seen())


def test_a_worker_that_does_not_send_again_what_a_crash_kept_back_is_noticed() -> None:
    async def find(*_: object) -> None:
        return None

    with patch.object(Journal, "find", find):
        assert any(violation.startswith("I7") for violation in _seen())


def test_a_bug_that_raises_is_noticed() -> None:
    with patch("callboard_services.guard.actor._called", side_effect=LookupError("a bug")):
        assert any(violation.startswith("I0") and "a bug" in violation for violation in _seen())


def test_a_budget_that_is_not_kept_is_noticed() -> None:
    with patch("callboard_services.guard.checks._money"):
        assert any("has used" in violation for violation in _seen())


def test_an_effect_that_a_crash_repeats_is_noticed() -> None:
    async def claimed(_: Bus, __: str) -> bool:
        return False

    async def claim(bus: Bus, call: str) -> bool:
        await real(bus, call)
        return True

    real = once.claim
    with patch.object(once, "claimed", claimed), patch.object(once, "claim", claim):
        assert any(violation.startswith("I3") for violation in _seen())


@pytest.mark.parametrize("seed", [0, 7])
def test_what_is_shown_of_a_seed_tells_every_stored_message(seed: int) -> None:
    shown = simulate(seed, readable=True)
    assert sum("  ** " not in line and "  -- " not in line for line in shown.told) == shown.stored


def test_a_guard_that_does_not_compare_what_was_approved_is_noticed() -> None:
    with patch("callboard_services.guard.approving.same", return_value=True):
        assert any(violation.startswith("I9") and "grants" in violation for violation in _seen())


def test_an_approval_that_counts_votes_for_other_bytes_is_noticed() -> None:
    def blind(state: Any, body: Any, facts: Facts) -> None:
        check(state, msgspec.structs.replace(body, digest=state.digest), facts)

    check = voting._check
    with patch.object(voting, "_check", blind):
        assert any("approved those bytes" in violation for violation in _seen())


def test_a_guard_that_asks_nobody_is_noticed() -> None:
    with patch("callboard_services.guard.deciding.ruled", return_value=None):
        assert any("about which nobody was asked" in violation for violation in _seen())


def test_an_approval_that_lets_anybody_decide_is_noticed() -> None:
    with patch("callboard_services.approval.state.State.may_decide", return_value=True):
        assert any("by somebody who may not" in violation for violation in _seen())
