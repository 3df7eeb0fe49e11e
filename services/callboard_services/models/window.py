"""Fits a conversation into a model's window. Pure.

In this order, and only as far as needed: the oldest results give way to one line each; the oldest steps give way to
one line for all of them. The head (system and goal) and the last step never give way.
"""

from collections.abc import Sequence

from callboard_services.models import tokens
from callboard_services.models.errors import ProviderError
from callboard_services.models.provider import Message

Block = tuple[Message, ...]
"""What belongs together: an answer and the results of its calls, or one note."""
_LEFT_OUT = " earlier steps are left out]"


def fit(head: Block, blocks: Sequence[Block], room: int, unread: int = 0) -> tuple[Message, ...]:
    """Return head and blocks in at most `room` tokens.

    :param unread: how many steps before these blocks are left out already.
    :raises ProviderError: `context_overflow`, when the head and the last block alone are larger.
    """
    over = tokens.of_messages(head) + sum(map(tokens.of_messages, blocks)) - room
    kept = _elided(blocks, over)
    return tuple(message for block in _shortened(head, kept, room, unread) for message in block)


def elided(message: Message) -> Message:
    """Return a result's message with one line in place of its content, or as it is when that is no longer."""
    line = f"[result elided: {len(message.content)} characters]"
    return message if len(message.content) <= len(line) else _replaced(message, line)


def _elided(blocks: Sequence[Block], over: int) -> list[Block]:
    """Elide the oldest results until nothing is over, or nothing is left to elide."""
    found = []
    for block in blocks:
        messages = []
        for message in block:
            short = elided(message) if over > 0 and message.role == "tool" else message
            if short is not message:
                over -= tokens.of_message(message) - tokens.of_message(short)
            messages.append(short)
        found.append(tuple(messages))
    return found


def _shortened(head: Block, blocks: list[Block], room: int, unread: int) -> list[Block]:
    """Leave out the oldest blocks until the rest fits."""
    sizes = [tokens.of_messages(block) for block in blocks]
    total = needed = tokens.of_messages(head) + sum(sizes)
    for gone in range(max(1, len(blocks))):
        note = _left_out(unread + gone)
        if total + tokens.of_messages(note) <= room:
            return [head, note, *blocks[gone:]]
        total -= sum(sizes[gone : gone + 1])
    raise ProviderError("context_overflow", f"the prompt needs {needed} tokens, there is room for {room}", free=True)


def whole(messages: Sequence[Message]) -> bool:
    """Tell whether no step of a conversation was left out."""
    return not any(one.role == "user" and one.content.endswith(_LEFT_OUT) for one in messages[2:3])


def _left_out(steps: int) -> Block:
    return (Message(role="user", content=f"[{steps}{_LEFT_OUT}"),) if steps else ()


def _replaced(message: Message, content: str) -> Message:
    return Message(
        role=message.role,
        content=content,
        tool_call_id=message.tool_call_id,
        name=message.name,
        failed=message.failed,
    )
