"""Keeps what the stack says to itself away from a proxy."""

from collections.abc import Mapping

from services.stack.redis_server import LOOPBACK


def exclude_loopback_from_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables `no_proxy` and `NO_PROXY` with the loopback addresses added.

    Services ask each other at loopback addresses. With `http_proxy` set, HTTP clients would ask the proxy instead,
    which cannot reach them.
    """
    excluded = [host for host in (environ.get("no_proxy") or environ.get("NO_PROXY") or "").split(",") if host]
    if "*" not in excluded:  # every host is excluded already; "*" has this meaning only if it stands alone
        excluded += [host for host in LOOPBACK if host not in excluded]
    return dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(excluded))
