"""What happens in a run, told in lines: a fold of its events. Pure, so that a resumed stream tells the same story."""

from typing import Any, Literal

import msgspec

from callboard.cli.plain import plain
from callboard_contracts import ids, names
from callboard_contracts.units import dollars

Kind = Literal["goal", "about", "said", "done", "wrong", "note", "person", "child", "ended"]
_BRIEF = 96


class Line(msgspec.Struct, frozen=True):
    """One line: how deep in the tree, what kind, the text, and what is only worth a glance."""

    kind: Kind
    text: str
    depth: int = 0
    number: int = 0
    """Of a turn."""
    aside: str = ""


class Asked(msgspec.Struct):
    """A call that has not answered."""

    id: str
    tool: str
    arguments: str
    heard: str = ""
    """What its model has written so far, or how far the tool says it is."""


class Story:
    """The story of one run and its sub-agents. `take` events in order; `open` are the calls that are under way."""

    def __init__(self, run: str, from_turn: int = 0) -> None:
        """`from_turn`: of a run that takes up another, after which turn of that one, where it is known."""
        self.run = run
        self._from_turn = from_turn
        self.open: dict[str, Asked] = {}
        self.cost_micro_usd = 0
        self.unpriced = False
        self.turns = 0
        self.calls = 0
        self.status = ""
        self._turn_of: dict[str, int] = {}

    @property
    def cost(self) -> str:
        """What it cost so far."""
        return money(self.cost_micro_usd, unpriced=self.unpriced)

    def take(self, kind: str, data: dict[str, Any]) -> list[Line]:
        """Return what there is to tell of an event."""
        if kind in ("chunk", "progress"):
            self._hear(kind, data)
            return []
        run = str(data.get("run", self.run))
        if data.get("actor") == "approval":
            return self._asked(run, data["events"])
        return [line for event in data.get("events", ()) for line in self._told(run, event)]

    def _hear(self, kind: str, data: dict[str, Any]) -> None:
        call = self.open.get(str(data.get("call", "")))
        if call is not None:
            call.heard = call.heard + str(data.get("text", "")) if kind == "chunk" else str(data.get("message", ""))

    def _asked(self, request: str, events: list[dict[str, Any]]) -> list[Line]:
        """Return what happened to a request to people; while it is open, so is its call."""
        from callboard.cli import asked  # which tells it in words of this module

        depth = self._depth(ids.run_of(request)) + 1
        if (call := self.open.get(request)) is not None:
            call.heard = "waits for a person"
            call.arguments = asked.arguments(events) or call.arguments
        return [Line("person", text, depth, aside=aside) for text, aside in asked.told(request, events)]

    def _told(self, run: str, event: dict[str, Any]) -> list[Line]:
        match event.get("type"):
            case "run.accepted.v1":
                return self._accepted(run, event)
            case "run.refused.v1":
                self._end(run, "refused")
                return [Line("wrong", f"refused: {event['message']}", self._depth(run), aside=event["code"])]
            case "run.called.v1":
                self._called(event)
                return []
            case "run.took.v1":
                return [line for taken in event["results"] for line in self._took(run, taken)]
            case "run.noted.v1":
                return [Line("note", brief(event["text"]), self._depth(run) + 1, aside=event.get("code", ""))]
            case "run.deferred.v1":
                text = f"waits, then asks again: {brief(event.get('message', ''))}"
                return [Line("note", text, self._depth(run) + 1, aside=event.get("code", ""))]
            case "run.paused.v1" | "run.resumed.v1" | "run.steered.v1" | "run.retried.v1":
                return [Line("person", _person(event), self._depth(run) + 1)]
            case "run.ended.v1":
                return self._ended(run, event)
            case _:
                return []

    def _accepted(self, run: str, event: dict[str, Any]) -> list[Line]:
        goal, skill = event["goal"], event.get("skill", "")
        named = skill if skill and skill != names.ADHOC else ""
        objective = brief(goal.get("objective", "")) or _in_words(goal.get("input")) or f"skill {named}"
        if run != self.run:
            return [Line("child", objective, self._depth(run), aside=f"sub-agent {named}".strip())]
        about = [
            f"run {run}",
            self._taken_up(goal.get("retry") or {}),
            f"model {event['model']}" if event.get("model") else "",
            f"skill {named}" if named else "",
        ]
        return [Line("goal", objective), Line("about", " · ".join(part for part in about if part))]

    def _taken_up(self, retry: dict[str, Any]) -> str:
        if not retry.get("turn"):  # as the ids of calls count; people count questions to the model
            return f"takes up anew what was {retry['of']}" if retry else ""
        return f"takes up {f'after turn {self._from_turn} of ' if self._from_turn else ''}{retry['of']}"

    def _called(self, event: dict[str, Any]) -> None:
        for call in event["calls"]:
            arguments = call.get("arguments") if call["tool"] != names.MODEL else None
            self.open[call["id"]] = Asked(call["id"], call["tool"], brief_arguments(arguments))
            self.calls += 1

    def _took(self, run: str, taken: dict[str, Any]) -> list[Line]:
        asked = self.open.pop(taken["call"], None)
        self.cost_micro_usd += taken.get("cost_micro_usd", 0)
        self.unpriced = self.unpriced or taken.get("unpriced", False)
        if taken.get("context_tokens"):
            return [Line("note", _summed_up(taken), self._depth(run) + 1, aside=_usage(taken))]
        if taken["tool"] == names.MODEL:
            return self._answered(run, taken)
        if taken["tool"] == names.AGENT and taken["status"] == "completed":
            return []  # its own story ended a line before
        arguments = asked.arguments if asked is not None else ""
        return [self._result(self._depth(run) + 1, f"{taken['tool']}({arguments})", taken)]

    def _answered(self, run: str, taken: dict[str, Any]) -> list[Line]:
        depth = self._depth(run)
        if taken.get("late"):  # it had been given up: no step either
            return [Line("note", "the model answered too late", depth, aside=_usage(taken))]
        if taken["status"] == "refused":  # it never reached the model: no step, as everywhere
            return [Line("wrong", f"the model {_outcome(taken)}", depth, aside=_usage(taken))]
        number = self._turn_of[run] = self._turn_of.get(run, 0) + 1
        self.turns += 1
        if taken["status"] != "completed":
            return [Line("wrong", f"the model {_outcome(taken)}", depth, number, _usage(taken))]
        return [Line("said", _said(taken.get("output") or {}), depth, number, _usage(taken))]

    def _result(self, depth: int, what: str, taken: dict[str, Any]) -> Line:
        late = ", late" if taken.get("late") else ""
        if taken["status"] == "completed":
            return Line(
                "done", f"{what} → {_output(taken)}", depth, aside=_duration(taken.get("duration_ms", 0)) + late
            )
        return Line("wrong", f"{what} {_outcome(taken)}", depth, aside=late.strip(", "))

    def _ended(self, run: str, event: dict[str, Any]) -> list[Line]:
        self._end(run, event["status"])
        if run == self.run:
            return []
        told = brief(event["reason"]) if event.get("reason") else brief(event.get("output"))
        return [Line("ended", f"{event['status']}: {told}", self._depth(run), aside=event.get("code", ""))]

    def _end(self, run: str, status: str) -> None:
        if run == self.run:
            self.status = status
            self.open.clear()

    def _depth(self, run: str) -> int:
        return max(0, ids.depth_of(run) - ids.depth_of(self.run))


