"""A word from the guard to one run of the tree."""

import msgspec

from callboard.actor import Command
from callboard_contracts import run, subjects


def tell(address: subjects.Address, name: str, cause: str, word: msgspec.Struct) -> Command:
    """Return the word as a command, known by its cause: said again, it is the same."""
    lane = "cancel" if isinstance(word, run.Cancel) else "control"
    where = subjects.Address.of_run(address.tenant, name).at("in", lane)
    return Command(str(where), f"{cause}:{name}", word)
