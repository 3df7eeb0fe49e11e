"""Whatever a model says, a user of the broker can do what its service needs and nothing else; the guard alone calls."""

import asyncio
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from tests.server.users import GROUPS, TENANT, everyone

from callboard.bus import Bus, Delivery, Puller, ack, layout, objects, reader
from callboard.bus.micro import announce
from callboard.bus.registry import Registry, put_skill, put_tool
from callboard.bus.users import User, users
from callboard_contracts import call, guard, subjects, tool, wire
from callboard_contracts.goal import Submit
from callboard_contracts.journal import Record
from callboard_contracts.skill import Skill

TREE = "01K0000000000000000000000A"
CALL = f"{TREE}-1-0"
OWNED = frozenset({"planner", "guard"})
JOURNAL = layout.journal_of(TREE, GROUPS)
RUN = subjects.Address.of_run(TENANT, TREE)
GUARD = subjects.Address.of_tree(TENANT, TREE)
FORGED = wire.encode(
    Record(causes=(), events=(guard.Granted(call=call.Call(id=CALL, tool="shell.run"), source=1, expires_ms=2**53),))
)
CALLS = (str(GUARD.at("log", "call.shell-run")), str(GUARD.at("send", f"call.shell-run.{CALL}")))

EVERYBODY = [user.name for user in users() if user.name != "operator"] + [""]
NOT_THE_GUARD = [name for name in EVERYBODY if name != "guard"]
EDGE = [user.name for user in users() if user.edge] + [""]
EXECUTORS = ["tools", "models", "memory", "tool"]


