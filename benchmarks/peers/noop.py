"""A route that only parses the request body, in Tandem's own server with the gateway's settings.

    .venv/gateway/bin/python -m benchmarks.peers.noop <port> [flask]

It shows the cost of the HTTP server alone. The route runs on the event loop as the gateway's do, or, with `flask`, in
Flask.
"""

import re
import sys
from typing import Any

from flask import Flask, Response, json, jsonify, request

from services.gateway.__main__ import THREADS
from shared.settings import Settings
from shared.web.server import HttpServer, serve

HEADERS = {"Content-Type": "application/json"}


async def noop(_: re.Match[str], __: Any, body: bytes) -> tuple[dict[str, str], bytes]:
    tensor = json.loads(body)["inputs"][0]
    return HEADERS, json.dumps({"numbers": len(tensor["data"])}).encode()


def load() -> HttpServer:
    app = Flask("noop", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = 2**20

    @app.post("/predict")
    def predict() -> Response:
        return jsonify(numbers=len(request.get_json()["inputs"][0]["data"]))

    return HttpServer(app, {} if sys.argv[2:] else {"/predict": ("/predict", noop)}, THREADS)


if __name__ == "__main__":
    serve(load, Settings.from_env(), int(sys.argv[1]))
