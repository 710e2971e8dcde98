"""What an HTTP server asks before it reads a request's body: who the client is, and whether it is let in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from aiohttp import hdrs, web
from werkzeug.exceptions import Forbidden

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")  # as the header `Host` writes them
_PORT = re.compile(r":[0-9]+$")
CALLER = "tandem.caller"  # in the WSGI environ: the request's `Caller`


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request.

    Attributes:
        key: what limits count by: a token's id, or an address.
        scopes: what the client may do.
    """

    key: str
    scopes: frozenset[str] = frozenset()


class RequestHead(Protocol):
    """What is known of a request when its headers have arrived. aiohttp's `BaseRequest` has these attributes, too.

    Attributes:
        remote: the address of the client; None for a Unix socket.
        can_read_body: whether the request has a body.
    """

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def remote(self) -> str | None: ...
    @property
    def can_read_body(self) -> bool: ...


class AnsweredByGate(Exception):  # noqa: N818 - it is no error
    """The gate itself answers the request, for example a browser's preflight.

    Attributes:
        response: the response.
    """

    def __init__(self, response: web.Response) -> None:
        super().__init__()
        self.response = response


class Gate(Protocol):
    """Decides which requests are let in."""

    def admit(self, request: RequestHead, scope: str | None) -> Caller:
        """Return the client of a request whose headers have arrived.

        Args:
            scope: what the client must be allowed to do; None if the route is not known yet; "" if nothing special.

        Raises:
            AnsweredByGate: the request has its response already.
            TandemError, werkzeug's HTTPException: the request is refused.
        """

    def complete(self, request: RequestHead, response: web.StreamResponse) -> None:
        """Add the headers that a response needs because of who sent the request."""


class OpenGate:
    """Lets everybody in: for a server that only other services reach."""

    def admit(self, request: RequestHead, scope: str | None) -> Caller:  # noqa: ARG002 - the protocol's signature
        """Return a client that is known by its address only."""
        return Caller(request.remote or "")

    def complete(self, request: RequestHead, response: web.StreamResponse) -> None:
        """Add nothing."""


class ServiceGate(OpenGate):
    """Lets in everybody but web pages: for a server that other services call, and no browser.

    A page can reach a server on its visitor's machine. Its requests then say so, or they name a host of the page's.

    Args:
        hosts: the names under which other services reach the server; loopback names are allowed as well.
    """

    def __init__(self, *hosts: str) -> None:
        self._hosts = frozenset({*(host.lower() for host in hosts), *LOOPBACK_NAMES})

    def admit(self, request: RequestHead, scope: str | None) -> Caller:
        """Return a client that is known by its address only.

        Raises:
            Forbidden: a web page sent the request, or it is for another host.
        """
        headers = request.headers
        if hdrs.ORIGIN in headers or "Sec-Fetch-Site" in headers:
            raise Forbidden("web pages may not use this server")
        if _PORT.sub("", headers.get(hdrs.HOST, "")).lower() not in self._hosts:
            raise Forbidden("the Host header does not name this server")
        return super().admit(request, scope)
