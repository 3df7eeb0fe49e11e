"""AsyncAPI 3.0 of the whole system: a process in any language can join from this file alone."""

import json
import re
from importlib import resources
from typing import Any, Final

from callboard.contracts_export import channels
from callboard.contracts_export.channels import CHANNELS, OPERATIONS, PARAMETERS, Channel, Operation

Json = dict[str, Any]
_PARAMETER: Final = re.compile(r"{(\w+)}")
_FORMAT: Final = "application/schema+json;version=draft-2020-12"

_HEADERS: Final[Json] = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode. Absent are `ce-source`, which is `callboard`, and"
    " `ce-specversion`, which is `1.0`: they are constant, and every byte is stored with every message. Records and"
    " results leave out `ce-id` and `ce-type` too: the body says the type, and the id is the call's, or where the"
    " record is stored.",
    "properties": {
        "ce-id": {"type": "string", "description": "Follows from the cause: the same said twice has the same id."},
        "ce-type": {"type": "string", "description": "The wire type, with its version."},
        "traceparent": {"type": "string", "description": "W3C trace context, of a goal."},
    },
}
_RECORD_HEADERS: Final[Json] = {
    "type": "object",
    "description": "Of a record: the fence it was stored under, and on `live` and by direct get where it is stored.",
    "properties": _HEADERS["properties"]
    | {
        "Nats-Expected-Last-Subject-Sequence": {
            "type": "string",
            "description": "`prev`, in decimal: the sequence of the same actor's record before this one; 0: the first.",
        },
        "Nats-Expected-Last-Subject-Sequence-Subject": {
            "type": "string",
            "description": "The group of subjects that holds the actor's records.",
        },
        "Nats-Stream": {"type": "string", "description": "The stream that holds it (live and direct get)."},
        "Nats-Subject": {"type": "string", "description": "The subject it is stored under (live and direct get)."},
        "Nats-Sequence": {"type": "string", "description": "Its sequence there, in decimal (live and direct get)."},
    },
}
_FOREIGN: Final[dict[str, Json]] = {
    "jetstream.pull": {
        "type": "object",
        "description": "With a reply inbox, to which up to `batch` messages are delivered.",
        "properties": {
            "batch": {"type": "integer", "minimum": 1, "description": "How many messages at most."},
            "expires": {"type": "integer", "description": "When the pull ends, in nanoseconds from now."},
        },
        "required": ["batch", "expires"],
    },
    "jetstream.direct-get": {
        "type": "object",
        "description": "One of: a sequence; the next of a group of subjects from a sequence on; the last of a group.",
        "properties": {
            "seq": {"type": "integer", "description": "The sequence to read, or to begin at."},
            "next_by_subj": {"type": "string", "description": "A subject or filter."},
            "last_by_subj": {"type": "string", "description": "A subject or filter."},
            "batch": {"type": "integer", "description": "With `next_by_subj`: up to so many, ended by status 204."},
        },
    },
    "jetstream.ack": {
        "type": "string",
        "description": 'Empty: done. `+WPI`: in progress. `-NAK {"delay": ns}`: deliver again later.'
        " `+TERM`: never again; a dead letter was stored.",
    },
    "micro.info": {
        "type": "object",
        "description": "The answer to discovery.",
        "properties": {
            "type": {"const": "io.nats.micro.v1.info_response", "description": "The protocol's name of this answer."},
            "name": {"type": "string", "description": "The tool's token."},
            "id": {"type": "string", "description": "This process, uniquely."},
            "version": {"type": "string", "description": "Semantic version."},
            "description": {"type": "string", "description": "What it is."},
            "endpoints": {"type": "array", "description": "Empty for a tool: it pulls."},
            "metadata": {
                "type": "object",
                "description": "What else it says of itself; values are strings.",
                "properties": {"callboard.tool": {"type": "string", "description": "A `tool.spec.v1` as JSON."}},
            },
        },
        "required": ["type", "name", "id", "version", "metadata"],
    },
}


def document(names: list[str], every: dict[str, Json], examples: Json) -> Json:
    """Return the whole document: the messages of these names, every schema, and an example of each message."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Callboard",
            "version": "1.0.0",
            "description": resources.files(channels.__package__).joinpath("joining.md").read_text("utf-8"),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "nats": {"host": "127.0.0.1:4222", "protocol": "nats", "description": "Any server of the cluster."}
        },
        "channels": {name: _channel(channel) for name, channel in CHANNELS.items()},
        "operations": {_id(operation): _operation(operation) for operation in OPERATIONS},
        "components": _components(names, every, examples),
    }


def _id(operation: Operation) -> str:
    return f"{operation.service}.{operation.action}.{operation.channel}"


def _channel(channel: Channel) -> Json:
    stored = {"x-jetstream": {"stream": channel.stream}} if channel.stream else {}
    return {
        "address": channel.address,
        "description": channel.text,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in channel.messages},
        "parameters": {name: {"description": PARAMETERS[name]} for name in _PARAMETER.findall(channel.address)},
    } | stored


def _operation(operation: Operation) -> Json:
    pulled = {"x-jetstream": _consumer(operation)} if operation.durable else {}
    messages = CHANNELS[operation.channel].messages
    return {
        "action": operation.action,
        "channel": {"$ref": f"#/channels/{operation.channel}"},
        "summary": operation.text,
        "tags": [{"name": operation.service}],
        "messages": [{"$ref": f"#/channels/{operation.channel}/messages/{name}"} for name in messages],
        "bindings": {"nats": {"bindingVersion": "0.1.0"}},
    } | pulled


def _consumer(operation: Operation) -> Json:
    """Say what is pulled from which durable; a parameter of the address is any token."""
    address = CHANNELS[operation.channel].address
    token = operation.durable.removeprefix("tool-")
    tool = address.replace("{tool}", token) if token != operation.durable else address
    return {
        "durable": operation.durable,
        "filter": _PARAMETER.sub("*", tool.replace(".{kind}", ".>")),
        "ack": "explicit",
        "ackWaitSeconds": 30,
    }


def _components(names: list[str], every: dict[str, Json], examples: Json) -> Json:
    said = {name: _message(name, every[name], examples) for name in names}
    foreign = {name: _foreign(name, schema) for name, schema in _FOREIGN.items()}
    return {
        "messages": said | foreign,
        "schemas": {name: {"schemaFormat": _FORMAT, "schema": _inlined(schema)} for name, schema in every.items()}
        | {"headers": _HEADERS, "recordHeaders": _RECORD_HEADERS},
    }


def _message(name: str, schema: Json, examples: Json) -> Json:
    headers = "recordHeaders" if name == "journal.record.v1" else "headers"
    return {
        "name": name,
        "summary": schema["description"].split("\n")[0],
        "headers": {"$ref": f"#/components/schemas/{headers}"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "examples": [{"payload": examples[name]}] if name in examples else [],
    }


def _foreign(name: str, schema: Json) -> Json:
    payload = {"schemaFormat": _FORMAT, "schema": schema}
    return {"name": name, "summary": schema["description"], "payload": payload}


def _inlined(schema: Json) -> Json:
    text = re.sub(r'"#/\$defs/([^"]+)"', r'"#/components/schemas/\1/schema"', json.dumps(schema))
    found: Json = json.loads(text)
    return found
