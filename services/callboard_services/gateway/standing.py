"""How a run stands as to control: from its own last records and the guard's, whether or not anybody else lives."""

import msgspec

from callboard.why import fold
from callboard.why.gather import Edge, guards, last_records
from callboard_contracts import ids
from callboard_contracts.errors import CallboardError
from callboard_services.gateway.house import House
from callboard_services.gateway.runs import check_known


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is known."""

    run: str
    status: str
    """`queued`, `running`, `paused`, or how it ended."""
    pauses: tuple[str, ...] = ()
    """Which of the run and its ancestors are paused."""
    cancelled: bool = False
    """The guard has recorded it; the run's ending may not be written yet."""

    @property
    def ended(self) -> bool:
        """Whether it ended."""
        return self.status not in ("queued", "running", "waiting", "paused")

    def require_live(self) -> None:
        """Check that the run has not ended.

        :raises CallboardError: `not_live`.
        """
        if self.ended:
            raise CallboardError("not_live", f"The run {self.run} is {self.status}.")

    def require_begun(self) -> None:
        """Check that the run has begun and not ended.

        :raises CallboardError: `not_live`, `not_started`.
        """
        self.require_live()
        if self.status == "queued":
            raise CallboardError("not_started", f"The goal {self.run} waits for a planner.")


def edge_of(house: House) -> Edge:
    """Return from where facts are gathered."""
    return Edge(house.bus, house.groups, house.tenant)


async def standing(house: House, run: str) -> Standing:
    """Return how a run stands.

    :raises CallboardError: `unknown_run`. :raises BusError: the broker does not answer.
    """
    edge = edge_of(house)
    records = await last_records(edge, run)
    if not records:
        await check_known(house, run)
    own = fold.own(records)
    if own.ended is not None:
        return Standing(run=run, status=own.status())
    paused = [run] if own.paused else []
    tree = fold.tree(await guards(edge, run, own.begun, paused=paused, exact=True))
    pauses = tuple(name for name in ids.lineage(run) if name in tree.paused)
    cancelled = tree.cancel_of(run) is not None
    return Standing(run=run, status=own.status(paused=bool(pauses)), pauses=pauses, cancelled=cancelled)
