"""Finds the route of the event loop that a request means."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from aiohttp import web
from werkzeug.exceptions import MethodNotAllowed

from shared.web.routes import BufferedRequest, Route
from shared.web.wsgi_bridge import UNKNOWN_ROUTE

MAX_KEPT = 1024  # targets whose route is kept in memory
MAX_KEPT_LENGTH = 256  # characters of such a target
# A target that means the same whether it is decoded or not.
PLAIN_TARGET = re.compile(r"(?!.*\.\.)/[A-Za-z0-9/_.:-]*(\?[A-Za-z0-9/_.:,=&-]*)?")


class Destination(NamedTuple):
    """The route of a request's target, which is a path and a query string.

    Attributes:
        path_values: what the placeholders of the route's rule matched.
        path: without percent-encoded characters.
        query: still encoded.
    """

    route: Route
    path_values: dict[str, str]
    path: str
    query: str


class RouteTable:
    """The routes of the event loop.

    Args:
        routes: of which the first one that matches is used.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._kept: dict[tuple[str, str], Destination | None] = {}  # by method and target

    def match(self, method: str, path: str) -> tuple[Route | None, dict[str, str]]:
        """Return the route of a path and the values of its placeholders, or None: then the path is Flask's."""
        for route in self._routes:
            if found := route.pattern.fullmatch(path):
                if route.answers(method):
                    return route, found.groupdict()
                return (_OPTIONS if method == "OPTIONS" else _OTHER_METHOD)[route.method], {}
        return None, {}

    def find(self, method: str, target: str) -> Destination | None:
        """Return the destination of a target without percent-encoded characters.

        The last MAX_KEPT answers are kept. None means that there is no route for this method, that its
        response is a stream, or that the target is long or unusual: `match` knows more.
        """
        key = method, target
        if key in self._kept:
            return self._kept[key]
        if len(target) > MAX_KEPT_LENGTH or not PLAIN_TARGET.fullmatch(target):
            return None
        path, _, query = target.partition("?")
        route, path_values = self.match(method, path)
        destination = None
        if route and route.rule != UNKNOWN_ROUTE and route.method == method and not route.is_stream:
            destination = Destination(route, path_values, path, query)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[key] = destination
        return destination


def _listing(methods: list[str]) -> Route:
    """Return what a path answers to OPTIONS."""

    async def list_methods(_: BufferedRequest) -> web.Response:
        return web.Response(headers={"Allow": ", ".join(methods)})

    return Route(UNKNOWN_ROUTE, re.compile(""), list_methods)


def _refusing(methods: list[str], used: str) -> Route:
    """Return what a path answers to methods that it does not have."""

    async def refuse_method(_: BufferedRequest) -> web.Response:
        raise MethodNotAllowed(methods, f"the method is not allowed here: use {used}")

    return Route(UNKNOWN_ROUTE, re.compile(""), refuse_method)


# What the paths of the event loop's routes answer to other methods. The gate decides first who may know that.
_METHODS = {"GET": ["GET", "HEAD", "OPTIONS"], "POST": ["OPTIONS", "POST"]}
_OPTIONS = {used: _listing(methods) for used, methods in _METHODS.items()}
_OTHER_METHOD = {used: _refusing(methods, used) for used, methods in _METHODS.items()}
