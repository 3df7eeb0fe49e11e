"""A real language model answers the example's questions, and ends honestly where it cannot."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from callboard_services.models.errors import ProviderError
from callboard_services.models.local import open_provider, weights
from callboard_services.models.local.provider import Local
from callboard_services.models.provider import Provider
from tests.local import kit, questions
from tests.local.measure import any_of

pytestmark = [pytest.mark.local_model, pytest.mark.slow]
for package in weights.PACKAGES[:1] + weights.PACKAGES[2:4]:
    pytest.importorskip(package)
pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
async def provider() -> AsyncIterator[Provider]:
    opened = open_provider()
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("seed", [1, 2])
async def test_nine_of_ten_questions_are_right_whatever_the_values_are(
    provider: Provider, tmp_path: Path, seed: int
) -> None:
    assert await _right(provider, tmp_path, seed) >= 9


async def test_goals_beyond_its_reach_end_without_an_answer(provider: Provider, tmp_path: Path) -> None:
    questions.reshuffle(tmp_path, 3)
    ends = {one: await kit.ask(provider, tmp_path, one) for one in questions.beyond(tmp_path, 3)}
    assert {one: end.output for one, end in ends.items() if not end.give_up} == {}


async def test_it_is_the_model_that_decides(tmp_path: Path) -> None:
    """Chance in its place, among the same options, gets almost nothing right."""
    dice = random.Random(1)  # noqa: S311 - the same choices in every run
    chance = Local(weights.find(""), pick=lambda schema: any_of(schema, dice))
    assert await _right(chance, tmp_path, 1) <= 4


async def test_the_call_rests_on_what_was_found_before(provider: Provider, tmp_path: Path) -> None:
    questions.reshuffle(tmp_path, 4)
    end = await kit.ask(provider, tmp_path, "What is the grade of the Moraine Trail?")
    assert [call.tool for call in end.calls] == ["table.describe", "table.lookup"]
    assert end.calls[-1].arguments == {"table": "trails", "row": "Moraine Trail"}


async def test_a_cancelled_prompt_lets_the_next_one_through(provider: Provider, tmp_path: Path) -> None:
    questions.reshuffle(tmp_path, 5)
    with anyio.move_on_after(0.05):
        await kit.ask(provider, tmp_path, "When was Marmot Hut opened?")
    with anyio.fail_after(30):
        assert (await kit.ask(provider, tmp_path, "When was Marmot Hut opened?")).output


async def test_weights_with_another_digest_are_never_loaded(tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    wrong = Local(weights.Weights(path=tmp_path / "other.gguf", sha256="0" * 64, plans=True))
    with pytest.raises(ProviderError, match="sha256"):
        await wrong.complete(kit.prompt(kit.opening("What is this?")), lambda _: None)


async def _right(provider: Provider, folder: Path, seed: int) -> int:
    questions.reshuffle(folder, seed)
    asked = questions.ten(folder, seed)
    ends = [(await kit.ask(provider, folder, question), right) for question, right in asked]
    return sum(questions.is_right(end.output, right) for end, right in ends)
