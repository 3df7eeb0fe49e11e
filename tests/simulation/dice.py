"""Where all chance comes from: a stream of numbers that follows from the seed and a name, in every process alike."""

import random


def dice(seed: int, *name: object) -> random.Random:
    """Return dice of their own for one purpose, so that a throw more for one does not move the others."""
    return random.Random("/".join(map(str, (seed, *name))))  # noqa: S311 - the same seed must give the same run
