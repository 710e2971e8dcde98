"""A connection of the HTTP server, and what is done with each response before it is sent."""

import asyncio
from time import perf_counter
from typing import TypeVar

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawRequestMessage

from shared.logs import REQUEST_ID, begin_request, request_id
from shared.web.complete_requests import CompleteRequestConnection
from shared.web.malformed_requests import describe_malformed_request
from shared.web.problems import PROBLEM_TYPE, ProblemDocument, problem_of
from shared.web.request_metrics import record_request
from shared.web.wsgi_bridge import UNKNOWN_ROUTE

ResponseT = TypeVar("ResponseT", bound=web.StreamResponse)


class ServerConnection(CompleteRequestConnection):
    """A connection of the server. aiohttp calls its methods.

    Attributes:
        stream: writes the response that is being streamed.
    """

    stream: asyncio.Task[None] | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the response that is being streamed, because its client has left."""
        super().connection_lost(exc)
        if self.stream:
            self.stream.cancel()

    def data_received(self, data: bytes) -> None:
        """Pass bytes to aiohttp. If they make the body invalid that is being read, end the reading at once."""
        super().data_received(data)
        request = self._current_request
        if request is None or not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        if not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(BadHttpMessage("malformed chunk"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not a valid HTTP request, or what the handler failed to answer."""
        started = perf_counter()
        begin_request("")
        if request.writer.output_size > 0:
            raise ConnectionError("a part of the response has been sent, so no other response can follow")
        if status >= 500:
            document = problem_of(exc if isinstance(exc, Exception) else RuntimeError(message), request.path)
        else:
            document = ProblemDocument.of(
                status, "Bad request", f"the request is not valid HTTP: {describe_malformed_request(exc)}"
            )
        response = response_of(document)
        self._default_headers.add_to(response.headers)
        finish_response(response, request.path, UNKNOWN_ROUTE, UNKNOWN_ROUTE, started)
        response.force_close()
        return response


def response_of(document: ProblemDocument) -> web.Response:
    """Return a problem document as a response."""
    headers = {**document.headers, "Content-Type": PROBLEM_TYPE}
    return web.Response(status=document.status, headers=headers, body=document.body)


def finish_response(response: ResponseT, path: str, rule: str, method: str, started: float) -> ResponseT:
    """Name the request in its response, and record it."""
    response.headers[REQUEST_ID] = request_id()
    record_request(path, rule, method, response.status, perf_counter() - started)
    return response
