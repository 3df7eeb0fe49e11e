"""`GET /openapi.json`, made from the table of routes, so that it says what is served."""

import re
from typing import Any

import msgspec

from callboard_contracts.errors import CATALOGUE
from callboard_services.gateway.route import Route
from callboard_services.gateway.routes import ROUTES

_OPEN = ("/healthz", "/readyz")
_PARAMETER = re.compile(r"{(\w+)(:path)?}")


def document() -> dict[str, Any]:
    """Return the description of the API."""
    bodies = [route.body for route in ROUTES if route.body not in (None, bytes)]
    _, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(_PARAMETER.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Callboard", "version": "v1", "description": "Goals in, typed results out."},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components | {"Problem": _problem()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{route.handler.__module__.rsplit('.', 1)[-1]}_{route.handler.__name__}",
        "parameters": [*_in_path(route), *_in_query(route), *_in_headers(route)],
        "responses": _responses(route),
    }
    if route.body is not None:
        found["requestBody"] = {"required": route.body_required, "content": _body(route.body)}
    if route.path in _OPEN:
        found["security"] = []
    return found


def _body(type_: Any) -> dict[str, Any]:
    if type_ is bytes:
        return {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{type_.__name__}"}}}


def _in_path(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name, _ in _PARAMETER.findall(route.path)
    ]


def _in_query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    properties = msgspec.json.schema_components([route.query])[1][route.query.__name__]["properties"]
    return [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]


def _in_headers(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "header", "schema": {"type": "string"}} for name in route.headers]


def _responses(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {str(route.success): {"description": "Done.", "content": {route.returns: {}}}}
    if route.returns == "text/event-stream":
        found["204"] = {"description": "The client has seen the last event."}
    everywhere = ("unavailable",) if route.path in _OPEN else ("unauthorized", "unavailable", "internal")
    codes: dict[int, list[str]] = {}
    for code in (*route.errors, *everywhere):
        codes.setdefault(CATALOGUE[code].status, []).append(code)
    for status, named in sorted(codes.items()):
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        found[str(status)] = {"description": " or ".join(f"`{code}`" for code in named), "content": content}
    return found


def _problem() -> dict[str, Any]:
    texts = ("type", "title", "detail", "code", "advice")
    properties: dict[str, Any] = {name: {"type": "string"} for name in texts}
    return {
        "type": "object",
        "required": [*texts, "status"],
        "properties": properties | {"status": {"type": "integer"}},
    }
