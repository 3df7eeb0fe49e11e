"""However large a model's answer is, the message that carries it holds the answer itself."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from callboard.bus import Bus, layout, objects
from callboard_contracts import model, wire
from callboard_services.models.claim import checked

pytestmark = pytest.mark.anyio

WORDS = ("x" * 50_000, "\u20ac" * 20_000, '"\n' * 20_000)
ASKS = (1, 3, 128, 500)


@pytest.fixture
async def bus(broker: str) -> AsyncIterator[Bus]:
    async with await Bus.connect(broker, name="test") as bus:
        await layout.provision(bus, 1)
        yield bus


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("size", [175, 500, 9_000, 20_000, 50_000])
async def test_an_answer_is_never_stored_as_a_whole(bus: Bus, words: str, size: int) -> None:
    said = words[:size]
    pointers = ("/a" * size,) * 400
    answers = [
        model.Answer(text=said, finished=True, output=said, ungrounded=pointers),
        model.Answer(text=said, give_up=said),
        *(
            model.Answer(text=said, asks=(_ask(said, tool),) * count)
            for count in ASKS
            for tool in ("calc", "t" * 76, said)
        ),
        *(model.Answer(text=said, asks=(model.Ask(tool="calc", invalid=said),) * count) for count in ASKS),
    ]
    for answer in answers:
        assert len(wire.encode(await checked(bus, answer))) <= wire.INLINE_BYTES


def _ask(said: str, tool: str) -> model.Ask:
    return model.Ask(tool=tool, arguments={"said": said})


@pytest.mark.parametrize("size", [20_000, 100_000])
async def test_an_output_is_kept_word_for_word(bus: Bus, size: int) -> None:
    kept = await checked(bus, model.Answer(text="x" * size, finished=True, output="x" * size))
    stored = await objects.get_blob(bus, kept.output_ref) if kept.output_ref else wire.encode(kept.output)
    assert msgspec.json.decode(stored) == "x" * size
