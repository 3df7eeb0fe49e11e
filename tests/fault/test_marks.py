"""A store that lost what it had acknowledged is not gone on with silently, whatever the server itself says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from callboard.bus import Bus, Puller, ack, layout
from callboard.cli.main import call as callboard
from callboard.server import Server, marks, start_server
from callboard.server.config import Plan
from callboard.server.marks import Mark, Marks
from callboard.settings import Settings
from callboard_contracts import subjects
from callboard_contracts.errors import CallboardError
from callboard_services.embedded.run import Options
from callboard_services.embedded.run import running as embedded
from tests.integration.system import new_id

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def kept(data: Path, *, accept_loss: bool = False) -> AsyncIterator[tuple[Server, Bus]]:
    """Run a server on a data folder, with its marks."""
    async with (
        start_server(Plan(store=data / "nats", sync="2m")) as server,
        marks.keeping(server.url, data, accept_loss=accept_loss),
        await Bus.connect(server.url, name="test") as bus,
    ):
        await layout.provision(bus, 1)
        yield server, bus


async def publish(bus: Bus, count: int) -> None:
    """Store records of a kilobyte in the journal."""
    subject = str(subjects.Address.of_run("default", new_id()).at("in", "signal"))
    await asyncio.gather(*(bus.publish(subject, b"x" * 1000) for _ in range(count)))


async def killed(server: Server) -> None:
    server.process.kill()
    await server.process.wait()


def flip(data: Path, *, at: float, stream: str = "JOURNAL-0") -> None:
    """Flip one bit of a stream's last block, at a share of its length."""
    block = max((data / "nats").rglob(f"{stream}/msgs/*.blk"), key=lambda path: int(path.stem))
    body = bytearray(block.read_bytes())
    body[int(len(body) * at)] ^= 0x10
    block.write_bytes(bytes(body))


async def until_marked(data: Path, stream: str, seq: int) -> None:
    async with asyncio.timeout(10):
        while (found := marks.read(data)) is None or found.streams.get(stream, Mark()).last_seq < seq:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_flipped_bit_after_a_crash_is_reported_before_a_sequence_is_used_again(tmp_path: Path) -> None:
    async with kept(tmp_path) as (server, bus):
        await publish(bus, 400)
        await until_marked(tmp_path, "JOURNAL-0", 400)
        await killed(server)
    flip(tmp_path, at=0.5)
    with pytest.raises(
        CallboardError, match=r"JOURNAL-0 ends at \d+ and had reached 400: the last \d+ are gone"
    ) as told:
        async with kept(tmp_path):
            pass
    assert told.value.code == "journal_went_back"
    async with start_server(Plan(store=tmp_path / "nats")) as server, await Bus.connect(server.url, name="test") as bus:
        state = (await bus.api("STREAM.INFO.JOURNAL-0"))["state"]
    assert state["last_seq"] < 250, "the server did not notice by itself: what the marks are for"


async def test_an_accepted_loss_is_gone_on_with_and_not_reported_again(tmp_path: Path) -> None:
    async with kept(tmp_path) as (server, bus):
        await publish(bus, 100)
        await until_marked(tmp_path, "JOURNAL-0", 100)
        await killed(server)
    flip(tmp_path, at=0.5)
    for accept_loss in (True, False):
        async with kept(tmp_path, accept_loss=accept_loss) as (_, bus):
            await publish(bus, 1)
    found = marks.read(tmp_path)
    assert found is not None
    assert found.streams["JOURNAL-0"].last_seq < 100


async def test_a_stream_that_is_gone_is_reported_and_not_made_anew(tmp_path: Path) -> None:
    async with kept(tmp_path) as (_, bus):
        await publish(bus, 30)
        await bus.publish(f"$KV.{layout.SKILLS}.a", b"x")
    async with start_server(Plan(store=tmp_path / "nats")) as server, await Bus.connect(server.url, name="test") as bus:
        for name in ("JOURNAL-0", f"KV_{layout.SKILLS}"):
            await bus.api(f"STREAM.DELETE.{name}")
    with pytest.raises(CallboardError, match=r"JOURNAL-0 is missing.* 30; KV_skills is missing, with 1 messages"):
        async with kept(tmp_path):
            pass


async def test_messages_gone_from_the_middle_are_reported_after_an_orderly_stop(tmp_path: Path) -> None:
    async with kept(tmp_path) as (_, bus):
        await publish(bus, 30)
    async with start_server(Plan(store=tmp_path / "nats")) as server, await Bus.connect(server.url, name="test") as bus:
        await bus.api("STREAM.PURGE.JOURNAL-0", {"seq": 11})
    with pytest.raises(CallboardError, match="JOURNAL-0 holds 20 messages, 10 fewer"):
        async with kept(tmp_path):
            pass


