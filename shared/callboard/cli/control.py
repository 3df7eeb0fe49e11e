"""`callboard runs cancel|pause|resume|steer|retry`: a word to a run that holds whoever is alive."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from callboard.cli import exits
from callboard.cli.where import Reached, Where, reach, run_async

if TYPE_CHECKING:
    from callboard.client import Client, Word

_ANYWHERE = Where()
Run = Annotated[str, Parameter(help="The run's id, or its beginning.")]
Reason = Annotated[str, Parameter(help="Why, for the record.")]
Json = Annotated[bool, Parameter(help="What happened, as one line of JSON.")]
Say = Callable[["Client", str], Awaitable["Word"]]


def cancel(run: Run, /, *, reason: Reason = "", json: Json = False, where: Where = _ANYWHERE) -> int:
    """End a run and all its sub-agents: nothing more is granted to them."""
    told = ("The run is told to end.", "The run {was} already: nothing changed.")
    return _control(where, run, lambda client, name: client.cancel(name, reason=reason), told, "show", json=json)


def pause(run: Run, /, *, reason: Reason = "", json: Json = False, where: Where = _ANYWHERE) -> int:
    """Stop a run and its sub-agents at their next step. What runs may finish; the clocks stand still."""
    told = ("The run stops at its next step.", "The run is paused already: nothing changed.")
    return _control(where, run, lambda client, name: client.pause(name, reason=reason), told, "resume", json=json)


def resume(run: Run, /, *, json: Json = False, where: Where = _ANYWHERE) -> int:
    """Let a run that was paused go on, with its sub-agents."""
    told = ("The run goes on.", "The run was not paused: nothing changed.")
    return _control(where, run, lambda client, name: client.resume(name), told, "tail", json=json)


def steer(
    run: Run,
    text: Annotated[str, Parameter(help="What its model is to know, in words.")],
    /,
    *,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Tell a run's model something, and those of its sub-agents: they read it before their next answer counts."""
    told = ("The model reads it before its next answer counts.", "")
    return _control(where, run, lambda client, name: client.steer(name, text), told, "tail", json=json)


def _control(where: Where, run: str, say: Say, told: tuple[str, str], after: str, *, json: bool) -> int:
    return run_async(_said(where, run, say, told, after, json=json))


async def _said(where: Where, run: str, say: Say, told: tuple[str, str], after: str, *, json: bool) -> int:
    from callboard.cli.runs import whole_id

    async with reach(where, start=False) as reached:
        word = await say(reached.client, await whole_id(reached, run))
    if json:
        _print_json(word)
        return exits.OK
    print(_sentence(word, told))
    print(f"Next: `callboard runs {after} {word.paused_above or word.run}`")
    return exits.OK


def _sentence(word: "Word", told: tuple[str, str]) -> str:
    if word.paused_above:
        return f"It belongs to {word.paused_above}, which is paused: it goes on when that one is resumed."
    done, idle = told
    was = f"has ended ({word.was})" if word.was not in ("queued", "running", "waiting", "paused") else "is told to end"
    return done if word.changed else idle.format(was=was)


def _print_json(value: Any) -> None:
    import msgspec

    print(msgspec.json.encode(value).decode(), flush=True)


def retry(
    run: Run,
    /,
    *,
    call: Annotated[str, Parameter(help="Of a run that lives: the failed call to make again.")] = "",
    from_turn: Annotated[int | None, Parameter(help="Of a run that ended: the turn after which to go on.")] = None,
    json: Json = False,
    where: Where = _ANYWHERE,
) -> int:
    """Take up a run that ended as a new one, after its last good turn; or make a failed call of a live run again.

    Turns are counted as `callboard runs show` does: each is one question to the model. The old run stays as it ended.
    """
    return run_async(_retry(where, run, call, from_turn, json=json))


async def _retry(where: Where, run: str, call: str, from_turn: int | None, *, json: bool) -> int:
    from callboard.cli.runs import whole_id
    from callboard_contracts.errors import CallboardError

    if call and from_turn is not None:
        raise CallboardError("invalid_request", "--call is for a run that lives, --from-turn for one that has ended")
    if from_turn is not None and from_turn < 0:
        raise CallboardError("invalid_request", f"--from-turn {from_turn} is less than 0")
    async with reach(where, start=False) as reached:
        name = await whole_id(reached, run)
        if call:
            return await _call_again(reached, name, call, json=json)
        made = await reached.client.retry(name, from_turn=from_turn)
    if json:
        _print_json(made)
        return exits.OK
    point = f"after turn {made.from_turn}" if made.from_turn else "from the beginning"
    print(f"The run {made.run} takes up {made.retry_of} {point}.")
    print(f"Next: `callboard runs tail {made.run}`")
    return exits.OK


async def _call_again(reached: Reached, run: str, call: str, *, json: bool) -> int:
    await reached.client.retry_call(run, call)
    if json:
        _print_json({"run": run, "call": call, "changed": True})
        return exits.OK
    print("The call is made again at the run's next step.")
    print(f"Next: `callboard runs tail {run}`")
    return exits.OK
