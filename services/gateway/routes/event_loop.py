"""Routes that the server's event loop answers, declared like Flask's, so that OpenAPI describes both alike."""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, TypeVar, get_type_hints
from urllib.parse import parse_qsl

from aiohttp import web
from flask_openapi3 import APIBlueprint
from pydantic import BaseModel, ValidationError

from services.gateway.routes.field_errors import describe_field_errors
from services.gateway.scopes import Requirement, accepted_scopes
from shared.errors import InvalidRequestError
from shared.web.routes import BufferedRequest, Handler, Route

# What a placeholder such as `<title:name>` matches. A title ends at a colon, which begins a verb such as `:predict`. A
# number has no more digits than 2**63 - 1.
PLACEHOLDERS = {"": "[^/]+", "title": "[^/:]+", "int": "[0-9]{1,19}"}

MAX_QUERY_FIELDS = 50

ValidatedHandler = Callable[..., Awaitable[web.StreamResponse]]
T = TypeVar("T", bound=Callable[..., Any])


class EventLoopBlueprint(APIBlueprint):
    """Routes of which the event loop answers one method. OpenAPI describes them; Flask answers the other methods.

    A handler is `async def handler(request: BufferedRequest, path: P, query: Q) -> web.Response`, where `path` and
    `query` are optional and their pydantic models P and Q are validated before the handler runs.

    Args:
        method: what the event loop answers, GET or POST. `security` of such a route names at most one scope.
        is_stream: whether the handlers of this method return a `StreamedResponse`.

    Attributes:
        event_loop_routes: what the server needs to call the handlers.
    """

    def __init__(
        self, name: str, import_name: str, method: str = "POST", is_stream: bool = False, **options: Any
    ) -> None:
        super().__init__(name, import_name, **options)
        self._method, self._is_stream = method, is_stream
        self.event_loop_routes: list[Route] = []

    def get(self, rule: str, **options: Any) -> Callable[[T], T]:
        """Declare a route; the arguments are those of `APIBlueprint.get`."""
        return self._declare("GET", super().get(rule, **options), rule, options["security"])

    def post(self, rule: str, **options: Any) -> Callable[[T], T]:
        """Declare a route; the arguments are those of `APIBlueprint.post`."""
        return self._declare("POST", super().post(rule, **options), rule, options["security"])

    def _declare(self, method: str, describe: Callable[[T], T], rule: str, security: Requirement) -> Callable[[T], T]:
        if method != self._method:
            return describe

        def decorate(handler: T) -> T:
            describe(handler)
            (scope,) = accepted_scopes(security) or ("",)  # the server itself checks it, before it reads the body
            route = Route(rule, _pattern_of(rule), _validating(handler), scope, method, self._is_stream)
            self.event_loop_routes.append(route)
            return handler

        return decorate

    def _add_url_rule(self, rule: str, *arguments: Any, **options: Any) -> None:
        """Tell Flask of a route, unless the event loop answers it."""
        if options.get("methods") != [self._method]:
            super()._add_url_rule(rule, *arguments, **options)


def _pattern_of(rule: str) -> re.Pattern[str]:
    """Return a pattern with a named group for each placeholder of a rule."""
    parts = re.split(r"<(?:(\w+):)?(\w+)>", rule)
    pattern = re.escape(parts[0])
    for kind, name, rest in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        pattern += f"(?P<{name}>{PLACEHOLDERS[kind or '']}){re.escape(rest)}"
    return re.compile(pattern)


def _validating(handler: ValidatedHandler) -> Handler:
    """Return a handler that validates path and query first; it raises InvalidRequestError for a wrong one."""
    hints = get_type_hints(handler)
    path_model: type[BaseModel] | None = hints.get("path")
    query_model: type[BaseModel] | None = hints.get("query")

    # Most requests have a path and a query that an earlier request had. Handlers only read what is validated.
    @lru_cache(maxsize=256)
    def validate(path_values: tuple[tuple[str, str], ...], query: str) -> dict[str, BaseModel]:
        arguments: dict[str, BaseModel] = {}
        if path_model:
            arguments["path"] = path_model.model_validate(dict(path_values))
        if query_model:
            arguments["query"] = query_model.model_validate(_parse_query(query))
        return arguments

    async def call(request: BufferedRequest) -> web.StreamResponse:
        try:
            arguments = validate(tuple(request.path_values.items()), request.query)
        except ValidationError as error:
            raise InvalidRequestError(describe_field_errors(error)) from None
        return await handler(request, **arguments)

    return call


def _parse_query(query: str) -> dict[str, str]:
    """Return the query's fields. Of a repeated field the first value counts, as in Flask.

    Raises:
        InvalidRequestError: there are more than MAX_QUERY_FIELDS.
    """
    try:
        fields = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise InvalidRequestError(f"the query may have at most {MAX_QUERY_FIELDS} fields") from None
    return dict(reversed(fields))
