"""Lets requests into the gateway: the server asks before it reads a body.

The checks in their order: `Host`, preflights, `Origin`, the token, rate limits, and the scope. The scope of a route
of Flask's is checked when Flask has matched the path (`require_scope`), so that no two matchers can disagree.
"""

import time
from collections.abc import Collection
from functools import lru_cache
from ipaddress import IPv6Network
from typing import NoReturn

from aiohttp import hdrs, web
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Forbidden, Unauthorized

from services.gateway.access.browser_checks import PREFLIGHT_HEADERS, HostCheck, OriginCheck
from services.gateway.access.modes import AccessMode, mode_without_tokens
from services.gateway.access.rate_limits import RateLimit
from services.gateway.access.token_store import DamagedTokenFileError, TokenStore
from services.gateway.access.tokens import TokenTable
from services.gateway.scopes import ALL_SCOPES
from shared.errors import UnavailableError
from shared.jobs.credentials import service_of
from shared.settings import Settings
from shared.web.gate import AnsweredByGate, Caller, RequestHead
from shared.web.shared_figures import SharedTimes

# Other services of Tandem. What a release may do, whoever submits it may do, too: its route needs `admin`.
CALLING_SERVICES = {
    "loadtest": Caller("loadtest", frozenset({"read", "predict"})),
    "pipelines": Caller("pipelines", ALL_SCOPES),
}
NOBODY: frozenset[str] = frozenset()
BEARER = "bearer "


class GatewayGate:
    """Decides which requests the gateway answers.

    Args:
        settings: the gateway's settings.
        tokens: the access tokens.
        job_key: the key that signs jobs, and the load tester's credentials.
        public_paths: what everybody may ask. Each is a whole path.
        shared_rates: of all processes of the gateway, if there are several.

    Raises:
        ValueError: an origin in the settings is not valid.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: TokenStore,
        job_key: bytes,
        public_paths: Collection[str],
        shared_rates: SharedTimes | None = None,
    ) -> None:
        self._tokens, self._job_key, self._public_paths = tokens, job_key, frozenset(public_paths)
        self._without_tokens = mode_without_tokens(settings)
        self._hosts = HostCheck.from_settings(settings)
        self._origins = OriginCheck(settings.cors_origins)
        requests, predictions = settings.rate_limit, settings.prediction_rate_limit
        self._requests = RateLimit(requests, 2 * requests, shared=shared_rates, name="requests")
        self._predictions = RateLimit(predictions, 2 * predictions, shared=shared_rates, name="predictions")

    def admit(self, request: RequestHead, scope: str | None) -> Caller:
        """Return the client of a request whose headers have arrived.

        Args:
            scope: what the client must be allowed to do; None if Flask finds the route; "" if any client may do it.

        Raises:
            MisdirectedRequest: the request is for another host.
            AnsweredByGate: the request is a preflight; its response is in the error.
            Forbidden: a page of another origin sent the request, or the token has not the scope.
            Unauthorized: the request needs a token and has no valid one.
            TooManyRequests: the client sent too many.
            UnavailableError: nobody is let in, because there are no tokens or their file is damaged.
        """
        try:
            table = self._tokens.table()
        except DamagedTokenFileError:
            table = None
        if not (table and table.records):
            self._hosts.check(request.headers.get(hdrs.HOST))
        now_s = time.monotonic()
        if self._origins.is_preflight(request):
            self._requests.count(_address_of(request), now_s)
            raise AnsweredByGate(web.Response(status=204, headers=PREFLIGHT_HEADERS))
        self._origins.check(request)
        caller = self._identify(request, table, now_s)
        if caller not in CALLING_SERVICES.values():
            (self._predictions if scope == "predict" else self._requests).count(caller.key, now_s)
        if scope and scope not in caller.scopes:
            raise Forbidden(f"the access token lacks the scope {scope!r}")
        return caller

    def _is_public(self, request: RequestHead) -> bool:
        """Return whether everybody may send a request. One with a body may not: bodies of strangers are not read."""
        return request.path in self._public_paths and not request.can_read_body

    def complete(self, request: RequestHead, response: web.StreamResponse) -> None:
        """Let a page of an allowed origin read the response."""
        self._origins.add_headers(request, response)

    def _identify(self, request: RequestHead, table: TokenTable | None, now_s: float) -> Caller:
        """Return who sent a request.

        Args:
            table: the tokens; None if their file is damaged.
        """
        text = request.headers.get(hdrs.AUTHORIZATION)
        token = text[len(BEARER) :] if text and text[: len(BEARER)].lower() == BEARER else ""
        time_s = time.time()
        if token and (service := service_of(token, self._job_key, time_s)):
            return CALLING_SERVICES[service]
        address = _address_of(request)
        if table and table.records:
            if found := table.find(token, time_s):
                identity, scopes = found
                self._tokens.mark_used(identity, time_s)
                return Caller(identity, scopes)
            if self._is_public(request):
                return Caller(address, NOBODY)
            self._requests.count(address, now_s)
            refuse_without_token(is_bad=text is not None)
        if table is not None and self._without_tokens is not AccessMode.CLOSED:
            return Caller(address, ALL_SCOPES)
        if self._is_public(request):
            return Caller(address, NOBODY)
        raise UnavailableError(
            "the file of access tokens is damaged: the gateway's log says more"
            if table is None
            else "there are no access tokens: create one while the gateway serves loopback only"
        )


def refuse_without_token(*, is_bad: bool = False) -> NoReturn:
    """Refuse a request that has no valid token.

    Args:
        is_bad: whether the request has a token that is not valid.

    Raises:
        Unauthorized: always. It names the scheme of authentication (RFC 6750, section 3).
    """
    values: dict[str, str | None] = {"error": "invalid_token"} if is_bad else {"realm": "tandem"}
    detail = (
        "the access token is malformed, unknown, revoked or expired"
        if is_bad
        else "an access token is needed: send it as `Authorization: Bearer tandem_...`"
    )
    raise Unauthorized(detail, www_authenticate=WWWAuthenticate("bearer", values))


def require_scope(caller: Caller, accepted: frozenset[str]) -> None:
    """Check that a client may use a route.

    Args:
        accepted: the scopes of which the client needs one; empty if any token is enough.

    Raises:
        Unauthorized: the client sent no valid token.
        Forbidden: the token has none of the scopes.
    """
    if not caller.scopes:
        refuse_without_token()
    if accepted and not accepted & caller.scopes:
        names = " or ".join(repr(scope) for scope in sorted(accepted))
        raise Forbidden(f"the access token lacks the scope {names}")


def _address_of(request: RequestHead) -> str:
    address = request.remote or ""
    return _network_of(address) if ":" in address else address


@lru_cache(maxsize=1024)
def _network_of(address: str) -> str:
    """Return the first 64 bits of an IPv6 address: limits count by them, because a client has all the others."""
    try:
        return str(IPv6Network((address.partition("%")[0], 64), strict=False))
    except ValueError:
        return address
