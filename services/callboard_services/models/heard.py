"""Puts the pieces of a chat completion together, streamed or whole, and is lenient about how servers write them."""

from typing import Any

import msgspec

from callboard_contracts import wire
from callboard_contracts.units import MicroUsd, micro_usd
from callboard_services.models.completion import Choice, Chunk, Delta, Function, ToolDelta, text_of, words_of
from callboard_services.models.errors import ProviderError
from callboard_services.models.http_errors import from_status
from callboard_services.models.provider import Tokens
from callboard_services.models.shape import Raw, RawCall

MOST_CHARS = 4_000_000
"""No honest answer is longer; a server that never stops is cut off here."""


class _Call:
    """A tool call that is being written."""

    def __init__(self, index: int | None, id_: str | None) -> None:
        self.index, self.id, self.name, self.arguments = index, id_, "", ""


class Heard:
    """What was heard of one answer so far."""

    def __init__(self) -> None:
        self.tokens: Tokens | None = None
        self.cost: MicroUsd | None = None
        self.model = ""
        self.begun = False
        """The server has answered 200."""
        self.chosen = False
        self.finish = ""
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._chars = 0

    def add(self, data: bytes) -> str:
        """Take one chunk, or a whole completion; return the text that it adds.

        :raises ProviderError: `provider_malformed`, or `provider_error` when it tells of one.
        """
        try:
            chunk = msgspec.json.decode(data, type=Chunk, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ProviderError("provider_malformed", f"the answer is no chat completion: {error}") from None
        return self.take(chunk, len(data))

    def take(self, chunk: Chunk, size: int) -> str:
        """Take one chunk of `size` characters; return the text that it adds."""
        self._chars += size
        if self._chars > MOST_CHARS:
            raise ProviderError("provider_malformed", f"the answer is longer than {MOST_CHARS} characters")
        if chunk.error:
            raise self._told_error(chunk.error)
        self._count(chunk)
        return self._choice(chunk.choices[0]) if chunk.choices else ""

    def raw(self) -> Raw:
        """Return the answer.

        :raises ProviderError: `provider_empty`, there is none.
        """
        if not self.chosen:
            raise ProviderError("provider_empty", "the provider's answer has no choices", tokens=self.tokens)
        return Raw(
            text="".join(self._text),
            calls=tuple(RawCall(one.name, one.arguments) for one in self._calls),
            refusal="".join(self._refusal),
            cut=self.finish == "length",
            tokens=self.tokens,
        )

    def _told_error(self, error: Any) -> ProviderError:
        """Return the error in an answer of 200. It may name the status that it should have had."""
        status = error.get("code") if isinstance(error, dict) else None
        if isinstance(status, int) and 400 <= status < 600 and not self.chosen:
            return from_status(status, {}, words_of(error))
        return ProviderError("provider_error", f"the provider broke off: {words_of(error)}", tokens=self.tokens)

    def _count(self, chunk: Chunk) -> None:
        self.model = chunk.model or self.model
        usage = chunk.usage
        if usage and (usage.prompt_tokens or usage.completion_tokens):
            self.tokens = Tokens(usage.prompt_tokens or 0, usage.completion_tokens or 0)
            self.cost = _dollars(usage.cost)

    def _choice(self, choice: Choice) -> str:
        self.chosen = True
        self.finish = choice.finish_reason or self.finish
        said = choice.delta or choice.message or Delta()
        for one in said.tool_calls or []:
            self._tool(one)
        self._refusal.append(said.refusal or "")
        text = text_of(said.content)
        self._text.append(text)
        return text

    def _tool(self, delta: ToolDelta) -> None:
        call, function = self._slot(delta), delta.function or Function()
        call.name = call.name or function.name or ""
        call.arguments += _arguments(function.arguments)

    def _slot(self, delta: ToolDelta) -> _Call:
        """Return the call that a piece belongs to. A new id is a new call, for some servers never count the index."""
        if delta.id:
            known = [call for call in self._calls if call.id == delta.id]
        elif delta.index is not None:
            known = [call for call in self._calls if call.index == delta.index]
        else:
            known = [] if delta.function and delta.function.name else self._calls
        if not known:
            self._calls.append(_Call(delta.index, delta.id))
            known = self._calls
        return known[-1]


def _arguments(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else wire.encode(value).decode()


def _dollars(value: Any) -> MicroUsd | None:
    try:
        return None if value is None else micro_usd(value)
    except ValueError:
        return None
