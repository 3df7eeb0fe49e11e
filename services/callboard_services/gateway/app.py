"""The ASGI application: the table of routes behind the door."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callboard_services.gateway.auth import Door
from callboard_services.gateway.bodies import json
from callboard_services.gateway.health import Readiness
from callboard_services.gateway.house import House
from callboard_services.gateway.openapi import document
from callboard_services.gateway.problems import HANDLERS
from callboard_services.gateway.routes import ROUTES


def application(house: House) -> Starlette:
    """Return the application that serves a house."""
    routes = [Route(route.path, route.handler, methods=[route.method]) for route in ROUTES]
    routes.append(Route("/openapi.json", _openapi, methods=["GET"]))
    app = Starlette(routes=routes, middleware=[Middleware(Door, house=house)], exception_handlers=HANDLERS)
    app.router.redirect_slashes = False
    app.state.house = house
    app.state.readiness = Readiness()
    return app


async def _openapi(_: Request) -> Response:
    return json(document())
