"""The example's ten questions: fresh values by seed, and the right answers worked out from the files themselves.

Chosen among 35 wordings as within the reach of a model of 135 M parameters; see the example's README.
"""

import csv
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import callboard

EXAMPLE = Path(callboard.__file__).parent / "examples" / "hut-desk"
Row = dict[str, str]
Question = tuple[str, frozenset[str]]

BEYOND = (
    "Who is the warden of Thunder Peak Hut?",
    "How many showers does {hut} have?",
    "What is the phone number of the warden of {hut}?",
    "What was the weather at {hut} yesterday?",
    "Write a poem about the mountains.",
    "Send an e-mail to the warden of {hut}.",
    "What is the capital of France?",
    "What is the average age of the guests?",
    "Which trail has the most waterfalls?",
    "How many bookings were there for {hut} in 2019?",
    "Cancel the booking of {guest}.",
)
"""Goals that must end without an answer."""

_OF = (
    ("huts", "warden", "Who is the warden of {}?"),
    ("huts", "beds", "How many beds are there in {}?"),
    ("huts", "opened", "When was {} opened?"),
    ("huts", "altitude", "At what altitude is {}?"),
    ("huts", "price", "What is the price of a bed in {}?"),
    ("trails", "grade", "What is the grade of the {}?"),
    ("trails", "hours", "How many hours does the {} take?"),
)
_EXTREME: tuple[tuple[str, str, str, Callable[..., float], str], ...] = (
    ("bookings", "guest", "nights", max, "Which guest has booked the most nights?"),
    ("trails", "grade", "hours", min, "What is the grade of the trail with the fewest hours?"),
    ("huts", "warden", "altitude", max, "Who is the warden of the hut with the highest altitude?"),
)


def reshuffle(target: Path, seed: int, source: Path = EXAMPLE / "data") -> None:
    """Write the data files anew: every column of every table shuffled on its own, so that no row keeps its values."""
    dice = random.Random(seed)  # noqa: S311 - the same values for the same seed
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("*.csv")):
        header, *rows = [line.split(",") for line in path.read_text().splitlines()]
        columns = [list(column) for column in zip(*rows, strict=True)]
        for column in columns:
            dice.shuffle(column)
        lines = [header, *zip(*columns, strict=True)]
        (target / path.name).write_text("".join(",".join(line) + "\n" for line in lines))


def ten(folder: Path, seed: int) -> list[Question]:
    """Return ten questions about names drawn by seed, each with the answers that are right."""
    dice = random.Random(seed + 1000)  # noqa: S311 - as above
    asked = []
    for table, column, text in _OF:
        row = dice.choice(rows(folder, table))
        asked.append((text.format(next(iter(row.values()))), frozenset({row[column]})))
    for table, column, by, best, text in _EXTREME:
        found = rows(folder, table)
        end = best(float(row[by]) for row in found)
        asked.append((text, frozenset(row[column] for row in found if float(row[by]) == end)))
    return asked


def beyond(folder: Path, seed: int) -> list[str]:
    """Return the goals that must end without an answer."""
    dice = random.Random(seed + 2000)  # noqa: S311 - as above
    hut, guest = dice.choice(rows(folder, "huts"))["hut"], dice.choice(rows(folder, "bookings"))["guest"]
    return [text.format(hut=hut, guest=guest) for text in BEYOND]


def rows(folder: Path, table: str) -> list[Row]:
    """Return a table's rows."""
    with (folder / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


def is_right(answer: Any, right: frozenset[str]) -> bool:
    """Tell whether an answer is one of the right ones, letter case and the form of numbers aside."""
    return _plain(answer) in {_plain(one) for one in right}


def _plain(value: Any) -> str:
    try:
        return f"{float(value):g}"
    except (TypeError, ValueError):
        return str(value).strip().lower()
