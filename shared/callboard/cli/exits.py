"""Exit codes, and errors as a person reads them: one sentence on what and where, one on what to do next."""

import os
import sys

OK = 0
INTERNAL = 1
USAGE = 2
FAILED = 3
CANCELLED = 4
INTERRUPTED = 130

_INTERNAL_CODES = frozenset({"internal", "unavailable"})
_STATUS = {"completed": OK, "cancelled": CANCELLED}


def of_status(status: str, code: str = "") -> int:
    """Return the exit code of a run that ended with a status; what was refused for its input is usage."""
    from callboard_contracts.errors import CATALOGUE

    if status == "refused" and code in CATALOGUE and CATALOGUE[code].then == "correct":
        return USAGE
    return _STATUS.get(status, FAILED)


def usage(problem: str, command: str) -> int:
    """Tell that the command line cannot be used."""
    text = " ".join(problem.split())
    _say(text if text.endswith((".", "?", "!")) else f"{text}.")
    _say(f"See `{command} --help`.")
    return USAGE


def report(error: BaseException) -> int:
    """Tell about an error, and return the exit code for it."""
    from callboard_contracts.errors import CallboardError

    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if os.environ.get("CALLBOARD_DEBUG"):
        raise error
    if isinstance(error, CallboardError):
        title, detail = error.entry.title, error.detail.strip().rstrip(".")
        _say(f"{title}: {detail}." if detail else f"{title}.")
        _say(error.entry.advice)
        return INTERNAL if error.code in _INTERNAL_CODES else USAGE
    if isinstance(error, KeyboardInterrupt):
        _say("Interrupted.")
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - closed by the end of the process
        return OK
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else INTERNAL
    _say(f"Something went wrong inside: {type(error).__name__}: {error}.")
    _say("Please report it; CALLBOARD_DEBUG=1 shows where.")
    return INTERNAL


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
