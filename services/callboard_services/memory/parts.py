"""The service put together. Importing this imports numpy, so only a process that has it does."""

from collections.abc import Awaitable, Callable
from typing import Final

from callboard.service import Context
from callboard_services.memory.answers import Answers
from callboard_services.memory.doors import Doors
from callboard_services.memory.embedding import Embedder
from callboard_services.memory.finished import Endings
from callboard_services.memory.follow import Follower
from callboard_services.memory.house import Memory
from callboard_services.memory.keeping import keep
from callboard_services.memory.tables import Tables
from callboard_services.memory.tools import tools
from callboard_services.memory.who import Who
from callboard_services.memory.writer import Writer

__all__ = ["BESIDE", "Answers", "Doors", "Endings", "furnished", "tools"]

BESIDE: Final[tuple[Callable[[Memory], Awaitable[None]], ...]] = (keep,)
"""What runs until the service stops."""


def furnished(context: Context, embedder: Embedder) -> Memory:
    """Return what every part of the service is given."""
    settings = context.settings
    tables = Tables(settings.memory or str(settings.data / "memory"), embedder.name, embedder.dimensions)
    return Memory(
        bus=context.bus,
        groups=context.groups,
        settings=settings,
        embedder=embedder,
        tables=tables,
        follower=Follower(context.bus, tables),
        writer=Writer(context.bus, embedder),
        who=Who(context.bus, context.groups),
    )
