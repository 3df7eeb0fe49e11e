"""JSON Schema 2020-12 of every message, named by wire type; what has no wire type is named as in the source."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from callboard.contracts_export import docs
from callboard_contracts import wire

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REF = re.compile(r'"#/\$defs/([^"]+)"')

Schema = dict[str, Any]


def components() -> dict[str, Schema]:
    """Return the schema of every message and of every struct inside one; they refer to `#/$defs/<name>`."""
    classes = list(dict.fromkeys(_structs(inspect.multi_type_info(wire.MESSAGES))))
    _, found = msgspec.json.schema_components([_speakable(cls) for cls in classes], ref_template="#/$defs/{name}")
    by_key = {key: _class_of(key, classes) for key in found}
    renamed = _REF.sub(lambda ref: f'"#/$defs/{name_of(by_key[ref[1]])}"', json.dumps(found))
    return {name_of(by_key[key]): _described(schema, by_key[key]) for key, schema in json.loads(renamed).items()}


def standalone(name: str, every: dict[str, Schema]) -> Schema:
    """Return one message's schema with everything it refers to inside."""
    needed = sorted(_closure(name, every) - {name})
    inside = {"$defs": {other: every[other] for other in needed}} if needed else {}
    return {"$schema": DIALECT, "$id": f"urn:callboard:{name}"} | every[name] | inside


def name_of(cls: type[msgspec.Struct]) -> str:
    """Return the wire type of a message; of any other struct its name in the source, as `goal.Limits`."""
    tag = cls.__struct_config__.tag
    return str(tag) if tag else f"{cls.__module__.rpartition('.')[2]}.{cls.__qualname__}"


def _structs(node: object) -> Iterator[type[msgspec.Struct]]:
    """Yield every struct in a tree of type information, also those in fields."""
    match node:
        case inspect.StructType():
            yield node.cls
            yield from _structs([field.type for field in node.fields])
        case list() | tuple():
            for part in node:
                yield from _structs(part)
        case inspect.Type():
            yield from _structs([getattr(node, name) for name in node.__struct_fields__])
        case _:
            pass


def _speakable(cls: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a class that JSON Schema can express: JSON that is kept raw is any value."""
    fields = msgspec.structs.fields(cls)
    if all(field.type is not msgspec.Raw for field in fields):
        return cls
    return msgspec.defstruct(
        cls.__name__,
        [(f.name, Any, None) if f.type is msgspec.Raw else _same(f) for f in fields],
        module=cls.__module__,
        tag=cls.__struct_config__.tag,
        kw_only=True,
    )


def _same(field: msgspec.structs.FieldInfo) -> tuple[str, Any] | tuple[str, Any, Any]:
    return (field.name, field.type) if field.required else (field.name, field.type, field.default)


def _class_of(key: str, classes: list[type[msgspec.Struct]]) -> type[msgspec.Struct]:
    """Find the class behind msgspec's name, which is qualified only where short names collide."""
    qualified = {f"{cls.__module__}.{cls.__qualname__}".replace("<", "_"): cls for cls in classes}
    return qualified.get(key) or next(cls for cls in classes if cls.__name__ == key)


def _described(schema: Schema, cls: type[msgspec.Struct]) -> Schema:
    said = docs.of_fields(cls)
    for name, field in schema["properties"].items():
        schema["properties"][name] = ({"description": said[name]} if name in said else {}) | field
    return {"title": name_of(cls), "description": docs.of_class(cls)} | {
        key: value for key, value in schema.items() if key not in ("title", "description")
    }


def _closure(name: str, every: dict[str, Schema]) -> set[str]:
    seen: set[str] = set()
    ahead = [name]
    while ahead:
        seen.add(now := ahead.pop())
        ahead += [ref for ref in _REF.findall(json.dumps(every[now])) if ref not in seen]
    return seen
