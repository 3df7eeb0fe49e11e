"""Every stream, durable and bucket, declared in one place and created idempotently.

The journal is split into groups of partitions, one stream each: with every message synced, four streams write half
as much again as one. A group's timers are a stream of their own, because whoever may publish into a stream that
allows schedules can write anywhere in it.
"""

import asyncio
from typing import Any

import structlog

from callboard.bus.bus import Bus
from callboard.bus.errors import NobodyListens, PublishRefused
from callboard_contracts import ids, names

log = structlog.get_logger()

GOALS = "GOALS"
DEAD = "DEAD"
NOTICES = "NOTICES"
AUDIT = "AUDIT"
MEMORY = "MEMORY"
BLOBS = "blobs"
ARTIFACTS = "artifacts"
REGISTRY = "registry"
SKILLS = "skills"
IDEMPOTENCY = "idempotency"
"""Idempotency-Key → the ULID of its goal, for a day."""

MAX_GROUPS = 64
"""One journal for each partition would be the most."""
PROBE = "layout"
"""A subject that no message has: asking a stream for it tells whether there is such a stream, and nothing else."""

ACK_WAIT_S = 30
MAX_DELIVER = 8
MAX_GOALS = 100_000
MAX_GOAL_BYTES = 256 * 1024

OWNERS = "owners"
"""The priority group of durables whose pullers take turns."""
_GUARDS = ["cb.*.run.*.*.*.log.>", "cb.*.tree.*.*.*.in.>"]
_APPROVALS = ["cb.*.approval.*.*.*.in.>", "cb.*.tree.*.*.*.send.held.*", "cb.*.tree.*.*.*.send.withdrawn.*"]
_SECOND = 1_000_000_000
_NO_CONSUMER = 10014
_BEFORE = "ledger"
"""A durable of earlier versions, which nobody pulls any more."""
_STREAM: dict[str, Any] = {
    "storage": "file",
    "allow_direct": True,
    "max_consumers": -1,
    "duplicate_window": _SECOND,
    "discard": "new",
}


def journal(group: int) -> str:
    """Return the name of a group's journal."""
    return f"JOURNAL-{group}"


def timers(group: int) -> str:
    """Return the name of a group's timers."""
    return f"TIMERS-{group}"


def journal_of(tree: str, groups: int) -> str:
    """Return the journal that holds a tree."""
    return journal(ids.partition(tree) % groups)


def timers_of(tree: str, groups: int) -> str:
    """Return the stream that holds a tree's timers."""
    return timers(ids.partition(tree) % groups)


def _partitions(group: int, groups: int) -> list[int]:
    return [p for p in range(ids.PARTITIONS) if p % groups == group]


def _journal(group: int, groups: int) -> dict[str, Any]:
    actors = ("run", "tree", "approval")
    return _STREAM | {
        "name": journal(group),
        "subjects": [f"cb.*.{actor}.{p}.>" for actor in actors for p in _partitions(group, groups)],
        "deny_delete": True,
        "republish": {
            "src": "cb.*.*.*.*.*.log.>",
            "dest": "cb.{{wildcard(1)}}.live.{{wildcard(4)}}.{{wildcard(5)}}.>",
        },
        "sources": [
            {
                "name": timers(group),
                "subject_transforms": [
                    {
                        "src": "cb.*.due.*.*.*.*",
                        "dest": "cb." + ".".join(f"{{{{wildcard({n})}}}}" for n in range(1, 6)) + ".in.timer",
                    }
                ],
            }
        ],
    }


def _timers(group: int, groups: int) -> dict[str, Any]:
    return _STREAM | {
        "name": timers(group),
        "subjects": [f"cb.*.{lane}.*.{p}.>" for lane in ("timer", "due") for p in _partitions(group, groups)],
        "allow_msg_schedules": True,
        "allow_rollup_hdrs": True,
        "max_msgs_per_subject": 1,
        "discard": "old",
        "max_age": 400 * 86_400 * _SECOND,
    }


def _goals() -> dict[str, Any]:
    return _STREAM | {
        "name": GOALS,
        "subjects": ["cb.*.goal.*"],
        "retention": "workqueue",
        "max_msgs": MAX_GOALS,
        "max_msg_size": MAX_GOAL_BYTES + 4096,
    }


