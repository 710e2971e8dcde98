"""Serves the article's network with Flask and gunicorn, as most people write it."""

import networks
import numpy as np
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
network = networks.load_network("article")


@app.post("/predict")
def predict() -> Response:
    """Answer an Open Inference Protocol request with `{"probabilities": [[...]]}`."""
    tensor = request.get_json()["inputs"][0]
    pixels = np.array(tensor["data"], dtype=np.uint8).reshape(tensor["shape"])
    return jsonify(probabilities=networks.compute_probabilities(network, pixels).tolist())
