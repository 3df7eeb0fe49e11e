"""Records golden histories: runs the scenarios over the real broker and writes down every message of their trees.

    python -m tests.replay.record [SCENARIO …]

It writes new files and never touches one that is there.
"""

import asyncio
import base64
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from callboard.bus import layout, objects, reader
from callboard.bus.registry import put_policy
from callboard.service import Context
from callboard.tools.serve import serve as serve_tools
from callboard_contracts import approval, guard, ids, names, subjects, wire
from callboard_contracts.goal import Submit
from callboard_services.approval.serve import serve as approving
from callboard_services.models.serve import serve as models
from tests.conftest import empty_broker
from tests.integration import people
from tests.integration.stage import journal
from tests.integration.system import CORE, System, Watched, new_id, running
from tests.replay.history import BROKERS, EXPECTED, FOLDER, MANIFEST, Line, digest, manifest, referenced
from tests.replay.ledger import told
from tests.replay.scenarios import GONE, POLICY, PRICES, SCENARIOS, SCRIPT, SLOW, Ballot, Scenario

_TENANT = "default"
_QUIET_S = 3.0
"""After the last tree closed: what comes late is part of a history too."""


class Recorder:
    """Runs scenarios, one tree each, and keeps the goals, which their queue forgets."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.goals: dict[str, Line] = {}

    async def play(self, scenario: Scenario) -> str:
        """Run a scenario to its end and return its tree."""
        tree = new_id()
        watched = self._system.watch(tree)
        self.goals[tree] = await self._publish(Submit(id=tree, **scenario.goal), scenario.skill)
        for ballot in scenario.ballots:
            await self._vote(tree, ballot)
        if scenario.cancel_at:
            await self._cancel(watched, scenario.cancel_at)
        await self._system.ended(tree, scenario.timeout_s)
        if not watched.records[-1][1].endswith(".refused"):
            await self._system.closed(watched)
        return tree

    async def _publish(self, goal: Submit, skill: str) -> Line:
        subject, headers = str(subjects.Goal(_TENANT, skill)), {wire.ID: goal.id}
        body = wire.encode(goal)
        ack = await self._system.bus.publish(subject, body, headers)
        now_ms = int(time.time() * 1000)
        return Line(
            stream=layout.GOALS, seq=ack.seq, time_ms=now_ms, subject=subject, headers=headers, body=body.decode()
        )

    async def _vote(self, tree: str, ballot: Ballot) -> None:
        asked = await people.request(self._system, tree, number=ballot.number)
        edits = [seen.event for seen in await journal(self._system, tree) if isinstance(seen.event, approval.Voted)]
        digest = next((e.digest for e in reversed(edits) if e.vote == "edit"), "") if ballot.number == 1 else ""
        cause = f"vote:{len(edits)}:{ballot.number}:{ballot.choice}:{ballot.by}"
        said = await people.vote(
            self._system, asked, ballot.choice, principal=ballot.by, cause=cause, digest=digest, **ballot.more
        )
        if said != ballot.refused:
            raise ValueError(f"{cause} was to be {ballot.refused} and was {said}")

    async def _cancel(self, watched: Watched, asked: int) -> None:
        async with asyncio.timeout(10):
            await self._granted(watched, asked)
        where = subjects.Address.of_tree(_TENANT, watched.tree).at("in", "control")
        word = guard.Cancel(run=watched.tree, reason="no longer wanted", principal="ada")
        headers = {wire.ID: f"cancel:{watched.tree}:1", wire.TYPE: wire.type_of(guard.Cancel)}
        await self._system.bus.publish(str(where), wire.encode(word), headers)

    async def _granted(self, watched: Watched, asked: int) -> None:
        """Wait until this many model calls of a tree were granted."""
        while True:
            if sum(event.call.tool == names.MODEL for event in watched.events(guard.Granted)) >= asked:
                return
            await asyncio.sleep(0.02)

    async def lines(self, tree: str) -> list[Line]:
        """Return everything that the broker holds of a tree, its goal first."""
        found = [self.goals[tree]]
        for stream, subject in self._places(tree):
            async for message in reader.scan(self._system.bus, stream, subject):
                headers = {key: value for key, value in message.headers.items() if key not in BROKERS}
                found.append(
                    Line(
                        stream=stream,
                        seq=message.seq,
                        time_ms=message.time_ms,
                        subject=message.stored_subject,
                        headers=headers,
                        body=message.body.decode(),
                    )
                )
        return found

    def _places(self, tree: str) -> list[tuple[str, str]]:
        of_tree, groups = f"{ids.partition(tree)}.{tree}.>", self._system.groups
        return [
            (layout.journal_of(tree, groups), f"cb.{_TENANT}.*.{of_tree}"),
            (layout.timers_of(tree, groups), f"cb.{_TENANT}.timer.run.{of_tree}"),
        ]

    async def files(self, path: Path, tree: str) -> dict[Path, str]:
        """Return a tree's files: its messages with the blobs that they refer to, and what the ledger tells of it."""
        lines = await self.lines(tree)
        digests = dict.fromkeys(one for line in lines for one in referenced(line.said))
        blobs = [(one, await objects.get_blob(self._system.bus, one)) for one in digests]
        texts = [msgspec.json.encode(line).decode() for line in lines]
        texts += [json.dumps({"blob": one, "base64": base64.b64encode(data).decode()}) for one, data in blobs]
        return {
            path: "".join(f"{text}\n" for text in texts),
            path.with_suffix(EXPECTED): json.dumps(told(lines), indent=1) + "\n",
        }


