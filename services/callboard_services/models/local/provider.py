"""The models service's provider for models in this process. Loaded at the first prompt, in a thread, once.

One generation runs at a time; prompts queue. A cancelled prompt stops within a token.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from callboard.embed import Embedder
from callboard_contracts import model
from callboard_contracts.errors import CallboardError
from callboard_services.models import extract
from callboard_services.models.errors import ProviderError
from callboard_services.models.local import engine, schemas
from callboard_services.models.local.direct import Direct
from callboard_services.models.local.narrow import Narrow
from callboard_services.models.local.retrieve import Similarity
from callboard_services.models.local.weights import Weights
from callboard_services.models.provider import Emit, Prompt, Reply, Tokens

NARROW_TOKENS = 4096
PLAN_TOKENS = 16_384
"""How many tokens a model reads: with a narrowed prompt, and with the whole conversation."""

_NOTES: schemas.Schema = {
    "type": "object",
    "properties": {"notes": {"type": "string", "maxLength": extract.MOST_CHARS}},
    "required": ["notes"],
    "additionalProperties": False,
}


class Local:
    """A `Provider` of one GGUF.

    :param pick: replaces the model's decoding, to measure what the model adds: an answer for a schema.
    """

    def __init__(self, weights: Weights, pick: Callable[[schemas.Schema], Any] | None = None) -> None:
        self._weights = weights
        self._pick = pick
        self._loading = threading.Lock()
        self._loaded: tuple[engine.Engine, Similarity | None] | None = None

    async def complete(self, request: Prompt, emit: Emit) -> Reply:
        """See `Provider`."""
        cancelled = threading.Event()
        loop = asyncio.get_running_loop()

        def tell(text: str) -> None:
            if not cancelled.is_set():
                loop.call_soon_threadsafe(emit, text)

        writer = _Writer(request, tell, cancelled, self._pick)
        try:
            with anyio.fail_after(request.timeout_s):
                answer = await anyio.to_thread.run_sync(self._step, request, writer, abandon_on_cancel=True)
        except TimeoutError:
            raise ProviderError("provider_timeout", f"no answer in {request.timeout_s:.3g} s", free=True) from None
        except engine.RefusedError as error:
            raise ProviderError("provider_malformed", str(error), free=True) from None
        except (engine.WrongModelError, CallboardError, ImportError, OSError) as error:
            raise ProviderError("no_model", str(error), retryable=False, free=True) from None
        finally:
            cancelled.set()
        return Reply(answer=answer, tokens=writer.tokens, cost_micro_usd=0, model=self._weights.path.stem)

    async def aclose(self) -> None:
        """See `Provider`."""
        self._loaded = None

    def _step(self, request: Prompt, writer: "_Writer") -> model.Answer:
        running, near = self._load()
        writer.running = running
        if request.plain:
            return model.Answer(finished=True, output=_notes(request, writer if near is None else None))
        step = Direct(writer).step if near is None else Narrow(near, writer).step
        return step(request)

    def _load(self) -> tuple[engine.Engine, Similarity | None]:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load(self._weights)
            return self._loaded


def _load(weights: Weights) -> tuple[engine.Engine, Similarity | None]:
    """Load a model, and the embedder where the model cannot plan.

    :raises WrongModelError: the file is not the one that was pinned.
    """
    if weights.sha256:
        engine.verify(weights.path, weights.sha256)
    if weights.plans:
        return engine.Engine(weights.path, context_tokens=PLAN_TOKENS), None
    return engine.Engine(weights.path, context_tokens=NARROW_TOKENS), Embedder().similarity


def _notes(request: Prompt, write: "_Writer | None") -> str:
    """Return notes on a run: the model's where it can write any, else the beginning of each result."""
    said = [{"role": message.role, "content": message.content} for message in request.messages]
    try:
        found = write(said, _NOTES) if write is not None else {}
    except engine.RefusedError:  # it was cut off
        found = {}
    text = found.get("notes") if isinstance(found, dict) else ""
    return str(text) if text else extract.notes(request)


class _Writer:
    """The language model as `narrow` and `direct` see it, counting the tokens of one prompt."""

    running: engine.Engine

    def __init__(
        self,
        request: Prompt,
        on_token: engine.OnToken,
        cancelled: threading.Event,
        pick: Callable[[schemas.Schema], Any] | None,
    ) -> None:
        self._request, self._on_token, self._cancelled, self._pick = request, on_token, cancelled, pick
        self.tokens = Tokens(0, 0)

    def __call__(self, chat: list[dict[str, str]], schema: schemas.Schema) -> Any:
        """Write JSON. :raises RefusedError: what was written is none, or was cut off."""
        if self._pick is not None:
            return self._pick(schema)
        made = self.running.generate(
            chat,
            schema,
            max_tokens=self._request.max_output_tokens,
            on_token=self._on_token,
            cancelled=self._cancelled,
        )
        self.tokens = Tokens(self.tokens.input + made.prompt_tokens, self.tokens.output + made.completion_tokens)
        try:
            return msgspec.json.decode(made.text)
        except msgspec.DecodeError:
            raise engine.RefusedError(f"not JSON, or cut off: {made.text[:80]!r}") from None
