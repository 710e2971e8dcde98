"""Other servers' protocols: Triton's own client works, and requests as TensorFlow Serving's users send them."""

import io
import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import requests
import tritonclient.http as triton
from PIL import Image
from tritonclient.utils import InferenceServerException

from services.cli.client import Client
from shared.data import datasets
from shared.settings import Settings
from tests.polling import wait_until
from tests.stack.processes import find_processes

pytestmark = pytest.mark.stack

BACKENDS = ("tensorflow", "pytorch")


@pytest.fixture(scope="module")
def server(client: Client, digits_model: dict) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(client.url.removeprefix("http://")) as server:
        yield server


@pytest.fixture(scope="module")
def pictures(settings: Settings) -> np.ndarray:
    """Return five test images, uint8 [5, 8, 8, 1]."""
    return datasets.read(datasets.DIGITS, "test", settings).images[:5]


@pytest.fixture(scope="module")
def expected(client: Client, digits_model: dict, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """Return the probabilities of the same images from /v1/predictions, float32 [5, 10], by backend."""
    files = []
    for index, pixels in enumerate(pictures):
        buffer = io.BytesIO()
        Image.fromarray(pixels[..., 0]).save(buffer, "PNG")
        files.append(("image", (f"{index}.png", buffer.getvalue())))
    answer = requests.post(f"{client.url}/v1/predictions?model=mlp-digits", files=files, timeout=30).json()
    return {
        backend: np.array([image["results"][backend]["probabilities"] for image in answer["images"]], np.float32)
        for backend in BACKENDS
    }


def assert_close(found: Any, expected: np.ndarray) -> None:
    """Compare up to rounding: a batch of another size is summed in another order."""
    np.testing.assert_allclose(np.asarray(found, np.float32), expected, atol=1e-6)


def make_inputs(values: np.ndarray, datatype: str = "UINT8", binary: bool = True) -> list[triton.InferInput]:
    tensor = triton.InferInput("image", list(values.shape), datatype)
    tensor.set_data_from_numpy(values, binary_data=binary)
    return [tensor]


def test_the_client_reads_the_servers_and_the_models_state(server: triton.InferenceServerClient) -> None:
    assert server.is_server_live()
    assert server.is_server_ready()
    metadata = server.get_server_metadata()
    assert metadata["name"] == "tandem"
    assert {"binary_tensor_data", "statistics"} <= set(metadata["extensions"])
    index = {(entry["name"], entry["version"]): entry["state"] for entry in server.get_model_repository_index()}
    for title in ("mlp-digits", "mlp-digits-tensorflow", "mlp-digits-pytorch"):
        assert index[title, "1"] == "READY"
        assert server.is_model_ready(title)
        assert server.is_model_ready(title, "1")
    assert not server.is_model_ready("mlp-digits", "99")
    assert not server.is_model_ready("nothing")


@pytest.mark.parametrize(
    ("title", "outputs"),
    [
        ("mlp-digits-tensorflow", ["probabilities"]),
        ("mlp-digits-pytorch", ["probabilities"]),
        ("mlp-digits", ["tensorflow", "pytorch"]),
    ],
)
def test_the_metadata_describes_inputs_and_outputs(
    server: triton.InferenceServerClient, title: str, outputs: list[str]
) -> None:
    metadata = server.get_model_metadata(title)
    assert metadata["name"] == title
    assert "1" in metadata["versions"]
    assert metadata["inputs"] == [{"name": "image", "datatype": "UINT8", "shape": [-1, 8, 8, 1]}]
    assert metadata["outputs"] == [{"name": name, "datatype": "FP32", "shape": [-1, 10]} for name in outputs]
    assert server.get_model_metadata(title, "1") == metadata


@pytest.mark.parametrize("sent", [True, False], ids=["binary in", "JSON in"])
@pytest.mark.parametrize("got", [None, True, False], ids=["out by default", "binary out", "JSON out"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_inference_gives_the_probabilities_of_a_prediction(
    server: triton.InferenceServerClient,
    pictures: np.ndarray,
    expected: dict[str, np.ndarray],
    backend: str,
    sent: bool,
    got: bool | None,
) -> None:
    outputs = None if got is None else [triton.InferRequestedOutput("probabilities", binary_data=got)]
    answer = server.infer(
        f"mlp-digits-{backend}", make_inputs(pictures, binary=sent), "1", outputs=outputs, request_id="it's mine"
    )
    head = answer.get_response()
    assert (head["id"], head["model_name"], head["model_version"]) == ("it's mine", f"mlp-digits-{backend}", "1")
    assert ("data" in head["outputs"][0]) == (got is False)
    assert_close(answer.as_numpy("probabilities"), expected[backend])


def test_a_model_without_a_backend_suffix_has_one_output_per_backend(
    server: triton.InferenceServerClient, pictures: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    answer = server.infer("mlp-digits", make_inputs(pictures))
    mixed = [triton.InferRequestedOutput(name, binary_data=name == "pytorch") for name in ("pytorch", "tensorflow")]
    for found in (answer, server.infer("mlp-digits", make_inputs(pictures, binary=False), outputs=mixed)):
        for backend in BACKENDS:
            assert_close(found.as_numpy(backend), expected[backend])
    one = server.infer("mlp-digits", make_inputs(pictures), outputs=[triton.InferRequestedOutput("pytorch")])
    assert_close(one.as_numpy("pytorch"), expected["pytorch"])
    assert one.as_numpy("tensorflow") is None


@pytest.mark.parametrize(("kind", "datatype"), [("float32", "FP32"), ("int64", "INT64"), ("float16", "FP16")])
@pytest.mark.parametrize("binary", [True, False], ids=["binary", "JSON"])
def test_whole_numbers_of_other_datatypes_are_accepted(
    server: triton.InferenceServerClient,
    pictures: np.ndarray,
    expected: dict[str, np.ndarray],
    kind: str,
    datatype: str,
    binary: bool,
) -> None:
    answer = server.infer("mlp-digits-pytorch", make_inputs(pictures.astype(kind), datatype, binary))
    assert_close(answer.as_numpy("probabilities"), expected["pytorch"])


def test_concurrent_requests_get_their_own_results(
    server: triton.InferenceServerClient, pictures: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    waiting = [server.async_infer("mlp-digits-pytorch", make_inputs(pictures[i : i + 1])) for i in range(5)]
    for index, request in enumerate(waiting):
        assert_close(request.get_result().as_numpy("probabilities"), expected["pytorch"][index : index + 1])


def test_statistics_count_the_inferences_of_each_model_and_version(
    server: triton.InferenceServerClient, pictures: np.ndarray
) -> None:
    def read() -> dict:
        (found,) = server.get_inference_statistics("mlp-digits-tensorflow", "1")["model_stats"]
        return found

    before = read()
    server.infer("mlp-digits-tensorflow", make_inputs(pictures), "1")
    with pytest.raises(InferenceServerException):
        server.infer("mlp-digits-tensorflow", make_inputs(pictures + 0.5, "FP64"), "1")
    after = read()
    assert (after["name"], after["version"]) == ("mlp-digits-tensorflow", "1")
    assert after["inference_count"] == before["inference_count"] + 5
    assert after["execution_count"] == before["execution_count"] + 1
    assert after["last_inference"] > before["last_inference"]
    for part, duration in after["inference_stats"].items():
        assert duration["count"] == before["inference_stats"][part]["count"] + 1, part
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]
    assert after in server.get_inference_statistics()["model_stats"]
    assert after in server.get_inference_statistics("mlp-digits-tensorflow")["model_stats"]


def test_a_refused_request_gets_the_reason(server: triton.InferenceServerClient, pictures: np.ndarray) -> None:
    with pytest.raises(InferenceServerException, match=r"ready: .*mlp-digits") as refusal:
        server.infer("nothing", make_inputs(pictures))
    assert refusal.value.status() == "404"
    with pytest.raises(InferenceServerException, match=r"expected \['N', 8, 8, 1\]"):
        server.infer("mlp-digits", make_inputs(pictures.reshape(5, 64)))
    with pytest.raises(InferenceServerException, match="N from 1 to 64"):
        server.infer("mlp-digits", make_inputs(np.zeros((65, 8, 8, 1), np.uint8)))
    with pytest.raises(InferenceServerException, match="classification"):
        server.infer(
            "mlp-digits", make_inputs(pictures), outputs=[triton.InferRequestedOutput("pytorch", class_count=3)]
        )
    shared = triton.InferInput("image", [1, 8, 8, 1], "UINT8")
    shared.set_shared_memory("region", 64)
    with pytest.raises(InferenceServerException, match="shared_memory_region is not supported"):
        server.infer("mlp-digits", [shared])


def test_a_backend_that_is_down_is_named_while_the_other_backends_model_answers(
    server: triton.InferenceServerClient, pictures: np.ndarray, expected: dict[str, np.ndarray], settings: Settings
) -> None:
    for pid in find_processes(settings, "services.pytorch.predictor"):
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(InferenceServerException, match="pytorch") as refusal:
        server.infer("mlp-digits", make_inputs(pictures))
    assert refusal.value.status() == "503"
    assert not server.is_model_ready("mlp-digits")
    assert server.is_model_ready("mlp-digits-tensorflow")
    assert_close(
        server.infer("mlp-digits-tensorflow", make_inputs(pictures)).as_numpy("probabilities"), expected["tensorflow"]
    )
    wait_until(lambda: server.is_model_ready("mlp-digits"), message="the model did not become ready")


# TensorFlow Serving ------------------------------------------------------------


def predict(client: Client, path: str, body: object) -> Any:
    """Post a body as `curl -d` does: with the media type of a form."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(f"{client.url}/v1/models/{path}:predict", json.dumps(body), headers=headers, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("version", ["", "/versions/1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_tensorflow_serving_request_gets_one_row_per_image(
    client: Client, pictures: np.ndarray, expected: dict[str, np.ndarray], backend: str, version: str
) -> None:
    path, rows = f"mlp-digits-{backend}{version}", pictures.tolist()
    for instances in (rows, [{"image": row} for row in rows], (pictures / 1.0).tolist()):
        answer = predict(client, path, {"signature_name": "serving_default", "instances": instances})
        assert set(answer) == {"predictions"}
        assert_close(answer["predictions"], expected[backend])


def test_a_tensorflow_serving_request_without_a_backend_gets_every_backends_row(
    client: Client, pictures: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    rows = predict(client, "mlp-digits", {"instances": pictures.tolist()})["predictions"]
    assert set(rows[0]) == set(BACKENDS)
    for backend in BACKENDS:
        assert_close([row[backend] for row in rows], expected[backend])


@pytest.mark.parametrize("version", ["", "/versions/1"])
def test_columns_are_answered_with_columns(
    client: Client, pictures: np.ndarray, expected: dict[str, np.ndarray], version: str
) -> None:
    for inputs in (pictures.tolist(), {"image": pictures.tolist()}):
        answer = predict(client, f"mlp-digits-pytorch{version}", {"inputs": inputs})
        assert set(answer) == {"outputs"}
        assert_close(answer["outputs"], expected["pytorch"])
        outputs = predict(client, f"mlp-digits{version}", {"inputs": inputs})["outputs"]
        assert set(outputs) == set(BACKENDS)
        for backend in BACKENDS:
            assert_close(outputs[backend], expected[backend])


def test_members_that_other_servers_know_are_ignored(
    client: Client, pictures: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    rows = [{"image": row, "key": index} for index, row in enumerate(pictures.tolist())]
    answer = predict(client, "mlp-digits-pytorch", {"instances": rows, "model_name": "x", "context": {}})
    assert_close(answer["predictions"], expected["pytorch"])
    tensor = {
        "name": "image",
        "shape": list(pictures.shape),
        "datatype": "UINT8",
        "data": pictures.ravel().tolist(),
        "parameters": {"content_type": "np"},
        "contents": None,
    }
    body = {
        "model_name": "mlp-digits-pytorch",
        "model_version": "1",
        "raw_input_contents": [],
        "parameters": {"sequence_id": 1},
        "inputs": [tensor],
        "outputs": [{"name": "probabilities", "datatype": "FP32"}],
    }
    answer = requests.post(f"{client.url}/v2/models/mlp-digits-pytorch/infer", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    assert_close(answer.json()["outputs"][0]["data"], expected["pytorch"].ravel())


def test_the_label_stable_is_the_alias(client: Client, pictures: np.ndarray, expected: dict[str, np.ndarray]) -> None:
    requests.put(f"{client.url}/v1/models/mlp-digits/aliases/stable", json={"version": 1}, timeout=30)
    answer = predict(client, "mlp-digits-pytorch/labels/stable", {"instances": pictures.tolist()})
    assert_close(answer["predictions"], expected["pytorch"])
    status = client.get("/v1/models/mlp-digits/labels/stable")["model_version_status"]
    assert [(entry["version"], entry["state"]) for entry in status] == [("1", "AVAILABLE")]
    metadata = client.get("/v1/models/mlp-digits/labels/stable/metadata")
    assert metadata == client.get("/v1/models/mlp-digits/versions/1/metadata")
    assert requests.get(f"{client.url}/v1/models/mlp-digits/labels/other", timeout=30).status_code == 422


def test_metadata_describe_the_signature_of_a_model(client: Client, digits_model: dict) -> None:
    metadata = client.get("/v1/models/mlp-digits-pytorch/metadata")
    assert metadata["model_spec"]["name"] == "mlp-digits-pytorch"
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["method_name"] == "tensorflow/serving/predict"
    tensor = signature["inputs"]["image"]
    assert tensor["dtype"] == "DT_UINT8"
    assert [dimension["size"] for dimension in tensor["tensor_shape"]["dim"]] == ["-1", "8", "8", "1"]
    assert set(signature["outputs"]) == {"probabilities"}
    several = client.get("/v1/models/mlp-digits/metadata")["metadata"]["signature_def"]["signature_def"]
    assert set(several["serving_default"]["outputs"]) == set(BACKENDS)


@pytest.mark.parametrize("title", ["mlp-digits", "mlp-digits-tensorflow", "mlp-digits-pytorch"])
def test_a_models_status_lists_the_available_versions(client: Client, digits_model: dict, title: str) -> None:
    available = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    model = client.get(f"/v1/models/{title}")
    assert available in model["model_version_status"]
    assert set(model["versions"]) == set(model["manifests"])
    assert set(model["versions"]) == {
        backend for backend in BACKENDS if title in ("mlp-digits", f"mlp-digits-{backend}")
    }
    assert client.get(f"/v1/models/{title}/versions/1") == {"model_version_status": [available]}
    assert requests.get(f"{client.url}/v1/models/{title}/versions/99", timeout=10).status_code == 404


def test_the_openapi_document_describes_json_and_binary_inference(client: Client) -> None:
    operation = client.get("/openapi.json")["paths"]["/v2/models/{name}/infer"]["post"]
    both = {"application/json", "application/octet-stream"}
    assert set(operation["requestBody"]["content"]) == set(operation["responses"]["200"]["content"]) == both
    assert [part["name"] for part in operation["parameters"]] == ["name", "Inference-Header-Content-Length"]
