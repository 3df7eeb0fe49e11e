"""Every route of the audit, and of a run's steps."""

from callboard_services.gateway.audit import bundle, key, log, steps
from callboard_services.gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/audit", handler=log.export, query=log.Wish, returns="application/x-ndjson",
        summary="What was done in a period, by whom, on whose behalf, by which decision",
        errors=("invalid_request", "unknown_run"),
    ),
    Route(method="GET", path="/v1/audit/key", handler=key.show, summary="The public key that signs the audit"),
    Route(
        method="GET", path="/v1/audit/{run}", handler=bundle.export, query=bundle.Wish, returns=bundle.MEDIA,
        summary="A run's tree as a bundle that is verified offline",
        errors=("unknown_run", "not_started", "invalid_request"),
    ),
    Route(
        method="GET", path="/v1/runs/{run}/steps/{step}", handler=steps.one, query=steps.Wish,
        summary="A step: what was decided and from what, what the guard said, what it cost, whether it may be retried",
        errors=("unknown_run", "unknown_step", "invalid_request"),
    ),
    Route(
        method="GET", path="/v1/runs/{run}/waste", handler=steps.wasted, errors=("unknown_run",),
        summary="What was wasted in a run",
    ),
)  # fmt: skip