@pytest.fixture(scope="module")
async def bus_of(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[dict[str, Bus]]:
    async with everyone(tmp_path_factory.mktemp("users")) as found:
        yield found


async def stored(operator: Bus) -> dict[str, int]:
    """Return every stream's last sequence."""
    streams = (await operator.api("STREAM.LIST"))["streams"]
    return {stream["config"]["name"]: stream["state"]["last_seq"] for stream in streams}


async def calls(operator: Bus) -> list[str]:
    """Return the subject of every message in the journal that an executor would take for a call."""
    found = [message async for message in reader.scan(operator, JOURNAL, "cb.*.tree.>")]
    return [message.stored_subject for message in found]


async def settle(*buses: Bus) -> None:
    """Wait until the server has dealt with everything that was sent, and answered."""
    for bus in buses:
        await bus.flush()
    await asyncio.sleep(0.05)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is awaited is a callback of the bus
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", NOT_THE_GUARD)
async def test_nobody_but_the_guard_publishes_a_call_or_what_holds_one(bus_of: dict[str, Bus], name: str) -> None:
    before = await stored(bus_of["operator"])
    for subject in (*CALLS, str(GUARD.at("log", "opened")), str(GUARD.at("send", f"held.{CALL}"))):
        bus_of[name].send(subject, FORGED)
    await settle(bus_of[name])
    assert await stored(bus_of["operator"]) == before
    assert sum("tree" in text.lower() for text in bus_of[name].refused) >= 4


@pytest.mark.parametrize("name", [name for name in EVERYBODY if name != "planner"])
async def test_nobody_but_the_planner_writes_a_runs_records(bus_of: dict[str, Bus], name: str) -> None:
    before = await stored(bus_of["operator"])
    bus_of[name].send(str(RUN.at("log", "called")), FORGED)
    await settle(bus_of[name])
    assert await stored(bus_of["operator"]) == before


@pytest.mark.parametrize("name", EVERYBODY)
async def test_no_service_purges_deletes_or_changes_a_stream(bus_of: dict[str, Bus], name: str) -> None:
    bus, before = bus_of[name], await stored(bus_of["operator"])
    harm = [f"STREAM.{verb}.{stream}" for verb in ("PURGE", "DELETE", "UPDATE", "MSG.DELETE") for stream in before]
    for path in harm:
        bus.send(f"$JS.API.{path}", b'{"seq":1}', reply=f"{bus.prefix}.0")
    bus.send(f"$JS.API.CONSUMER.DELETE.{JOURNAL}.guard", b"", reply=f"{bus.prefix}.0")
    bus.send(f"$JS.API.CONSUMER.PAUSE.{JOURNAL}.guard", b"{}", reply=f"{bus.prefix}.0")
    await settle(bus)
    assert await stored(bus_of["operator"]) == before
    assert not (await bus_of["operator"].api(f"CONSUMER.INFO.{JOURNAL}.guard")).get("paused", False)


@pytest.mark.parametrize("name", EVERYBODY)
async def test_only_the_ledger_takes_messages_out_and_only_of_what_it_archives(
    bus_of: dict[str, Bus], name: str
) -> None:
    bus, operator = bus_of[name], bus_of["operator"]
    artifact, setting = f"$O.{layout.ARTIFACTS}.C.{TREE}.claim.x", f"$KV.{layout.SKILLS}.x"
    planted = {subject: (await operator.publish(subject, b"x")).stream for subject in (str(RUN), artifact, setting)}
    for subject, stream in planted.items():
        body = msgspec.json.encode({"filter": subject})
        bus.send(f"$JS.API.STREAM.PURGE.{stream}", body, reply=f"{bus.prefix}.0")
    await settle(bus)
    left = [subject for subject, stream in planted.items() if await reader.last(operator, stream, subject)]
    assert left == ([setting] if name == "ledger" else list(planted))


@pytest.mark.parametrize("name", EVERYBODY)
async def test_the_ledger_alone_writes_checkpoints(bus_of: dict[str, Bus], name: str) -> None:
    before = (await stored(bus_of["operator"]))[layout.AUDIT]
    bus_of[name].send(subjects.audit(JOURNAL), b"{}")
    await settle(bus_of[name])
    assert (await stored(bus_of["operator"]))[layout.AUDIT] - before == (name == "ledger")


@pytest.mark.parametrize("name", EVERYBODY)
async def test_nobody_makes_a_stream_that_would_copy_into_the_journal(bus_of: dict[str, Bus], name: str) -> None:
    bus, before = bus_of[name], await stored(bus_of["operator"])
    config = {"name": "EVIL", "subjects": ["evil.>"], "republish": {"src": "evil.>", "dest": CALLS[0]}}
    bus.send("$JS.API.STREAM.CREATE.EVIL", msgspec.json.encode(config), reply=f"{bus.prefix}.0")
    await settle(bus)
    bus.send("evil.x", FORGED)
    await settle(bus)
    assert await stored(bus_of["operator"]) == before


@pytest.mark.parametrize("name", [name for name in EVERYBODY if name != "tools"])
async def test_only_the_registrar_makes_durables_which_could_push_anywhere(bus_of: dict[str, Bus], name: str) -> None:
    bus = bus_of[name]
    config = {"durable_name": "tool-evil", "deliver_subject": CALLS[0], "ack_policy": "none"}
    body = msgspec.json.encode({"stream_name": JOURNAL, "config": config})
    for path in ("CONSUMER.DURABLE.CREATE.{}.tool-evil", "CONSUMER.CREATE.{}.tool-evil", "CONSUMER.CREATE.{}"):
        bus.send(f"$JS.API.{path.format(JOURNAL)}", body, reply=f"{bus.prefix}.0")
    await settle(bus)
    durables = (await bus_of["operator"].api(f"CONSUMER.NAMES.{JOURNAL}"))["consumers"]
    assert "tool-evil" not in durables


async def test_the_registrar_cannot_replace_the_durables_of_the_core(bus_of: dict[str, Bus]) -> None:
    bus = bus_of["tools"]
    before = (await bus_of["operator"].api(f"CONSUMER.INFO.{JOURNAL}.guard"))["config"]
    for durable in ("guard", "planner", "tool-model"):
        config = layout.consumer(durable, ["cb.evil.>"])
        path = f"$JS.API.CONSUMER.DURABLE.CREATE.{JOURNAL}.{durable}"
        bus.send(path, msgspec.json.encode({"stream_name": JOURNAL, "config": config}), reply=f"{bus.prefix}.0")
    await settle(bus)
    assert (await bus_of["operator"].api(f"CONSUMER.INFO.{JOURNAL}.guard"))["config"] == before


@pytest.mark.parametrize("name", EDGE)
async def test_the_server_copies_no_stored_bytes_onto_a_call_for_anybody_at_the_edge(
    bus_of: dict[str, Bus], name: str
) -> None:
    """A direct get and a pull are answered by the server itself, whose publishes no permission restricts."""
    operator, bus = bus_of["operator"], bus_of[name]
    planted = await operator.publish(str(RUN.at("in", "result")), FORGED, {wire.ID: CALL})
    before = await calls(operator)
    for target in (*CALLS, str(RUN.at("log", "called"))):
        for what in ({"seq": planted.seq}, {"seq": planted.seq, "no_hdr": True}, {"last_by_subj": str(RUN) + ".>"}):
            bus.send(f"$JS.API.DIRECT.GET.{JOURNAL}", msgspec.json.encode(what), reply=target)
        bus.send(f"$JS.API.DIRECT.GET.{JOURNAL}.{RUN.at('in', 'result')}", b"", reply=target)
        for durable in ("planner", "guard", "tool-model", "tool-agent-run", "tool-any"):
            bus.send(f"$JS.API.CONSUMER.MSG.NEXT.{JOURNAL}.{durable}", b'{"batch":9}', reply=target)
    await settle(bus)
    assert await calls(operator) == before
    assert [m async for m in reader.scan(operator, JOURNAL, "cb.*.run.*.*.*.log.>")] == []


@pytest.mark.parametrize("name", EDGE)
async def test_nobody_at_the_edge_makes_the_server_pull_or_acknowledge_for_him(
    bus_of: dict[str, Bus], name: str
) -> None:
    operator, bus = bus_of["operator"], bus_of[name]
    planted = await operator.publish(str(RUN.at("in", "result")), b'{"batch":9}', {wire.ID: CALL})
    before = await operator.api(f"CONSUMER.INFO.{JOURNAL}.planner")
    what = msgspec.json.encode({"seq": planted.seq})
    for target in (f"$JS.API.CONSUMER.MSG.NEXT.{JOURNAL}.planner", f"$JS.ACK.{JOURNAL}.planner.1.1.1.1.1"):
        bus.send(target, b'{"batch":9}', reply=f"{bus.prefix}.0")
        bus.send(f"$JS.API.DIRECT.GET.{JOURNAL}", what, reply=target)
    await settle(bus)
    after = await operator.api(f"CONSUMER.INFO.{JOURNAL}.planner")
    assert (after["delivered"], after["ack_floor"]) == (before["delivered"], before["ack_floor"])


@pytest.mark.parametrize("name", EDGE)
async def test_a_question_is_answered_to_whoever_asked_and_never_into_the_journal(
    bus_of: dict[str, Bus], name: str
) -> None:
    """The planner may write the records of runs, so nobody may choose where its answers go."""
    planner, bus, before = bus_of["planner"], bus_of[name], await stored(bus_of["operator"])

    def answer(question: Delivery) -> None:
        planner.send(question.reply, FORGED)

    stop = await planner.subscribe(f"cb.*.ask.planner.{name or 'x'}", answer)
    bus.send(str(subjects.ask(TENANT, "planner", name or "x")), b"", reply=str(RUN.at("log", "called")))
    await settle(bus, planner)
    await stop()
    assert await stored(bus_of["operator"]) == before


@pytest.mark.parametrize("name", [name for name in EVERYBODY if name not in ("planner", "guard", "approval")])
async def test_nobody_else_sets_a_timer_which_could_write_where_it_likes(bus_of: dict[str, Bus], name: str) -> None:
    bus, before = bus_of[name], await stored(bus_of["operator"])
    for subject in (RUN.timer, GUARD.timer, RUN.due, GUARD.due):
        bus.send(subject, FORGED, {wire.SCHEDULE: "@every 1s", wire.SCHEDULE_TARGET: CALLS[0]})
        bus.send(subject, FORGED)
    await settle(bus)
    assert await stored(bus_of["operator"]) == before


@pytest.mark.parametrize("name", ["planner", "guard"])
async def test_a_timer_comes_out_as_a_timer_and_nowhere_else(bus_of: dict[str, Bus], name: str) -> None:
    bus, operator = bus_of[name], bus_of["operator"]
    before = await calls(operator)
    timer = RUN.timer if name == "planner" else GUARD.timer
    headers = {wire.SCHEDULE: "@at 2020-01-01T00:00:00Z", wire.SCHEDULE_TARGET: CALLS[0]}
    bus.send(timer, FORGED, headers, reply=f"{bus.prefix}.0")
    await settle(bus)
    await asyncio.sleep(0.5)
    assert await calls(operator) == before


@pytest.mark.parametrize("name", EVERYBODY)
async def test_the_trace_of_a_message_goes_to_no_subject_that_its_sender_may_not_use(
    bus_of: dict[str, Bus], name: str
) -> None:
    bus, before = bus_of[name], await calls(bus_of["operator"])
    target = CALLS[0] if name != "guard" else str(RUN.at("log", "called"))
    bus.send(f"cb.{TENANT}.goal._", b"", {"Nats-Trace-Dest": target, "Nats-Trace-Only": "true"})
    bus.send(f"cb.{TENANT}.dead.{name}", b"", {"Nats-Trace-Dest": target, "Nats-Trace-Only": "true"})
    await settle(bus)
    assert await calls(bus_of["operator"]) == before


@pytest.mark.parametrize("name", [user.name for user in users() if user.name != "operator"])
async def test_nobody_reads_anothers_inbox(bus_of: dict[str, Bus], name: str) -> None:
    heard: list[Delivery] = []
    for pattern in (">", "_INBOX.>", "_INBOX.operator.>", "_INBOX.*.*.*", "_R_.>", "cb.>"):
        await bus_of[name].subscribe(pattern, heard.append)
    await bus_of["operator"].api("INFO")
    await bus_of["guard" if name != "guard" else "planner"].request(f"$JS.API.DIRECT.GET.{JOURNAL}", b'{"seq":9999999}')
    await settle(bus_of[name])
    assert [message.subject for message in heard if not message.subject.startswith(f"_INBOX.{name}.")] == []


@pytest.mark.parametrize("name", ["client", ""])
async def test_somebody_without_credentials_stays_in_his_tenant(bus_of: dict[str, Bus], name: str) -> None:
    bus, before = bus_of[name], await stored(bus_of["operator"])
    heard: list[Delivery] = []
    await bus.subscribe("cb.*.live.>", heard.append)
    await bus.subscribe("cb.other.live.>", heard.append)
    bus.send("cb.other.goal._", b"{}")
    bus.send(f"cb.{TENANT}.live.{TREE}.{TREE}.ended", b"{}")
    for bucket in ("KV_registry", "OBJ_artifacts", "GOALS", "DEAD"):
        bus.send(f"$JS.API.DIRECT.GET.{bucket}", b'{"seq":1}', reply=f"{bus.prefix}.0")
    await settle(bus)
    assert await stored(bus_of["operator"]) == before
    assert heard == []


# ── And each can do what it is for ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["client", "gateway", ""])
async def test_a_goal_is_taken_and_its_records_and_tokens_are_heard(bus_of: dict[str, Bus], name: str) -> None:
    bus, heard = bus_of[name], list[str]()
    stop = await bus.subscribe(subjects.live_tree(TENANT, TREE), lambda message: heard.append(message.body.decode()))
    receipt = await bus.publish(f"cb.{TENANT}.goal._", wire.encode(Submit(objective="x")))
    assert receipt.stream == layout.GOALS
    await bus_of["guard"].publish(str(GUARD.at("log", "opened")), b"record")
    for executor in EXECUTORS:
        bus_of[executor].send(subjects.stream(TENANT, CALL), executor.encode())
    await eventually(lambda: len(heard) == 5)
    await stop()
    assert sorted(heard) == sorted(["record", *EXECUTORS])


async def pulled(bus: Bus, stream: str, durable: str, count: int) -> list[Delivery]:
    found: list[Delivery] = []

    def take(message: Delivery) -> None:
        found.append(message)
        ack(bus, message)

    puller = Puller(bus, stream, durable, take, priority=0 if durable in OWNED and stream == JOURNAL else None)
    await puller.start()
    await eventually(lambda: len(found) >= count)
    await puller.stop()
    await settle(bus)
    return found


@pytest.mark.parametrize(
    ("name", "durable", "kind"),
    [
        ("models", "tool-model", "call.model"),
        ("planner", "tool-agent-run", "call.agent-run"),
        ("tools", "tool-notes-read", "call.notes-read"),
        ("memory", "tool-notes-read", "call.notes-read"),
        ("tool", "tool-notes-read", "call.notes-read"),
    ],
)
async def test_an_executor_pulls_its_calls_acknowledges_them_and_answers(
    bus_of: dict[str, Bus], name: str, durable: str, kind: str
) -> None:
    bus, operator = bus_of[name], bus_of["operator"]
    if durable == "tool-notes-read":
        await layout.create_consumer(bus_of["tools"], JOURNAL, layout.tool_consumer("notes.read", new=True))
    await operator.api(f"STREAM.PURGE.{JOURNAL}")
    receipts = [await bus_of["guard"].publish(str(GUARD.at("log", kind)), FORGED) for _ in range(20)]
    found = await pulled(bus, JOURNAL, durable, 20)
    assert [message.seq for message in found][-20:] == [receipt.seq for receipt in receipts]
    assert (await operator.api(f"CONSUMER.INFO.{JOURNAL}.{durable}"))["num_ack_pending"] == 0
    lane = "child" if name == "planner" else "result"
    assert (await bus.publish(str(RUN.at("in", lane)), b"{}", {wire.ID: CALL})).stream == JOURNAL


async def test_each_actor_takes_its_inputs_and_writes_its_records(bus_of: dict[str, Bus]) -> None:
    operator, planner, guard_ = bus_of["operator"], bus_of["planner"], bus_of["guard"]
    await operator.api(f"STREAM.PURGE.{JOURNAL}")
    fence = {wire.FENCE: "0", wire.FENCE_SUBJECT: RUN.fence}
    record = await planner.publish(str(RUN.at("log", "accepted")), FORGED, fence)
    assert (await pulled(guard_, JOURNAL, "guard", 1))[-1].seq == record.seq
    assert [m.seq async for m in reader.scan(bus_of["ledger"], JOURNAL, "cb.*.*.*.*.*.log.>")] == [record.seq]
    refusal = await guard_.publish(str(RUN.at("in", "result")), b"{}")
    assert (await pulled(planner, JOURNAL, "planner", 1))[-1].seq == refusal.seq
    control = await bus_of["gateway"].publish(str(GUARD.at("in", "control")), b"{}")
    assert (await pulled(guard_, JOURNAL, "guard", 1))[-1].seq == control.seq
    for bus, timer in ((planner, RUN.timer), (guard_, GUARD.timer)):
        headers = {wire.SCHEDULE: "@at 2099-01-01T00:00:00Z", wire.SCHEDULE_TARGET: timer.replace(".timer.", ".due.")}
        assert (await bus.publish(timer, b"{}", headers)).stream.startswith("TIMERS")
    assert [m.seq async for m in reader.scan(bus_of["client"], JOURNAL, f"{RUN}.>")]


@pytest.mark.parametrize("name", ["planner", "tools", "gateway", "models", "memory", "tool"])
async def test_large_values_go_to_the_blobs_and_come_back(bus_of: dict[str, Bus], name: str) -> None:
    data = name.encode() * 100_000
    assert await objects.get_blob(bus_of[name], await objects.put_blob(bus_of[name], data)) == data


@pytest.mark.parametrize("name", ["tools", "gateway", "memory", "tool"])
async def test_files_of_a_run_are_written_listed_and_read(bus_of: dict[str, Bus], name: str) -> None:
    await objects.put_file(bus_of[name], TREE, f"{name}.txt", b"x" * 300_000)
    assert f"{name}.txt" in [file.path for file in await objects.list_files(bus_of[name], TREE)]
    assert await objects.get_file(bus_of[name], TREE, f"{name}.txt") == b"x" * 300_000


async def test_the_registry_is_followed_by_everybody_who_needs_it(bus_of: dict[str, Bus]) -> None:
    followers = [Registry(bus_of[name]) for name in ("planner", "guard", "tools", "gateway", "models", "memory")]
    for follower in followers:
        await follower.start()
    spec = tool.Spec(name="notes.read", description="d", input_schema={"type": "object"})
    await put_tool(bus_of["tools"], "notes-read", tool.Entry(spec=spec, instances=1))
    digest = await put_skill(bus_of["gateway"], Skill(name="a-skill", description="d", prompt="p"))
    await eventually(lambda: all(f.facts.spec("notes.read") and f.facts.skill("a-skill") for f in followers))
    for follower in followers:
        await follower.stop()
    key = f"$KV.{layout.SKILLS}.version.{digest}"
    assert await reader.last(bus_of["tool"], f"KV_{layout.SKILLS}", key)


async def test_the_registrar_hears_from_whoever_announces_himself(bus_of: dict[str, Bus]) -> None:
    names = ["planner", "guard", "tools", "models", "memory", "tool"]
    said = [await announce(bus_of[name], name=name, version="1.0.0", description="d") for name in names]
    answers = await bus_of["tools"].gather("$SRV.INFO", b"", window_s=0.3)
    assert sorted(msgspec.json.decode(answer.body)["name"] for answer in answers) == sorted(names)
    for announcement in said:
        await announcement.stop()


async def test_the_gateway_counts_who_serves_a_tool_in_whatever_account(bus_of: dict[str, Bus]) -> None:
    said = [await announce(bus_of[name], name="calc", version="1.0.0", description="d") for name in ("tools", "tool")]
    assert len(await bus_of["gateway"].gather("$SRV.PING.calc", b"", window_s=0.3)) == 2
    for announcement in said:
        await announcement.stop()
    assert await bus_of["gateway"].gather("$SRV.PING.calc", b"", window_s=0.3) == []


@pytest.mark.parametrize("name", EXECUTORS)
async def test_an_executor_asks_the_planner_and_sets_aside_what_it_cannot_read(
    bus_of: dict[str, Bus], name: str
) -> None:
    planner = bus_of["planner"]
    stop = await planner.subscribe("cb.*.ask.planner.call", lambda q: planner.send(q.reply, b"yes"))
    assert (await bus_of[name].request(str(subjects.ask(TENANT, "planner", "call")), b"")).body == b"yes"
    await stop()
    service = "tools" if name == "tool" else name
    assert (await bus_of[name].publish(subjects.dead(TENANT, service), b"{}")).stream == layout.DEAD


@pytest.mark.parametrize("name", EXECUTORS)
async def test_an_executor_learns_the_brokers_time(bus_of: dict[str, Bus], name: str) -> None:
    assert (await bus_of[name].api(f"STREAM.INFO.{layout.DEAD}"))["ts"]


@pytest.mark.parametrize("name", ["gateway", "ledger"])
async def test_streams_are_described_to_those_who_show_them(bus_of: dict[str, Bus], name: str) -> None:
    assert (await bus_of[name].api(f"STREAM.INFO.{layout.GOALS}"))["config"]["name"] == layout.GOALS


async def test_the_gateway_asks_the_ledger(bus_of: dict[str, Bus]) -> None:
    ledger = bus_of["ledger"]
    stop = await ledger.subscribe("cb.*.ask.ledger.*", lambda q: ledger.send(q.reply, b"yes"))
    assert (await bus_of["gateway"].request(str(subjects.ask(TENANT, "ledger", "runs")), b"")).body == b"yes"
    await stop()


async def test_the_gateway_asks_the_models_service_for_a_prompt_and_nobody_else_hears_it(
    bus_of: dict[str, Bus],
) -> None:
    overheard: list[Delivery] = []
    question = str(subjects.ask(TENANT, "models", "prompt"))
    for name in ("tool", "memory", ""):
        await bus_of[name].subscribe("cb.*.ask.models.*", overheard.append)
    models = bus_of["models"]
    stop = await models.subscribe("cb.*.ask.models.*", lambda q: models.send(q.reply, b"yes"), queue="model")
    assert (await bus_of["gateway"].request(question, b"")).body == b"yes"
    await stop()
    assert overheard == []


def test_only_the_guard_may_write_a_trees_records_and_commands() -> None:
    def may(user: User, subject: str) -> bool:
        return subject in user.publish

    for lane in ("cb.*.tree.*.*.*.log.>", "cb.*.tree.*.*.*.send.>"):
        assert [user.name for user in users() if may(user, lane)] == ["guard"]
