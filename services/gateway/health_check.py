"""Health check of a gateway's container: `python health_check.py HOST PORT`.

The name of the host stands for all gateways. This asks the one that listens on an address of this container.
"""

import http.client
import socket
import sys

PATH = "/v2/health/live"
TIMEOUT_S = 3


def main(host: str, port: str) -> int:
    """Return 0 if a gateway on an address of this machine is live, else 1."""
    for family, _, _, _, address in socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM):
        ip = str(address[0])
        if is_local(family, ip):
            connection = http.client.HTTPConnection(ip, int(port), timeout=TIMEOUT_S)
            connection.request("GET", PATH, headers={"Host": f"{host}:{port}"})
            return int(connection.getresponse().status != 200)
    return 1


def is_local(family: int, address: str) -> bool:
    """Return whether this machine has an address: only then can a socket be bound to it."""
    with socket.socket(family) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
        return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
