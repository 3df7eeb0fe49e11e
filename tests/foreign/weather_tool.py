"""A tool written with nats-py alone, from contracts/asyncapi.json: announce, pull, answer, acknowledge.

python weather_tool.py nats://127.0.0.1:4222
"""

import asyncio
import json
import signal
import sys

import nats
from nats.micro import add_service

SPEC = {
    "name": "weather.now",
    "version": "1.0.0",
    "description": "Tells the weather of a town.",
    "input_schema": {
        "type": "object",
        "properties": {"town": {"type": "string"}},
        "required": ["town"],
        "additionalProperties": False,
    },
    "effect": "read",
    "timeout_s": 10,
}
TOKEN = "weather-now"
DURABLE = f"tool-{TOKEN}"


async def journals(client):
    """Return the names of the journal's streams: JOURNAL-0 and so on, as far as somebody answers."""
    found = []
    while True:
        name = f"JOURNAL-{len(found)}"
        try:
            await client.request(f"$JS.API.DIRECT.GET.{name}.layout", b"", timeout=5)
        except nats.errors.NoRespondersError:
            return found
        found.append(name)


async def serve(client, stream):
    """Pull calls of one stream for ever."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    while True:
        pull = json.dumps({"batch": 1, "expires": 5_000_000_000}).encode()
        await client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{DURABLE}", pull, reply=inbox)
        try:
            message = await subscription.next_msg(timeout=6)
        except nats.errors.TimeoutError:
            continue
        if not message.reply.startswith("$JS.ACK."):
            await asyncio.sleep(0.1)  # 404 or 408: nothing came; 503: the registrar has not made the durable yet
            continue
        await answer(client, message)


async def answer(client, message):
    """Run one granted call and publish its result before acknowledging it."""
    granted = next(e for e in json.loads(message.data)["events"] if e["type"] == "guard.granted.v1")
    call = granted["call"]
    result = {"type": "call.completed.v1", "call": call["id"], "output": f"{call['arguments']['town']}: 21 °C"}
    _, tenant, _, partition, tree, _ = message.subject.split(".")[:6]
    run = call["id"].rsplit("-", 2)[0]
    await client.jetstream().publish(
        f"cb.{tenant}.run.{partition}.{tree}.{run}.in.result",
        json.dumps(result).encode(),
        headers={"ce-id": call["id"], "ce-type": "call.completed.v1"},
    )
    await message.ack()


async def main(url):
    client = await nats.connect(url)
    await add_service(
        client,
        name=TOKEN,
        version=SPEC["version"],
        description=SPEC["description"],
        metadata={"callboard.tool": json.dumps(SPEC)},
    )
    tasks = [asyncio.create_task(serve(client, stream)) for stream in await journals(client)]
    print("weather ready", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
