"""For whom a run acts: its user, its workspace and its skill, as its own records say, never as a model says."""

from collections import OrderedDict

from callboard.bus import Bus, layout, reader
from callboard_contracts import ids, memory, run, subjects, wire
from callboard_contracts.errors import CallboardError
from callboard_contracts.journal import Record
from callboard_services.memory.query import Run

_KNOWN = 4096
LABEL = "workspace"
"""The label of a goal that names its workspace."""


class Who:
    """Looks runs up in the journal, each once."""

    def __init__(self, bus: Bus, groups: int) -> None:
        self._bus = bus
        self._groups = groups
        self._known: OrderedDict[tuple[str, str], Run] = OrderedDict()

    async def of(self, tenant: str, name: str) -> Run:
        """Return what a run may see. Sub-agents act for the user and in the workspace of their root.

        :raises CallboardError: `unknown_run`. :raises BusError: the broker does not answer.
        """
        key = (tenant, name)
        if key not in self._known:
            root = await self._accepted(tenant, ids.tree_of(name))
            own = root if ids.tree_of(name) == name else await self._accepted(tenant, name)
            workspace = root.goal.labels.get(LABEL, "") or memory.WORKSPACE
            self._known[key] = Run(workspace, name, root.goal.principal, own.skill)
            if len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return self._known[key]

    async def _accepted(self, tenant: str, name: str) -> run.Accepted:
        address = subjects.Address.of_run(tenant, name)
        stream = layout.journal_of(address.tree, self._groups)
        found = await reader.last(self._bus, stream, str(address.at("log", "accepted")))
        found = found or await reader.following(self._bus, stream, address.fence, 1)
        events = wire.decode(found.body, Record).events if found else ()
        accepted = next((event for event in events if isinstance(event, run.Accepted)), None)
        if accepted is None:
            raise CallboardError("unknown_run", f"run {name!r} has no record of its beginning")
        return accepted
