"""One step of a run with a model too small to plan: the frame is narrowed, the model decides what is left.

Who decides what:

- The order is fixed: look around once, call a tool that acts, answer from its result. At most TRIES failed calls, each
  without what failed before. Only tools that read.
- MiniLM decides which tool acts (its description against the goal's words), which record of the tool that looked
  around an argument refers to (the argument's description names that tool), and which three fields of a record the
  model reads. It also ends a goal that has a word which nothing known explains.
- What a person says on the way joins the goal's words, and the next call follows from both: what was called before
  counts no longer. No word of the goal ends it then, for the person may have corrected it.
- The language model decides every free argument (any run of words of the goal, any value of an enumeration) and the
  answer (any value it was shown that the goal does not state itself). Decoding is greedy under the tool's schema or
  the contract; no rule prefers one.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from callboard_contracts import model, names, tool
from callboard_services.models.local import history, prompts, router, schemas, words
from callboard_services.models.local.history import Seen, State, texts
from callboard_services.models.local.retrieve import Record, Retriever, Similarity, flat_records
from callboard_services.models.provider import Prompt

TRIES = 3
TRIES_OF_A_RECORD = 2
"""How often a call about one record is tried before it is about the next."""
HARMLESS = ("pure", "read")
"""A model this small is never let near a tool that changes anything."""
EXPLAINED = 0.45
"""A word of the goal nearer than this to something known counts as explained."""
MOST_RECORDS = 3


class Writer(Protocol):
    """Writes JSON that fits a schema: the language model."""

    def __call__(self, chat: prompts.Chat, schema: dict[str, Any], /) -> Any:
        """Return what was written, parsed."""
        ...


class Narrow:
    """Stateless: the next step follows from the messages, the similarity and the writer."""

    def __init__(self, near: Similarity, write: Writer) -> None:
        self._near = near
        self._write = write
        self._retriever = Retriever(near)

    def step(self, prompt: Prompt) -> model.Answer:
        """Return the next step: calls, an output, or an honest end."""
        state = history.read(prompt)
        prompt = msgspec.structs.replace(prompt, tools=tuple(one for one in prompt.tools if _may_use(one)))
        for spec in router.sources(prompt.tools):
            if not any(one.tool == spec.name for one in state.seen):
                return _ask(spec, {})
        acting = {spec.name for spec in prompt.tools if router.required(spec)}
        done = [one for one in state.seen if one.tool in acting and not one.failed and not one.before]
        if done:
            return self._answer(prompt, state, done[-1])
        return self._call(prompt, state)

    def _call(self, prompt: Prompt, state: State) -> model.Answer:
        """Return the next call. What failed before is no longer among the model's options."""
        failed = [one for one in state.seen if one.failed and not one.before]
        if len(failed) >= TRIES:
            return _give_up(f"{len(failed)} calls failed, the last with: {_error(failed[-1])}")
        for spec in router.ranked(state.wanted, prompt.tools, self._near)[:1]:
            for given in self._referred(spec, prompt.tools, state):
                tried = [one for one in failed if one.tool == spec.name and given.items() <= one.arguments.items()]
                strings = _options(state.wanted, tried)
                if strings and len(tried) < TRIES_OF_A_RECORD:
                    return _ask(spec, given | self._written(spec, given, state.wanted, strings))
        return _give_up(_error(failed[-1]) if failed else "no tool fits the goal")

    def _referred(self, spec: tool.Spec, offered: Sequence[tool.Spec], state: State) -> list[dict[str, Any]]:
        """Return the arguments that an earlier result names, the most relevant record first."""
        named = {name: from_ for name in router.required(spec) if (from_ := router.source(spec, name, offered))}
        values = [one.value for from_ in dict.fromkeys(named.values()) for one in state.of(from_)]
        if not named:
            return [{}]
        records = self._retriever.nearest(state.wanted, values[-1]) if values else []
        return [dict.fromkeys(named, texts(record)[0]) for record in records[:TRIES] if texts(record)]

    def _written(self, spec: tool.Spec, given: dict[str, Any], goal: str, strings: list[str]) -> dict[str, Any]:
        free = tuple(name for name in router.required(spec) if name not in given)
        if not free:
            return {}
        found = self._write(prompts.for_arguments(goal, free), schemas.of_arguments(spec, free, strings))
        return found if isinstance(found, dict) else {}

    def _answer(self, prompt: Prompt, state: State, last: Seen) -> model.Answer:
        records = flat_records(last.value)[:MOST_RECORDS]
        if not records:
            return _give_up(f"{last.tool} found nothing")
        if not state.said and (unknown := self._unexplained(prompt, state, last, records)):
            return _give_up(f"nothing that was found speaks of {', '.join(map(repr, unknown))}")
        shown = [self._retriever.shown(state.wanted, record) for record in records]
        refused = {text for output in state.refused for text in texts(output)}
        found = [value for value in dict.fromkeys(texts(shown)) if value not in refused]
        values = [value for value in found if value.lower() not in state.wanted.lower()] or found
        if not values:
            return _give_up("every value that was found was refused")
        chat = prompts.for_answer(state.wanted, shown, lambda value: {"answer": schemas.shaped(prompt.contract, value)})
        found = self._write(chat, schemas.of_output(prompt.contract, values))
        return model.Answer(finished=True, output=found["answer"])

    def _unexplained(self, prompt: Prompt, state: State, last: Seen, records: list[Record]) -> list[str]:
        """Return the words of the goal that nothing explains: no argument, no field, no value, no tool."""
        said = texts(last.arguments)
        known = [*(field for record in records for field in record), *texts(records), *said]
        tools = [word for spec in prompt.tools for word in words.content(spec.description)]
        asked = words.content(state.goal, said)
        return [
            word
            for word in asked
            if max(self._retriever.known(word, known), 1.0 if word.lower() in map(str.lower, tools) else 0) < EXPLAINED
        ]


def _options(goal: str, tried: list[Seen]) -> list[str]:
    """Return what an argument may be: any run of words of the goal; after a failure a longer or shorter one."""
    spans = words.spans(goal)
    failed = {text for one in tried for text in texts(one.arguments) if text in spans}
    near = {word for text in failed for word in words.words(text)}
    return [one for one in spans if one not in failed and (not tried or near & set(words.words(one)))]


def _ask(spec: tool.Spec, arguments: dict[str, Any]) -> model.Answer:
    return model.Answer(asks=(model.Ask(tool=spec.name, arguments=arguments),))


def _may_use(spec: tool.Spec) -> bool:
    """It neither changes anything nor troubles people: it cannot tell what only a person knows."""
    return spec.effect in HARMLESS and spec.name != names.ASK


def _give_up(why: str) -> model.Answer:
    return model.Answer(give_up=why)


def _error(seen: Seen) -> str:
    error = seen.value.get("error") if isinstance(seen.value, dict) else None
    return str(error.get("message", error)) if isinstance(error, dict) else msgspec.json.encode(seen.value).decode()
