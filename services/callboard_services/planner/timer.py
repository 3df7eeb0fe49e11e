"""The run's one timer: whatever is over when it comes due ends, and it is armed again for what is due next."""

from callboard.actor import SEEN, Decision, Input
from callboard_contracts import names, run
from callboard_contracts.registry import Facts
from callboard_services.planner import steps
from callboard_services.planner.evolve import answered
from callboard_services.planner.state import State


def wake(state: State, message: Input, facts: Facts) -> Decision:
    """The timer came due. Whatever is over now ends; a timer that nobody waits for is ignored."""
    accepted, now = state.accepted, message.time_ms
    if accepted is None or not due(state) or state.armed_ms == 0 or now < state.armed_ms:
        return SEEN
    if now >= state.deadline_ms and not state.still_ms:
        return steps.end(state, "failed", "time_budget", f"{accepted.goal.limits.timeout_s:g} s are over")
    overdue = [call for call, kept in state.open.items() if now >= kept.deadline_ms and call not in state.parked]
    if overdue:
        return _give_up(state, overdue, message, facts)
    if state.deferred_ms and now >= state.deferred_ms:
        return steps.ask_model(state, facts, now)
    return ()


def _give_up(state: State, overdue: list[str], message: Input, facts: Facts) -> Decision:
    tools = [state.open[call].tool for call in overdue]
    took = run.Took(
        results=tuple(
            run.Taken(
                call=call,
                tool=tool,
                status="lost",
                seq=message.seq,
                code="call_timeout",
                message="no answer in time",
                context_tokens=max(1, state.context_tokens) if call == state.summarising else 0,
            )
            for call, tool in zip(overdue, tools, strict=True)
        )
    )
    after = answered(state, took)
    if after.open:
        return (took,)
    if names.MODEL in tools and not state.summarising:
        return (
            took,
            *steps.model_failed(after, "call_timeout", "no answer in time", retryable=True, now_ms=message.time_ms),
        )
    return (took, *steps.go_on(after, facts, message.time_ms))


def armed(state: State, now_ms: int) -> steps.Events:
    """Keep the one timer armed for the earliest deadline: again when it came due, or when something is due sooner."""
    times = due(state)
    if not times:
        return ()
    earliest = min(times)
    fired = state.armed_ms <= now_ms
    return (run.Armed(at_ms=max(earliest, now_ms + 1)),) if fired or earliest < state.armed_ms else ()


def due(state: State) -> list[int]:
    """Return every time at which something is over; none while the run is paused or only people are waited for."""
    if not state.live or state.paused_ms:
        return []
    calls = [kept.deadline_ms for call, kept in state.open.items() if call not in state.parked]
    own = [] if state.still_ms else [state.deadline_ms]
    return own + calls + ([state.deferred_ms] if state.deferred_ms else [])