@contextlib.asynccontextmanager
async def _system(url: str) -> AsyncIterator[System]:
    """Run the services, a model with a price, and two tools: one that never answers, one that was admitted and left."""
    left, gone = asyncio.Event(), asyncio.Event()

    async def priced(context: Context) -> None:
        await models(replace(context, settings=msgspec.structs.replace(context.settings, prices="prices.json")))

    async def slow(context: Context) -> None:
        await serve_tools(context, (SLOW,))

    async def leaving(context: Context) -> None:
        await serve_tools(replace(context, stop=left), (GONE,))
        gone.set()

    services = {**CORE, "approval": approving, "models": priced, "slow": slow, "leaving": leaving}
    async with running(url, Path(), SCRIPT, services) as system:
        await system.until_admitted(SLOW.spec.name, GONE.spec.name, names.ASK)
        await put_policy(system.bus, POLICY)
        left.set()
        await gone.wait()
        yield system


async def record(url: str, chosen: dict[str, Path]) -> dict[Path, str]:
    """Record scenarios, and return the text of each file."""
    async with _system(url) as system:
        recorder = Recorder(system)
        trees = {path: await recorder.play(SCENARIOS[name]) for name, path in chosen.items()}
        await asyncio.sleep(_QUIET_S)
        files = [await recorder.files(path, tree) for path, tree in trees.items()]
        return {path: text for each in files for path, text in each.items()}


def _remember(paths: Iterable[Path]) -> None:
    """Add files to the manifest; lines that are there stay as they are."""
    known = manifest() | {path.name: digest(path) for path in paths}
    MANIFEST.write_text("".join(f"{sum_}  {name}\n" for name, sum_ in sorted(known.items())), "utf-8")


def main(chosen: Sequence[str]) -> None:
    """Record the scenarios that are named, or all."""
    today = datetime.now(UTC).date().isoformat()
    paths = {name: FOLDER / f"{today}-{name}.jsonl" for name in chosen}
    if there := [path.name for path in paths.values() if path.exists()]:
        sys.exit(f"never edited: {', '.join(there)}")
    with TemporaryDirectory() as folder, empty_broker(Path(folder) / "nats") as url, contextlib.chdir(folder):
        Path("prices.json").write_text(json.dumps(PRICES), "utf-8")
        files = asyncio.run(record(url, paths))
    for path, text in files.items():
        path.write_text(text, "utf-8")
    _remember(files)


if __name__ == "__main__":
    main(sys.argv[1:] or list(SCENARIOS))
