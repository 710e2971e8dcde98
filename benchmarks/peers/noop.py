"""No peer: a route that only parses the same body, in the server and with the settings of Tandem's gateway.

    .venv/gateway/bin/python -m benchmarks.peers.noop <port>

What the gateway could reach at most on Granian's event loop, with Python's own JSON.
"""

import json
import os
import sys
from typing import Any

from shared.server import serve
from shared.settings import Settings


class Noop:
    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        tensor = json.loads(await protocol())["inputs"][0]
        answer = json.dumps({"numbers": len(tensor["data"])}).encode()
        protocol.response_bytes(200, [("content-type", "application/json")], answer)


if __name__ == "__main__":
    serve(Noop, Settings.from_env(os.environ), int(sys.argv[1]))
