"""Where a backend's predictors are: the addresses behind their URLs.

The name of a host may have one address per predictor, as the name of a service has in Compose and of a headless service
in Kubernetes. Names are looked up again and again, because predictors come and go.
"""

import asyncio
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SOCK_STREAM, gaierror
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.settings import is_loopback


class PredictorAddress(NamedTuple):
    """Where one predictor is.

    Attributes:
        url: its URL. Other predictors may have the same one.
        ip: its IP address, if the name of the URL's host has several; else None.
    """

    url: str
    ip: str | None = None

    def __str__(self) -> str:
        """Return the predictor's IP address, or the name of its host, and its port."""
        parts = urlsplit(self.url)
        if self.ip is None:
            return parts.netloc
        return f"{f'[{self.ip}]' if ':' in self.ip else self.ip}:{parts.port or 80}"


async def find_addresses(url: str) -> list[PredictorAddress]:
    """Return the addresses of the predictors behind a URL, sorted. The name is looked up in a thread.

    If the name has both IPv4 and IPv6 addresses, the IPv4 addresses are returned: one predictor usually has both.

    Raises:
        OSError: the name is unknown, or the name server does not answer.
    """
    host = urlsplit(url).hostname or ""
    if not may_have_several(url):
        return [PredictorAddress(url)]
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=SOCK_STREAM)
    for family in (AF_INET, AF_INET6):
        if ips := {str(address[0]) for kind, _, _, _, address in found if kind == family}:
            return [PredictorAddress(url)] if len(ips) == 1 else [PredictorAddress(url, ip) for ip in sorted(ips)]
    raise gaierror(f"{host} has no address")


def may_have_several(url: str) -> bool:
    """Return whether several predictors may have a URL: its host is a name, and not this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return not is_loopback(host)
    return False
