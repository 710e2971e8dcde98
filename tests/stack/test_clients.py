"""Real clients work unchanged: the KServe SDK, Triton's client with compression, requests, and curl's options."""

import gzip
import json
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton

from services.cli.client import Client
from services.stack.stack import python_of
from shared.data import datasets
from shared.settings import Settings

pytestmark = pytest.mark.stack

SEVEN = Path("samples/seven-8x8.png")
QUERY = "/v1/predictions?model=mlp-digits"
TITLE = "mlp-digits-pytorch"
COMPRESSORS = {"gzip": gzip.compress, "deflate": zlib.compress}


@pytest.fixture(scope="module")
def pictures(settings: Settings) -> np.ndarray:
    """Return five test images, uint8 [5, 8, 8, 1]."""
    return datasets.read(datasets.DIGITS, "test", settings).images[:5]


@pytest.fixture(scope="module")
def expected(client: Client, digits_model: dict, pictures: np.ndarray) -> np.ndarray:
    """Return the probabilities of the same images from TensorFlow Serving's route, [5, 10]."""
    body = {"instances": pictures.tolist()}
    answer = requests.post(f"{client.url}/v1/models/{TITLE}:predict", json=body, timeout=30)
    return np.array(answer.json()["predictions"])


# KServe --------------------------------------------------------------------------


def test_the_kserve_sdk_predicts_with_both_of_its_protocols(
    client: Client, pictures: np.ndarray, expected: np.ndarray
) -> None:
    python = python_of("clients")
    if not Path(python[0]).exists():
        pytest.skip("the environment of the KServe SDK is missing: make test creates it")
    result = subprocess.run(
        [*python, "-m", "tests.clients.kserve_client", client.url, TITLE],
        input=json.dumps(pictures.tolist()),
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout.splitlines()[-1])
    assert answers["v1"]["model_ready"] is True
    assert [answers["v2"][what] for what in ("server_live", "server_ready", "model_ready")] == [True] * 3
    for rows in (answers["v1"]["rows"], *answers["v2"]["rows"].values()):
        np.testing.assert_allclose(rows, expected, atol=1e-6)


# Triton's client -------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(client: Client, digits_model: dict) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(client.url.removeprefix("http://")) as server:
        yield server


@pytest.mark.parametrize("response", ["gzip", "deflate", None])
@pytest.mark.parametrize("request_algorithm", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_tritons_client_may_compress_its_requests(
    server: triton.InferenceServerClient,
    pictures: np.ndarray,
    expected: np.ndarray,
    request_algorithm: str,
    response: str | None,
    binary: bool,
) -> None:
    tensor = triton.InferInput("image", list(pictures.shape), "UINT8")
    tensor.set_data_from_numpy(pictures, binary_data=binary)
    answer = server.infer(
        TITLE,
        [tensor],
        request_compression_algorithm=request_algorithm,
        response_compression_algorithm=response,
        priority=1,
        parameters={"anything": "else"},
    )
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)


def test_tritons_client_reads_the_configuration_of_a_model(server: triton.InferenceServerClient) -> None:
    configuration = server.get_model_config(TITLE)
    assert configuration["name"] == TITLE
    assert configuration["max_batch_size"] == 64
    (tensor,) = configuration["input"]
    assert (tensor["name"], tensor["data_type"], tensor["dims"]) == ("image", "TYPE_UINT8", [8, 8, 1])
    (output,) = configuration["output"]
    assert (output["name"], output["data_type"], output["dims"]) == ("probabilities", "TYPE_FP32", [10])
    assert server.get_model_config(TITLE, "1") == configuration
    assert [output["name"] for output in server.get_model_config("mlp-digits")["output"]] == ["tensorflow", "pytorch"]
    assert "model_configuration" in server.get_server_metadata()["extensions"]


# requests --------------------------------------------------------------------------


def predicted_class(answer: requests.Response) -> str:
    """Return the class that a backend sees in the only picture of a response."""
    assert answer.status_code == 200, answer.text
    (image,) = answer.json()["images"]
    return image["results"]["pytorch"]["class"]


def test_a_generator_as_body_is_taken_on_all_kinds_of_routes(client: Client, digits_model: dict) -> None:
    def in_pieces(body: bytes) -> Iterator[bytes]:
        for start in range(0, len(body), 10):
            yield body[start : start + 10]

    assert predicted_class(requests.post(client.url + QUERY, data=in_pieces(SEVEN.read_bytes()), timeout=30)) == "7"
    body = json.dumps({"network": "unknown"}).encode()
    answer = requests.post(f"{client.url}/v1/trainings", data=in_pieces(body), timeout=30)
    assert "unknown network" in answer.json()["detail"]
    packed = in_pieces(gzip.compress(body))
    headers = {"Content-Encoding": "gzip"}
    answer = requests.post(f"{client.url}/v1/trainings", data=packed, headers=headers, timeout=30)
    assert "unknown network" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_picture_and_a_compressed_form_are_taken(
    client: Client, digits_model: dict, encoding: str
) -> None:
    pack = COMPRESSORS[encoding]
    headers = {"Content-Encoding": encoding.upper()}
    answer = requests.post(client.url + QUERY, pack(SEVEN.read_bytes()), headers=headers, timeout=30)
    assert predicted_class(answer) == "7"
    form = requests.Request("POST", client.url + QUERY, files={"image": SEVEN.read_bytes()}).prepare()
    assert isinstance(form.body, bytes)
    headers["Content-Type"] = str(form.headers["Content-Type"])
    assert predicted_class(requests.post(client.url + QUERY, pack(form.body), headers=headers, timeout=30)) == "7"


