"""A run as the planner knows it: a fold of its own records, bounded however long the run is."""

import msgspec

from callboard_contracts import run
from callboard_services.planner import loops


class Open(msgspec.Struct, frozen=True):
    """A call that has not answered."""

    tool: str
    deadline_ms: int
    digest: int = 0
    """Of its tool and arguments, to see when the run goes in circles."""


class State(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The run after its last record. `accepted` is the first record's and not part of a snapshot."""

    accepted: run.Accepted | None = None
    digest: str = ""
    """The goal's: the same id with another is a conflict, also when the first record is gone."""
    ended: bool = False
    turn: int = 0
    asked: int = 0
    """How often the model was asked."""
    made: int = 0
    """How many calls were proposed."""
    open: dict[str, Open] = {}
    given_up: tuple[str, ...] = ()
    """Calls whose deadline passed: a late result is booked and causes nothing."""
    owed: tuple[str, ...] = ()
    """Calls that had not answered when the run ended: a late result is booked and settles."""
    unsettled: tuple[run.Settlement, ...] = ()
    """Costs that the guard has not been told."""
    cost_micro_usd: int = 0
    rejected: int = 0
    """Answers in a row that were not accepted."""
    failures: int = 0
    """Model calls in a row that failed."""
    deferred_ms: int = 0
    """Ask the model again at this time; 0: nothing is deferred."""
    armed_ms: int = 0
    """When the run's timer is due; 0: none is armed."""
    context_tokens: int = 0
    """An estimate of the next prompt."""
    summary: int = 0
    """The sequence of the result with the standing summary; 0: there is none."""
    summarising: str = ""
    """The call that is to sum up the older steps."""
    summarise_from: int = 0
    """How often the model must have been asked before the next summary."""
    nth: int = 0
    """The last pause or resumption of the tree that the run heard of."""
    paused_ms: int = 0
    """Since when it is paused; 0: it is not."""
    parked: dict[str, int] = {}
    """Calls that wait for a person → since when (ms since 1970)."""
    parked_nth: int = 0
    """The last word of the guard about them."""
    still_ms: int = 0
    """Since when the run's clock stands still; 0: it does not."""
    stood_still_ms: int = 0
    """How long it stood still, by which the run's deadline moved."""
    heard: tuple[str, ...] = ()
    """The last wishes that were taken: said again, they change nothing."""
    unheard: int = 0
    """What a person said since the model was asked."""
    again: tuple[run.Retried, ...] = ()
    """Calls that a person wants to be made again, and that are not proposed yet."""
    done: tuple[loops.Done, ...] = ()
    """The answers of the present step."""
    steps: tuple[loops.Step, ...] = ()
    """The last steps."""

    @property
    def begun(self) -> run.Accepted:
        """The first record of a run that has one.

        :raises LookupError: it has none, which is a bug of ours.
        """
        if self.accepted is None:
            raise LookupError("the run was never accepted")
        return self.accepted

    @property
    def live(self) -> bool:
        """Whether it has begun and not ended."""
        return self.accepted is not None and not self.ended

    @property
    def deadline_ms(self) -> int:
        """When its wall time is over, ms since 1970."""
        return self.begun.deadline_ms + self.stood_still_ms
