"""Not a peer: a route that only parses the same body, in Tandem's own server. It shows what the server itself costs.

    .venv/gateway/bin/python -m benchmarks.peers.noop <port> [flask]

The event loop answers, as it does for the gateway's predictions; with `flask`, Flask does.
"""

import re
import sys

from aiohttp import web
from flask import Flask, Response, json, jsonify, request

from shared.settings import Settings
from shared.web.routes import BufferedRequest, Route
from shared.web.server import HttpServer, serve

FLASK_THREADS = 16  # as in the gateway


async def noop(request: BufferedRequest) -> web.Response:
    """Count the numbers of the first input."""
    tensor = json.loads(request.body)["inputs"][0]
    return web.Response(
        headers={"Content-Type": "application/json"}, body=json.dumps({"numbers": len(tensor["data"])}).encode()
    )


def load() -> HttpServer:
    """Return the server."""
    app = Flask("noop", static_folder=None)

    @app.post("/predict")
    def predict() -> Response:
        return jsonify(numbers=len(request.get_json()["inputs"][0]["data"]))

    routes = [] if sys.argv[2:] else [Route("/predict", re.compile("/predict"), noop)]
    return HttpServer(app, routes, FLASK_THREADS)


if __name__ == "__main__":
    serve(load, Settings.from_env(), int(sys.argv[1]))
