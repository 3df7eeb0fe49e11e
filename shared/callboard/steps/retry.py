"""Whether a call may be made again: from the effect class of its tool and how it ended. Pure."""

from callboard.steps.step import Made, Retry
from callboard_contracts import names
from callboard_contracts.errors import CATALOGUE

_UNKNOWN = "the registry does not know the tool any more, so that its effect class is not known"


def retry(made: Made) -> Retry:
    """Return whether a call could be made again without harm, and why."""
    if made.outcome == "refused":
        advice = CATALOGUE[made.code].advice if made.code in CATALOGUE else ""
        return Retry(safe=True, sentence=f"Nothing ran. {advice}".strip())
    if not made.outcome:
        return Retry(safe=False, sentence="It has not answered yet.")
    if made.tool == names.MODEL:
        return Retry(safe=True, sentence="Asking a model changes nothing; it costs again.")
    return _by_effect(made)


def _by_effect(made: Made) -> Retry:
    match made.effect:
        case "pure" | "read":
            return Retry(safe=True, sentence=f"Its effect class is {made.effect}: running it twice changes nothing.")
        case "write" | "irreversible":
            return _by_outcome(made)
        case _:
            return Retry(safe=made.outcome == "failed", sentence=f"It {made.outcome}; {_UNKNOWN}.")


def _by_outcome(made: Made) -> Retry:
    match made.outcome:
        case "failed":
            return Retry(safe=True, sentence="It failed without an effect that counts, as its executor said.")
        case "lost":
            key = f"with its idempotency key {made.call}"
            rest = "look first whether it took place" if made.effect == "irreversible" else f"only {key} is it safe"
            return Retry(safe=False, sentence=f"Nobody knows whether it took place: {rest}.")
        case _:
            what = "for ever" if made.effect == "irreversible" else "a second change"
            return Retry(safe=False, sentence=f"It took place, and its effect class is {made.effect}: again is {what}.")
