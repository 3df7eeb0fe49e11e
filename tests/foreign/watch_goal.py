"""Publish a goal and watch its whole tree to the end, with nats-py alone.

    python watch_goal.py nats://127.0.0.1:4222 '{"objective": "What is 6 times 7?"}' [SKILL]

Prints one line of JSON for every record, in order and without a gap, and exits 0 when the run completed.
"""

import asyncio
import json
import os
import sys
import time
import zlib

import nats

TENANT = "default"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_ulid() -> str:
    """Return a ULID: 48 bits of milliseconds, 80 bits of randomness."""
    number = int(time.time() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


class Watch:
    """The records of one tree, each actor's log in order. A record that live lost is read from the journal."""

    def __init__(self, client, goal, lossy=0):
        self.client = client
        self.goal = goal
        self.lossy = lossy  # for the test: drop every n-th message, as a slow subscriber would
        self.count = 0
        self.last = {}
        self.ended = asyncio.get_running_loop().create_future()

    async def on_live(self, message):
        headers = message.headers or {}
        if "Nats-Sequence" not in headers:
            return  # tokens and progress: only worth hearing now
        self.count += 1
        if self.lossy and self.count % self.lossy == 0 and not message.subject.endswith(".ended"):
            return
        await self.take(headers, message.data)

    async def take(self, headers, body):
        subject, seq = headers["Nats-Subject"], int(headers["Nats-Sequence"])
        log = actor(subject)
        if seq <= self.last.get(log, 0):
            return
        previous = int(headers.get("Nats-Expected-Last-Subject-Sequence", 0))
        if previous > self.last.get(log, 0):
            await self.repair(headers["Nats-Stream"], log, self.last.get(log, 0) + 1, seq)
        self.last[log] = seq
        print(json.dumps({"seq": seq, "subject": subject, **json.loads(body)}), flush=True)
        for event in json.loads(body)["events"]:
            if event["type"] in ("run.ended.v1", "run.refused.v1") and subject.split(".")[5] == self.goal:
                self.ended.set_result(event)

    async def repair(self, stream, log, start, end):
        """Read what is missing of one actor's log, one record after the other."""
        while start < end:
            request = json.dumps({"next_by_subj": log, "seq": start}).encode()
            found = await self.client.request(f"$JS.API.DIRECT.GET.{stream}", request, timeout=5)
            if "Nats-Sequence" not in (found.headers or {}) or int(found.headers["Nats-Sequence"]) >= end:
                return
            start = int(found.headers["Nats-Sequence"]) + 1
            await self.take(found.headers, found.data)


def actor(subject):
    """Return the filter of the log that a record belongs to: a run's own, or the whole tree's."""
    _, tenant, kind, partition, tree, run = subject.split(".")[:6]
    assert int(partition) == zlib.crc32(tree.encode()) % 64
    return f"cb.{tenant}.{kind}.{partition}.{tree}.{'*' if kind == 'tree' else run}.log.>"


async def main(url, goal_json, skill="_", lossy="0"):
    client = await nats.connect(url)
    goal = new_ulid()
    watch = Watch(client, goal, int(lossy))
    await client.subscribe(f"cb.{TENANT}.live.{goal}.>", cb=watch.on_live)
    body = json.dumps({"id": goal, **json.loads(goal_json)}).encode()
    await client.jetstream().publish(f"cb.{TENANT}.goal.{skill}", body, headers={"ce-id": goal})
    ended = await asyncio.wait_for(watch.ended, 60)
    await client.drain()
    return 0 if ended.get("status") == "completed" else 3


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
