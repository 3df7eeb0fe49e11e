"""What the model reads: worked examples of an unrelated domain, then the goal. Fixed; nothing of a skill is in here.

The goal stands before and after the record, which made a model of 135 M parameters read it much better (86 % against
75 % of 44 questions about whole records).
"""

from typing import Any

from callboard_contracts import wire
from callboard_services.models.local.retrieve import Record

Chat = list[dict[str, str]]

_ARGUMENTS = "Write the arguments of the call as JSON. Copy words from the question."
_ANSWER = "Answer the question from the record. Copy the value from the record."

_CALLS: tuple[tuple[str, dict[str, str]], ...] = (
    ("What is the colour of the boat Blue Arrow?", {"row": "Blue Arrow"}),
    ("Which boat has the most doors?", {"column": "doors", "order": "highest"}),
    ("How many moons does the planet Jupiter have?", {"row": "Jupiter"}),
    ("Which planet has the smallest radius?", {"column": "radius", "order": "lowest"}),
    ("Who wrote the book Dark Water?", {"row": "Dark Water"}),
    ("What is the book with the highest number of pages?", {"column": "pages", "order": "highest"}),
    ("In which town does Sarah Wood live?", {"row": "Sarah Wood"}),
    ("On which day does Peter Lake arrive?", {"row": "Peter Lake"}),
    ("Who of the people has the lowest age?", {"column": "age", "order": "lowest"}),
    ("Who is the owner of the Long Spade?", {"row": "Long Spade"}),
    ("Which tool has the greatest weight?", {"column": "weight", "order": "highest"}),
)
"""Goals with the arguments that common tools would be given. A call is shown those that have all it must write."""

_RECORDS: tuple[tuple[str, Record, str], ...] = (
    ("What is the colour of Blue Arrow?", {"car": "Blue Arrow", "speed": 180, "colour": "green", "doors": 4}, "green"),
    ("Who is the owner of the Long Spade?", {"tool": "Long Spade", "weight": 1.4, "owner": "Sam Hill"}, "Sam Hill"),
    ("How many moons does Jupiter have?", {"planet": "Jupiter", "radius": 71492, "moons": 95, "distance": 778}, "95"),
    (
        "In which town does Sarah Wood live?",
        {"name": "Sarah Wood", "age": 41, "job": "baker", "town": "Leeds"},
        "Leeds",
    ),
    ("Which lake has the greatest depth?", {"lake": "Lake Orta", "area": 18, "depth": 143, "length": 13}, "Lake Orta"),
    ("Who has the lowest age?", {"name": "Peter Lake", "town": "York", "age": 19, "day": "Monday"}, "Peter Lake"),
    ("When was the Old Mill built?", {"house": "Old Mill", "built": 1877, "street": "Mill Lane", "rooms": 12}, "1877"),
    ("How many pages does Dark Water have?", {"book": "Dark Water", "year": 1998, "pages": 312, "price": 15}, "312"),
    ("In which room is the History class?", {"class": "History", "pupils": 24, "room": "B7", "day": "Friday"}, "B7"),
)


def for_arguments(goal: str, arguments: tuple[str, ...]) -> Chat:
    """Return the prompt of a call's arguments."""
    chat = _system(_ARGUMENTS)
    for question, given in _CALLS:
        if set(arguments) <= set(given):
            chat += _turn(f"Question: {question}", {name: given[name] for name in arguments})
    return [*chat, {"role": "user", "content": f"Question: {goal}"}]


def for_answer(goal: str, records: list[Record], shape: Any) -> Chat:
    """Return the prompt of an answer from the records that were found.

    :param shape: makes an answer of the contract's shape from a value.
    """
    chat = _system(_ANSWER)
    for question, record, answer in _RECORDS:
        chat += _turn(_asked(question, [record]), shape(answer))
    return [*chat, {"role": "user", "content": _asked(goal, records)}]


def _asked(question: str, records: list[Record]) -> str:
    lines = "\n".join(_json(record) for record in records)
    return f"Question: {question}\n{lines}\nQuestion: {question}"


def _system(text: str) -> Chat:
    return [{"role": "system", "content": text}]


def _turn(asked: str, said: Any) -> Chat:
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": _json(said)}]


def _json(value: Any) -> str:
    return wire.encode(value).decode().replace('":', '": ').replace(',"', ', "')
