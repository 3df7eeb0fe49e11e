"""Steps as plain text that somebody else reads, and notes made of it where no model can write any. Pure."""

from callboard_contracts import wire
from callboard_services.models.provider import Message, Prompt

MOST_CHARS = 3000
"""Of notes."""
_OF_ONE = 200
_RESULT = "Result of "


def line(message: Message) -> str:
    """Return a message as text: a line for what was said, for each call, and for a result."""
    match message:
        case Message(role="tool"):
            return f"{_RESULT}{message.name}: {_flat(message.content)}"
        case Message(role="assistant"):
            said = [f"The model said: {_flat(message.content)}"] if message.content else []
            asked = (f"Call of {one.tool}: {_flat(wire.encode(one.arguments).decode())}" for one in message.asks)
            return "\n".join([*said, *asked])
        case _:
            return _flat(message.content)


def notes(request: Prompt) -> str:
    """Return the beginning of each result, the newest ones first, for a question that asks to sum up."""
    steps = request.messages[-1].content.splitlines()
    found = [line[:_OF_ONE] for line in steps if line.startswith(_RESULT)]
    kept: list[str] = []
    for one in reversed(found):
        if sum(len(earlier) + 1 for earlier in kept) + len(one) > MOST_CHARS:
            break
        kept.append(one)
    return "\n".join(reversed(kept)) or "Nothing was found."


def _flat(text: str) -> str:
    return " ".join(text.splitlines())
