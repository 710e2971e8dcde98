"""Bad requests: each gets a problem document that says what to change, and changes nothing in storage. One table."""

import io
import json
import math
import shutil
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from redis import Redis

from services.cli.client import Client
from shared.settings import Settings

pytestmark = pytest.mark.stack

FLAT = {"kind": "flatten"}
CONV = {"kind": "conv2d", "filters": 3, "kernel_size": 9}
BIG = {"kind": "conv2d", "filters": 4096, "kernel_size": 1}
CERTIFICATES = "/v1/certificates"
TRANSPLANT = "/v1/models/mlp-digits/pytorch/1/transplant"
EXPORTS = "/v1/models/mlp-digits/pytorch/1/exports"
TRAININGS = "/v1/trainings"
PREDICTIONS = "/v1/predictions?model=mlp-digits"
INFER = "/v2/models/mlp-digits-pytorch/infer"
PREDICT = "/v1/models/mlp-digits-pytorch:predict"
BLANK = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [0] * 64}


def tensor(**changes: object) -> dict:
    """Return an inference request for one blank image, with changed fields; None removes a field."""
    changed = {key: value for key, value in {**BLANK, **changes}.items() if value is not None}
    return {"inputs": [changed]}


def network(*layers: dict) -> dict:
    return {"input_shape": [8, 8, 1], "layers": list(layers)}


@dataclass(frozen=True)
class Sent:
    """A request body that is not plain JSON: bytes with a media type, or the files of a form."""

    data: Any = None
    media_type: str | None = None
    files: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def with_tail(body: dict, tail: bytes, length: str | None = None) -> Sent:
    """Return a body of JSON followed by the bytes of a tensor, with the header that gives the JSON's length."""
    text = json.dumps(body).encode()
    return Sent(text + tail, headers=(("Inference-Header-Content-Length", length or str(len(text))),))


def pictures(*named: tuple[str, bytes], field: str = "image") -> Sent:
    return Sent(files=[(field, picture) for picture in named])


