"""What a run waits for: facts are gathered at the edge, and the answer follows from them alone."""

from callboard.why.facts import Durable, Facts, Lane, Stored
from callboard.why.reason import Reason
from callboard.why.reasons import why

__all__ = ["Durable", "Facts", "Lane", "Reason", "Stored", "why"]
