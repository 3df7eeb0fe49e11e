"""The main job for real: the whole system, the shipped example, and a language model in this process, no key."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from callboard import skills
from callboard_contracts import guard, run
from callboard_services.models.local import weights
from tests.conftest import empty_broker
from tests.integration.system import System, Watched, running
from tests.local import questions

pytestmark = [pytest.mark.local_model, pytest.mark.anyio]
for package in weights.PACKAGES[:1] + weights.PACKAGES[2:4]:
    pytest.importorskip(package)
pytest.importorskip("duckdb")


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    with empty_broker(tmp_path_factory.mktemp("nats")) as url:
        async with running(url, tmp_path_factory.mktemp("data"), model="local") as found:
            yield found


async def test_nine_of_ten_questions_about_reshuffled_files_are_answered_right(system: System, tmp_path: Path) -> None:
    seed = 20
    name = await deploy(system, tmp_path, seed)
    asked = questions.ten(tmp_path / name / "data", seed)
    found = [(await system.run(skill=name, input={"question": one}, timeout_s=60), right) for one, right in asked]
    assert sum(questions.is_right(_answer(watched), right) for watched, right in found) >= 9, _told(found)
    assert all(len(watched.events(guard.Granted)) >= 4 for watched, _ in found)


async def test_goals_beyond_its_reach_end_honestly(system: System, tmp_path: Path) -> None:
    name = await deploy(system, tmp_path, 21)
    for question in questions.beyond(tmp_path / name / "data", 21)[:5]:
        watched = await system.run(skill=name, input={"question": question}, timeout_s=60)
        assert (watched.ended.status, watched.ended.output) == ("unachievable", None), question
        assert watched.ended.reason


async def deploy(system: System, folder: Path, seed: int) -> str:
    """Deploy the example with reshuffled files, and return its name."""
    target = folder / questions.EXAMPLE.name
    for path in questions.EXAMPLE.rglob("*"):
        if path.is_file() and path.suffix != ".csv":
            copy = target / path.relative_to(questions.EXAMPLE)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    questions.reshuffle(target / "data", seed)
    loaded = skills.load(target)
    await skills.deploy(system.bus, loaded)
    return loaded.skill.name


def _answer(watched: Watched) -> object:
    output = watched.ended.output
    return next(iter(output.values())) if isinstance(output, dict) else output


def _told(found: list[tuple[Watched, frozenset[str]]]) -> list[object]:
    return [(watched.events(run.Accepted)[0].goal.input, _answer(watched), right) for watched, right in found]