def _dead() -> dict[str, Any]:
    return _STREAM | {"name": DEAD, "subjects": ["cb.*.dead.*"], "discard": "old", "max_bytes": 256 * 1024 * 1024}


def _notices() -> dict[str, Any]:
    """Notices, and each beside it for every webhook that wants it. Older ones would be no news."""
    return _STREAM | {
        "name": NOTICES,
        "subjects": ["cb.*.notice.*", "cb.*.post.*.*"],
        "discard": "old",
        "max_age": 4 * 86_400 * _SECOND,
        "max_msgs": 100_000,  # bytes would be reserved, as DEAD's are, and a small disk does not hold both
    }


def _memory() -> dict[str, Any]:
    """What is remembered, one message a subject; of what is forgotten the tombstone, until its own time is over."""
    return _STREAM | {
        "name": MEMORY,
        "subjects": ["cb.*.memory.>", "cb.*.read.*.*"],
        "max_msgs_per_subject": 1,
        "allow_msg_ttl": True,
    }


def _audit() -> dict[str, Any]:
    """Signed checkpoints, for ever: nothing of it can be deleted or purged by anybody."""
    return _STREAM | {"name": AUDIT, "subjects": ["cb.*.audit.*"], "deny_delete": True, "deny_purge": True}


def _kv(bucket: str) -> dict[str, Any]:
    return _STREAM | {
        "name": f"KV_{bucket}",
        "subjects": [f"$KV.{bucket}.>"],
        "max_msgs_per_subject": 1,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
    }


def _idempotency() -> dict[str, Any]:
    return _kv(IDEMPOTENCY) | {"max_age": 86_400 * _SECOND}


