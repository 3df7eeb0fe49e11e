"""Python's cyclic garbage collector, told what a service is: much that stays, and messages that leave no cycles.

By default it looks through the youngest objects every 700 allocations, which is several times a message, and through
all that the imports left behind every so often. That was a third of the CPU of a step.
"""

import gc

_YOUNG, _MIDDLE, _OLD = 20_000, 50, 100


def calm() -> None:
    """Leave alone what is there once a process is ready, and look through what is new less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