def _summed_up(taken: dict[str, Any]) -> str:
    if taken["status"] != "completed":
        return f"the older steps could not be summed up: {_outcome(taken)}"
    covered = (taken.get("output") or {}).get("answers")
    which = f"the first {covered} turns were" if covered else "the older turns were"
    return f"{which} summed up, for the run outgrows the model's window"


def _person(event: dict[str, Any]) -> str:
    """Return what a person said to the run."""
    by = f" by {event['principal']}" if event.get("principal") else ""
    match event["type"]:
        case "run.paused.v1":
            return f"paused{by}" + (f": {brief(event['reason'])}" if event.get("reason") else "")
        case "run.resumed.v1":
            return f"resumed{by}"
        case "run.steered.v1":
            return f"steered{by}: {brief(event['text'])}"
        case _:
            return f"{event['tool']} is made again{by}, for {event['call']}"


def _in_words(given: Any) -> str:
    """Return a skill's input as it is shown in place of an objective: the one text in it, if it is that simple."""
    values = list(given.values()) if isinstance(given, dict) else [given]
    return brief(values[0] if len(values) == 1 and isinstance(values[0], str) else given)


def _said(answer: dict[str, Any]) -> str:
    text = brief(answer.get("text", ""))
    if reason := answer.get("give_up"):
        return f"gives up: {brief(reason)}"
    if answer.get("finished"):
        return text or "answers"
    tools = ", ".join(ask["tool"] for ask in answer.get("asks", ()))
    return text or (f"asks for {tools}" if tools else "answers")


def _output(taken: dict[str, Any]) -> str:
    if "output" in taken:
        output = taken["output"]
        return brief(output["text"] if isinstance(output, dict) and isinstance(output.get("text"), str) else output)
    return brief(taken.get("output_head", "")) or f"{taken.get('bytes', 0):,} bytes"


def _outcome(taken: dict[str, Any]) -> str:
    words = {"failed": "failed", "refused": "was not allowed", "lost": "has an unknown outcome"}
    problem = ": ".join(part for part in (taken.get("code", ""), brief(taken.get("message", ""))) if part)
    return f"{words.get(taken['status'], taken['status'])}: {problem}" if problem else words[taken["status"]]


def _usage(taken: dict[str, Any]) -> str:
    parts = [_duration(taken.get("duration_ms", 0))]
    if taken.get("input_tokens") or taken.get("output_tokens"):
        parts.append(f"{taken.get('input_tokens', 0):,} → {taken.get('output_tokens', 0):,} tokens")
    if taken.get("cost_micro_usd"):
        parts.append(money(taken["cost_micro_usd"]))
    return " · ".join(parts)


def _duration(milliseconds: int) -> str:
    return f"{milliseconds} ms" if milliseconds < 1000 else seconds(milliseconds / 1000)


def seconds(value: float) -> str:
    """Return a time as people say it."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(int(value), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def span(value: float) -> str:
    """Return a time that somebody chose, in seconds, exactly: 7 d, 1 h 30 min, 0.5 s."""
    if value < 60:
        return f"{value:g} s"
    parts, left = list[str](), round(value)
    for unit, word in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        count, left = divmod(left, unit)
        parts += [f"{count} {word}"] if count else []
    return " ".join(parts)


def money(micro_usd: int, *, unpriced: bool = False) -> str:
    """Return an amount as people read it; with a mark when there were calls whose price is not known."""
    amount = dollars(micro_usd)
    shown = f"${amount:.2f}" if amount >= 1 or not micro_usd else f"${amount:.6f}".rstrip("0")
    return f"{shown} (some unpriced)" if unpriced else shown


def brief(value: Any, most: int = _BRIEF) -> str:
    """Return a value in one short line."""
    text = value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
    line = plain(" ".join(text.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def brief_arguments(arguments: Any) -> str:
    """Return arguments in one short line, as a call is written."""
    if isinstance(arguments, dict):
        shown = ", ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in arguments.items())
        return brief(shown, 72)
    return brief(arguments, 72)
