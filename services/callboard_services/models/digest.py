"""What tells two prompts apart: a digest of everything that a model is sent. Pure."""

from hashlib import blake2b

from callboard_contracts import wire
from callboard_services.models.provider import Prompt

BYTES = 8


def of(prompt: Prompt) -> str:
    """Return the digest of a prompt: its messages, the tools it offers, and the bound of its answer."""
    tools = [(one.name, one.description, one.input_schema) for one in prompt.tools]
    said = (prompt.model, prompt.messages, tools, prompt.contract, prompt.max_output_tokens)
    return blake2b(wire.encode(said), digest_size=BYTES).hexdigest()