# curl ------------------------------------------------------------------------------


def curl(url: str, *options: str, given: bytes = b"") -> tuple[int, Any]:
    """Return the status and the JSON that curl gets."""
    command = ["curl", "--silent", "--noproxy", "*", "--max-time", "60", "-w", "\n%{http_code}", *options, url]
    output = subprocess.run(command, input=given, capture_output=True, check=True, timeout=90).stdout
    body, _, status = output.rpartition(b"\n")
    return int(status), json.loads(body)


@pytest.mark.parametrize(
    "options",
    [
        ["-F", f"image=@{SEVEN}"],
        ["-F", f"image=@{SEVEN}", "--compressed"],
        ["-F", f"image=@{SEVEN}", "--http1.0"],
        ["-F", f"image=@{SEVEN}", "--http2"],
        ["-F", f"image=@{SEVEN}", "--limit-rate", "400"],
        ["-F", f"image=@{SEVEN}", "-H", "Expect: 100-continue"],
        ["-F", f"image=@{SEVEN}", "-H", "Transfer-Encoding: chunked"],
        ["-F", f"image=@{SEVEN};type=text/plain"],
        ["--data-binary", f"@{SEVEN}"],
        ["--data-binary", f"@{SEVEN}", "-H", "Content-Type: application/octet-stream"],
        ["--data-urlencode", f"image@{SEVEN}"],
        ["-X", "POST", "-T", str(SEVEN)],
        ["-H", "Cookie: a=" + "x" * 9000, "--data-binary", f"@{SEVEN}"],
    ],
    ids=lambda options: " ".join(options)[:60],
)
def test_curl_sends_a_picture_in_every_way(client: Client, digits_model: dict, options: list[str]) -> None:
    status, answer = curl(client.url + QUERY, *options)
    assert status == 200, answer
    assert answer["images"][0]["results"]["pytorch"]["class"] == "7"


def test_curl_sends_what_comes_from_a_pipe(client: Client, digits_model: dict) -> None:
    for options in (["--data-binary", "@-"], ["-X", "POST", "-T", "-"], ["-F", "image=@-;filename=seven.png"]):
        status, answer = curl(client.url + QUERY, *options, given=SEVEN.read_bytes())
        assert status == 200, answer
        assert answer["images"][0]["results"]["pytorch"]["class"] == "7"


def test_curl_sends_several_files_in_one_form(client: Client, digits_model: dict) -> None:
    status, answer = curl(client.url + QUERY, "-F", f"image=@{SEVEN}", "-F", f"image=@{SEVEN};filename=again.png")
    assert status == 200
    assert [image["name"] for image in answer["images"]] == ["seven-8x8.png", "again.png"]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["-F", f"image=<{SEVEN}"], 422, "send it as a file, with a file name: -F image=@seven.png"),
        (["-F", f"picture=@{SEVEN}"], 422, "the form has 'picture'"),
        (["-d", f"@{SEVEN}"], 422, "use --data-binary @file or -F image=@file"),
        (["-T", str(SEVEN)], 405, "use POST"),
        (["-G", "--data-urlencode", "backends=pytorch"], 405, "use POST"),
        (["-H", "Content-Encoding: br", "--data-binary", f"@{SEVEN}"], 415, "gzip or deflate"),
        (["-H", "Content-Encoding: gzip", "--data-binary", f"@{SEVEN}"], 400, "is not valid gzip data"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_curl_is_told_how_to_send_a_picture(
    client: Client, digits_model: dict, options: list[str], status: int, words: str
) -> None:
    found, problem = curl(client.url + QUERY, *options)
    assert (found, problem["status"]) == (status, status)
    assert words in problem["detail"]


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["-d", '{"network": "unknown"}'], 422, "unknown network"),
        (["--json", '{"network": "unknown"}'], 422, "unknown network"),
        (["-d", "network=unknown"], 400, "the body is a form: send JSON"),
        (["--data-urlencode", "network=unknown"], 400, "the body is a form: send JSON"),
        (["-F", "network=unknown"], 400, "the body is a form: send JSON"),
        (["-d", '{"network": "unknown",}'], 400, "nothing follows a comma (line 1, byte 23)"),
        (["-d", ""], 400, "the body is empty: send JSON"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_curl_sends_json_with_any_media_type(
    client: Client, digits_model: dict, options: list[str], status: int, words: str
) -> None:
    found, problem = curl(f"{client.url}/v1/trainings", *options)
    assert found == status, problem
    assert words in problem["detail"]
