"""What of JetStream's API is asked at run time, and what creates streams and durables."""

from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulation.clock import rfc3339
from tests.simulation.consumers import Pull
from tests.simulation.direct_get import direct_get

if TYPE_CHECKING:
    from tests.simulation.broker import Broker

_EXISTS = 10058
_NO_STREAM = 10059
_NO_CONSUMER = 10014


def answer(broker: "Broker", path: str, reply: str, body: bytes) -> bool:
    """Answer a request. False: nobody listens there."""
    match path.split(".", 3):
        case ["DIRECT", "GET", stream, *subject]:
            found = broker.streams.get(stream)
            if found is None:
                return False
            direct_get(broker, found, reply, body, subject[0] if subject else "")
        case ["CONSUMER", "MSG", "NEXT", rest]:
            return _next(broker, rest, reply, body)
        case ["STREAM", "INFO", stream]:
            _say(broker, reply, _stream_info(broker, stream))
        case ["STREAM", "CREATE", stream]:
            _say(broker, reply, _create(broker, stream, body))
        case ["CONSUMER", "INFO", stream, durable]:
            missing = (stream, durable) not in broker.consumers
            _say(broker, reply, _error(_NO_CONSUMER, "consumer not found") if missing else {"name": durable})
        case ["CONSUMER", "RESET", stream, durable]:
            _say(broker, reply, {"name": durable})
            broker.consumers[stream, durable].reset()
        case ["CONSUMER", "DURABLE", "CREATE", rest]:
            stream, durable = rest.split(".")
            broker.add_consumer(stream, msgspec.json.decode(body)["config"])
            _say(broker, reply, {"name": durable})
        case _:
            return False
    return True


def _next(broker: "Broker", rest: str, reply: str, body: bytes) -> bool:
    stream, durable = rest.split(".")
    consumer = broker.consumers.get((stream, durable))
    if consumer is None:
        return False
    asked: dict[str, Any] = msgspec.json.decode(body)
    until = broker.now() + asked["expires"] / 1e9
    consumer.pull(Pull(reply, asked["batch"], until, asked.get("group", ""), asked.get("priority", 0)))
    return True


def _stream_info(broker: "Broker", name: str) -> dict[str, Any]:
    stream = broker.streams.get(name)
    if stream is None:
        return _error(_NO_STREAM, "stream not found")
    state = {"messages": len(stream.messages), "last_seq": stream.last_seq}
    return {"state": state, "ts": rfc3339(broker.now_ns())}


def _create(broker: "Broker", name: str, body: bytes) -> dict[str, Any]:
    if name in broker.streams:
        return _error(_EXISTS, "stream name already in use with a different configuration")
    broker.add_stream(msgspec.json.decode(body))
    return {"config": {"name": name}}


def _error(code: int, description: str) -> dict[str, Any]:
    return {"error": {"code": 400, "err_code": code, "description": description}}


def _say(broker: "Broker", reply: str, what: dict[str, Any]) -> None:
    broker.respond(reply, msgspec.json.encode(what), b"")
