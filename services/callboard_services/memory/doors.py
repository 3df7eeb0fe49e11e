"""The questions of people, as the gateway asks them: in the name of somebody, and with what is on its way in."""

from collections.abc import Mapping

from callboard.bus.registry import Registry
from callboard.tasks import Tasks
from callboard.tools import Tool
from callboard_contracts import wire
from callboard_services.memory import listing, people, preferences, skills
from callboard_services.memory.answers import QUESTIONS, Question
from callboard_services.memory.house import Memory
from callboard_services.memory.ingest.documents import Documents
from callboard_services.memory.ingest.intake import Intake
from callboard_services.memory.ingest.wanted import Wanted
from callboard_services.memory.procedures import Procedures


class Doors:
    """All that may be asked of one process, and the skills that its runs may find.

    What comes in through it is given up when it stops, and nothing is lost.
    """

    def __init__(self, house: Memory) -> None:
        self._house = house
        self._intake = Intake(house.bus, Documents(house.bus, house.writer).ingest)
        self._registry = Registry(house.bus)
        self._procedures = Procedures(house, self._registry)
        self._tasks = Tasks()

    async def start(self) -> None:
        """Follow the registry.

        :raises BusError: the broker does not answer.
        """
        await self._registry.start()
        self._tasks.spawn(self._procedures.run())

    def tools(self) -> tuple[Tool, ...]:
        """Return the tools for skills."""
        return skills.tools(self._house, self._procedures, self._registry)

    def questions(self) -> Mapping[str, Question]:
        """Return every question by name."""
        return {**QUESTIONS, **_OF_PEOPLE, "ingest": self._ingest}

    async def stop(self) -> None:
        """Give up the documents that are on their way, and follow nothing any more."""
        await self._intake.stop()
        await self._tasks.stop()
        await self._registry.stop()

    async def _ingest(self, _: Memory, tenant: str, body: bytes) -> object:
        return await self._intake.begin(tenant, wire.decode(body, Wanted))


async def _prefer(house: Memory, tenant: str, body: bytes) -> object:
    return await preferences.prefer(house, tenant, wire.decode(body, preferences.Preferring))


async def _preferences(house: Memory, tenant: str, body: bytes) -> object:
    return await preferences.of(house, tenant, wire.decode(body, preferences.Whose))


_OF_PEOPLE: Mapping[str, Question] = {
    "prefer": _prefer,
    "preferences": _preferences,
    "person-search": people.search,
    "person-show": people.show,
    "person-sources": listing.sources,
    "person-forget": people.forget,
    "person-trace": people.trace,
    "person-quarantine": people.quarantine,
}
