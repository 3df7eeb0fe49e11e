"""What can go wrong between a process and the broker.

BusError
├── Conflict          the fence refused a record: read again, decide again
├── PublishTimeout    no acknowledgement in time: it may be stored or not; read before trying again
├── PublishRefused    the broker refused it for good or for now (`retry`)
└── NoAnswer          nobody answered a request in time
"""


class BusError(Exception):
    """Something between this process and the broker."""


class Conflict(BusError):  # noqa: N818 - a state of the world, read as one: `except Conflict`
    """The fence refused a record: another turn was first. Load the actor again and decide again."""


class PublishTimeout(BusError):  # noqa: N818 - as above
    """No acknowledgement in time. The message may be stored: read before publishing again."""


class PublishRefused(BusError):  # noqa: N818 - as above
    """The broker refused the message. Retry when `retry`, else give up.

    :param code: the broker's `err_code`. :param retry: it may be accepted later (full, unavailable).
    """

    def __init__(self, code: int, description: str, *, retry: bool) -> None:
        super().__init__(f"{description} ({code})")
        self.code = code
        self.retry = retry


class NoAnswer(BusError):  # noqa: N818 - as above
    """Nobody answered in time, or nobody is there."""


class NobodyListens(NoAnswer):
    """Nobody is there: the broker said so at once."""
