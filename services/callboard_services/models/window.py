"""Fits a conversation into a model's window. Pure.

In this order, and only as far as needed: the oldest results give way to one line each; the oldest steps give way to
one line for all of them. The head (system, goal and what stands for older steps) and the last step never give way.
"""

from collections.abc import Sequence

import msgspec

from callboard_services.models import tokens
from callboard_services.models.errors import ProviderError
from callboard_services.models.provider import Message

Block = tuple[Message, ...]
"""What belongs together: an answer and the results of its calls, or one note."""
_LEFT_OUT = " earlier steps are left out]"
SUMMED_UP = "What was done so far in this run, from its records."
"""How the message begins that stands for steps which were summed up."""


class Fitted(msgspec.Struct, frozen=True):
    """A conversation that fits."""

    note: Block
    """The line that stands for the steps that are left out; empty when none is."""
    left_out: int
    """How many steps that line stands for, those included that were never read."""
    gone: int
    """How many of the blocks are left out: the oldest."""
    blocks: tuple[Block, ...]
    """The others, as they are sent."""


def fit(head: Block, blocks: Sequence[Block], room: int, unread: int = 0) -> Fitted:
    """Return what of the blocks fits into `room` tokens together with the head.

    :param unread: how many steps before these blocks are left out already.
    :raises ProviderError: `context_overflow`, when the head and the last block alone are larger.
    """
    over = tokens.of_messages(head) + sum(map(tokens.of_messages, blocks)) - room
    return _shortened(head, _elided(blocks, over), room, unread)


def elided(message: Message) -> Message:
    """Return a result's message with one line in place of its content, or as it is when that is no longer."""
    line = f"[result elided: {len(message.content)} characters]"
    return message if len(message.content) <= len(line) else msgspec.structs.replace(message, content=line)


def whole(messages: Sequence[Message]) -> bool:
    """Tell whether a conversation has all steps of its run: none was left out or summed up."""
    said = [one.content for one in messages[2:] if one.role == "user"]
    return not any(one.endswith(_LEFT_OUT) or one.startswith(SUMMED_UP) for one in said)


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


def _shortened(head: Block, blocks: list[Block], room: int, unread: int) -> Fitted:
    """Leave out the oldest blocks until the rest fits."""
    sizes = [tokens.of_messages(block) for block in blocks]
    total = needed = tokens.of_messages(head) + sum(sizes)
    for gone in range(max(1, len(blocks))):
        note = _left_out(unread + gone)
        if total + tokens.of_messages(note) <= room:
            return Fitted(note, unread + gone, gone, tuple(blocks[gone:]))
        total -= sum(sizes[gone : gone + 1])
    raise ProviderError("context_overflow", f"the prompt needs {needed} tokens, there is room for {room}", free=True)


def _left_out(steps: int) -> Block:
    return (Message(role="user", content=f"[{steps}{_LEFT_OUT}"),) if steps else ()
