"""One link of the chain that says what a run waits for."""

from typing import Literal

import msgspec

WaitingFor = Literal[
    "planner", "guard", "executor", "result", "model", "sub_agent", "retry_delay", "resume", "late_results", "operator",
    "approval", "nothing",
]  # fmt: skip
"""Who or what has to move next. `approval`: a person. `nothing`: the run has ended."""


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One link of the chain."""

    run: str
    waiting_for: WaitingFor
    sentence: str
    """The whole of it in one plain sentence."""
    detail: str = ""
    """What was said of it: a code, a reason, an error."""
    since_ms: int = 0
    until_ms: int = 0
    """When it is over by itself; 0: never."""
    tool: str = ""
    call: str = ""
    executors: int | None = None
    """How many processes of the tool answered just now; None: it was not asked."""
    advice: str = ""
