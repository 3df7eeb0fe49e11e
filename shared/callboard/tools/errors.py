"""What a tool raises to say that a call did not work out."""

from callboard_contracts.errors import CATALOGUE


class ToolError(Exception):
    """The call failed, and had no effect that counts. The model reads the message: say what it could do instead.

    :param message: one or two sentences. :param retryable: the same call may succeed later.
    :param code: a code of the error catalogue, for the system's own tools.
    """

    def __init__(self, message: str, *, retryable: bool = False, code: str = "tool_failed") -> None:
        super().__init__(message)
        self.message = message
        self.retryable = retryable
        self.code = CATALOGUE[code].code
