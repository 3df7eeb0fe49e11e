"""The request's one timer: it reminds, escalates and expires, and is armed again for what is due next. All pure."""

from callboard.actor import SEEN, Decision
from callboard_contracts import approval
from callboard_contracts.journal import Event
from callboard_services.approval import closing
from callboard_services.approval.evolve import evolve
from callboard_services.approval.state import State


def wake(state: State, now_ms: int) -> Decision:
    """The timer came due. One that nobody waits for is ignored."""
    if state.requested is None or state.decided is not None or now_ms < state.armed_ms:
        return SEEN
    if now_ms >= state.open.expires_ms:
        return (closing.expired(state, now_ms),)
    found: list[Event] = []
    if 0 < _escalation_ms(state) <= now_ms:
        found.append(_escalated(state, now_ms))
        state = evolve(state, found[-1])
    if 0 < _reminder_ms(state) <= now_ms:
        found.append(approval.Reminded(at_ms=now_ms, nth=state.reminded + 1, about=closing.about(state)))
    return tuple(found)


def _escalated(state: State, now_ms: int) -> approval.Escalated:
    to = state.open.request.rule.escalate_to
    after = evolve(state, approval.Escalated(at_ms=now_ms, to=to, about=closing.about(state)))
    return approval.Escalated(at_ms=now_ms, to=to, about=closing.about(after))


def _escalation_ms(state: State) -> int:
    rule = state.open.request.rule
    wanted = rule.escalate_after_s > 0 and bool(rule.escalate_to) and not state.escalated
    return state.open.at_ms + int(rule.escalate_after_s * 1000) if wanted else 0


def _reminder_ms(state: State) -> int:
    every = state.open.request.rule.remind_after_s
    return (state.reminded_ms or state.open.at_ms) + int(every * 1000) if every > 0 else 0


def armed(state: State, now_ms: int) -> list[Event]:
    """Keep the timer armed for what is due first: again when it came due, or when something is due sooner."""
    if state.requested is None or state.decided is not None:
        return []
    due = [at for at in (state.open.expires_ms, _escalation_ms(state), _reminder_ms(state)) if at]
    fired = state.armed_ms <= now_ms
    return [approval.Armed(at_ms=max(min(due), now_ms + 1))] if fired or min(due) < state.armed_ms else []
