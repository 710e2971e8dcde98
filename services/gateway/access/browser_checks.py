"""What keeps web pages of others from using the gateway through the browser of somebody who may.

- `Host`: a page can point a name of its own at this machine (DNS rebinding). Its requests then name that host.
- `Origin` and `Sec-Fetch-Site`: a browser says which page sent a request. Pages of others are refused, unless
  TANDEM_CORS_ORIGINS names their origin.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from multidict import istr
from werkzeug.exceptions import Forbidden, HTTPException

from shared.settings import Settings
from shared.web.gate import LOOPBACK_NAMES, RequestHead

WILDCARD_HOSTS = ("0.0.0.0", "::", "[::]", "*", "")  # noqa: S104 - nothing listens here
SEC_FETCH_SITE, SEC_FETCH_MODE, SEC_FETCH_DEST = istr("Sec-Fetch-Site"), istr("Sec-Fetch-Mode"), istr("Sec-Fetch-Dest")
OWN_SITES = ("same-origin", "none")  # "none": the user typed the address
PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": (
        "Authorization, Content-Encoding, Content-Type, Idempotency-Key, If-None-Match, "
        "Inference-Header-Content-Length, X-Request-Id"
    ),
    "Access-Control-Max-Age": "600",
}
EXPOSED_HEADERS = "ETag, Inference-Header-Content-Length, Location, Retry-After, Server-Timing, X-Request-Id"


class MisdirectedRequest(HTTPException):
    """The request names a host that this gateway is not."""

    code = 421


class HostCheck:
    """The names and addresses under which the gateway is reached.

    Args:
        hosts: each with or without a port. One without a port fits every port.
    """

    def __init__(self, hosts: Iterable[str]) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._passed: set[str] = set()  # values of Host that were found allowed

    @classmethod
    def from_settings(cls, settings: Settings) -> "HostCheck":
        """Return the check for loopback, the public host, the load tester's name of the gateway, and allowed hosts."""
        public = _bracketed(settings.public_host)
        own = [host for host in (public, urlsplit(settings.url_of_gateway).hostname or "") if host]
        named = [host for host in own if host not in WILDCARD_HOSTS]
        return cls([*LOOPBACK_NAMES, *named, *settings.allowed_hosts])

    def check(self, host: str | None) -> None:
        """Refuse a request for another host.

        Args:
            host: the header `Host`; None if there is none, as in HTTP/1.0.

        Raises:
            MisdirectedRequest: the host is not allowed.
        """
        if host in self._passed:
            return
        if host is None:
            raise MisdirectedRequest("the request has no Host header: use HTTP/1.1")
        lowered = host.lower()
        if not {lowered, _without_port(lowered)} & self._hosts:
            raise MisdirectedRequest(
                f"{host[:100]!r} is not a name of this server: use http://127.0.0.1, or add the name to "
                "TANDEM_ALLOWED_HOSTS"
            )
        if len(self._passed) < 100:
            self._passed.add(host)


class OriginCheck:
    """The pages that may call the gateway: its own, and those of the origins that a setting names.

    Args:
        origins: such as `https://example.org`, without a path.

    Raises:
        ValueError: one of them is not an origin.
    """

    def __init__(self, origins: Iterable[str]) -> None:
        self._origins = frozenset(map(_checked_origin, origins))

    def allows(self, origin: str | None) -> bool:
        """Return whether a page of another origin may call the gateway and read its responses."""
        return origin in self._origins

    def check(self, request: RequestHead) -> None:
        """Refuse a request that a page of another origin sent.

        Raises:
            Forbidden: it was sent by such a page.
        """
        headers = request.headers
        origin, site = headers.get(hdrs.ORIGIN), headers.get(SEC_FETCH_SITE)
        if origin is not None:
            host = headers.get(hdrs.HOST, "").lower()
            # Behind a proxy that ends TLS the page's scheme is https. A page of the same name is the gateway's own.
            if origin not in (f"http://{host}", f"https://{host}") and origin not in self._origins:
                raise Forbidden(f"pages of {origin[:100]!r} may not use this server (TANDEM_CORS_ORIGINS)")
        elif site is not None and site not in OWN_SITES and not _is_link(request):
            raise Forbidden("pages of other sites may not use this server (TANDEM_CORS_ORIGINS)")

    def is_preflight(self, request: RequestHead) -> bool:
        """Return whether a browser asks if a page of an allowed origin may send a request."""
        return (
            request.method == "OPTIONS"
            and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            and self.allows(request.headers.get(hdrs.ORIGIN))
        )

    def add_headers(self, request: RequestHead, response: web.StreamResponse) -> None:
        """Let the page that sent a request read its response, if its origin is allowed."""
        if not self._origins:
            return
        origin = request.headers.get(hdrs.ORIGIN)
        response.headers.add(hdrs.VARY, "Origin")
        if origin is not None and self.allows(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS


def _is_link(request: RequestHead) -> bool:
    """Return whether somebody followed a link to the gateway from another site, and sees the response as a page."""
    headers = request.headers
    is_page = headers.get(SEC_FETCH_MODE) == "navigate" and headers.get(SEC_FETCH_DEST) == "document"
    return is_page and request.method in ("GET", "HEAD")


def _bracketed(host: str) -> str:
    """Return a host as the header `Host` writes it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _checked_origin(text: str) -> str:
    parts = urlsplit(text)
    if not parts.scheme or not parts.netloc or text != f"{parts.scheme}://{parts.netloc}".lower():
        raise ValueError(
            f"TANDEM_CORS_ORIGINS={text!r} is not valid: write an origin in lower case, such as https://example.org"
        )
    return text