def encoded(format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").save(buffer, format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that declares a size and contains no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


FRAMES = {"save_all": True, "append_images": [Image.new("L", (256, 256))]}


# (what is wrong, method, path, body, expected status, expected words in `detail`)
CASES = [
    ("unknown network", "POST", "/v1/trainings", {"network": "vgg"}, 422, "article, mlp, lenet5, cnn"),
    ("unknown dataset", "POST", "/v1/trainings", {"dataset": "imagenet"}, 422, "mnist, fashion-mnist, digits"),
    ("unknown backend", "POST", "/v1/trainings", {"backends": ["jax"]}, 422, "tensorflow, pytorch"),
    ("backend named twice", "POST", "/v1/trainings", {"backends": ["pytorch", "pytorch"]}, 422, "once"),
    ("no backend", "POST", "/v1/trainings", {"backends": []}, 422, "backends"),
    ("unknown field", "POST", "/v1/trainings", {"epoch": 3}, 422, "epoch: there is no such field here"),
    ("no epochs", "POST", "/v1/trainings", {"epochs": 0}, 422, "epochs"),
    ("negative epochs", "POST", "/v1/trainings", {"epochs": -1}, 422, "epochs"),
    ("a billion epochs", "POST", "/v1/trainings", {"epochs": 10**9}, 422, "epochs"),
    ("epochs null", "POST", "/v1/trainings", {"epochs": None}, 422, "epochs"),
    ("half an epoch", "POST", "/v1/trainings", {"epochs": 1.5}, 422, "epochs"),
    ("epochs in words", "POST", "/v1/trainings", {"epochs": "ten"}, 422, "epochs"),
    ("no batch", "POST", "/v1/trainings", {"batch_size": 0}, 422, "batch_size"),
    ("batch above the data", "POST", "/v1/trainings", {"dataset": "digits", "batch_size": 1438}, 422, "1437"),
    ("rate NaN", "POST", "/v1/trainings", {"optimizer": {"learning_rate": math.nan}}, 422, "learning_rate"),
    ("rate infinite", "POST", "/v1/trainings", {"optimizer": {"learning_rate": math.inf}}, 422, "learning_rate"),
    ("rate null", "POST", "/v1/trainings", {"optimizer": {"learning_rate": None}}, 422, "learning_rate"),
    ("negative rate", "POST", "/v1/trainings", {"optimizer": {"learning_rate": -1}}, 422, "optimizer.learning_rate"),
    ("unknown optimizer", "POST", "/v1/trainings", {"optimizer": {"name": "rmsprop"}}, 422, "'sgd', 'adam'"),
    ("adam's momentum", "POST", "/v1/trainings", {"optimizer": {"name": "adam", "momentum": 1}}, 422, "momentum"),
    ("nesterov alone", "POST", "/v1/trainings", {"optimizer": {"nesterov": True}}, 422, "needs a momentum"),
    ("a shift above 1", "POST", "/v1/trainings", {"augmentation": {"shift": 2}}, 422, "augmentation.shift"),
    ("a zoom of false", "POST", "/v1/trainings", {"augmentation": {"zoom": False}}, 422, "augmentation.zoom"),
    ("a rate in words", "POST", "/v1/trainings", {"optimizer": {"learning_rate": "0.1"}}, 422, "learning_rate"),
    ("nesterov by number", "POST", "/v1/trainings", {"optimizer": {"nesterov": 1}}, 422, "nesterov"),
    ("unknown schedule", "POST", "/v1/trainings", {"schedule": "step"}, 422, "schedule"),
    (
        "drawn digits among clothes",
        "POST",
        "/v1/trainings",
        {"dataset": "fashion-mnist", "augmentation": {"drawn": 0.1}},
        422,
        "augmentation.drawn",
    ),
    ("unknown augmentation", "POST", "/v1/trainings", {"augmentation": {"blur": 1}}, 422, "augmentation.blur"),
    ("lenet5 on 8 x 8", "POST", "/v1/trainings", {"network": "lenet5", "dataset": "digits"}, 422, "layers.2 (conv2d)"),
    (
        "a window too large",
        "POST",
        "/v1/trainings",
        {"network": network(CONV, FLAT)},
        422,
        "[9, 9], which does not fit",
    ),
    ("pooling a vector", "POST", "/v1/trainings", {"network": network(FLAT, {"kind": "max_pool2d"})}, 422, "gets [64]"),
    ("all dropped", "POST", "/v1/trainings", {"network": network({"kind": "dropout", "rate": 1})}, 422, "rate"),
    ("no stride", "POST", "/v1/trainings", {"network": network({**CONV, "strides": 0})}, 422, "strides"),
    (
        "more values than fit",
        "POST",
        "/v1/trainings",
        {"network": {**network(BIG, FLAT, {"kind": "dense", "units": 1}), "input_shape": [64, 64, 1]}},
        422,
        "limit of 4,194,304 values",
    ),
    ("unknown certificate", "GET", f"{CERTIFICATES}/nothing", None, 404, "an id has 32"),
    ("a plot of an unknown certificate", "GET", f"{CERTIFICATES}/nothing/plot.png", None, 404, "an id has 32"),
    ("a certificate of no steps", "POST", CERTIFICATES, {"steps": 0}, 422, "steps"),
    ("a certificate too large", "POST", CERTIFICATES, {"network": "mlp", "steps": 1000}, 422, "take fewer steps"),
    (
        "a certificate's batch",
        "POST",
        CERTIFICATES,
        {"dataset": "digits", "batch_size": 1024, "x": 1},
        422,
        "x: there is no such",
    ),
    ("unknown transplant", "GET", "/v1/transplants/nothing", None, 404, "an id has 32"),
    ("unknown export", "GET", "/v1/exports/nothing", None, 404, "an id has 32"),
    ("an export that PyTorch has not", "POST", EXPORTS, {"format": "litert"}, 422, "choose one of onnx"),
    ("an export without a format", "POST", EXPORTS, {}, 422, "format: this field is required"),
    ("an export of version 99", "POST", EXPORTS.replace("1/e", "99/e"), {"format": "onnx"}, 404, "99"),
    ("a file of an unknown format", "GET", f"{EXPORTS}/tarball", None, 404, "export it with POST"),
    ("a transplant to itself", "POST", TRANSPLANT, {"to": "pytorch"}, 422, "a pytorch model already"),
    ("a transplant to jax", "POST", TRANSPLANT, {"to": "jax"}, 422, "unknown backend"),
    ("a transplant without a target", "POST", TRANSPLANT, {}, 422, "to: this field is required"),
    ("a transplant of version 99", "POST", TRANSPLANT.replace("1/t", "99/t"), {"to": "tensorflow"}, 404, "99"),
    ("a name with a path", "POST", "/v1/trainings", {"dataset": "digits", "name": "../x"}, 422, "name"),
    ("an empty name", "POST", "/v1/trainings", {"dataset": "digits", "name": ""}, 422, "name"),
    ("a name of 5,000", "POST", "/v1/trainings", {"dataset": "digits", "name": "x" * 5000}, 422, "name"),
    ("a network of 5,000", "POST", "/v1/trainings", {"network": "x" * 5000}, 422, "network"),
    ("a dataset with a path", "POST", "/v1/trainings", {"dataset": "../mnist"}, 422, "unknown dataset"),
    ("an empty dataset name", "POST", "/v1/trainings", {"dataset": ""}, 422, "unknown dataset"),
    ("a list as body", "POST", "/v1/trainings", [], 422, "JSON object"),
    ("a number as body", "POST", "/v1/trainings", 3, 422, "JSON object"),
    ("a name with a backend", "POST", "/v1/trainings", {"dataset": "digits", "name": "x-pytorch"}, 422, "-pytorch"),
    (
        "a network without flatten",
        "POST",
        "/v1/trainings",
        {"dataset": "digits", "network": network({"kind": "dense", "units": 10})},
        422,
        "layers.0 (dense) takes one dimension [n], but gets [8, 8, 1]",
    ),
    (
        "too few classes",
        "POST",
        "/v1/trainings",
        {"dataset": "digits", "network": network(FLAT, {"kind": "dense", "units": 9})},
        422,
        "10 classes",
    ),
    (
        "another dataset's shape",
        "POST",
        "/v1/trainings",
        {"dataset": "mnist", "network": network(FLAT, {"kind": "dense", "units": 10})},
        422,
        "input_shape [8, 8, 1]",
    ),
    ("cancelling an unknown training", "POST", "/v1/trainings/nothing/cancel", None, 404, "an id has 32"),
    ("an id of 5,000", "GET", "/v1/trainings/" + "x" * 5000, None, 404, "an id has 32"),
    ("unknown deletion", "GET", "/v1/deletions/nothing", None, 404, "an id has 32"),
    ("deleting an unknown model", "DELETE", "/v1/models/nothing/pytorch/1", None, 404, "no version 1"),
    ("deleting from an unknown backend", "DELETE", "/v1/models/nothing/jax/1", None, 404, "no version 1"),
    ("deleting version 0", "DELETE", "/v1/models/nothing/pytorch/0", None, 422, "version"),
    (
        "weights of an unknown model",
        "GET",
        "/v1/models/nothing/pytorch/1/weights.safetensors",
        None,
        404,
        "no version 1",
    ),
    ("weights of a path", "GET", "/v1/models/%2e%2e/pytorch/1/weights.safetensors", None, 404, ""),
    ("samples of an unknown dataset", "GET", "/v1/datasets/nothing/samples.png", None, 422, "unknown dataset"),
    ("no samples", "GET", "/v1/datasets/digits/samples.png?count=0", None, 422, "count"),
    ("too many samples", "GET", "/v1/datasets/digits/samples.png?count=101", None, 422, "count"),
    *(
        (f"JSON of {label}", "POST", TRAININGS, Sent(text, "application/json"), status, words)
        for label, text, status, words in (
            ("5,000 lists in each other", b"[" * 5000 + b"]" * 5000, 400, "at most 200 levels deep"),
            ("200,000 lists without an end", b"[" * 200_000, 400, "at most 200 levels deep"),
            ("5,000 objects in each other", b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "at most 200 levels deep"),
            ("a huge number", b'{"epochs": 1e999999}', 422, "epochs"),
            ("10,000 digits", b'{"epochs": ' + b"1" * 10_000 + b"}", 400, "too many digits"),
            ("a field twice", b'{"epochs": 1, "epochs": 0}', 422, "epochs"),
            ("half a surrogate pair", b'{"name": "\\ud800"}', 400, "not JSON"),
            ("a NUL character", b'{"dataset": "\\u0000"}', 422, "unknown dataset"),
            ("invalid UTF-8", b'{"dataset": "\xff"}', 400, "not JSON"),
            ("a byte order mark", b'\xef\xbb\xbf{"network": "vgg"}', 422, "unknown network"),
            ("a field of 100,000 letters", b'{"' + b"x" * 100_000 + b'": 1}', 422, "there is no such field here"),
        )
    ),
    ("an id of a run's key", "GET", f"/v1/trainings/{'0' * 32}:pytorch", None, 404, "an id has 32"),
    ("an id of a training that does not exist", "GET", f"/v1/trainings/{'0' * 32}", None, 404, "no training"),
    ("an id with a NUL character", "GET", "/v1/trainings/%00", None, 404, "an id has 32"),
    ("a version of 5,000 digits", "GET", f"/v1/models/x/versions/{'9' * 5000}", None, 404, ""),
    ("predicting with 5,000 digits", "POST", f"/v1/models/x/versions/{'9' * 5000}:predict", {}, 404, ""),
    ("a dataset's name with a path", "GET", "/v1/datasets/..%00/samples.png", None, 404, "a name begins"),
    ("unknown training", "GET", "/v1/trainings/nothing", None, 404, "an id has 32"),
    ("unknown evaluation", "GET", "/v1/evaluations/nothing", None, 404, "an id has 32"),
    ("unknown model", "GET", "/v1/models/nothing", None, 404, "no model"),
    ("a model with a path", "GET", "/v1/models/..%2fetc", None, 404, ""),
    ("evaluating an unknown model", "POST", "/v1/evaluations", {"model": "nothing"}, 404, "Train one"),
    ("evaluating version 99", "POST", "/v1/evaluations", {"model": "mlp-digits", "version": 99}, 404, "version 99"),
    ("evaluating on another shape", "POST", "/v1/evaluations", {"model": "mlp-digits", "dataset": "mnist"}, 409, ""),
    (
        "evaluating on an unknown dataset",
        "POST",
        "/v1/evaluations",
        {"model": "mlp-digits", "dataset": "x"},
        422,
        "unknown",
    ),
    ("evaluating half", "POST", "/v1/evaluations", {"model": "mlp-digits", "split": "half"}, 422, "split"),
    ("evaluating without a model", "POST", "/v1/evaluations", {}, 422, "model"),
    ("predicting without a model", "POST", "/v1/predictions", {}, 422, "model"),
    ("unknown route", "GET", "/v1/nothing", None, 404, ""),
    ("wrong method", "DELETE", "/v1/trainings", None, 405, ""),
    ("no JSON", "POST", TRAININGS, Sent(b"{nonsense", "application/json"), 400, "not JSON"),
    ("a body in chunks that is no picture", "POST", PREDICTIONS, Sent(iter([b"abc"])), 422, "body: not a PNG"),
    ("2 MB of JSON", "POST", TRAININGS, Sent(b"x" * 2**21, "application/json"), 413, "JSON may have at most"),
    ("100 MB of JSON", "POST", TRAININGS, Sent(b"x" * 100 * 2**20, "application/json"), 413, ""),
    ("a picture of 100 MB", "POST", PREDICTIONS, Sent(b"x" * 100 * 2**20, "image/png"), 413, ""),
    (
        "a million layers",
        "POST",
        TRAININGS,
        Sent(b'{"network":{"layers":[' + b'{"kind":"flatten"},' * 10**6 + b"]}}", "application/json"),
        413,
        "JSON may have at most",
    ),
    ("no picture", "POST", PREDICTIONS, None, 422, "empty"),
    ("an empty picture", "POST", PREDICTIONS, pictures(("a.png", b"")), 422, "a.png: the file is empty"),
    ("text", "POST", PREDICTIONS, pictures(("a.png", b"not a picture")), 422, "a.png: not a PNG, JPEG"),
    ("a PPM", "POST", PREDICTIONS, pictures(("a.ppm", encoded("PPM"))), 422, "a.ppm: not a PNG, JPEG"),
    ("a truncated PNG", "POST", PREDICTIONS, pictures(("a.png", encoded("PNG")[:-500])), 422, "a.png: the picture is"),
    ("a truncated JPEG", "POST", PREDICTIONS, pictures(("a.jpg", encoded("JPEG")[:-500])), 422, "a.jpg: the picture"),
    ("an animated PNG", "POST", PREDICTIONS, pictures(("a.png", encoded("PNG", **FRAMES))), 422, "is animated"),
    ("an animated WebP", "POST", PREDICTIONS, pictures(("a.webp", encoded("WEBP", **FRAMES))), 422, "is animated"),
    ("169 megapixels", "POST", PREDICTIONS, pictures(("a.png", png_header(13_000, 13_000))), 422, "13000 x 13000"),
    (
        "the second of two pictures",
        "POST",
        PREDICTIONS,
        pictures(("good.png", encoded("PNG")), ("bad.png", b"x")),
        422,
        "bad.png: not a PNG",
    ),
    ("another field", "POST", PREDICTIONS, pictures(("a.png", b"x"), field="picture"), 422, "'image'"),
    ("65 pictures", "POST", PREDICTIONS, pictures(*[(f"{i}.png", b"x") for i in range(65)]), 422, "64"),
    *(
        (f"predicting with {query[:40]}", "POST", f"/v1/predictions?{query}", Sent(encoded("PNG")), status, words)
        for query, status, words in (
            ("model=nothing", 404, "ready: "),
            ("model=../x", 404, "'../x' is not published"),
            ("model=" + "x" * 5000, 422, "model"),
            ("model=", 422, "model"),
            ("model=mlp-digits&version=99", 404, "version 99"),
            ("model=mlp-digits&version=0", 422, "version"),
            ("model=mlp-digits&version=newest", 422, "version"),
            ("model=mlp-digits&backends=jax", 422, "tensorflow, pytorch"),
            ("model=mlp-digits&backends=", 422, "unknown backend"),
            ("model=mlp-digits&modell=x", 422, "modell"),
            ("model=%00", 404, "is not published"),
            ("model=..%2f..%2fetc", 404, "is not published"),
            ("model=mlp-digits" + "&a" * 5000, 422, "at most 50 fields"),
        )
    ),
    ("inferring with an unknown model", "POST", "/v2/models/nothing/infer", tensor(), 404, "ready: "),
    ("inferring with a path as model", "POST", "/v2/models/%2e%2e-pytorch/infer", tensor(), 404, "a name begins with"),
    ("inferring with a backend as model", "POST", "/v2/models/-pytorch/infer", tensor(), 404, "a name begins with"),
    ("inferring version 99", "POST", "/v2/models/mlp-digits/versions/99/infer", tensor(), 404, "version 99"),
    ("inferring version 0", "POST", "/v2/models/mlp-digits/versions/0/infer", tensor(), 422, "version"),
    (
        "inferring with a version in words",
        "POST",
        "/v2/models/mlp-digits/versions/newest/infer",
        tensor(),
        422,
        "version",
    ),
    ("inferring with invalid JSON", "POST", INFER, Sent(b"{nonsense"), 400, "not JSON"),
    ("inferring without a body", "POST", INFER, None, 400, "the body is empty: send JSON"),
    ("inferring a list", "POST", INFER, [], 422, "JSON object"),
    (
        "inferring with 2 MB of JSON without a media type",
        "POST",
        INFER,
        Sent(b" " * 2**21),
        413,
        "JSON may have at most",
    ),
    (
        "inferring with a thousand nested lists",
        "POST",
        INFER,
        Sent(b'{"inputs":' + b"[" * 1000),
        400,
        "at most 200 levels",
    ),
    ("inferring with damaged gzip", "POST", INFER, Sent(b"xy", headers=(("Content-Encoding", "gzip"),)), 400, "gzip"),
    ("inferring with zstd", "POST", INFER, Sent(b"x", headers=(("Content-Encoding", "zstd"),)), 415, "gzip or deflate"),
    *(
        (f"inferring with {label}", "POST", INFER, body, 422, words)
        for label, body, words in (
            ("no inputs", {}, "inputs: this field is required"),
            ("no input", {"inputs": []}, "the model has one input, 'image'"),
            ("two inputs", {"inputs": [BLANK, BLANK]}, "the model has one input, 'image'"),
            ("another input", tensor(name="x"), "but the request has 'x'"),
            ("texts", tensor(datatype="BYTES"), "inputs.0.datatype"),
            ("a flat shape", tensor(shape=[1, 64]), "expected ['N', 8, 8, 1]"),
            ("no pictures", tensor(shape=[0, 8, 8, 1], data=[]), "N from 1 to 64"),
            ("65 pictures", tensor(shape=[65, 8, 8, 1], data=[0] * 65 * 64), "N from 1 to 64"),
            ("a negative number of pictures", tensor(shape=[-1, 8, 8, 1]), "N from 1 to 64"),
            ("2**70 pictures", tensor(shape=[2**70, 8, 8, 1]), "N from 1 to 64"),
            ("half a picture", tensor(shape=[0.5, 8, 8, 1]), "inputs.0.shape.0"),
            ("a picture of true", tensor(shape=[True, 8, 8, 1]), "inputs.0.shape.0"),
            ("a pixel missing", tensor(data=[0] * 63), "63 were sent"),
            ("a pixel too bright", tensor(data=[256] * 64), "0 to 255"),
            ("scaled pixels", tensor(datatype="FP32", data=[0.5] * 64), "the model scales them itself"),
            ("a pixel that is NaN", tensor(data=[math.nan] * 64), "0 to 255"),
            ("a pixel in words", tensor(data=["0"] * 64), "a text"),
            ("a pixel of true", tensor(data=[True] * 64), "a boolean"),
            ("ragged rows", tensor(data=[[[[0]] * 8] * 7 + [[[0]] * 7]]), "not nested"),
            ("a text for data", tensor(data="0" * 64), "inputs.0.data"),
            ("neither data nor bytes", tensor(data=None), "send either data"),
            ("data and bytes", tensor(parameters={"binary_data_size": 0}), "send either data"),
            (
                "a shared memory region",
                tensor(data=None, parameters={"shared_memory_region": "x"}),
                "shared_memory_region is not supported",
            ),
            ("a size in words", tensor(data=None, parameters={"binary_data_size": "64"}), "binary_data_size"),
            ("a negative size", tensor(data=None, parameters={"binary_data_size": -64}), "binary_data_size"),
            ("missing bytes", tensor(data=None, parameters={"binary_data_size": 64}), "there are 0"),
            ("an unknown output", {**tensor(), "outputs": [{"name": "logits"}]}, "of probabilities"),
            ("an output twice", {**tensor(), "outputs": [{"name": "probabilities"}] * 2}, "at most once"),
            ("bytes that are not announced", with_tail(tensor(), b"x"), "announces 0 bytes"),
            ("too few bytes", with_tail(tensor(data=None, parameters={"binary_data_size": 64}), b"x"), "there are 1"),
            ("a truncated picture", with_tail(tensor(data=None, parameters={"binary_data_size": 1}), b"x"), "takes 64"),
            ("a JSON length beyond the body", with_tail(tensor(), b"", "100000"), "at most the body's"),
            ("a negative JSON length", with_tail(tensor(), b"", "-1"), "at most the body's"),
        )
    ),
    *(
        (f"predicting rows with {label}", "POST", PREDICT, body, 422, words)
        for label, body, words in (
            ("no field", {}, "send either instances (one entry per picture) or inputs"),
            ("rows and columns", {"instances": [], "inputs": []}, "send either instances"),
            ("no pictures", {"instances": []}, "N from 1 to 64"),
            ("a flat picture", {"instances": [[0] * 64]}, "not nested like the shape [1, 8, 8, 1]"),
            ("numbers", {"instances": [0] * 64}, "64 were sent"),
            ("another input", {"instances": [{"x": 0}]}, "name it 'image'"),
            ("a number as input", {"instances": [{"image": 0}]}, "1 were sent"),
            ("base64", {"instances": [{"b64": "AAAA"}]}, "post them to /v1/predictions"),
            ("columns of one picture", {"inputs": {"image": 0}}, "must be a list of pictures"),
            ("columns of another input", {"inputs": {"x": []}}, "name it 'image'"),
            ("another signature", {"instances": [], "signature_name": "x"}, "signature_name"),
        )
    ),
    ("status of an unknown model", "GET", "/v1/models/nothing/versions/1", None, 404, "ready: "),
    ("metadata of an unknown model", "GET", "/v2/models/nothing", None, 404, "ready: "),
    ("readiness of an unknown model", "GET", "/v2/models/nothing/ready", None, 404, "ready: "),
    ("statistics of version 99", "GET", "/v2/models/mlp-digits/versions/99/stats", None, 404, "version 99"),
    ("an index of a word", "POST", "/v2/repository/index", {"ready": "yes"}, 422, "ready"),
    ("a folder without classes", "POST", TRAININGS, {"dataset": "no-classes"}, 422, "two or more classes; it has none"),
    ("a folder of one class", "POST", TRAININGS, {"dataset": "one-class"}, 422, "only 'alone'"),
    ("a broken picture", "POST", TRAININGS, {"dataset": "broken", "batch_size": 1}, 422, "broken/train/a/0.png: the"),
    ("samples of one class", "GET", "/v1/datasets/one-class/samples.png", None, 422, "only 'alone'"),
]


@pytest.fixture(scope="module")
def bad_folders(settings: Settings) -> Iterator[None]:
    """Create dataset folders that cannot be used, and remove them afterwards."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 90), np.uint8)
    try:
        for folder in ("one-class/train/alone", "broken/train/a", "broken/train/b"):
            (settings.data_dir / folder).mkdir(parents=True)
            for index in range(3):
                Image.fromarray(noise).save(settings.data_dir / folder / f"{index}.png")
        broken = settings.data_dir / "broken/train/a/0.png"
        broken.write_bytes(broken.read_bytes()[:2000])
        (settings.data_dir / "no-classes/train").mkdir(parents=True)
        yield
    finally:
        for name in ("one-class", "broken", "no-classes"):
            shutil.rmtree(settings.data_dir / name, ignore_errors=True)


def stored(redis: Redis, settings: Settings) -> tuple[object, ...]:
    """Return everything that a refused request must not change: jobs, queues and models."""
    kinds = [redis.zrange(f"tandem:{kind}s", 0, -1) for kind in ("training", "evaluation", "deletion")]
    queues = [redis.llen(f"rq:queue:{backend}") for backend in settings.backends]
    return *kinds, *queues, sorted(Path(settings.model_dir).rglob("*"))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_a_bad_request_gets_a_problem_document_and_changes_nothing(
    client: Client,
    redis: Redis,
    settings: Settings,
    digits_model: dict,
    bad_folders: None,
    method: str,
    path: str,
    body: object,
    status: int,
    words: str,
) -> None:
    before = stored(redis, settings)
    if body is None:
        body = Sent()
    elif not isinstance(body, Sent):
        body = Sent(json.dumps(body), "application/json")  # requests' parameter `json` would refuse NaN
    headers = {**dict(body.headers), **({"Content-Type": body.media_type} if body.media_type else {})}
    answer = requests.request(method, client.url + path, data=body.data, files=body.files, headers=headers, timeout=60)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "error"}
    assert problem["status"] == status
    assert words in problem["detail"]
    assert "\n" not in problem["error"]
    assert stored(redis, settings) == before, "the request changed something"


@pytest.mark.parametrize("media_type", ["text/plain", "application/json", None])
def test_an_image_format_is_recognized_by_its_bytes_and_not_by_the_media_type(
    client: Client, digits_model: dict, media_type: str | None
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    assert requests.post(client.url + PREDICTIONS, data=encoded("PNG"), headers=headers, timeout=30).status_code == 200
