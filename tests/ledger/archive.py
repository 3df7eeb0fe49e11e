"""Trees in a journal, and what the archive made of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from callboard.bus import Bus, layout, reader
from callboard.testing.records import BusSink, Costs, Play
from callboard_contracts import ids, subjects, wire
from tests.ledger.conftest import ask

GROUPS = 2
SOON = 0.2


def child_of(run: str) -> str:
    """Return the id of a sub-agent."""
    return ids.call_id(run, 2, 0)


async def write_tree(bus: Bus, run: str, *, child: bool = True, rounds: int = 2) -> None:
    """Write a root and a sub-agent, both ended, and the tree closed; beside it a command and a claim."""
    play = Play(BusSink(bus))
    if child:
        await play.write(child_of(run), rounds=1, costs=Costs(model=7))
    await play.write(run, rounds=rounds, costs=Costs(model=100, tool=3))
    send = subjects.Address.of_tree("default", run).at("send", f"call.files-read.{ids.call_id(run, 1, 0)}")
    await bus.publish(str(send), b"{}", {wire.FENCE: "0"})
    await bus.publish(claim_of(run), b"mark")


def claim_of(run: str) -> str:
    """Return where the claim of a call of a tree is."""
    return f"$O.{layout.ARTIFACTS}.C.{run}.claim.{ids.call_id(run, 1, 0)}"


async def in_journal(bus: Bus, run: str) -> list[tuple[int, str, bytes]]:
    """Return everything that the journal holds of a tree."""
    stream = layout.journal_of(run, GROUPS)
    found = reader.scan(bus, stream, f"cb.default.*.{ids.partition(run)}.{run}.>")
    return [(message.seq, message.stored_subject, message.body) async for message in found]


def in_files(folder: Path, run: str) -> list[tuple[int, str, bytes]]:
    """Return everything that archive files hold of a tree."""
    found: list[tuple[int, str, bytes]] = []
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path, columns=["tree", "seq", "subject", "body"]).to_pylist()
        found += [(row["seq"], row["subject"], row["body"]) for row in rows if row["tree"] == run]
    return found


async def eventually(holds: Callable[[], Any], *, within_s: float = 30) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.02)


async def left(bus: Bus, *runs: str) -> None:
    """Wait until trees are archived and purged."""

    async def purged() -> bool:
        for run in runs:
            found = [m async for m in reader.scan(bus, f"OBJ_{layout.ARTIFACTS}", f"$O.artifacts.C.{run}.claim.>")]
            if found or any(".in." in subject or ".send." in subject for _, subject, _ in await in_journal(bus, run)):
                return False
        return True

    await eventually(purged)


async def folded(bus: Bus, run: str) -> dict[str, Any]:
    """Return a run as the ledger tells it, once its tables hold its tree's last record and its files."""
    last = max(seq for seq, subject, _ in await in_journal(bus, run) if ".log." in subject)
    answers: list[dict[str, Any]] = []

    async def current() -> bool:
        answers.append(await ask(bus, "run", run=run, min_seq=last))
        return answers[-1].get("behind") is False

    await eventually(current)
    found: dict[str, Any] = answers[-1]["run"]
    return found


async def told(bus: Bus, run: str) -> dict[str, Any]:
    """Return a run as the ledger tells it, the flag of the archive aside."""
    found = await folded(bus, run)
    children = [dict(child, archived=False) for child in found["children"]]
    return dict(found, archived=False, children=children)


async def recalled(bus: Bus, run: str, **page: Any) -> list[dict[str, Any]]:
    """Return all that the ledger tells of an archived tree, page by page."""
    found: list[dict[str, Any]] = []
    after, more = 0, True
    while more:
        answer = await ask(bus, "archived", run=run, after=after, **page)
        found += answer["messages"]
        more = answer["more"]
        after = found[-1]["seq"]
    return found


def body_of(message: dict[str, Any]) -> bytes:
    """Return the body of a message in an answer."""
    return msgspec.convert(message["body"], bytes)
