"""`python -m tests.simulation --seeds N`: play seeds, and tell which violate what and how to see it again."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.plan import POINTS
from tests.simulation.world import Outcome, simulate

_EVERY_S = 5.0
_CHUNK = 20


def main() -> int:
    """Return 0 when nothing was violated."""
    options = _options()
    if options.show is not None:
        return _show(options.show)
    started = told = time.monotonic()
    wrong = messages = 0
    spared = set(POINTS)
    for number, outcome in enumerate(_outcomes(options), 1):
        messages += outcome.stored
        spared.difference_update(outcome.died_at)
        if outcome.violations:
            wrong += 1
            _tell(outcome)
        if time.monotonic() - told > _EVERY_S:
            told = time.monotonic()
            print(f"{number} of {options.seeds} seeds, {wrong} with violations", file=sys.stderr, flush=True)
    took = time.monotonic() - started
    last = options.first + options.seeds - 1
    print(f"seeds {options.first} to {last}: {wrong} with violations, {messages} messages stored, {took:.1f} s")
    print(f"nobody died at: {', '.join(sorted(spared)) or 'no crash point'}")
    return 1 if wrong else 0


def _outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    seeds = range(options.first, options.first + options.seeds)
    if options.jobs == 1:
        yield from map(simulate, seeds)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(simulate, seeds, chunksize=_CHUNK)


def _tell(outcome: Outcome) -> None:
    print(f"seed {outcome.seed}:")
    for violation in outcome.violations:
        print(f"    {violation}")
    print(f"    see it: python -m tests.simulation --show {outcome.seed}", flush=True)


def _show(seed: int) -> int:
    outcome = simulate(seed, readable=True)
    print("\n".join(outcome.told))
    print(f"trace {outcome.digest}")
    for violation in outcome.violations:
        print(violation)
    return 1 if outcome.violations else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--show", type=int, metavar="SEED", help="play one seed and print all that happens")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
