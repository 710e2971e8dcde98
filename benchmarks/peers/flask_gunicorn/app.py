"""The article's network behind Flask and gunicorn, as most people write it."""

import article
import numpy as np
from flask import Flask, Response, jsonify, request

app = Flask(__name__)
model = article.load()


@app.post("/predict")
def predict() -> Response:
    tensor = request.get_json()["inputs"][0]
    pixels = np.array(tensor["data"], dtype=np.uint8).reshape(tensor["shape"])
    return jsonify(probabilities=article.probabilities(model, pixels).tolist())
