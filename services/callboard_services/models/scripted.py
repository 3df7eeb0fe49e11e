"""A model whose answers come from a file, for demonstrations and tests. Labelled as scripted wherever it shows."""

from pathlib import Path

import anyio

from callboard_contracts import model, wire
from callboard_services.models import extract, script, tokens, window
from callboard_services.models.provider import Emit, Prompt, Reply, Tokens


class Scripted:
    """A `Provider` that follows a script.

    :param path: the file, read again for every prompt, so that it can be edited while the service runs.
    :raises CallboardError: `invalid_request`, it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = path.read_bytes()
        self._script = script.parse(self._text, str(path))

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        """See `Provider`."""
        if request.plain:
            said = model.Answer(finished=True, output=extract.notes(request))
            return Reply(answer=said, tokens=_counted(request, said), model=request.model)
        goal = "\n".join(message.content for message in request.messages[:2])
        step = script.step(await self._read(), goal, request.turn)
        await anyio.sleep(step.delay_s)
        results = [message.content for message in request.messages if message.role == "tool"]
        answer = script.answer(step, results, whole=window.whole(request.messages))
        if step.text:
            emit(step.text)
        return Reply(answer=answer, tokens=step.tokens or _counted(request, answer), model=request.model)

    async def _read(self) -> script.Script:
        text = await anyio.Path(self._path).read_bytes()
        if text != self._text:
            self._text, self._script = text, script.parse(text, str(self._path))
        return self._script

    async def aclose(self) -> None:
        """See `Provider`."""


def _counted(request: Prompt, answer: model.Answer) -> Tokens:
    """Return what a real model would have counted, about: so that budgets mean something with a script too."""
    said = wire.encode(answer).decode()
    return Tokens(tokens.of_messages(request.messages), tokens.of_text(said))
