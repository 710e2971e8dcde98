"""No peer: a route that only parses the same body, in the server and with the settings of Tandem's gateway.

    .venv/gateway/bin/python -m benchmarks.peers.noop <port>

What the gateway could reach at most with Flask under Granian and Python's own JSON.
"""

import sys

from flask import Flask, Response, jsonify, request

from services.gateway.__main__ import THREADS
from shared.server import serve


def load_app() -> Flask:
    app = Flask("noop", static_folder=None)

    @app.post("/predict")
    def predict() -> Response:
        tensor = request.get_json()["inputs"][0]
        return jsonify(numbers=len(tensor["data"]))

    return app


if __name__ == "__main__":
    serve(load_app, "127.0.0.1", int(sys.argv[1]), THREADS)
