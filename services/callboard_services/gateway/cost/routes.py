"""Every route of cost and usage."""

from callboard_services.gateway.cost import page
from callboard_services.gateway.cost.wish import Wish
from callboard_services.gateway.route import Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/cost", handler=page.show, query=Wish, headers=("Accept",),
        summary="What calls cost, added up by user, skill, model, tool, day and more; as JSON or CSV",
        errors=("invalid_request", "unknown_run"),
    ),
    Route(
        method="GET", path="/v1/cost/alerts", handler=page.alerts,
        summary="The last spend alerts, the newest first",
    ),
    Route(
        method="GET", path="/v1/cost/prices", handler=page.prices,
        summary="At which prices models were charged, and since when",
    ),
)  # fmt: skip
