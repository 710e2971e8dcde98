"""Who is served: loopback without tokens, clients with tokens, or anybody."""

from enum import Enum

from services.gateway.access.tokens import TokenTable
from shared.settings import Settings, is_loopback


class AccessMode(Enum):
    """Who is served. The value is what the log says about it."""

    LOOPBACK = "loopback only: whoever reaches this machine's own address may do everything; no tokens exist"
    TOKENS = "tokens: every request but health checks needs an access token"
    ANONYMOUS = "anonymous: everybody who reaches the gateway may do everything (TANDEM_ANONYMOUS=1)"
    CLOSED = "closed: there are no tokens, and the gateway can be reached from other machines"


class ClosedError(Exception):
    """The gateway would serve nobody, so it does not start. The message says what to do."""


def mode_without_tokens(settings: Settings) -> AccessMode:
    """Return the mode that holds while there are no tokens."""
    if is_loopback(settings.public_host):
        return AccessMode.LOOPBACK
    return AccessMode.ANONYMOUS if settings.anonymous else AccessMode.CLOSED


def mode_at_start(settings: Settings, table: TokenTable) -> AccessMode:
    """Return the mode that holds when the gateway starts.

    Raises:
        ClosedError: there are no tokens, the gateway can be reached from other machines, and nothing allows that.
    """
    mode = AccessMode.TOKENS if table.records else mode_without_tokens(settings)
    if mode is AccessMode.CLOSED:
        raise ClosedError(
            f"the gateway can be reached at {settings.public_host}, and there are no access tokens: start it on "
            "127.0.0.1 and run `./tandem token create --scope admin --name NAME`, or set TANDEM_ANONYMOUS=1 to serve "
            "everybody"
        )
    return mode
