"""One step of a run with a local model that can plan by itself: one generation under one schema of all there is.

For larger GGUF files. A model of 135 M parameters is lost here (0 of 10 goals): it is served by `narrow`.
"""

from typing import Any

from callboard_contracts import model, tool, wire
from callboard_services.models import told
from callboard_services.models.errors import ProviderError
from callboard_services.models.local.narrow import Writer
from callboard_services.models.local.prompts import Chat
from callboard_services.models.local.schemas import UNBOUNDED, Schema
from callboard_services.models.provider import Message, Prompt

_FORM = (
    'Reply with one JSON object: {"tool", "arguments"} to call a tool, {"output"} once the objective is reached, '
    'or {"give_up"} with the reason when it cannot be.\nTools:\n'
)


class Direct:
    """Stateless: the model sees the whole conversation and decides everything."""

    def __init__(self, write: Writer) -> None:
        self._write = write

    def step(self, prompt: Prompt) -> model.Answer:
        """Return the next step.

        :raises ProviderError: `provider_malformed`, what was written is no step.
        """
        return answer(self._write(chat(prompt), schema(prompt)))


def answer(said: Any) -> model.Answer:
    """Return what was written as a step.

    :raises ProviderError: `provider_malformed`, it is none.
    """
    match said:
        case {"tool": str(name), "arguments": arguments}:
            return model.Answer(asks=(model.Ask(tool=name, arguments=arguments),))
        case {"output": output}:
            return model.Answer(finished=True, output=output)
        case {"give_up": str(why)}:
            return model.Answer(give_up=why or "the model gave no reason")
        case _:
            raise ProviderError("provider_malformed", "the model wrote neither a call, an output nor a reason")


def schema(prompt: Prompt) -> Schema:
    """Return exactly one of: a call of an offered tool, an output, a reason to give up; every string bounded.

    Definitions move to the root, where references look for them.
    """
    contracts = [spec.input_schema for spec in prompt.tools] + [prompt.contract]
    shared = {key: part for one in contracts for key, part in one.get("$defs", {}).items()}
    calls = [_exactly(tool={"const": one.name}, arguments=_bounded(one.input_schema)) for one in prompt.tools]
    ends = [_exactly(output=_bounded(prompt.contract)), _exactly(give_up={"type": "string", "maxLength": UNBOUNDED})]
    return {"anyOf": calls + ends} | ({"$defs": _bounded(shared)} if shared else {})


def chat(prompt: Prompt) -> Chat:
    """Return the conversation in the three roles that every chat template knows."""
    tools = "\n".join(map(_tool, prompt.tools))
    first = {"role": "system", "content": f"{prompt.messages[0].content}\n\n{_FORM}{tools}"}
    said = told.merged(_plain(message) for message in prompt.messages[1:])
    return [first, *({"role": message.role, "content": message.content} for message in said)]


def _exactly(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _bounded(part: Any) -> Any:
    """Return a schema with a limit on every string that has none: a small model may otherwise never stop."""
    if isinstance(part, list):
        return [_bounded(one) for one in part]
    if not isinstance(part, dict):
        return part
    free = part.get("type") == "string" and not {"enum", "const", "oneOf", "maxLength"} & part.keys()
    limit = {"maxLength": UNBOUNDED} if free else {}
    return {key: _bounded(one) for key, one in part.items() if key not in ("$defs", "$schema")} | limit


def _tool(spec: tool.Spec) -> str:
    return f"- {spec.name}: {spec.description} Arguments: {wire.encode(spec.input_schema).decode()}"


def _plain(message: Message) -> Message:
    match message:
        case Message(role="tool"):
            return Message(role="user", content=f"Result of {message.name}: {message.content}")
        case Message(role="assistant", asks=(first, *_)):
            said = {"tool": first.tool, "arguments": first.arguments}
            return Message(role="assistant", content=wire.encode(said).decode())
        case _:
            return message
