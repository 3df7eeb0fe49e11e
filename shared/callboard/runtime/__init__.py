"""What every actor shares: inputs in, one fenced record a turn, commands out, acknowledgement last."""

from callboard.runtime.inputs import Source
from callboard.runtime.journal import Held, Journal
from callboard.runtime.worker import Worker

__all__ = ["Held", "Journal", "Source", "Worker"]
