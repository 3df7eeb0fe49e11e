"""What each field of a message means: the line below it in the source, or what its name means everywhere."""

import ast
import inspect
from itertools import pairwise
from typing import Final

ANYWHERE: Final = {
    "admitted": "Whether the registrar found nothing wrong with it.",
    "arguments": "The arguments, valid against the tool's input schema.",
    "at_ms": "When, in ms since 1970.",
    "asks": "The tool calls that the model wants.",
    "base64": "`body` is in base64, because it was not text.",
    "body": "The body as it came.",
    "bytes": "Its size in bytes.",
    "call": "The id of the call, or in a grant the call itself.",
    "calls": "The calls; where it is a number, how many were granted.",
    "code": "A code of the error catalogue; empty where there was no error.",
    "committed_micro_usd": "What it cost in the end, in micro-US-dollars.",
    "context_tokens": "How many tokens fit the model's window; 0 when that is not known.",
    "contract": "JSON Schema of the output.",
    "cost_micro_usd": "What it cost, in micro-US-dollars.",
    "depth": "How many parents the run has; 0 for the root of a tree.",
    "description": "What it is for, in words that a model can choose by.",
    "digest": "sha256 of the content, in hex.",
    "duration_ms": "How long it took, in milliseconds.",
    "effect": "What running it twice would mean: nothing, a second look, a second change, a second change for ever.",
    "entries": "Per call: its id, what it cost in micro-US-dollars, and the tokens it used.",
    "events": "What happened, in this order.",
    "files": "The files that come with it.",
    "goal": "The goal as it was taken.",
    "goal_digest": "sha256 of the goal's content: the same id with another digest is a conflict.",
    "grounded": "Accept only an output whose every value occurs in what the tools returned.",
    "id": "The id: of a call `<run>-<turn>-<index>`, of a dead letter the message's `ce-id`.",
    "input": "The skill's input, valid against its input schema.",
    "input_micro_usd": "Price of a million input tokens, in micro-US-dollars; null when unknown.",
    "input_schema": "JSON Schema of the input.",
    "input_tokens": "Tokens of the prompt.",
    "instances": "How many processes serve it now.",
    "limits": "What may be used.",
    "max_output_tokens": "The most tokens that the answer may have.",
    "max_turns": "How often the model is asked in the run.",
    "message": "What happened, in a sentence for a person.",
    "model": "The model's name; empty where none was asked.",
    "name": "Its name.",
    "objective": "What is to be achieved, in words.",
    "output": "The output, valid against its schema.",
    "output_micro_usd": "Price of a million output tokens, in micro-US-dollars; null when unknown.",
    "output_ref": "The digest of the output in the blob store when it is over 32 KiB; then `output` is absent.",
    "output_schema": "JSON Schema of the output; null when it promises nothing.",
    "output_tokens": "Tokens of the answer.",
    "parent": "The run that asked for this one; empty for the root of a tree.",
    "path": "Where it lies, relative to its folder.",
    "principal": "Who acts.",
    "prompt": "What the model is told, in Markdown.",
    "reason": "Why, in a sentence for a person.",
    "reserved_micro_usd": "The worst case of its cost, which the tree holds back, in micro-US-dollars.",
    "reserved_tokens": "The worst case of its tokens, which the tree holds back.",
    "results": "The results that this turn took.",
    "run": "The id of the run.",
    "seq": "A sequence in the stream named beside it, or in the run's own journal stream.",
    "service": "The service that set it aside.",
    "settled": "Per call: its id, what it cost in micro-US-dollars, and the tokens it used.",
    "skill": "The name of the skill; empty for a goal without one.",
    "skill_digest": "The digest of the skill's version that the run is pinned to; empty without a skill.",
    "spec": "What the tool says of itself.",
    "status": "How it ended.",
    "stream": "The stream it was taken from.",
    "subject": "The subject it came on.",
    "tags": "Words to find it by.",
    "text": "The text.",
    "timeout_s": "The longest it may take, in seconds.",
    "tokens": "Tokens, prompts and answers together.",
    "tool": "The name of the tool, with dots.",
    "tools": "Names of tools, with dots.",
    "traceparent": "W3C trace context of whoever started it.",
    "turn": "The number of the run's turn, from 1.",
    "type": "The wire type of the message, as in the header `ce-type`.",
    "until_ms": "Not before this time, in ms since 1970.",
    "unpriced": "The price is not known, so a cost of 0 is not to be believed.",
    "usage": "What it used.",
    "version": "Its version, as in semantic versioning.",
}
"""What a field of this name means in every message that does not say otherwise."""


def of_class(cls: type) -> str:
    """Return a class's docstring as a paragraph."""
    return inspect.cleandoc(cls.__doc__ or "")


def of_fields(cls: type) -> dict[str, str]:
    """Return what is said of each field of a class: its own line, else what its name means anywhere."""
    body = ast.parse(inspect.getsource(cls)).body[0]
    lines = list(body.body) if isinstance(body, ast.ClassDef) else []
    return ANYWHERE | dict(_line(field, below) for field, below in pairwise(lines) if _is_documented(field, below))


def _is_documented(field: ast.stmt, below: ast.stmt) -> bool:
    return isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)


def _line(field: ast.stmt, below: ast.stmt) -> tuple[str, str]:
    assert isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)  # noqa: S101, PT018 - _is_documented
    assert isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)  # noqa: S101, PT018 - _is_documented
    return field.target.id, inspect.cleandoc(str(below.value.value))
