"""The tool SDK: a typed function becomes a tool that any run may use, from any process.

from callboard.tools import serve_tools, tool

@tool(name="text.shout", effect="pure")
def shout(text: str) -> str:
    '''Return a text in capitals.'''
    return text.upper()

serve_tools(shout)
"""

from callboard.tools.context import Handler, ToolContext
from callboard.tools.errors import ToolError
from callboard.tools.executor import Executor, serving
from callboard.tools.files import Files, Seen
from callboard.tools.process import Finished
from callboard.tools.serve import serve, serve_tools
from callboard.tools.tool import Tool, tool

__all__ = [
    "Executor",
    "Files",
    "Finished",
    "Handler",
    "Seen",
    "Tool",
    "ToolContext",
    "ToolError",
    "serve",
    "serve_tools",
    "serving",
    "tool",
]
