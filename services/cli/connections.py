"""Opens HTTP connections to one server with urllib3, which is imported twice as fast as requests."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from urllib3 import PoolManager, ProxyManager, Timeout

CONNECT_TIMEOUT_S = 10
CONNECTIONS = 10  # kept open to the server, for programs that ask from several threads


def open_pool(url: str, timeout_s: float) -> PoolManager:
    """Return a pool of connections to the server of a URL.

    The pool uses the proxy that the environment names (`http_proxy`, `https_proxy`, `no_proxy`). For a loopback address
    it uses none, because a proxy cannot reach a loopback address of this machine.

    Args:
        url: the server's URL.
        timeout_s: how long an answer may take, in seconds.
    """
    timeout = create_timeout(timeout_s)
    proxy = _find_proxy(url)
    if proxy:
        return ProxyManager(proxy, maxsize=CONNECTIONS, timeout=timeout, retries=False)
    return PoolManager(maxsize=CONNECTIONS, timeout=timeout, retries=False)


def create_timeout(read_s: float) -> Timeout:
    """Return the limits of a request: `read_s` seconds for each wait for bytes, and at most 10 s for the connection."""
    return Timeout(connect=min(CONNECT_TIMEOUT_S, read_s), read=read_s)


def _find_proxy(url: str) -> str | None:
    """Return the URL of the proxy for a server, or None."""
    parts = urlsplit(url)
    if is_loopback(parts.hostname or ""):
        return None
    from urllib.request import getproxies, proxy_bypass  # rarely needed, and slow to import

    proxy = getproxies().get(parts.scheme)
    return None if not proxy or proxy_bypass(parts.netloc) else proxy


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine's own: `localhost` or an address such as 127.0.0.2."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