def _objects(bucket: str) -> dict[str, Any]:
    return _STREAM | {
        "name": f"OBJ_{bucket}",
        "subjects": [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"],
        "allow_rollup_hdrs": False,  # untrusted parties publish here: one header would wipe the bucket
        "deny_delete": True,
    }


def streams(groups: int) -> list[dict[str, Any]]:
    """Return the configuration of every stream, in the order of creation (sources before what takes from them)."""
    every = [_goals(), _dead(), _notices(), _memory(), _audit()]
    every += [_kv(REGISTRY), _kv(SKILLS), _idempotency(), _objects(BLOBS), _objects(ARTIFACTS)]
    for group in range(groups):
        every += [_timers(group, groups), _journal(group, groups)]
    return every


def consumer(
    durable: str, filters: list[str], *, ack_wait_s: float = ACK_WAIT_S, new: bool = False, owned: bool = False
) -> dict[str, Any]:
    """Return the configuration of a durable that any number of processes share; `owned`: the preferred one is served.

    See `callboard.runtime.ownership`.
    """
    config: dict[str, Any] = {
        "durable_name": durable,
        "ack_policy": "explicit",
        "ack_wait": int(ack_wait_s * _SECOND),
        "max_deliver": -1,  # the runtime sets a message aside, with its reason, before the broker would drop it
        "max_ack_pending": 8192,
        "deliver_policy": "new" if new else "all",
    }
    if owned:
        config |= {"priority_groups": [OWNERS], "priority_policy": "prioritized"}
    return config | ({"filter_subject": filters[0]} if len(filters) == 1 else {"filter_subjects": filters})


def consumers(groups: int, ack_wait_s: float = ACK_WAIT_S) -> list[tuple[str, dict[str, Any]]]:
    """Return every stream's durables of the core services. Tools' durables are the registrar's."""
    every = [
        (GOALS, consumer("planner", ["cb.*.goal.*"], ack_wait_s=ack_wait_s)),
        (NOTICES, consumer("notifier", ["cb.*.notice.*"], ack_wait_s=ack_wait_s)),
        (NOTICES, consumer("poster", ["cb.*.post.*.*"], ack_wait_s=ack_wait_s)),
    ]
    for group in range(groups):
        stream = journal(group)
        every += [
            (stream, consumer("planner", ["cb.*.run.*.*.*.in.>"], ack_wait_s=ack_wait_s, owned=True)),
            (stream, consumer("guard", _GUARDS, ack_wait_s=ack_wait_s, owned=True)),
            (stream, consumer("approval", _APPROVALS, ack_wait_s=ack_wait_s, owned=True)),
            (stream, consumer("memory", ["cb.*.run.*.*.*.log.ended"], ack_wait_s=ack_wait_s)),
            (stream, tool_consumer(names.AGENT, ack_wait_s=ack_wait_s)),
            (stream, tool_consumer(names.MODEL, ack_wait_s=ack_wait_s)),
        ]
    return every


def tool_consumer(tool: str, *, ack_wait_s: float = ACK_WAIT_S, new: bool = False) -> dict[str, Any]:
    """Return the durable from which all executors of a tool pull: single grants and those of wider turns."""
    token = names.token(tool)
    filters = [f"cb.*.tree.*.*.*.log.call.{token}", f"cb.*.tree.*.*.*.send.call.{token}.*"]
    return consumer(names.durable(tool), filters, ack_wait_s=ack_wait_s, new=new)


async def provision(bus: Bus, groups: int, ack_wait_s: float = ACK_WAIT_S, replicas: int = 1) -> int:
    """Create what is missing, or find what is there. Returns the number of journal groups in force.

    With `replicas` 3, on a cluster, no single server's loss stops or costs anything. Durables follow their streams.

    :raises PublishRefused: the broker refuses. :raises NoAnswer: the user may not create streams.
    """
    existing = await discover(bus)
    groups = existing or groups
    for config in streams(groups):
        await _create(bus, f"STREAM.CREATE.{config['name']}", config | {"num_replicas": replicas}, exists=10058)
    for stream, config in consumers(groups, ack_wait_s):
        await create_consumer(bus, stream, config)
    for group in range(groups):
        await _drop_consumer(bus, journal(group), _BEFORE)
    return groups


async def create_consumer(bus: Bus, stream: str, config: dict[str, Any]) -> None:
    """Create a durable unless it is there; then only looking for it need be permitted."""
    if await _consumer_exists(bus, stream, config["durable_name"]):
        return
    path = f"CONSUMER.DURABLE.CREATE.{stream}.{config['durable_name']}"
    await _create(bus, path, {"stream_name": stream, "config": config, "action": "create"}, exists=10148)


async def _drop_consumer(bus: Bus, stream: str, durable: str) -> None:
    if not await _consumer_exists(bus, stream, durable):
        return
    try:
        await bus.api(f"CONSUMER.DELETE.{stream}.{durable}")
    except PublishRefused as error:
        if error.code != _NO_CONSUMER:  # another process was first
            raise


async def _consumer_exists(bus: Bus, stream: str, durable: str) -> bool:
    try:
        await bus.api(f"CONSUMER.INFO.{stream}.{durable}")
    except PublishRefused as error:
        if error.code != _NO_CONSUMER:
            raise
        return False
    return True


async def _create(bus: Bus, path: str, config: dict[str, Any], *, exists: int) -> None:
    try:
        await bus.api(path, config)
    except PublishRefused as error:
        if error.code not in (exists, 10013, 10105):
            raise
        log.debug("exists already", path=path)


async def discover(bus: Bus) -> int:
    """Return how many journal groups the broker has, 0 when it was never provisioned.

    Every user may ask this way; the JetStream API itself answers only in the journal's own account.

    :raises NoAnswer: the broker does not answer.
    """
    found = await asyncio.gather(*(_exists(bus, journal(group)) for group in range(MAX_GROUPS)))
    return sum(found)


async def missing(bus: Bus, groups: int) -> list[str]:
    """Return the streams that the broker lacks: all, or those that an older version did not have.

    :raises NoAnswer: the broker does not answer.
    """
    every = [str(config["name"]) for config in streams(groups)]
    there = await asyncio.gather(*(_exists(bus, name) for name in every))
    return [name for name, is_there in zip(every, there, strict=True) if not is_there]


async def _exists(bus: Bus, stream: str) -> bool:
    try:
        await bus.request(f"$JS.API.DIRECT.GET.{stream}.{PROBE}", b"")
    except NobodyListens:
        return False
    return True
