"""What happens to a request to people, in lines of the run's story."""

from collections.abc import Mapping, Sequence
from typing import Any

from callboard.cli.plain import plain
from callboard.cli.story import brief, brief_arguments
from callboard_contracts import names

Event = Mapping[str, Any]


def told(request: str, events: Sequence[Event]) -> list[tuple[str, str]]:
    """Return what there is to tell of one record of a request: sentences, each with what is only worth a glance."""
    decided = any(event["type"] == "approval.decided.v1" for event in events)
    lines = (_told(request, event, decided=decided) for event in events)
    return [(plain(text), aside) for text, aside in lines if text]


def arguments(events: Sequence[Event]) -> str:
    """Return the arguments with which a call runs instead of those that were proposed, empty when it does not."""
    edited = [event["arguments"] for event in events if event["type"] == "approval.decided.v1" and event.get("edited")]
    return brief_arguments(edited[0]) if edited else ""


def _told(request: str, event: Event, *, decided: bool) -> tuple[str, str]:
    match event["type"]:
        case "approval.requested.v1":
            return _requested(request, event["request"])
        case "approval.voted.v1" if not decided:  # the decision beside it says all
            return _voted(event), ""
        case "approval.escalated.v1":
            return f"nobody decided yet: {', '.join(event['to'])} may decide too", ""
        case "approval.reminded.v1":
            return "still waits for a person", f"callboard approvals show {request}"
        case "approval.decided.v1":
            return _decided(event), ""
        case _:
            return "", ""


def _requested(request: str, asked: Event) -> tuple[str, str]:
    arguments = asked.get("arguments")
    if asked["tool"] == names.ASK and isinstance(arguments, dict):
        question = brief(arguments.get("question", ""), 200)
        return f"asks a person: {question}", f"callboard approvals answer {request}"
    why = brief(asked["rule"].get("reason", ""), 200)
    what = f"{asked['tool']}({brief_arguments(arguments)})"
    return f"a person must decide: {what}" + (f", {why}" if why else ""), f"callboard approvals show {request}"


def _voted(event: Event) -> str:
    who, why = event["principal"], f": {brief(event['reason'])}" if event.get("reason") else ""
    match event["vote"]:
        case "edit":
            return f"{who} edits the arguments and approves{why}"
        case "delegate":
            return f"{who} passes the decision on to {event['to']}{why}"
        case vote:
            return f"{who}: {vote}{why}"


def _decided(event: Event) -> str:
    by = f" by {', '.join(event['by'])}" if event.get("by") else ""
    why = f": {brief(event['reason'])}" if event.get("reason") else ""
    match event["outcome"]:
        case "answered":
            return f"answered{by}: {brief(event.get('answer'))}"
        case "expired":
            return f"expired{why}"
        case "approved" if event.get("edited"):
            return f"approved{by} with other arguments: {brief(event.get('arguments'))}{why}"
        case outcome:
            return f"{outcome}{by}{why}"
