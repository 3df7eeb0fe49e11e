"""Names of OpenTelemetry's GenAI conventions, which are still *Development*: they change here and nowhere else.

What the conventions have no word for begins with `callboard.`.
"""

from typing import Final

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOOL_NAME: Final = "gen_ai.tool.name"
TOOL_CALL: Final = "gen_ai.tool.call.id"
TOOL_TYPE: Final = "gen_ai.tool.type"
TOOL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
TOOL_RESULT: Final = "gen_ai.tool.call.result"
AGENT_NAME: Final = "gen_ai.agent.name"
AGENT_ID: Final = "gen_ai.agent.id"
AGENT_VERSION: Final = "gen_ai.agent.version"
INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a token of a model
ERROR: Final = "error.type"

INVOKE_AGENT: Final = "invoke_agent"
CHAT: Final = "chat"
EXECUTE_TOOL: Final = "execute_tool"

TOKEN_USAGE: Final = "gen_ai.client.token.usage"  # noqa: S105 - tokens of a model
OPERATION_DURATION: Final = "gen_ai.client.operation.duration"

TENANT: Final = "callboard.tenant"
TREE: Final = "callboard.tree"
RUN: Final = "callboard.run"
CALL: Final = "callboard.call"
TURN: Final = "callboard.turn"
STATUS: Final = "callboard.status"
RETRY_OF: Final = "callboard.retry_of"
"""Of a link: the run that is taken up again."""
COST: Final = "callboard.cost_micro_usd"
"""Of one call that answered; of one that never did nobody knows it, and what was reserved is charged."""
RUN_COST: Final = "callboard.run.cost_micro_usd"
"""Of all calls of one run: another name, because those have said it already."""
OTHER_PROVIDER: Final = "_OTHER"

PROVIDERS: Final = {
    "openai": "openai",
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "anthropic": "anthropic",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "vertex_ai": "gcp.vertex_ai",
    "mistral": "mistral_ai",
    "cohere": "cohere",
    "deepseek": "deepseek",
    "groq": "groq",
    "perplexity": "perplexity",
    "xai": "x_ai",
    "watsonx": "ibm.watsonx.ai",
}
"""The providers that the conventions name, by the prefix of a model's name."""


def provider(model: str) -> str:
    """Return the provider of a model by its prefix: `gemini/flash` → `gcp.gemini`; without a prefix it is `_OTHER`."""
    name = model.removeprefix("litellm/").replace(":", "/", 1)
    prefix, slash, _ = name.partition("/")
    return PROVIDERS.get(prefix, prefix) if slash and prefix else OTHER_PROVIDER
