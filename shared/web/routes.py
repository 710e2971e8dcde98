"""A route of the event loop, the request that its handler gets, and how a handler uses threads."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web
from multidict import CIMultiDictProxy

from shared.web.gate import Caller

T = TypeVar("T")


@dataclass(slots=True)
class BufferedRequest:
    """A request whose body has arrived completely.

    Attributes:
        path_values: what the placeholders of the route's rule matched.
        query: the query string, still encoded.
        caller: who sent the request.
    """

    path: str
    path_values: dict[str, str]
    query: str
    headers: CIMultiDictProxy[str]
    body: bytes
    caller: Caller


Handler = Callable[[BufferedRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """A route that the event loop answers.

    Attributes:
        rule: the route's name in metrics, such as `/v2/models/<name>/infer`.
        pattern: matches the whole path; its named groups become `path_values`.
        handler: may raise any error; the server turns it into a problem document.
        scope: what a client must be allowed to do; "" if nothing special.
        method: GET or POST.
        is_stream: whether the handler returns a `StreamedResponse` (`streams.py`).
    """

    rule: str
    pattern: re.Pattern[str]
    handler: Handler
    scope: str = ""
    method: str = "POST"
    is_stream: bool = False

    def answers(self, method: str) -> bool:
        """Return whether the handler answers requests of a method."""
        return method == self.method or (method == "HEAD" and self.method == "GET")


async def run_in_thread(executor: Executor | None, function: Callable[..., T], *arguments: Any) -> T:
    """Run a blocking function in a thread. Its log lines keep the request's id.

    Args:
        executor: None is the event loop's own pool.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(executor, copy_context().run, function, *arguments)