async def test_what_was_consumed_expired_or_purged_is_no_loss_after_a_crash(tmp_path: Path) -> None:
    async with kept(tmp_path) as (server, bus):
        await publish(bus, 20)
        for number in range(20):
            await bus.publish("cb.default.goal._", b"x")
            await bus.publish(f"$KV.{layout.IDEMPOTENCY}.{number}", b"x")
        await consumed(bus)
        config = (await bus.api(f"STREAM.INFO.KV_{layout.IDEMPOTENCY}"))["config"]
        await bus.api(f"STREAM.UPDATE.KV_{layout.IDEMPOTENCY}", config | {"max_age": 1_000_000_000})
        await until_marked(tmp_path, "GOALS", 20)
        await bus.api("STREAM.PURGE.JOURNAL-0", {"keep": 1})
        await killed(server)
    async with kept(tmp_path) as (_, bus):
        goals = (await bus.api("STREAM.INFO.GOALS"))["state"]
        assert (goals["messages"], goals["last_seq"]) == (0, 20)


async def consumed(bus: Bus) -> None:
    """Take every goal, as the planner does."""
    puller = Puller(bus, layout.GOALS, "planner", lambda goal: ack(bus, goal))
    await puller.start()
    async with asyncio.timeout(10):
        while (await bus.api("STREAM.INFO.GOALS"))["state"]["messages"]:  # noqa: ASYNC110 - the broker tells by being asked
            await asyncio.sleep(0.02)
    await puller.stop()


async def test_marks_that_cannot_be_read_are_no_reason_to_trust_the_store(tmp_path: Path) -> None:
    async with kept(tmp_path):
        pass
    (tmp_path / marks.FILE).write_text("not json")
    with pytest.raises(CallboardError, match=r"marks.json cannot be read"):
        async with kept(tmp_path):
            pass


async def test_marks_are_written_when_something_changed_and_at_the_end(tmp_path: Path) -> None:
    async with kept(tmp_path) as (_, bus):
        await until_marked(tmp_path, "JOURNAL-0", 0)
        await asyncio.sleep(2.2 * marks.EVERY_S)
        before = (tmp_path / marks.FILE).stat()
        await asyncio.sleep(1.2 * marks.EVERY_S)
        assert (tmp_path / marks.FILE).stat() == before
        await publish(bus, 5)
    found = marks.read(tmp_path)
    assert found is not None
    assert (found.orderly, found.streams["JOURNAL-0"]) == (True, Mark(5, 5))


async def test_a_whole_system_refuses_and_says_what_can_be_done(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, http="127.0.0.1:0", groups=1)
    async with embedded(Options(settings=settings, only=frozenset({"planner"}))):
        pass
    found = marks.read(tmp_path)
    assert found is not None
    assert found.orderly
    marks.write(tmp_path, Marks(streams=found.streams | {"JOURNAL-0": Mark(1000, 1000), "TIMERS-0": Mark(30, 30)}))
    with pytest.raises(CallboardError, match=r"JOURNAL-0 .* the last 1,000 are gone; TIMERS-0 ends at 0") as told:
        async with embedded(Options(settings=settings, only=frozenset({"planner"}))):
            pass
    assert "--accept-loss" in told.value.entry.advice
    async with embedded(Options(settings=settings, only=frozenset({"planner"}), accept_loss=True)):
        pass


def test_the_doctor_tells_what_every_stream_had_reached(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _doctor(tmp_path, capsys)["found"].startswith("none yet")
    marks.write(tmp_path, Marks(streams={"JOURNAL-0": Mark(1030, 900), "DEAD": Mark()}, written_ms=1_767_225_600_000))
    found = _doctor(tmp_path, capsys)
    assert (found["health"], found["found"].partition(": ")[2]) == ("ok", "JOURNAL-0 1,030")
    (tmp_path / marks.FILE).write_text("{")
    assert _doctor(tmp_path, capsys)["health"] == "missing"


def _doctor(data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    callboard(["doctor", "--json", "--data", str(data)])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return next(line for line in lines if line["what"] == "high-water marks")


@pytest.mark.parametrize(
    ("now", "orderly", "told"),
    [
        (Mark(10, 10), True, []),
        (Mark(12, 12), True, []),
        (Mark(10, 9), True, ["JOURNAL-0 holds 9 messages, 1 fewer than when it was stopped"]),
        (Mark(10, 4), False, []),
        (Mark(8, 8), False, ["JOURNAL-0 ends at 8 and had reached 10: the last 2 are gone"]),
        (None, False, ["JOURNAL-0 is missing, with 10 messages up to 10"]),
    ],
)
async def test_a_loss_is_what_nothing_orderly_explains(now: Mark | None, orderly: bool, told: list[str]) -> None:
    found = {"GOALS": Mark(7, 0)} | ({} if now is None else {"JOURNAL-0": now})
    assert marks.losses(Marks(streams={"JOURNAL-0": Mark(10, 10), "GOALS": Mark(7, 5)}, orderly=orderly), found) == told
