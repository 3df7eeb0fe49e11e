"""Every route once: what is served and what /openapi.json says come from this one table."""

from callboard_services.gateway import (
    catalogue,
    context,
    control,
    dead,
    events,
    files,
    goals,
    health,
    history,
    pages,
    policies,
    retrying,
    runs,
    skills,
    whying,
)  # fmt: skip
from callboard_services.gateway.approvals import routes as approvals
from callboard_services.gateway.audit import routes as audit
from callboard_services.gateway.cost import routes as cost
from callboard_services.gateway.memory import routes as memory
from callboard_services.gateway.route import Route
from callboard_services.gateway.submission import Goal

_GOAL_ERRORS = (
    "invalid_json", "invalid_goal", "invalid_id", "invalid_contract", "invalid_input", "empty_goal", "goal_too_large",
    "unknown_skill", "unknown_tool", "unknown_model", "no_model", "conflict",
)  # fmt: skip

_NAMED = ("unknown_skill", "unknown_tool", "unknown_model", "no_model", "invalid_input", "conflict")
_CONTROL_ERRORS = ("unknown_run", "invalid_request", "invalid_json")
_CALL_ERRORS = ("not_live", "not_started", "not_ended", "not_failed", "unknown_call")

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST", path="/v1/goals", handler=goals.post, summary="Start a run", body=Goal, success=202,
        headers=("Idempotency-Key",), errors=(*_GOAL_ERRORS, "invalid_request"),
    ),
    Route(
        method="PUT", path="/v1/goals/{ulid}/files/{path:path}", handler=files.attach, body=bytes, success=201,
        summary="Attach a file before the goal is sent",
        errors=("invalid_id", "invalid_request", "conflict", "file_too_large"),
    ),
    Route(
        method="GET", path="/v1/runs", handler=history.page, summary="List runs, newest first", query=history.Page,
        errors=("invalid_request",),
    ),
    Route(
        method="GET", path="/v1/runs/{run}", handler=runs.one, errors=("unknown_run",),
        summary="A run: its status and output, what each call cost, its sub-agents",
    ),
    Route(
        method="GET", path="/v1/runs/{run}/events", handler=events.stream, query=events.Wish,
        summary="Follow a run as server-sent events; 204 when its last event was seen",
        headers=("Last-Event-ID",), returns="text/event-stream", errors=("unknown_run", "invalid_request"),
    ),
    Route(
        method="POST", path="/v1/runs/{run}/cancel", handler=control.cancel, body=control.Cancellation,
        body_required=False, success=202, summary="Cancel a run and its sub-agents", headers=("Idempotency-Key",),
        errors=_CONTROL_ERRORS,
    ),
    Route(
        method="POST", path="/v1/runs/{run}/pause", handler=control.pause, body=control.Pausing,
        body_required=False, success=202, summary="Stop a run and its sub-agents at their next step",
        headers=("Idempotency-Key",), errors=(*_CONTROL_ERRORS, "not_live"),
    ),
    Route(
        method="POST", path="/v1/runs/{run}/resume", handler=control.resume, body=control.Resumption,
        body_required=False, success=202, summary="Let a run and its sub-agents go on", headers=("Idempotency-Key",),
        errors=(*_CONTROL_ERRORS, "not_live"),
    ),
    Route(
        method="POST", path="/v1/runs/{run}/steer", handler=control.steer, body=control.Steering, success=202,
        summary="Tell the models of a run and its sub-agents something", headers=("Idempotency-Key",),
        errors=(*_CONTROL_ERRORS, "not_live", "not_started"),
    ),
    Route(
        method="POST", path="/v1/runs/{run}/retry", handler=retrying.retry, body=retrying.Wish,
        body_required=False, success=202,
        summary="Make a failed call of a live run again, or take up an ended run as a new one",
        headers=("Idempotency-Key",),
        errors=(*_CONTROL_ERRORS, *_CALL_ERRORS, "archived", "goal_too_large", *_NAMED),
    ),
    Route(
        method="GET", path="/v1/runs/{run}/why", handler=whying.answer, errors=("unknown_run",),
        summary="What a run waits for, down to the sub-agents that it waits for",
    ),
    Route(
        method="GET", path="/v1/runs/{run}/turns/{turn}/context", handler=context.show, query=context.Wish,
        summary="What the model read in a turn: the parts of its window, what was elided, summarised or dropped",
        errors=("unknown_run", "unknown_turn", "not_started", "archived", "invalid_request", "unknown_model"),
    ),
    Route(
        method="GET", path="/v1/runs/{run}/files", handler=files.index, summary="List a run's files",
        errors=("unknown_run",),
    ),
    Route(
        method="GET", path="/v1/runs/{run}/files/{path:path}", handler=files.download, summary="Download a file",
        returns="application/octet-stream", errors=("unknown_run", "not_found", "invalid_request"),
    ),
    *approvals.ROUTES,
    *audit.ROUTES,
    *cost.ROUTES,
    *memory.ROUTES,
    Route(method="GET", path="/v1/tools", handler=catalogue.tools, summary="List tools"),
    Route(method="GET", path="/v1/models", handler=catalogue.models, summary="List models"),
    Route(method="GET", path="/v1/skills", handler=catalogue.skills, summary="List skills"),
    Route(
        method="PUT", path="/v1/skills/{name}", handler=skills.put, summary="Deploy a version of a skill",
        body=skills.Deployment, errors=("invalid_json", "invalid_skill"),
    ),
    Route(
        method="GET", path="/v1/policies", handler=policies.page,
        summary="List the rules by which calls wait for a person",
    ),
    Route(
        method="PUT", path="/v1/policies/{name}", handler=policies.put, body=policies.Rules,
        summary="Put rules in force in the place of those of the same name",
        errors=("invalid_json", "invalid_policy", "not_permitted"),
    ),
    Route(
        method="GET", path="/v1/dead", handler=dead.letters, summary="List dead letters", query=dead.Page,
        errors=("invalid_request",),
    ),
    Route(method="GET", path="/healthz", handler=health.healthz, summary="Is the process alive?"),
    Route(method="GET", path="/readyz", handler=health.readyz, summary="Could a goal be taken now?"),
    Route(method="GET", path="/", handler=pages.index, summary="The runs, for people", returns="text/html"),
    Route(method="GET", path="/runs/{run}", handler=pages.run, summary="A run, for people", returns="text/html"),
)  # fmt: skip
